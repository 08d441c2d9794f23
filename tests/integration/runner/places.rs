//! The folders in which a sandboxed agent may work, when its worker is created and at every later start.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use serde_json::{Value, json};

use super::{end_look, look, prepared, sandboxed, start_with_token, write};
use crate::support::require::require_program;
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::TestWorker;

/// A server that may use every runner of this machine, with its own folders in different places. Docker and Podman are
/// stubs: the test shows that they are not run.
fn with_all_runners(name: &str) -> TestServer {
    let mut server = prepared(name, "none,bwrap,bwrap-offline,docker:image,podman:image,mine");
    let bin = server.dir().join("bin");
    for program in ["docker", "podman"] {
        write(&bin.join(program), &format!("#!/bin/sh\necho \"$@\" >> {}/asked\n", server.dir().display()));
        fs::set_permissions(bin.join(program), fs::Permissions::from_mode(0o755)).unwrap();
    }
    write(&server.dir().join("runners/mine.json"), r#"{"command": ["env", "{command...}"]}"#);
    server.set_env("PATH", &format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()));
    for (setting, path) in [
        ("WORKTREE_DIR", "a/trees"),
        ("AUTH_TOKEN_FILE", "b/token"),
        ("LOG_FILE", "c/logs/app.log"),
        ("ADAPTERS_DIR", "d/adapters"),
        ("PROJECTS_DIR", "f/projects"),
        ("PRESETS_DIR", "g/presets"),
        ("STATIC_DIR", "e/static"),
    ] {
        server.set_env(setting, server.dir().join(path).to_str().unwrap());
    }
    for folder in [
        "a/trees/x",
        "b",
        "c/logs",
        "d/adapters/x",
        "e/static/x",
        "f/projects",
        "g/presets",
        "home/.config/rs-worker/x",
        "data/workers/x",
    ] {
        fs::create_dir_all(server.dir().join(folder)).unwrap();
    }
    for file in ["b/token", "e/static/index.html"] {
        fs::write(server.dir().join(file), "").unwrap();
    }
    symlink(server.dir().join("d"), server.dir().join("link-to-d")).unwrap();
    start_with_token(&mut server);
    server
}

fn ask(server: &TestServer, project: &Path, runner: &str) -> (u16, String) {
    let body = json!({"name": "x", "project_path": project, "ai_cli_type": "claude", "runner": runner});
    let reply = server.post("/api/workers", &body);
    (reply.status, reply.text())
}

#[test]
fn projects_reaching_the_servers_folders_are_refused_by_every_runner() {
    let Some(_) = require_program("bwrap") else { return };
    let server = with_all_runners("places-refused");
    let cases = [
        (".", "holds"),
        ("home", "settings"),
        ("home/.config", "settings"),
        ("home/.config/rs-worker", "settings"),
        ("home/.config/rs-worker/x", "is in"),
        ("data", "WORKERS_BASE_DIR"),
        ("data/workers", "WORKERS_BASE_DIR"),
        ("data/workers/x", "is in the workers' data"),
        ("a", "WORKTREE_DIR"),
        ("a/trees", "WORKTREE_DIR"),
        ("b", "the auth token"),
        ("c", "the log"),
        ("c/logs", "LOG_FILE"),
        ("d", "ADAPTERS_DIR"),
        ("d/adapters/x", "ADAPTERS_DIR"),
        ("link-to-d", "ADAPTERS_DIR"),
        ("e/static/x", "STATIC_DIR"),
        ("f", "PROJECTS_DIR"),
        ("f/projects", "the folder of project files"),
        ("g", "PRESETS_DIR"),
        ("g/presets", "the folder of presets"),
        ("runners", "RUNNERS_DIR"),
    ];
    for runner in ["bwrap", "bwrap-offline", "docker:image", "podman:image", "mine"] {
        for (folder, reported) in cases {
            let (status, text) = ask(&server, &server.dir().join(folder), runner);
            assert_eq!(status, 400, "{runner} {folder}: {text}");
            assert!(
                text.contains(reported) && text.contains("a sandboxed agent may not work in"),
                "{runner} {folder}: {text}"
            );
        }
    }
    assert!(!server.dir().join("asked").exists(), "no container was started");
    assert_eq!(ask(&server, &server.project(), "bwrap").0, 201, "a folder beside the server's is fine");
}

#[test]
fn project_without_a_runner_may_contain_the_servers_folders_only() {
    let Some(_) = require_program("bwrap") else { return };
    let server = with_all_runners("places-open");
    for folder in [
        "home/.config/rs-worker",
        "data/workers",
        "data/workers/x",
        "d/adapters/x",
        "e/static/x",
        "f/projects",
        "runners",
    ] {
        let (status, text) = ask(&server, &server.dir().join(folder), "none");
        assert!(status == 400 && text.contains("an agent may not work in"), "{folder}: {status} {text}");
    }
    // Users start the server in their project, and nothing hides its files from such an agent anyway.
    for folder in [".", "project"] {
        assert_eq!(ask(&server, &server.dir().join(folder), "none").0, 201, "{folder}");
    }
}

