//! The setup of worktrees by commands of a project file: before the CLI, repeated on request, and interrupted.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{describe, start};
use crate::support::processes;
use crate::support::server::{TestServer, wait_file};
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::TestWorker;

/// A worker in a worktree, whose program prints what it finds there.
#[track_caller]
fn in_worktree(server: &TestServer) -> TestWorker {
    let script = "ls > found; exec sleep 1000";
    TestWorker::create(server, "program", &json!({"args": ["sh", "-c", script], "worktree": true}))
}

fn folder(server: &TestServer, worker: &TestWorker) -> PathBuf {
    PathBuf::from(worker.show(server)["worktree"]["path"].as_str().unwrap())
}

/// A line for `sh` that waits for a file.
fn wait_for(gate: &Path) -> String {
    format!("until [ -e {} ]; do sleep 0.02; done", gate.display())
}

fn setup_of(server: &TestServer, worker: &TestWorker) -> Value {
    worker.show(server)["preparing"].clone()
}

/// Waits until no process of the worker is left.
#[track_caller]
fn no_process_is_left(worker: &TestWorker) {
    eventually(DEADLINE, "the end of its processes", || {
        processes::with_env("RS_WORKER_ID", &worker.id).is_empty().then_some(())
    });
}

#[test]
fn setup_runs_before_the_cli_while_messages_wait() {
    let server = start("setup-runs", &[]);
    let gate = server.dir().join("gate");
    describe(&server, "shop.json", &json!({"setup": ["echo from-setup > made", wait_for(&gate)], "env": {"A": "b"}}));
    let worker = in_worktree(&server);
    eventually(DEADLINE, "the second step", || {
        setup_of(&server, &worker)["step"].as_str().unwrap().starts_with("until").then_some(())
    });
    let shown = worker.show(&server);
    assert_eq!((&shown["status"], &shown["preparing"]["state"]), (&json!("preparing"), &json!("running")));
    worker.say(&server, "wait for it");
    assert_eq!(worker.show(&server)["queued_messages"], 1);
    assert!(!folder(&server, &worker).join("found").exists(), "the CLI was started before the end of the setup");
    fs::write(&gate, "").unwrap();
    let found = wait_file(&folder(&server, &worker).join("found"), "made");
    assert!(found.contains("made"), "{found}");
    assert_eq!(setup_of(&server, &worker)["state"], "done");
    eventually(DEADLINE, "the message's delivery", || (worker.show(&server)["queued_messages"] == 0).then_some(()));
}

