//! The check of the work of a group's workers, and the difference between two of them.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::{make, show, start, two_attempts, workers};
use crate::support::processes;
use crate::support::server::{TestServer, wait_file};
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::{TestWorker, server_for_programs};
use crate::worktree::{folder, git, repository_at};

/// Writes the project file of the server's project.
fn describe(server: &TestServer, mut fields: Value) {
    let place = server.dir().join("data/project-files");
    fs::create_dir_all(&place).unwrap();
    fields["path"] = json!(server.project());
    fs::write(place.join("shop.json"), fields.to_string()).unwrap();
}

/// A group of two whose workers have completed a turn, with their worktrees.
fn finished(server: &TestServer) -> (Value, Vec<TestWorker>, Vec<PathBuf>) {
    let group = make(server, &two_attempts(server, &json!({})));
    let workers = workers(&group);
    for worker in &workers {
        worker.wait_turn(server, 1);
        worker.wait_status(server, "idle");
    }
    let trees = workers.iter().map(|worker| folder(server, worker)).collect();
    (group, workers, trees)
}

#[track_caller]
fn check(server: &TestServer, group: &Value, body: &Value, status: u16) -> Value {
    server.post(&format!("/api/groups/{}/check", group["id"].as_str().unwrap()), body).expect(status).json()
}

fn checks(server: &TestServer, group: &Value) -> Vec<Value> {
    show(server, group)["workers"].as_array().unwrap().iter().map(|worker| worker["check"].clone()).collect()
}

/// Waits until the checks have these states.
#[track_caller]
fn wait_checks(server: &TestServer, group: &Value, states: [&str; 2]) -> Vec<Value> {
    eventually(DEADLINE, "the checks", || {
        let checks = checks(server, group);
        checks.iter().zip(states).all(|(check, state)| check["state"] == state).then_some(checks)
    })
}

fn tagged(worker: &TestWorker) -> usize {
    processes::with_env("RS_WORKER_ID", &format!("{}-check", worker.id)).len()
}

#[test]
fn check_runs_in_each_worktree_and_its_outcome_is_kept() {
    let mut server = start("checks");
    describe(&server, json!({"check": ["pwd", "test -e good || (echo bad >&2; exit 7)"]}));
    let (group, workers, trees) = finished(&server);
    assert_eq!(show(&server, &group)["check"], "pwd; test -e good || (echo bad >&2; exit 7)");
    assert_eq!(checks(&server, &group), [Value::Null, Value::Null]);
    fs::write(trees[0].join("good"), "").unwrap();
    let begun = check(&server, &group, &json!({}), 200);
    assert_eq!(begun["checked"].as_array().unwrap().len(), 2, "{begun}");
    let ended = wait_checks(&server, &group, ["passed", "failed"]);
    assert_eq!((&ended[0]["code"], &ended[0]["output"]), (&json!(0), &json!(trees[0])));
    assert_eq!((&ended[1]["code"], &ended[1]["output"]), (&json!(7), &json!(format!("{}\nbad", trees[1].display()))));
    assert!(ended[1]["error"].as_str().unwrap().contains("exited with code 7"), "{ended:?}");
    let told = workers[1].events_of(&server, "notice");
    assert!(told.iter().any(|event| event["code"] == "check_done"), "{told:?}");
    server.kill9();
    server.start();
    assert_eq!(checks(&server, &group), ended);
    // The agent works again, so the outcome belongs to earlier files.
    workers[0].say(&server, "echo more");
    workers[0].wait_turn(&server, 2);
    assert_eq!(checks(&server, &group)[0]["stale"], true);
    // A single worker is checked again.
    let begun = check(&server, &group, &json!({"worker": workers[0].id}), 200);
    assert_eq!(begun["checked"].as_array().unwrap().len(), 1, "{begun}");
    eventually(DEADLINE, "a new outcome", || (checks(&server, &group)[0]["stale"] == false).then_some(()));
}

#[test]
fn check_is_refused_without_commands_and_skipped_in_a_turn() {
    let server = start("checks-refused");
    let (group, workers, _) = finished(&server);
    let refused = check(&server, &group, &json!({}), 409);
    assert!(refused["detail"].as_str().unwrap().contains("has a check"), "{refused}");
    describe(&server, json!({"check": ["true"], "checks": 1}));
    let refused = check(&server, &group, &json!({}), 409);
    assert!(refused["detail"].as_str().unwrap().contains("checks: unknown field"), "{refused}");
    describe(&server, json!({"check": ["true"]}));
    check(&server, &group, &json!({"worker": "another"}), 400);
    workers[1].say(&server, "hang");
    workers[1].wait_status(&server, "busy");
    let begun = check(&server, &group, &json!({}), 200);
    assert_eq!((&begun["checked"][0]["id"], &begun["left"][0]["id"]), (&json!(workers[0].id), &json!(workers[1].id)));
    assert!(begun["left"][0]["detail"].as_str().unwrap().contains("in a turn"), "{begun}");
}

