//! Tools that work in a sandbox: devices, toolchains, and each of the real CLIs.

use std::fs;
use std::io;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{TOKEN, look, prepared, sandboxed, start_with_token, write};
use crate::support::clis;
use crate::support::model::{FakeModel, HELLO};
use crate::support::require::require_program;
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::TestWorker;

const RUNNERS: [&str; 2] = ["bwrap", "bwrap-offline"];

#[test]
fn null_device_works_with_and_without_settings_and_token_files() {
    let Some(_) = require_program("bwrap") else { return };
    for (dotenv, token) in [(false, false), (true, false), (false, true), (true, true)] {
        let server = sandboxed("tools-null", "bwrap,bwrap-offline", |server| {
            if dotenv {
                write(&server.dir().join(".env"), "# nothing\n");
            }
            if token {
                write(&server.dir().join("data/auth_token"), TOKEN);
            }
        });
        for runner in RUNNERS {
            let script = "echo x > /dev/null && echo null; head -c 3 /dev/zero | wc -c; head -c 3 /dev/urandom | wc -c; \
                          git init -q made && git -C made status --short && echo git; echo x > /tmp/x && cat /tmp/x; \
                          ls /dev/shm";
            let (_, seen) = look(&server, script, &json!({"runner": runner}));
            assert_eq!(seen, "null\n3\n3\ngit\nx\n", "{runner}, .env {dotenv}, token {token}");
        }
    }
}

#[test]
fn commits_are_made_without_the_keys_that_sign_them() {
    let Some(_) = require_program("bwrap") else { return };
    let settings = "[user]\nname = A\nemail = a@example.org\n[commit]\ngpgSign = true\n[gpg]\nprogram = /nowhere\n";
    let server = sandboxed("tools-sign", "bwrap", |server| write(&server.home().join(".gitconfig"), settings));
    let script = "git init -q made && cd made && git config commit.gpgSign true && git commit -q --allow-empty -m one && \
                  git log --format='%s %an'";
    assert_eq!(look(&server, script, &json!({})).1, "one A\n");
}

#[test]
fn npm_installs_and_runs_a_local_package_in_the_sandbox() {
    let Some(_) = require_program("bwrap") else { return };
    let server = sandboxed("tools-npm", "bwrap,bwrap-offline", |_| ());
    for runner in RUNNERS {
        let project = server.project_named(runner);
        write(&project.join("dep/package.json"), r#"{"name": "dep", "version": "1.0.0", "bin": {"dep": "dep.js"}}"#);
        write(&project.join("dep/dep.js"), "#!/usr/bin/env node\nconsole.log('from dep')\n");
        let package =
            json!({"name": "p", "version": "1.0.0", "scripts": {"go": "dep"}, "dependencies": {"dep": "file:dep"}});
        write(&project.join("package.json"), &package.to_string());
        let script =
            "npm install --offline --package-lock-only >&2 && npm ci --offline >&2 && npm run -s go; ls ~/.npm";
        let (_, seen) = look(&server, script, &json!({"runner": runner, "project_path": project}));
        assert!(seen.starts_with("from dep\n") && seen.contains("_logs"), "{runner}: {seen}");
    }
    assert!(!server.home().join(".npm").exists(), "its cache is the worker's own");
}

/// Returns the folder of a toolchain of the user who runs the tests.
fn toolchain(variable: &str, folder: &str) -> PathBuf {
    let usual = || Path::new(&std::env::var_os("HOME").unwrap_or_default()).join(folder);
    std::env::var_os(variable).map_or_else(usual, PathBuf::from)
}

#[test]
fn cargo_builds_in_the_sandbox() {
    let Some(_) = require_program("bwrap") else { return };
    let server = sandboxed("tools-cargo", "bwrap,bwrap-offline", |server| {
        let (cargo, rustup) = (toolchain("CARGO_HOME", ".cargo"), toolchain("RUSTUP_HOME", ".rustup"));
        server.set_env("CARGO_HOME", cargo.to_str().unwrap());
        server.set_env("RUSTUP_HOME", rustup.to_str().unwrap());
        let bin = server.home().join(".cargo/bin");
        server.set_env("PATH", &format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()));
    });
    for runner in RUNNERS {
        let project = server.project_named(runner);
        write(&project.join("Cargo.toml"), "[package]\nname = \"made\"\nversion = \"0.1.0\"\nedition = \"2021\"\n");
        write(&project.join("src/main.rs"), "fn main() { println!(\"built\"); }\n");
        let script =
            "cargo build --offline -q && target/debug/made; touch ~/.cargo/bin/x || echo read-only; ls ~/.cargo";
        let (_, seen) = look(&server, script, &json!({"runner": runner, "project_path": project}));
        assert!(seen.starts_with("built\nread-only\n") && !seen.contains("credentials"), "{runner}: {seen}");
    }
}

