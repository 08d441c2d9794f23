//! The view from inside a sandbox: the home directory, the machine, the server. Each test inspects it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{look, sandboxed, write};
use crate::support::require::require_program;
use crate::support::workers::declare;

/// Files of a home directory that no agent needs.
const SECRETS: [&str; 20] = [
    ".ssh/id_ed25519",
    ".aws/credentials",
    ".gnupg/private-keys-v1.d/key",
    ".kube/config",
    ".docker/config.json",
    ".netrc",
    ".npmrc",
    ".pypirc",
    ".git-credentials",
    ".config/git/credentials",
    ".config/gh/hosts.yml",
    ".config/google-chrome/Default/Cookies",
    ".config/rs-worker/rs-worker.env",
    ".mozilla/firefox/x/logins.json",
    ".cargo/credentials.toml",
    ".local/share/keyrings/login.keyring",
    ".local/state/x",
    ".bash_history",
    ".claude/.credentials.json",
    "Documents/letter",
];

/// Files of a home directory that tools need.
const TOOLS: [&str; 9] = [
    ".gitconfig",
    ".local/bin/tool",
    ".local/share/claude/versions/1/claude",
    ".nvm/nvm.sh",
    ".cargo/bin/cargo",
    ".cargo/config.toml",
    ".rustup/settings.toml",
    ".bun/bin/bun",
    "go/bin/gopls",
];

fn fill(home: &Path) {
    for file in SECRETS.iter().chain(&TOOLS) {
        write(&home.join(file), "real");
    }
}

/// The files below a folder of the outside, with their contents.
fn content(folder: &Path) -> BTreeSet<(PathBuf, String)> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() && !entry.is_symlink() {
                folders.push(entry);
            } else {
                let text = fs::read_to_string(&entry).unwrap_or_default();
                found.insert((entry, text));
            }
        }
    }
    found
}

#[test]
fn home_in_the_sandbox_has_tools_and_no_secrets() {
    let Some(_) = require_program("bwrap") else { return };
    for runner in ["bwrap", "bwrap-offline"] {
        let server = sandboxed("looks-home", runner, |server| fill(&server.home()));
        let (_, seen) = look(&server, "cd; find . -type f -size +0 | sort", &json!({}));
        let expected: BTreeSet<String> = TOOLS.iter().map(|file| format!("./{file}")).collect();
        assert_eq!(seen.lines().map(str::to_owned).collect::<BTreeSet<_>>(), expected, "{runner}");
        // Shown files cannot be changed, and new files are not visible outside.
        let before = content(&server.home());
        let script = "cd; for file in $(find . -type f); do echo x 2>/dev/null >> $file && echo WROTE $file; rm -f $file; done; \
                      mkdir -p .ssh .cache .claude .config/rs-worker .local/state; \
                      echo x > .bashrc; echo x > .ssh/authorized_keys; echo x > .config/rs-worker/rs-worker.env; \
                      echo x > .cache/kept; echo x > .claude/settings.json; echo x > .local/new; echo x > .cargo/new";
        let (worker, wrote) = look(&server, script, &json!({}));
        assert_eq!(wrote, "", "{runner}");
        assert_eq!(content(&server.home()), before, "{runner}");
        // The cache is private to the worker: it is there at its next start, and not in another worker.
        assert!(worker.dir(&server).join("home/.cache/kept").exists());
        let (_, other) = look(&server, "ls -A ~/.cache 2>/dev/null", &json!({}));
        assert_eq!(other, "", "{runner}");
    }
}

#[test]
fn own_home_stays_with_its_worker_and_goes_with_it() {
    let Some(_) = require_program("bwrap") else { return };
    let server = sandboxed("looks-own", "bwrap", |_| ());
    let script =
        "mkdir -p ~/.cache/closed/deep; echo x >> ~/.cache/count; wc -l < ~/.cache/count; chmod 0 ~/.cache/closed";
    let (worker, first) = look(&server, script, &json!({}));
    assert_eq!(first, "1\n");
    worker.call(&server, "stop").expect(200);
    worker.call(&server, "start").expect(200);
    assert_eq!(super::end_look(&server, &worker), "2\n");
    let dir = worker.dir(&server);
    assert!(dir.join("home/.cache/closed").exists());
    server.delete(&worker.path("")).expect(200);
    assert!(!dir.exists(), "a folder that the agent has closed is removed too");
}