#[test]
fn check_gets_no_key_of_the_server() {
    let more = [("OPENAI_API_KEY", "key-one"), ("CLAUDE_API_KEY", "key-two"), ("WORKER_ENV_PASS", "OPENAI_API_KEY")];
    let mut server = server_for_programs("checks-keys", &more);
    repository_at(&server.project());
    server.start();
    describe(&server, json!({"check": ["env"], "env": {"OWN": "mine"}}));
    let (group, ..) = finished(&server);
    check(&server, &group, &json!({}), 200);
    for ended in wait_checks(&server, &group, ["passed", "passed"]) {
        let seen = ended["output"].as_str().unwrap();
        assert!(seen.contains("OWN=mine") && seen.contains("PATH="), "{seen}");
        assert!(!seen.contains("key-one") && !seen.contains("key-two"), "{seen}");
    }
}

#[test]
fn check_over_its_time_limit_is_ended_with_its_children() {
    let server = start("checks-late");
    describe(&server, json!({"check": ["setsid sleep 1000 & trap '' TERM; echo begun; sleep 1000"], "check_secs": 1}));
    let (group, workers, _) = finished(&server);
    check(&server, &group, &json!({"worker": workers[0].id}), 200);
    let ended = eventually(DEADLINE, "the time limit", || {
        let check = checks(&server, &group)[0].clone();
        (check["state"] == "failed").then_some(check)
    });
    assert!(ended["error"].as_str().unwrap().contains("the time limit of 1 s is over"), "{ended}");
    assert_eq!((&ended["output"], tagged(&workers[0])), (&json!("begun"), 0));
    assert_eq!(workers[0].show(&server)["status"], "idle", "its agent lives");
}

#[test]
fn check_of_a_killed_server_is_ended_and_recorded() {
    let mut server = start("checks-killed");
    let gate = server.dir().join("gate");
    let line = format!("echo up > up; until [ -e {} ]; do sleep 0.02; done", gate.display());
    describe(&server, json!({"check": [line]}));
    let (group, workers, trees) = finished(&server);
    check(&server, &group, &json!({}), 200);
    wait_file(&trees[0].join("up"), "up");
    wait_checks(&server, &group, ["running", "waiting"]);
    server.kill9();
    assert_ne!(tagged(&workers[0]), 0, "nothing is left to be ended");
    server.start();
    let lost = eventually(DEADLINE, "the end of the check", || {
        let check = checks(&server, &group)[0].clone();
        (check["state"] == "failed").then_some(check)
    });
    assert!(lost["error"].as_str().unwrap().contains("cut off"), "{lost}");
    assert_eq!(tagged(&workers[0]), 0);
    fs::write(&gate, "").unwrap();
    eventually(DEADLINE, "the end of the recovery", || {
        check(&server, &group, &json!({}), 200);
        (checks(&server, &group)[0]["state"] == "passed").then_some(())
    });
}

#[test]
fn server_that_stops_ends_a_check_under_way() {
    let mut server = start("checks-server-stops");
    describe(&server, json!({"check": ["echo up > up; sleep 1000"]}));
    let (group, workers, trees) = finished(&server);
    check(&server, &group, &json!({}), 200);
    wait_file(&trees[0].join("up"), "up");
    assert!(server.terminate().success());
    assert_eq!(tagged(&workers[0]), 0);
    server.start();
    let ended = checks(&server, &group);
    assert_eq!((&ended[0]["state"], &ended[0]["error"]), (&json!("failed"), &json!("it was stopped")));
    assert!(!trees[1].join("up").exists(), "the one that waited has not begun");
}

#[test]
fn stopped_or_deleted_worker_ends_its_check() {
    let server = start("checks-stopped");
    describe(&server, json!({"check": ["echo up > up; sleep 1000"]}));
    let (group, workers, trees) = finished(&server);
    check(&server, &group, &json!({"worker": workers[0].id}), 200);
    wait_file(&trees[0].join("up"), "up");
    workers[0].call(&server, "stop").expect(200);
    let ended = checks(&server, &group)[0].clone();
    assert_eq!((&ended["state"], tagged(&workers[0])), (&json!("failed"), 0), "{ended}");
    check(&server, &group, &json!({"worker": workers[1].id}), 200);
    wait_file(&trees[1].join("up"), "up");
    server.delete(&workers[1].path("?force=true")).expect(200);
    assert_eq!(tagged(&workers[1]), 0);
    assert!(!trees[1].exists());
}