/// The model as a sandbox without the network reaches it: a program in the sandbox listens at the model's port, and
/// forwards everything to a socket in the project's folder.
fn relay(server: &TestServer, model: &FakeModel) {
    let socket = server.project().join("model.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let address = model.addr();
    // The thread ends with the test's process; a connection ends with either of its ends.
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(model) = TcpStream::connect(address) else { continue };
            let (mut from_client, mut to_model) = (client.try_clone().unwrap(), model.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ = io::copy(&mut from_client, &mut to_model);
                let _ = to_model.shutdown(std::net::Shutdown::Write);
            });
            std::thread::spawn(move || {
                let (mut model, mut client) = (model, client);
                let _ = io::copy(&mut model, &mut client);
                let _ = client.shutdown(std::net::Shutdown::Both);
            });
        }
    });
    let script = format!(
        "const net = require('net');\n\
         net.createServer({{allowHalfOpen: true}}, (a) => {{\n\
           const b = net.connect({{path: {socket:?}, allowHalfOpen: true}});\n\
           a.pipe(b); b.pipe(a); a.on('error', () => b.destroy()); b.on('error', () => a.destroy());\n\
         }}).on('error', () => process.exit()).listen({port}, '127.0.0.1', () => require('fs').writeFileSync('/tmp/relay', ''));\n",
        port = address.port(),
    );
    write(&server.project().join("relay.js"), &script);
}

/// Returns a program named like a CLI that starts the relay if there is no network, and becomes the real CLI.
fn wrapped(server: &TestServer, cli: &str) -> PathBuf {
    let program = server.project().join("bin").join(cli);
    let script = format!(
        "#!/bin/sh\nif [ -n \"$OFFLINE\" ]; then node {relay} < /dev/null > /dev/null 2>&1 & \
         until [ -e /tmp/relay ]; do sleep 0.05; done; fi\nexec {real} \"$@\"\n",
        relay = server.project().join("relay.js").display(),
        real = clis::real(cli).display(),
    );
    write(&program, &script);
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    program
}

/// Sandboxes that also show the real CLIs and the tests' Node.js, besides their defaults: the clone may be in a home
/// directory, which a sandbox hides.
const CLI_RUNNERS: [(&str, &[&str]); 2] = [("clis", &[]), ("clis-offline", &["--unshare-net"])];

fn declare_cli_runners(server: &TestServer) {
    let node = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/node");
    let shown = [clis::folder(), node].into_iter().filter(|folder| folder.exists());
    let binds: Vec<_> = shown.flat_map(|folder| [json!("--ro-bind"), json!(folder), json!(folder)]).collect();
    for (name, more) in CLI_RUNNERS {
        let options: Vec<_> = more.iter().map(|word| json!(word)).chain(binds.clone()).collect();
        let declared = json!({"name": name, "from": "bwrap", "options": options});
        write(&server.dir().join("runners").join(name).with_extension("json"), &declared.to_string());
    }
}