#[test]
fn sandbox_home_shows_more_and_hides_what_is_usual() {
    let Some(_) = require_program("bwrap") else { return };
    let server = sandboxed("looks-setting", "bwrap", |server| {
        fill(&server.home());
        server.set_env(
            "SANDBOX_HOME",
            ".npmrc, ~/Documents/:rw, .config/gh/hosts.yml:copy, .aws/*, -.nvm, .cargo/bin:own",
        );
    });
    let script = "cd; find . -type f -size +0 | sort; echo x >> Documents/letter; echo x >> .config/gh/hosts.yml; \
                  echo x >> .npmrc || echo read-only; echo x >> .aws/credentials || echo read-only; echo x > .cargo/bin/new";
    let (_, seen) = look(&server, script, &json!({}));
    for shown in [".npmrc", "Documents/letter", ".config/gh/hosts.yml", ".aws/credentials", ".rustup/settings.toml"] {
        assert!(seen.contains(&format!("./{shown}\n")), "{shown} in {seen}");
    }
    assert!(!seen.contains(".nvm/") && !seen.contains(".cargo/bin/cargo") && !seen.contains(".ssh"), "{seen}");
    assert_eq!(seen.matches("read-only").count(), 2, "{seen}");
    let real = |file: &str| fs::read_to_string(server.home().join(file)).unwrap();
    assert_eq!((real("Documents/letter"), real(".config/gh/hosts.yml")), ("realx\n".to_owned(), "real".to_owned()));
    assert!(!server.home().join(".cargo/bin/new").exists());
}

#[test]
fn sandbox_home_that_exposes_the_server_is_refused_at_start() {
    let Some(_) = require_program("bwrap") else { return };
    for (entry, reported) in
        [(".config:rw", "settings"), (".config/rs-worker:rw", "settings"), ("logs/deep:rw", "the log")]
    {
        let mut server = super::prepared("looks-refused", "bwrap");
        server.set_env("SANDBOX_HOME", entry);
        server.set_env("LOG_FILE", "~/logs/app.log");
        if entry.starts_with("logs") {
            server.set_env("LOG_FILE", "~/logs/deep/app.log");
        }
        let (status, log) = server.start_in_vain();
        assert!(!status.success() && log.contains("SANDBOX_HOME") && log.contains(reported), "{entry}: {log}");
    }
    let mut server = super::prepared("looks-wrong", "bwrap");
    server.set_env("SANDBOX_HOME", "/etc:rw");
    let (status, log) = server.start_in_vain();
    assert!(!status.success() && log.contains("paths below the home directory"), "{log}");
}

/// The folder of tests in that of the build.
const TARGET_TMPDIR: &str = env!("CARGO_TARGET_TMPDIR");