#[test]
fn project_that_holds_what_programs_outside_use_is_refused() {
    let Some(_) = require_program("bwrap") else { return };
    let server = sandboxed("places-tools", "bwrap", |server| {
        for file in [".local/bin/tool", "dotfiles/claude/settings.json", "go/bin/x", "go/src/mine/x"] {
            write(&server.home().join(file), "");
        }
        symlink(server.home().join("dotfiles/claude"), server.home().join(".claude")).unwrap();
    });
    for folder in [".local/bin", "dotfiles", "go"] {
        let (status, text) = ask(&server, &server.home().join(folder), "bwrap");
        assert!(status == 400 && text.contains("which programs outside of the sandbox use too"), "{folder}: {text}");
    }
    let (_, seen) = look(&server, "echo x > new && ls", &json!({"project_path": server.home().join("go/src/mine")}));
    assert!(seen.contains("new"), "{seen}");
}

#[test]
fn worker_whose_project_contains_the_server_is_not_started() {
    let Some(_) = require_program("bwrap") else { return };
    let mut server = sandboxed("places-later", "bwrap,none", |_| ());
    let (worker, _) = look(&server, "true", &json!({}));
    let (plain, _) = look(&server, "true", &json!({"runner": "none"}));
    for worker in [&worker, &plain] {
        worker.wait_status(&server, "stopped");
    }
    server.set_env("LOG_FILE", server.project().join("logs/app.log").to_str().unwrap());
    server.restart();
    let reported = worker.call(&server, "start");
    assert!(reported.status == 400 && reported.text().contains("LOG_FILE"), "{}", reported.text());
    // Without a runner it continues.
    plain.call(&server, "start").expect(200);
}

/// Replaces a folder by a link to `outside`.
fn replace(folder: &Path, outside: &Path) {
    fs::rename(folder, folder.with_extension("old")).unwrap();
    symlink(outside, folder).unwrap();
}

/// Starts a stopped worker, by a start and by a message, and returns both responses.
fn started(server: &TestServer, worker: &TestWorker) -> Vec<(u16, String)> {
    let message = server.post(&worker.path("/messages"), &json!({"content": "hi"}));
    [worker.call(server, "start"), message].map(|reply| (reply.status, reply.text())).to_vec()
}

#[test]
fn project_that_became_a_link_is_refused_at_every_start() {
    let Some(_) = require_program("bwrap") else { return };
    for runner in ["bwrap", "bwrap-offline", "none"] {
        let mut server = sandboxed("places-link", runner, |server| write(&server.dir().join("outside/.profile"), ""));
        let nested = server.project().join("repo/web");
        fs::create_dir_all(&nested).unwrap();
        let (worker, _) = look(&server, "pwd", &json!({"project_path": nested, "runner": runner}));
        worker.wait_status(&server, "stopped");
        // An agent in `repo` can do this, with a link that works from anywhere.
        let outside = server.dir().join("outside");
        for link in [outside.clone(), Path::new("../../outside").to_owned()] {
            replace(&nested, &link);
            for (status, text) in started(&server, &worker) {
                let reported = format!("is now a link to {}", outside.display());
                assert!(status == 409 && text.contains(&reported), "{runner}: {status} {text}");
            }
            server.restart();
            assert_eq!(started(&server, &worker)[0].0, 409, "{runner}");
            fs::remove_file(&nested).unwrap();
            fs::rename(nested.with_extension("old"), &nested).unwrap();
        }
        // A link further up redirects just as well.
        let above = nested.parent().unwrap();
        replace(above, &outside);
        fs::create_dir_all(outside.join("web")).unwrap();
        assert_eq!(started(&server, &worker)[0].0, 409, "{runner}");
        fs::remove_file(above).unwrap();
        fs::rename(above.with_extension("old"), above).unwrap();
        worker.call(&server, "start").expect(200);
        assert_eq!(end_look(&server, &worker), format!("{}\n", nested.display()));
        assert_eq!(fs::read_to_string(server.dir().join("outside/.profile")).unwrap(), "");
    }
}

#[test]
fn repository_of_a_worktree_that_became_a_link_is_refused() {
    let Some(_) = require_program("bwrap") else { return };
    let server = sandboxed("places-repository", "bwrap", |server| super::repository(&server.project()));
    let (worker, _) = look(&server, "git log --format=%s", &json!({"worktree": true}));
    worker.wait_status(&server, "stopped");
    let outside = server.dir().join("outside");
    fs::create_dir(&outside).unwrap();
    replace(&server.project().join(".git"), &outside);
    let reported = worker.call(&server, "start");
    assert!(reported.status == 409 && reported.text().contains(".git"), "{}", reported.text());
}

#[test]
fn agents_per_message_look_at_their_folder_each_time() {
    let Some(_) = require_program("bwrap") else { return };
    let server = sandboxed("places-messages", "bwrap", |server| {
        let adapter = json!({"family": "text", "mode": "per_message", "command": ["sh", "-c", "pwd; echo $0 > said", "{message}"]});
        crate::support::workers::declare(server, "turns", &adapter);
        write(&server.dir().join("outside/kept"), "");
    });
    let project = server.project_named("turns");
    let worker = TestWorker::create(&server, "turns", &json!({"project_path": project}));
    worker.say(&server, "one");
    eventually(DEADLINE, "it has said so", || {
        fs::read_to_string(project.join("said")).is_ok_and(|text| text == "one\n").then_some(())
    });
    eventually(DEADLINE, "its turn is over", || {
        let exits = worker.controls(&server, "exited");
        (!exits.is_empty()).then_some(())
    });
    replace(&project, &server.dir().join("outside"));
    let shown: Value = worker.say(&server, "two");
    assert!(!shown.is_null());
    eventually(DEADLINE, "the server says why", || server.log().contains("is now a link to").then_some(()));
    assert!(!server.dir().join("outside/said").exists());
}