/// A server with the four real CLIs, which talk only to `model`, by variables that are passed into a sandbox.
fn with_clis(name: &str, model: &FakeModel) -> TestServer {
    let mut server = prepared(name, &CLI_RUNNERS.map(|(name, _)| name).join(","));
    declare_cli_runners(&server);
    for (cli, setting) in [
        ("claude", "CLAUDE_BINARY"),
        ("codex", "CODEX_BINARY"),
        ("gemini", "GEMINI_BINARY"),
        ("opencode", "OPENCODE_BINARY"),
    ] {
        let program = wrapped(&server, cli);
        server.set_env(setting, program.to_str().unwrap());
    }
    let url = model.url();
    let variables = [
        ("ANTHROPIC_BASE_URL", url.as_str()),
        ("ANTHROPIC_API_KEY", clis::FAKE_KEY),
        ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
        ("DISABLE_TELEMETRY", "1"),
        ("OPENCODE_DISABLE_MODELS_FETCH", "1"),
        ("OPENCODE_DISABLE_LSP_DOWNLOAD", "1"),
        ("GOOGLE_GEMINI_BASE_URL", url.as_str()),
        ("GEMINI_API_KEY", clis::FAKE_KEY),
        ("CODEX_TEST_KEY", clis::FAKE_KEY),
    ];
    for (name, value) in variables {
        server.set_env(name, value);
    }
    server.set_env("WORKER_ENV_PASS", &variables.map(|(name, _)| name).join(","));
    server.set_env("ENABLED_AI_CLIS", "claude,codex,gemini,opencode");
    server.set_env("OPENCODE_API_BASE", &format!("{url}/v1"));
    server.set_env("OPENCODE_API_KEY", clis::FAKE_KEY);
    server.set_env("OPENCODE_MODEL", "fake-model");
    server.set_env("GEMINI_MODEL", "gemini-2.5-pro");
    let config = format!(
        "model = \"fake-model\"\nmodel_provider = \"fake\"\n[model_providers.fake]\nname = \"Fake\"\n\
         base_url = \"{url}/v1\"\nenv_key = \"CODEX_TEST_KEY\"\nwire_api = \"responses\"\n"
    );
    write(&server.home().join(".codex/config.toml"), &config);
    // A user's settings and other files, which are read-only in a sandbox.
    for (file, text) in [
        (".claude.json", r#"{"hasCompletedOnboarding": true}"#),
        (".claude/settings.json", "{}"),
        (".claude/settings.local.json", "{}"),
        (".claude/CLAUDE.md", "Be brief.\n"),
        (".claude/commands/x.md", "Say x.\n"),
        (".claude/skills/s/SKILL.md", "---\nname: s\ndescription: A skill.\n---\n"),
        (".claude/plugins/known_marketplaces.json", "{}"),
        (".codex/AGENTS.md", "Be brief.\n"),
        (".codex/prompts/x.md", "Say x.\n"),
        (".codex/rules/default.rules", ""),
        (".codex/skills/s/SKILL.md", "---\nname: s\ndescription: A skill.\n---\n"),
        (".gemini/settings.json", "{}"),
        (".gemini/GEMINI.md", "Be brief.\n"),
        (".config/opencode/opencode.json", "{}"),
        (".config/opencode/AGENTS.md", "Be brief.\n"),
    ] {
        write(&server.home().join(file), text);
    }
    relay(&server, model);
    start_with_token(&mut server);
    server
}

/// Runs a turn of a real CLI in both sandboxes, and one more after a stop, in the same session if the CLI can resume
/// it.
#[track_caller]
fn assert_answers(cli: &str) {
    let model = FakeModel::start();
    let server = with_clis(&format!("tools-{cli}"), &model);
    for (runner, env) in [("clis", json!({})), ("clis-offline", json!({"OFFLINE": "1"}))] {
        let worker = TestWorker::create(&server, cli, &json!({"runner": runner, "env": env}));
        worker.say(&server, "remember rhubarb");
        assert_eq!(worker.wait_turn(&server, 1)["is_error"], false, "{cli} in {runner}");
        assert_eq!(worker.events_of(&server, "assistant").pop().unwrap()["content"], HELLO, "{cli} in {runner}");
        let session = worker.show(&server)["session_id"].clone();
        worker.call(&server, "stop").expect(200);
        worker.say(&server, "what was it");
        assert_eq!(worker.wait_turn(&server, 2)["is_error"], false, "{cli} in {runner}");
        // Gemini CLI does not resume a session within the minute in which it was opened.
        if cli != "gemini" {
            assert_eq!(worker.show(&server)["session_id"], session, "{cli} in {runner}");
            assert!(model.turns().last().unwrap().body.to_string().contains("rhubarb"), "{cli} in {runner}");
            // OpenCode's list is cached for seconds, because its program takes seconds to answer.
            eventually(DEADLINE, &format!("{cli} in {runner}: its session can be taken up outside"), || {
                let listed = server.get("/api/sessions").expect(200).text();
                listed.contains(session.as_str().unwrap()).then_some(())
            });
        }
        worker.call(&server, "stop").expect(200);
    }
}

#[test]
fn real_claude_answers_in_the_sandbox_with_and_without_network() {
    let Some(_) = require_program("bwrap") else { return };
    assert_answers("claude");
}

#[test]
fn real_codex_answers_in_the_sandbox_with_and_without_network() {
    let Some(_) = require_program("bwrap") else { return };
    assert_answers("codex");
}

#[test]
fn real_gemini_answers_in_the_sandbox_with_and_without_network() {
    let Some(_) = require_program("bwrap") else { return };
    assert_answers("gemini");
}

#[test]
fn real_opencode_answers_in_the_sandbox_with_and_without_network() {
    let Some(_) = require_program("bwrap") else { return };
    assert_answers("opencode");
}

/// The main task in one story: a prompt is answered, the worker restarted, its session lost, and it continues to
/// answer.
#[test]
fn real_claude_in_the_sandbox_answers_after_losing_its_session() {
    let Some(_) = require_program("bwrap") else { return };
    let model = FakeModel::start();
    let server = with_clis("tools-story", &model);
    let worker = TestWorker::create(&server, "claude", &json!({"runner": "clis"}));
    let call = json!([{"tool": "Bash", "input": {"command": "echo made > made.txt", "description": "a test's"}}, {"text": "Made."}]);
    worker.say(&server, &format!("<<{call}>>"));
    let prompt = worker.wait_prompt(&server);
    worker.answer(&server, &prompt, &json!({"option_id": "allow_once"})).expect(200);
    assert_eq!(worker.wait_turn(&server, 1)["result"], "Made.");
    assert_eq!(fs::read_to_string(server.project().join("made.txt")).unwrap(), "made\n");

    worker.call(&server, "restart").expect(200);
    worker.say(&server, "what was it");
    assert_eq!(worker.wait_turn(&server, 2)["result"], HELLO);
    assert!(model.turns().last().unwrap().body.to_string().contains("made.txt"), "a restart keeps the session");

    let lost = worker.show(&server)["session_id"].clone();
    fs::remove_dir_all(server.home().join(".claude/projects")).unwrap();
    worker.call(&server, "restart").expect(200);
    worker.say(&server, "are you there");
    assert_eq!(worker.wait_turn(&server, 3)["result"], HELLO);
    let shown = worker.show(&server);
    assert_ne!(shown["session_id"], lost);
    assert_eq!(shown["earlier_sessions"][0]["session_id"], lost);
    assert_eq!(worker.events_of(&server, "error")[0]["code"], "session_not_found");
}

#[test]
fn program_that_the_sandbox_hides_is_named_at_the_start() {
    let Some(_) = require_program("bwrap") else { return };
    let mut server = prepared("tools-hidden", "bwrap");
    let hidden = server.home().join("tools/claude");
    write(&hidden, "#!/bin/sh\nexec cat\n");
    fs::set_permissions(&hidden, fs::Permissions::from_mode(0o755)).unwrap();
    let usual = std::env::var("PATH").unwrap();
    for (binary, path) in [(hidden.to_str().unwrap(), "/usr/bin:/bin"), ("claude", "tools:/usr/bin:/bin")] {
        server.set_env("CLAUDE_BINARY", binary);
        server.set_env("PATH", &path.replace("tools", hidden.parent().unwrap().to_str().unwrap()));
        start_with_token(&mut server);
        let body = json!({"name": "x", "project_path": server.project(), "ai_cli_type": "claude"});
        let refused = server.post("/api/workers", &body);
        let reported = format!("the sandbox hides the program {}", hidden.display());
        assert!(refused.status == 400 && refused.text().contains(&reported), "{binary}: {}", refused.text());
        server.terminate();
    }
    server.set_env("SANDBOX_HOME", "tools");
    server.set_env("PATH", &usual);
    server.set_env("CLAUDE_BINARY", hidden.to_str().unwrap());
    start_with_token(&mut server);
    TestWorker::create(&server, "claude", &json!({}));
}