/// A folder that is neither in a home directory nor in one for temporary files, so that only the runner's own rules
/// hide it.
fn visible(name: &str) -> PathBuf {
    let folder = Path::new(TARGET_TMPDIR).join(format!("{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder.canonicalize().unwrap()
}

#[test]
fn servers_files_cannot_be_seen_or_changed_in_the_sandbox() {
    let Some(_) = require_program("bwrap") else { return };
    for runner in ["bwrap", "bwrap-offline", "mine"] {
        let place = visible("looks-server");
        let at = |name: &str| place.join(name).display().to_string();
        let server = sandboxed("looks-server", runner, |server| {
            // A runner whose own options show everything does not expose this.
            let options = json!(["--bind", place, place, "--bind", server.dir(), server.dir()]);
            let mine = json!({"from": "bwrap", "options": options});
            write(&PathBuf::from(at("runners/mine.json")), &mine.to_string());
            server.set_env("RUNNERS_DIR", &at("runners"));
            server.set_env("PRESETS_DIR", &at("presets"));
            server.set_env("ADAPTERS_DIR", &at("adapters"));
            server.set_env("AUTH_TOKEN_FILE", &at("token/file"));
            server.set_env("LOG_FILE", &at("logs/app.log"));
            server.set_env("WORKTREE_DIR", &at("trees"));
            server.set_env("WORKERS_BASE_DIR", &at("workers"));
            write(&PathBuf::from(at("token/file")), "SECRET-TOKEN");
            write(&PathBuf::from(at("presets/one.json")), r#"{"env": {"KEY": "SECRET-OF-A-PRESET"}}"#);
            write(&PathBuf::from(at("trees/other/file")), "SECRET-TREE");
            write(&server.dir().join(".env"), "# SECRET-SETTINGS\n");
            write(&server.home().join(".config/rs-worker/rs-worker.env"), "SECRET-SERVICE");
            write(
                &PathBuf::from(at("adapters/program.json")),
                &json!({"family": "text", "command": ["env"], "stop_by_eof": false}).to_string(),
            );
        });
        let (dir, home) = (server.dir().display(), server.home());
        let script = format!(
            "grep -rl -e SECRET -e '\"type\":\"created\"' {place} {dir}/.env {home}/.config 2>/dev/null; \
             find {place} -name shim.sock -o -name journal -o -name mine.json -o -name app.log; \
             for f in {place}/workers/x {place}/adapters/evil.json {place}/runners/evil.json {place}/presets/evil.json {place}/trees/other/x; do \
             mkdir -p $(dirname $f) && echo x > $f; done 2>/dev/null; echo EVIL=1 >> {dir}/.env; cat {dir}/.env",
            place = place.display(),
            home = home.display(),
        );
        let (worker, seen) = look(&server, &script, &json!({"runner": runner}));
        server.delete(&worker.path("")).expect(200);
        assert!(seen.is_empty() || seen == "EVIL=1\n", "{runner}: {seen}");
        for left in ["workers/x", "adapters/evil.json", "runners/evil.json", "presets/evil.json", "trees/other/x"] {
            assert!(!place.join(left).exists(), "{runner}: {left}");
        }
        assert_eq!(fs::read_to_string(server.dir().join(".env")).unwrap(), "# SECRET-SETTINGS\n", "{runner}");
        drop(server);
        fs::remove_dir_all(&place).unwrap();
    }
}

#[test]
fn entries_of_the_home_directory_show_nothing_of_the_server() {
    let Some(_) = require_program("bwrap") else { return };
    let entries = [
        ".config/*, keys/*, deep/*, .local/state/*",
        ".config, keys, deep, .local/state",
        ".config/rs-worker, keys/token, deep/adapters, deep/runners, deep/trees/other, .local/state/rs-worker",
        ".config/rs-worker/rs-worker.env:copy, keys/token:copy, .env:copy, logs/app.log:copy",
        "alias, alias/rs-worker.env:copy, above/*, elsewhere/rs-worker",
    ];
    for (number, moved) in (0..entries.len()).flat_map(|number| [(number, false), (number, true)]) {
        let entries = entries[number];
        let server = sandboxed("looks-entries", "bwrap", |server| {
            let home = server.home();
            server.set_env("SANDBOX_HOME", entries);
            for (setting, path) in [
                ("AUTH_TOKEN_FILE", "keys/token"),
                ("ADAPTERS_DIR", "deep/adapters"),
                ("RUNNERS_DIR", "deep/runners"),
                ("WORKTREE_DIR", "deep/trees"),
                ("LOG_FILE", "logs/app.log"),
            ] {
                server.set_env(setting, home.join(path).to_str().unwrap());
            }
            let config = if moved { "elsewhere" } else { ".config" };
            if moved {
                server.set_env("XDG_CONFIG_HOME", home.join(config).to_str().unwrap());
            }
            let service = format!("{config}/rs-worker/rs-worker.env");
            for secret in [&service, "keys/token", "deep/runners/x", "deep/trees/other/x", ".local/state/rs-worker/x"] {
                write(&home.join(secret), "SECRET");
            }
            write(&home.join(".config/usual/x"), "shown");
            write(
                &home.join("deep/adapters/program.json"),
                &json!({"comment": "SECRET", "family": "text", "command": ["env"], "stop_by_eof": false}).to_string(),
            );
            fs::create_dir_all(home.join("above")).unwrap();
            for link in ["alias", "above/link"] {
                std::os::unix::fs::symlink(home.join(config).join("rs-worker"), home.join(link)).unwrap();
            }
        });
        let (_, seen) = look(&server, "cd; grep -rlE 'SECRET|started at http' . */ .*/ 2>/dev/null; true", &json!({}));
        assert_eq!(seen, "", "{entries}, moved: {moved}");
        if number < 2 && !moved {
            let (_, seen) = look(&server, "cat ~/.config/usual/x", &json!({}));
            assert_eq!(seen, "shown", "{entries}: the rest of the folder is shown");
        }
    }
}

#[test]
fn replaced_settings_are_not_seen_by_a_running_agent() {
    let Some(_) = require_program("bwrap") else { return };
    let place = visible("looks-replaced");
    let server = sandboxed("looks-replaced", "bwrap", |server| {
        server.set_env("AUTH_TOKEN_FILE", place.join("token").to_str().unwrap());
        write(&place.join("token"), "SECRET");
    });
    let (go, place_shown) = (server.project().join("go"), place.display());
    let script =
        format!("touch ready; until [ -e go ]; do sleep 0.05; done; cat {place_shown}/token 2>/dev/null; true");
    let worker = super::start_look(&server, &script, &json!({}));
    crate::support::wait::eventually(crate::support::wait::DEADLINE, "it runs", || {
        server.project().join("ready").exists().then_some(())
    });
    // In the way in which an editor does it, and the server renews its own files.
    write(&place.join("token.new"), "SECRET-2");
    fs::rename(place.join("token.new"), place.join("token")).unwrap();
    write(&go, "");
    assert_eq!(super::end_look(&server, &worker), "");
    drop(server);
    fs::remove_dir_all(&place).unwrap();
}

#[test]
fn other_worktrees_are_hidden_and_the_own_one_works() {
    let Some(_) = require_program("bwrap") else { return };
    let server = sandboxed("looks-tree", "bwrap", |server| super::repository(&server.project()));
    let (_, first) = look(&server, "echo secret > private; pwd", &json!({"worktree": true, "name": "first"}));
    let script = "git status --short --untracked-files=no; echo new > file; git add file; \
                  git -c user.name=a -c user.email=a@example.org commit -qm two && git log --format=%s; ls ..; cat ../*/private";
    let (worker, second) = look(&server, script, &json!({"worktree": true, "name": "second"}));
    let shown = worker.show(&server);
    let own = Path::new(shown["project_path"].as_str().unwrap()).file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(second, format!("two\none\n{own}\n"), "first: {first}");
}

#[test]
fn sandbox_has_no_sockets_homes_or_foreign_processes() {
    let Some(_) = require_program("bwrap") else { return };
    // The folders of sockets of the session, of Docker and of key agents.
    let socket = std::env::temp_dir().join(format!("rs-worker-looks-{}.sock", std::process::id()));
    let _listener = UnixListener::bind(&socket).unwrap();
    let mut server = super::prepared("looks-machine", "bwrap,bwrap-offline");
    for (name, value) in [
        ("SSH_AUTH_SOCK", socket.to_str().unwrap()),
        ("DBUS_SESSION_BUS_ADDRESS", "unix:path=/run/user/0/bus"),
        ("XDG_RUNTIME_DIR", "/run/user/0"),
        ("WAYLAND_DISPLAY", "wayland-0"),
        ("DISPLAY", ":0"),
        ("DOCKER_HOST", "unix:///run/docker.sock"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
        ("TMPDIR", "/nowhere"),
        ("CLAUDE_CODE_TMPDIR", "/nowhere"),
    ] {
        server.set_env(name, value);
    }
    server.start();
    let script = "env | grep -E '^(SSH|DBUS|XDG_RUN|WAYLAND|DISPLAY|DOCKER|AWS|TMPDIR|CLAUDE_CODE_TMP)'; \
                  awk 'NR > 1 && $8 ~ /^\\// {print $8}' /proc/net/unix | while read -r path; do [ -S \"$path\" ] && echo \"$path\"; done; \
                  find / -xdev -type s 2>/dev/null; find /run /tmp /var /srv /mnt /media /root -mindepth 1 -name '*sock*' ! -type f; \
                  ls /home /srv /mnt /media /boot 2>/dev/null | grep -v -e : -e linuxbrew -e '^$'; \
                  cat /etc/shadow 2>/dev/null; ls /proc | grep -c '^[0-9]' | awk '$1 > 12'; true";
    for runner in ["bwrap", "bwrap-offline"] {
        let (_, seen) = look(&server, script, &json!({"runner": runner}));
        // The path to the test's own folder in a hidden one may be visible, and nothing beside it.
        let way = |line: &&str| !server.dir().iter().any(|part| part == *line);
        // Servers and shims of other tests, including those of another checkout, have folders that this test does not
        // know.
        let of_others = |line: &&str| {
            let path = Path::new(line);
            let is_below = |tests: &Path| path.starts_with(tests);
            let is_of_tests = server.dir().parent().is_some_and(is_below) || is_below(Path::new(TARGET_TMPDIR));
            (is_of_tests || path.ends_with("shim.sock")) && !path.starts_with(server.dir())
        };
        let seen: Vec<&str> = seen.lines().filter(way).filter(|line| !of_others(line)).collect();
        assert!(seen.is_empty(), "{runner}: {seen:?}");
    }
    fs::remove_file(&socket).unwrap();
}

#[test]
fn settings_of_clis_cannot_be_changed_from_the_sandbox() {
    let Some(_) = require_program("bwrap") else { return };
    for (cli, readable, shared) in [
        (
            "claude",
            &[".claude/settings.json", ".claude/commands/x.md", ".claude/plugins/p/hooks.json"][..],
            ".claude/projects/a/s.jsonl",
        ),
        (
            "codex",
            &[".codex/config.toml", ".codex/prompts/x.md", ".codex/rules/default.rules"],
            ".codex/sessions/2026/s.jsonl",
        ),
        (
            "gemini",
            &[".gemini/settings.json", ".gemini/extensions/e/gemini-extension.json"],
            ".gemini/tmp/a/chats/s.json",
        ),
        (
            "opencode",
            &[".config/opencode/opencode.json", ".config/opencode/plugin/x.js"],
            ".local/share/opencode/opencode.db",
        ),
    ] {
        let server = sandboxed("looks-clis", "bwrap", |server| {
            for file in readable.iter().chain([
                &shared,
                &".claude.json",
                &".local/share/opencode/bin/rg",
                &".gemini/tmp/bin/rg",
            ]) {
                write(&server.home().join(file), "{}");
            }
            super::named_program(server, cli);
        });
        let before = content(&server.home());
        let script = format!(
            "cd; for f in {readable}; do cat $f || echo UNSEEN; echo x 2>/dev/null >> $f && echo WROTE; rm -f $f 2>/dev/null; done; \
             for d in .claude .codex .gemini .config/opencode .local/share/opencode; do mkdir -p $d/hooks $d/commands $d/skills $d/bin $d/snapshot; \
             for f in settings.json settings.local.json CLAUDE.md hooks.json AGENTS.md auth.json bin/rg snapshot/config hooks/h commands/c; do \
             echo x > $d/$f; done; done 2>/dev/null; mkdir -p .gemini/tmp/bin && echo x > .gemini/tmp/bin/rg; \
             echo x > .claude.json; echo x > $(dirname {shared})/new; echo done",
            readable = readable.join(" "),
        );
        let (_, seen) = look(&server, &script, &json!({"ai_cli_type": format!("the-{cli}")}));
        assert_eq!(seen, format!("{}done\n", "{}".repeat(readable.len())), "{cli}");
        let mut after = content(&server.home());
        let new = server.home().join(shared).parent().unwrap().join("new");
        assert!(after.remove(&(new, "x\n".to_owned())), "{cli}: its sessions are shared with the outside");
        // An empty login, so that no other process can create one.
        after.retain(|(path, text)| !(path.ends_with("auth.json") || path.ends_with("mcp-auth.json")) || text != "{}");
        // OpenCode's data are one folder; only parts of it are executed.
        let data = server.home().join(".local/share/opencode");
        let known =
            |path: &Path| ["bin", "snapshot", "opencode.db"].iter().any(|name| path.starts_with(data.join(name)));
        after.retain(|(path, _)| !path.starts_with(&data) || known(path));
        assert_eq!(after, before, "{cli}");
    }
}

#[test]
fn declared_adapter_names_what_it_keeps_at_home() {
    let Some(_) = require_program("bwrap") else { return };
    let server = sandboxed("looks-declared", "bwrap", |server| {
        write(&server.home().join(".mycli/config.json"), "config");
        let home = json!([".mycli/config.json", ".mycli/sessions/:rw"]);
        declare(server, "mycli", &json!({"family": "text", "command": ["env"], "stop_by_eof": false, "home": home}));
    });
    let script =
        "cat ~/.mycli/config.json; echo s > ~/.mycli/sessions/one; echo x > ~/.mycli/config.json || echo ' read-only'";
    let modes =
        || server.home().ancestors().map(|path| fs::metadata(path).unwrap().permissions().mode()).collect::<Vec<_>>();
    let before = modes();
    let (_, seen) = look(&server, script, &json!({"ai_cli_type": "mycli"}));
    assert_eq!(seen, "config read-only\n");
    assert_eq!(modes(), before, "folders on the way keep their permissions");
    assert_eq!(fs::read_to_string(server.home().join(".mycli/sessions/one")).unwrap(), "s\n");
}