#[test]
fn difference_of_two_attempts_has_committed_and_new_files() {
    let server = start("attempts-diff");
    let (group, workers, trees) = finished(&server);
    fs::write(trees[0].join("a.txt"), "from the first\n").unwrap();
    git(&trees[0], &["commit", "-q", "-a", "-m", "first"]);
    fs::write(trees[0].join("only-first.txt"), "1\n").unwrap();
    fs::write(trees[1].join("a.txt"), "from the second\n").unwrap();
    fs::write(trees[1].join("both.txt"), "same\n").unwrap();
    fs::write(trees[0].join("both.txt"), "same\n").unwrap();
    let before = git(&trees[0], &["status", "--porcelain"]);
    let ids = (workers[0].id.as_str(), workers[1].id.as_str());
    let path = |from, to| format!("/api/groups/{}/diff?from={from}&to={to}", group["id"].as_str().unwrap());
    let diff = server.get(&path(ids.0, ids.1)).expect(200).json();
    let text = diff["diff"].as_str().unwrap();
    assert!(text.contains("-from the first\n+from the second\n"), "{text}");
    assert!(text.contains("--- a/only-first.txt\n+++ /dev/null\n"), "{text}");
    assert!(!text.contains("both.txt") && diff["scope"] == "attempts", "{diff}");
    let back = server.get(&path(ids.1, ids.0)).expect(200).json();
    assert!(back["diff"].as_str().unwrap().contains("-from the second\n+from the first\n"), "{back}");
    assert_eq!(git(&trees[0], &["status", "--porcelain"]), before, "looking changes nothing");
    for (from, to, field) in [("x", ids.1, "from"), (ids.0, "x", "to")] {
        assert_eq!(server.get(&path(from, to)).expect(400).json()["field"], field);
    }
    let missing = server.get(&format!("/api/groups/{}/diff?from={}", group["id"].as_str().unwrap(), ids.0));
    assert_eq!(missing.status, 422);
}

#[test]
fn attempts_are_made_by_presets() {
    let server = start("attempts-presets");
    let preset = json!({"ai_cli_type": "claude", "model": "{{model}}", "permission_mode": "plan", "env": {"A": "b"},
                        "initial_message": "not this {{never}}", "worktree": false});
    server.put("/api/presets/planned", &preset).expect(200);
    let attempts = json!([{"preset": "planned", "placeholders": {"model": "opus"}}, {"ai_cli_type": "claude"}]);
    let group = make(&server, &two_attempts(&server, &json!({"attempts": attempts})));
    let worker = &workers(&group)[0];
    let config = &worker.show(&server)["config"];
    assert_eq!((&config["model"], &config["permission_mode"]), (&json!("opus"), &json!("plan")));
    assert_eq!(worker.wait_event(&server, "user", 1)["content"], "echo an answer");
    for attempt in [json!({"preset": "planned"}), json!({"preset": "none"})] {
        server.post("/api/groups", &two_attempts(&server, &json!({"attempts": [attempt]}))).expect(400);
    }
}

#[test]
fn command_line_checks_and_compares_attempts() {
    let server = start("checks-cli");
    describe(&server, json!({"check": ["cat a.txt; grep -q good a.txt"]}));
    let (group, workers, trees) = finished(&server);
    fs::write(trees[0].join("a.txt"), "good\n").unwrap();
    fs::write(trees[1].join("a.txt"), "bad\n").unwrap();
    let run = |args: &[&str]| {
        let output = server.command(args.iter().copied()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.success(), text(output.stdout) + &text(output.stderr))
    };
    let (ok, printed) = run(&["group", "best", "check"]);
    assert!(!ok && printed.contains(": passed\n") && printed.contains(": failed (1)\n  cat"), "{printed}");
    assert!(printed.contains("  bad\n"), "{printed}");
    let (ok, table) = run(&["group", "best"]);
    assert!(ok && table.contains("CHECK") && table.contains("failed (1)"), "{table}");
    let (ok, diff) = run(&["group", "best", "diff", &workers[0].id, &workers[1].id]);
    assert!(ok && diff.contains("-good\n+bad"), "{diff}");
    assert_eq!(group["workers"].as_array().unwrap().len(), 2);
}
