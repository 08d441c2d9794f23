//! The static program in a root in which there is nothing but itself, a program that plays the CLI, and `/proc`: no shell,
//! no `/etc/passwd`, no `/tmp`, no `/dev`, no locale, no libraries.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use super::project_path;
use crate::support::http::Client;
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::TestWorker;

/// Debian's statically linked BusyBox, which is the CLI here.
const BUSYBOX: &str = "/bin/busybox";

/// What `make static` has built.
fn static_program() -> PathBuf {
    let target = project_path("target");
    let triples = fs::read_dir(&target).unwrap().map(|entry| entry.unwrap().path().join("release/rs-worker"));
    let found = triples.filter(|path| path.exists() && path.starts_with(&target)).max();
    found.unwrap_or_else(|| panic!("there is no static program: run `make static` first"))
}

/// Whether this process may make mount namespaces and change its root.
fn may_change_root() -> bool {
    let tried = Command::new("unshare").args(["--mount", "chroot", "/", "true"]).output();
    tried.is_ok_and(|output| output.status.success())
}

#[test]
fn real_static_program_serves_the_page_and_runs_a_worker_in_an_empty_root() {
    if !may_change_root() {
        eprintln!("not checked: only root may change the root directory");
        return;
    }
    let program = static_program();
    let root_of = |server: &TestServer| server.dir().join("root");
    let mut server = TestServer::builder()
        .name("empty-root")
        .env("WORKERS_BASE_DIR", "/data/workers")
        .env("LOG_FILE", "/data/app.log")
        .env("ADAPTERS_DIR", "/adapters")
        // The mount is seen by the server and its children alone, and goes with the last of them.
        .under(&[
            "unshare",
            "--mount",
            "sh",
            "-c",
            "mount -t proc proc root/proc && chroot=$(command -v chroot) && exec env -u PATH -u HOME -u LANG -u PWD \"$chroot\" root \"$@\"",
            "sh",
        ])
        .binary(&PathBuf::from("/rs-worker"))
        .prepare();
    let root = root_of(&server);
    for folder in ["proc", "data", "adapters", "project"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    fs::copy(program, root.join("rs-worker")).unwrap();
    fs::copy(BUSYBOX, root.join("cli")).expect("busybox-static is there (make install-test-deps)");
    let script = "while read -r line; do echo \"You said: $line\"; echo '<<END>>'; done";
    let cli = json!({
        "family": "text",
        "command": ["/cli", "sh", "-c", script],
        "input": {"encoding": "line", "newlines": "space"},
        "turn_end": {"line": "<<END>>"},
    });
    fs::write(root.join("adapters/echo.json"), cli.to_string()).unwrap();
    server.start();

    let page = server.get("/").expect(200);
    assert!(page.text().contains("<!doctype html>"), "{}", page.text());
    let made = server.post("/api/workers", &json!({"name": "w", "project_path": "/project", "ai_cli_type": "echo"}));
    let worker = TestWorker { id: made.expect(201).json()["id"].as_str().unwrap().to_owned() };
    worker.say(&server, "hello");
    worker.wait_turn(&server, 1);
    assert_eq!(worker.events_of(&server, "assistant")[0]["content"], "You said: hello");
    assert!(root.join("data/workers").join(&worker.id).join("journal").exists());

    // A second server takes the worker up again.
    server.kill9();
    let client: Client = server.client.clone();
    server.start();
    worker.say(&server, "again");
    worker.wait_turn(&server, 2);
    assert_eq!(worker.call(&server, "stop").expect(200).json()["status"], "stopped");
    client.delete(&worker.path("")).expect(200);
    let mut left = Vec::new();
    eventually(DEADLINE, "nothing lives", || {
        left = server.processes_of(&worker.id);
        left.is_empty().then_some(())
    });
    // What it needed, and what it made, is all that there is.
    let mut names: Vec<String> =
        fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["adapters", "cli", "data", "proc", "project", "rs-worker"]);
}
