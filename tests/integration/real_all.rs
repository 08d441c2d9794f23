//! The four real CLIs on one server: named in `ENABLED_AI_CLIS` and found on PATH, listed, hibernated.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::support::clis;
use crate::support::model::{FakeModel, HELLO};
use crate::support::server::{Builder, TestServer, wait_file};
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::TestWorker;

pub(crate) const ALL: [&str; 4] = ["claude", "opencode", "codex", "gemini"];

/// A server that finds the CLIs by their names on PATH only, and whose CLIs talk only to `model`.
pub(crate) fn builder(model: &FakeModel) -> Builder {
    let bin = clis::real("claude");
    let path = format!("{}:{}", bin.parent().unwrap().display(), std::env::var("PATH").unwrap_or_default());
    TestServer::builder()
        .name("all-clis")
        .env("PATH", path)
        .env("ENABLED_AI_CLIS", ALL.join(","))
        .env("ANTHROPIC_BASE_URL", model.url())
        .env("ANTHROPIC_API_KEY", clis::FAKE_KEY)
        .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
        .env("DISABLE_TELEMETRY", "1")
        .env("OPENCODE_API_BASE", format!("{}/v1", model.url()))
        .env("OPENCODE_API_KEY", clis::FAKE_KEY)
        .env("OPENCODE_MODEL", "fake-model")
        .env("OPENCODE_DISABLE_MODELS_FETCH", "1")
        .env("OPENCODE_DISABLE_LSP_DOWNLOAD", "1")
        .env("GOOGLE_GEMINI_BASE_URL", model.url())
        .env("GEMINI_API_KEY", clis::FAKE_KEY)
        .env("GEMINI_MODEL", "gemini-2.5-pro")
        .env("CODEX_TEST_KEY", clis::FAKE_KEY)
        .env("STOP_GRACE_SECS", "2")
}

pub(crate) fn start(model: &FakeModel, builder: Builder) -> TestServer {
    let mut server = builder.prepare();
    let config = format!(
        "model = \"fake-model\"\nmodel_provider = \"fake\"\n[model_providers.fake]\nname = \"Fake\"\n\
         base_url = \"{}/v1\"\nenv_key = \"CODEX_TEST_KEY\"\nwire_api = \"responses\"\n",
        model.url()
    );
    let dir = server.home().join(".codex");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("config.toml"), config).unwrap();
    server.start();
    server
}

/// Returns the server's entry of one CLI, once its program was probed.
fn listed(server: &TestServer, cli: &str) -> Value {
    eventually(DEADLINE, "the program was looked for", || {
        let list = server.get("/api/ai-clis").expect(200).json();
        let found =
            list["available_clis"].as_array().unwrap().iter().find(|entry| entry["type"] == cli).cloned().unwrap();
        (!found["installed"].is_null()).then_some(found)
    })
}

#[test]
fn real_clis_are_listed_and_answer_once_named() {
    let model = FakeModel::start();
    let server = start(&model, builder(&model));
    let lock: Value = serde_json::from_str(include_str!("../clis/package.json")).unwrap();
    let packages = ["@anthropic-ai/claude-code", "opencode-ai", "@openai/codex", "@google/gemini-cli"];
    for (cli, package) in ALL.into_iter().zip(packages) {
        // On a busy machine a program may not have printed its version in time; then it is probed again.
        let shown = eventually(3 * DEADLINE, "its version", || {
            Some(listed(&server, cli)).filter(|shown| !shown["version"].is_null())
        });
        assert_eq!(
            (&shown["enabled"], &shown["installed"], &shown["reason"]),
            (&json!(true), &json!(true), &Value::Null)
        );
        assert_eq!(shown["version"], lock["dependencies"][package], "{cli}");
        let worker = TestWorker::create(&server, cli, &json!({}));
        worker.say(&server, "hi");
        assert_eq!(worker.wait_turn(&server, 1)["is_error"], false, "{cli}");
        assert_eq!(worker.events_of(&server, "assistant").pop().unwrap()["content"], HELLO, "{cli}");
        worker.call(&server, "stop").expect(200);
    }
}

