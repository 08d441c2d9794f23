//! Groups: one prompt to several CLIs and models, and the choice of the best.

mod checks;
mod crash;
mod keep;

use std::fs;

use serde_json::{Value, json};

use crate::support::server::TestServer;
use crate::support::workers::{TestWorker, server_for_programs};
use crate::worktree::{git, repository_at};

/// A server with a repository as its project.
fn start(name: &str) -> TestServer {
    let mut server = server_for_programs(name, &[]);
    repository_at(&server.project());
    server.start();
    server
}

fn two_attempts(server: &TestServer, more: &Value) -> Value {
    let attempts = json!([{"ai_cli_type": "claude", "model": "opus"}, {"ai_cli_type": "claude", "model": "haiku"}]);
    let mut body =
        json!({"name": "best", "project_path": server.project(), "prompt": "echo an answer", "attempts": attempts});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

#[track_caller]
fn make(server: &TestServer, body: &Value) -> Value {
    server.post("/api/groups", body).expect(201).json()
}

#[track_caller]
fn refused(server: &TestServer, body: &Value, status: u16) -> Value {
    server.post("/api/groups", body).expect(status).json()
}

#[track_caller]
fn show(server: &TestServer, group: &Value) -> Value {
    server.get(&format!("/api/groups/{}", group["id"].as_str().unwrap())).expect(200).json()
}

fn workers(group: &Value) -> Vec<TestWorker> {
    let ids = group["workers"].as_array().unwrap().iter().map(|worker| worker["id"].as_str().unwrap().to_owned());
    ids.map(|id| TestWorker { id }).collect()
}

#[test]
fn attempts_share_the_prompt_and_the_commit_they_start_from() {
    let server = start("groups");
    let project = server.project();
    let first = git(&project, &["rev-parse", "HEAD"]);
    fs::write(project.join("a.txt"), "later\n").unwrap();
    git(&project, &["commit", "-q", "-a", "-m", "later"]);
    let group = make(&server, &two_attempts(&server, &json!({"base": "HEAD~1"})));
    assert_eq!((&group["base"], &group["size"], &group["kept"]), (&json!(first), &json!(2), &Value::Null));
    assert_eq!(group["project_path"], project.to_str().unwrap());
    for (number, worker) in workers(&group).iter().enumerate() {
        worker.wait_turn(&server, 1);
        worker.wait_status(&server, "idle");
        assert_eq!(worker.wait_event(&server, "user", 1)["content"], "echo an answer");
        let shown = worker.show(&server);
        assert_eq!((&shown["group"], &shown["worktree"]["base"]), (&group["id"], &json!(first)));
        assert_eq!(shown["config"]["model"], ["opus", "haiku"][number]);
        assert_eq!(shown["name"], format!("best {}: claude {}", number + 1, ["opus", "haiku"][number]));
    }
    let shown = show(&server, &group);
    let attempts = shown["workers"].as_array().unwrap();
    assert_eq!(attempts.iter().map(|it| it["attempt"].clone()).collect::<Vec<_>>(), [1, 2]);
    assert_ne!(attempts[0]["worktree"]["path"], attempts[1]["worktree"]["path"]);
    assert!(attempts.iter().all(|it| it["turns"] == 1 && it["worked_ms"].is_u64()), "{shown}");
    assert_eq!(server.get("/api/groups").expect(200).json()["groups"][0]["id"], group["id"]);
}

#[test]
fn repeated_request_gives_one_group() {
    let server = start("groups-again");
    let body = two_attempts(&server, &json!({"idempotency_key": "k"}));
    let group = make(&server, &body);
    assert_eq!(make(&server, &body)["id"], group["id"]);
    assert_eq!(server.worker_ids().len(), 2);
    for worker in workers(&group) {
        worker.wait_turn(&server, 1);
        assert_eq!(worker.events_of(&server, "user").len(), 1);
    }
    let other = two_attempts(&server, &json!({"idempotency_key": "k", "prompt": "another"}));
    assert_eq!(refused(&server, &other, 422)["code"], "key_reused");
    // A late request does not restore deleted workers.
    let [first, _] = workers(&group).try_into().unwrap();
    server.delete(&first.path("?force=true")).expect(200);
    assert_eq!(make(&server, &body)["workers"].as_array().unwrap().len(), 1);
    assert_eq!(server.worker_ids().len(), 1);
}

#[test]
fn concurrent_requests_with_one_key_make_one_group() {
    let server = start("groups-twice");
    let body = two_attempts(&server, &json!({"idempotency_key": "k"}));
    let ids: Vec<Value> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..3).map(|_| scope.spawn(|| make(&server, &body)["id"].clone())).collect();
        asked.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(server.worker_ids().len(), 2);
}

#[test]
fn group_is_made_as_a_whole_or_not_at_all() {
    let server = start("groups-whole");
    let wrong = json!([{"ai_cli_type": "claude"}, {"ai_cli_type": "gemini", "permission_mode": "of another CLI"}]);
    let answer = server.post("/api/groups", &two_attempts(&server, &json!({"attempts": wrong}))).json();
    assert_eq!(answer["field"], "attempts", "{answer}");
    assert_eq!(server.worker_ids(), Vec::<String>::new());
    assert_eq!(git(&server.project(), &["worktree", "list", "--porcelain"]).matches("worktree ").count(), 1);
    assert_eq!(git(&server.project(), &["branch", "--list", "rs-worker/*"]), "");
    for (more, field) in [
        (json!({"attempts": []}), "attempts"),
        (json!({"attempts": [{"ai_cli_type": "none"}]}), "attempts"),
        (json!({"prompt": " "}), "prompt"),
        (json!({"base": "none"}), "base"),
        (json!({"project_path": "/nowhere"}), "project_path"),
    ] {
        let answer = refused(&server, &two_attempts(&server, &more), 400);
        assert_eq!(answer["field"], field, "{answer}");
    }
    assert_eq!(server.get("/api/groups").expect(200).json()["groups"], json!([]));
    server.get("/api/groups/none").expect(404);
}
