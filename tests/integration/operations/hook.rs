//! `HOOK_COMMAND`, a program of the operator that runs on the webhook's events.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Value, json};

use crate::support::server::TestServer;
use crate::support::temp::TempDir;
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::{TestWorker, server_for_programs};

/// Writes a program of the shell. `$out` is a file beside it.
fn program(dir: &TempDir, script: &str) -> PathBuf {
    let path = dir.path().join("hook");
    fs::write(&path, format!("#!/bin/sh\nout='{}'\n{script}\n", dir.path().join("out").display())).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    path
}

fn start(name: &str, program: &Path, more: &[(&str, &str)]) -> (TestServer, TestWorker) {
    let settings = [&[("HOOK_COMMAND", program.to_str().unwrap())], more].concat();
    let mut server = server_for_programs(name, &settings);
    server.start();
    let worker = TestWorker::create(&server, "claude", &json!({}));
    worker.wait_status(&server, "idle");
    (server, worker)
}

fn out(dir: &TempDir) -> String {
    fs::read_to_string(dir.path().join("out")).unwrap_or_default()
}

#[test]
fn hook_gets_the_webhooks_events_and_no_server_key() {
    let dir = TempDir::new("hook");
    let hook = program(&dir, "{ cat; echo; env; pwd; echo end; } >> \"$out.$$\"; mv \"$out.$$\" \"$out\"");
    let keys = [("PUSH_CONTACT", "mailto:that-is-secret@example.com"), ("ANTHROPIC_API_KEY", "a-key-that-is-secret")];
    let (server, worker) = start("hook", &hook, &[&keys[..], &[("WEBHOOK_EVENTS", "turn_completed")]].concat());
    worker.say(&server, "echo hello");
    let text = eventually(DEADLINE, "the hook's file", || Some(out(&dir)).filter(|text| text.ends_with("end\n")));
    let event: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!((&event["type"], &event["data"]["worker"]["id"]), (&json!("turn_completed"), &json!(worker.id)));
    assert_eq!(event["data"]["event"]["type"], "turn_completed");
    assert!(!text.contains("that-is-secret") && text.contains("\nPATH="), "{text}");
    assert!(text.ends_with("\n/\nend\n"), "it runs in the root: {text}");
}

#[test]
fn hanging_hook_is_killed_with_its_children_and_delays_nothing() {
    let dir = TempDir::new("hook-hangs");
    let hook = program(&dir, "sleep 1000 & echo $! >> \"$out\"; wait");
    let (server, worker) = start("hook-hangs", &hook, &[("HOOK_TIMEOUT_SECS", "1")]);
    let begun = Instant::now();
    for turn in 1..=6 {
        worker.say(&server, "echo hello");
        worker.wait_turn(&server, turn);
    }
    // Four run at once; the others wait until these are killed.
    let pids = eventually(DEADLINE, "six runs", || Some(out(&dir)).filter(|text| text.lines().count() == 6));
    assert!(begun.elapsed().as_millis() >= 900, "the fifth waited for the first");
    eventually(DEADLINE, "the end of all children", || {
        pids.lines().all(|pid| !Path::new("/proc").join(pid).join("fd").exists()).then_some(())
    });
}

#[test]
fn hook_runs_once_when_most_of_a_budget_is_used() {
    let dir = TempDir::new("hook-budget");
    let hook = program(&dir, "{ cat; echo; } >> \"$out\"");
    let (server, worker) = start("hook-budget", &hook, &[("WEBHOOK_EVENTS", "budget")]);
    server.post("/api/budgets", &json!({"name": "five", "limits": {"turns": 5}})).expect(201);
    for turn in 1..=4 {
        worker.say(&server, "echo hello");
        worker.wait_turn(&server, turn);
    }
    let text = eventually(DEADLINE, "the hook's file", || Some(out(&dir)).filter(|text| text.ends_with('\n')));
    let event: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!((&event["type"], text.lines().count()), (&json!("budget"), 1), "{text}");
}

#[test]
fn program_in_the_project_of_another_worker_never_runs() {
    let dir = TempDir::new("hook-other");
    let hook = program(&dir, "{ cat; echo; } >> \"$out\"");
    // PROJECT_ROOTS is unset, so that the folder is known to be a project by its worker alone.
    let (server, worker) = start("hook-other", &hook, &[]);
    worker.say(&server, "echo hello");
    eventually(DEADLINE, "a run", || out(&dir).ends_with('\n').then_some(()));
    let other = TestWorker::create(&server, "claude", &json!({"project_path": dir.path()}));
    other.wait_status(&server, "idle");
    let before = out(&dir);
    worker.say(&server, "echo hello");
    worker.wait_turn(&server, 2);
    eventually(DEADLINE, "the refusal", || server.log().contains("where agents write").then_some(()));
    assert_eq!(out(&dir), before);
}

#[test]
fn program_that_agents_can_replace_is_refused_at_the_start() {
    let dir = TempDir::new("hook-refused");
    let hook = program(&dir, "true");
    let settings = [("HOOK_COMMAND", hook.to_str().unwrap()), ("PROJECT_ROOTS", dir.path().to_str().unwrap())];
    let (_, said) = server_for_programs("hook-refused", &settings).start_in_vain();
    assert!(said.contains("HOOK_COMMAND") && said.contains("where agents write"), "{said}");
}