#[test]
fn unusable_clis_are_listed_with_reason_and_install_command() {
    let mut server = TestServer::builder().name("no-clis").prepare();
    let bin = server.dir().join("bin");
    fs::create_dir_all(&bin).unwrap();
    fs::write(bin.join("opencode"), "#!/bin/sh\necho 0.5.1\n").unwrap();
    fs::set_permissions(bin.join("opencode"), fs::Permissions::from_mode(0o700)).unwrap();
    server.set_env("PATH", &format!("{}:/usr/bin:/bin", bin.display()));
    server.set_env("CLAUDE_BINARY", "no-such-claude");
    server.start();
    let reason = |cli: &str| listed(&server, cli)["reason"].as_str().unwrap().to_owned();
    let missing = "no-such-claude was not found on PATH; to install it: npm install -g @anthropic-ai/claude-code";
    assert_eq!(reason("claude"), missing);
    let old = "opencode 0.5.1 is too old: 1.0.0 or later is needed; to update it: npm install -g opencode-ai";
    assert_eq!(reason("opencode"), old);
    for (cli, package) in [("codex", "@openai/codex"), ("gemini", "@google/gemini-cli")] {
        assert_eq!(reason(cli), format!("{cli} was not found on PATH; to install it: npm install -g {package}"));
        assert_eq!(listed(&server, cli)["installed"], false);
        assert!(listed(&server, cli)["install"].as_str().unwrap().starts_with("npm install -g "));
    }
}

fn wait_hibernated(server: &TestServer, worker: &TestWorker) {
    eventually(DEADLINE, "it is hibernated", || (worker.show(server)["hibernated"] == true).then_some(()));
    server.wait_no_processes_of(&worker.id);
}

#[test]
fn real_clis_are_hibernated_and_continue_with_the_next_message() {
    let model = FakeModel::start();
    let server = start(&model, builder(&model).env("IDLE_STOP_SECS", "2"));
    for cli in ALL {
        let worker = TestWorker::create(&server, cli, &json!({}));
        worker.say(&server, "remember rhubarb");
        worker.wait_turn(&server, 1);
        let session = worker.show(&server)["session_id"].clone();
        wait_hibernated(&server, &worker);
        worker.say(&server, "what was it");
        assert_eq!(worker.wait_turn(&server, 2)["is_error"], false, "{cli}");
        // Gemini CLI does not resume a session within the minute in which it was opened, and the worker reports it.
        if cli != "gemini" {
            assert_eq!(worker.show(&server)["session_id"], session, "{cli}");
            let last = model.turns().last().unwrap().body.to_string();
            assert!(last.contains("rhubarb"), "{cli} knows its session");
        }
        worker.call(&server, "stop").expect(200);
    }
}

#[test]
fn real_claude_with_a_background_command_is_not_hibernated() {
    let model = FakeModel::start();
    let server = start(&model, builder(&model).env("IDLE_STOP_SECS", "2"));
    let worker = TestWorker::create(&server, "claude", &json!({}));
    let command = "echo $$ > pid.txt; until [ -e go.txt ]; do sleep 0.1; done";
    let input = json!({"command": command, "description": "a test's command", "run_in_background": true});
    worker.say(&server, &format!("<<{}>>", json!([{"tool": "Bash", "input": input}, {"text": "It runs."}])));
    let prompt = worker.wait_prompt(&server);
    worker.answer(&server, &prompt, &json!({"option_id": "allow_once"})).expect(200);
    worker.wait_turn(&server, 1);
    wait_file(&server.project().join("pid.txt"), "\n");
    let other = TestWorker::create(&server, "claude", &json!({"name": "other"}));
    wait_hibernated(&server, &other);
    assert_eq!(worker.controls(&server, "stop_requested"), Vec::<Value>::new());
    fs::write(server.project().join("go.txt"), "").unwrap();
    wait_hibernated(&server, &worker);
}