#[test]
fn failed_setup_shows_its_output_and_can_be_tried_again() {
    let server = start("setup-fails", &[]);
    let gate = server.dir().join("gate");
    let test = format!("echo looking; echo missing >&2; test -e {}", gate.display());
    describe(&server, "shop.json", &json!({"setup": [test]}));
    let worker = in_worktree(&server);
    let shown = worker.wait_status(&server, "failed");
    assert!(shown["reason"].as_str().unwrap().contains("exited with code 1"), "{shown}");
    assert_eq!(setup_of(&server, &worker)["state"], "failed");
    let printed: String = worker
        .events_of(&server, "notice")
        .iter()
        .filter(|event| event["code"] == "setup_output")
        .map(|event| event["content"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(printed, "looking\nmissing\n");
    worker.say(&server, "later");
    assert_eq!(worker.show(&server)["status"], "failed", "a message starts no CLI in a worktree that is not set up");
    fs::write(&gate, "").unwrap();
    let prepared = server.command(["prepare", worker.id.as_str()]).output().unwrap();
    assert!(prepared.status.success(), "{prepared:?}");
    wait_file(&folder(&server, &worker).join("found"), "a.txt");
    assert_eq!(setup_of(&server, &worker)["state"], "done");
    worker.call(&server, "prepare").expect(409);
}

#[test]
fn setup_over_its_time_limit_is_ended_with_its_children() {
    let server = start("setup-late", &[]);
    describe(
        &server,
        "shop.json",
        &json!({"setup": ["setsid sleep 1000 & trap '' TERM; sleep 1000"], "setup_secs": 1}),
    );
    let worker = in_worktree(&server);
    let shown = worker.wait_status(&server, "failed");
    assert!(shown["reason"].as_str().unwrap().contains("the time limit of 1 s is over"), "{shown}");
    no_process_is_left(&worker);
}

#[test]
fn setup_gets_no_key_of_the_server() {
    let more = [("OPENAI_API_KEY", "key-one"), ("CLAUDE_API_KEY", "key-two"), ("WORKER_ENV_PASS", "OPENAI_API_KEY")];
    let server = start("setup-keys", &more);
    describe(&server, "shop.json", &json!({"setup": ["env > seen"], "env": {"OWN": "mine"}}));
    let worker = in_worktree(&server);
    wait_file(&folder(&server, &worker).join("found"), "seen");
    let seen = fs::read_to_string(folder(&server, &worker).join("seen")).unwrap();
    assert!(seen.contains("OWN=mine\n") && seen.contains("PATH="), "{seen}");
    assert!(!seen.contains("key-one") && !seen.contains("key-two"), "{seen}");
}

#[test]
fn stopped_worker_ends_its_setup() {
    let server = start("setup-stopped", &[]);
    describe(&server, "shop.json", &json!({"setup": ["echo up > up; sleep 1000"]}));
    let worker = in_worktree(&server);
    wait_file(&folder(&server, &worker).join("up"), "up");
    worker.call(&server, "stop").expect(200);
    let shown = worker.show(&server);
    assert_eq!((&shown["status"], &shown["preparing"]["state"]), (&json!("failed"), &json!("failed")));
    no_process_is_left(&worker);
    // A person may continue without the setup.
    worker.call(&server, "start").expect(200);
    wait_file(&folder(&server, &worker).join("found"), "a.txt");
}

#[test]
fn setup_of_a_killed_server_ends_and_can_be_retried() {
    let mut server = start("setup-killed", &[]);
    let gate = server.dir().join("gate");
    describe(&server, "shop.json", &json!({"setup": ["echo up > up", wait_for(&gate)]}));
    let worker = in_worktree(&server);
    let up = folder(&server, &worker).join("up");
    eventually(DEADLINE, "the second step", || {
        setup_of(&server, &worker)["step"].as_str().unwrap().starts_with("until").then_some(())
    });
    server.kill9();
    assert!(!processes::with_env("RS_WORKER_ID", &worker.id).is_empty(), "nothing is left to be ended");
    server.start();
    let shown = worker.wait_status(&server, "failed");
    assert!(shown["reason"].as_str().unwrap().contains("the server ended before the setup did"), "{shown}");
    assert_eq!(shown["preparing"]["state"], "failed");
    no_process_is_left(&worker);
    fs::remove_file(&up).unwrap();
    fs::write(&gate, "").unwrap();
    worker.call(&server, "prepare").expect(200);
    wait_file(&folder(&server, &worker).join("found"), "up");
}

#[test]
fn server_that_stops_ends_a_setup_under_way() {
    let mut server = start("setup-server-stops", &[]);
    describe(&server, "shop.json", &json!({"setup": ["echo up > up; sleep 1000"]}));
    let worker = in_worktree(&server);
    wait_file(&folder(&server, &worker).join("up"), "up");
    assert!(server.terminate().success());
    assert_eq!(processes::with_env("RS_WORKER_ID", &worker.id), []);
    server.start();
    assert_eq!(worker.show(&server)["status"], "failed");
}

#[test]
fn teardown_precedes_the_worktrees_removal_and_cannot_prevent_it() {
    let server = start("teardown", &[]);
    let seen = server.dir().join("seen");
    let down = format!("pwd > {}; echo sorry; sleep 1000", seen.display());
    describe(&server, "shop.json", &json!({"teardown": [down], "teardown_secs": 1}));
    let worker = in_worktree(&server);
    let folder = folder(&server, &worker);
    wait_file(&folder.join("found"), "a.txt");
    let answer = server.delete(&worker.path("?force=true")).expect(200).json();
    assert_eq!(fs::read_to_string(&seen).unwrap().trim(), folder.to_str().unwrap());
    assert!(!folder.exists());
    let text = answer.to_string();
    assert!(text.contains("the time limit of 1 s is over") && text.contains("sorry"), "{text}");
    no_process_is_left(&worker);
}
