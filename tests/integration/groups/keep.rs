//! The choice of the best worker of a group.

use std::fs;

use serde_json::{Value, json};

use super::{make, show, start, two_attempts, workers};
use crate::support::server::TestServer;
use crate::support::workers::TestWorker;
use crate::worktree::folder;

#[track_caller]
fn keep(server: &TestServer, group: &Value, worker: &TestWorker, force: bool, status: u16) -> Value {
    let path = format!("/api/groups/{}/keep", group["id"].as_str().unwrap());
    server.post(&path, &json!({"worker": worker.id, "force": force})).expect(status).json()
}

/// A group whose workers have done their turn.
fn finished(server: &TestServer, attempts: usize) -> (Value, Vec<TestWorker>) {
    let list: Vec<Value> = (0..attempts).map(|_| json!({"ai_cli_type": "claude"})).collect();
    let group = make(server, &two_attempts(server, &json!({"attempts": list})));
    let workers = workers(&group);
    for worker in &workers {
        worker.wait_turn(server, 1);
        worker.wait_status(server, "idle");
    }
    (group, workers)
}

#[test]
fn others_are_deleted_and_one_with_unsaved_work_is_left() {
    let server = start("groups-keep");
    let (group, workers) = finished(&server, 3);
    let trees: Vec<_> = workers.iter().map(|worker| folder(&server, worker)).collect();
    fs::write(trees[1].join("new.txt"), "unsaved\n").unwrap();
    let outcome = keep(&server, &group, &workers[0], false, 200);
    assert_eq!((&outcome["kept"], &outcome["deleted"][0]["id"]), (&json!(workers[0].id), &json!(workers[2].id)));
    assert_eq!(outcome["left"][0]["id"], workers[1].id);
    assert!(outcome["left"][0]["detail"].as_str().unwrap().contains("new.txt"), "{outcome}");
    assert!(trees[0].exists() && trees[1].exists() && !trees[2].exists());
    assert_eq!(workers[1].show(&server)["status"], "idle", "it works on");
    let shown = show(&server, &group);
    assert_eq!((&shown["kept"], &shown["size"]), (&json!(workers[0].id), &json!(3)));
    // The choice does not change, and the same request completes it.
    let refused = keep(&server, &group, &workers[1], true, 409);
    assert!(refused["detail"].as_str().unwrap().contains("was chosen before"), "{refused}");
    let outcome = keep(&server, &group, &workers[0], true, 200);
    assert_eq!((&outcome["deleted"][0]["id"], &outcome["left"]), (&json!(workers[1].id), &json!([])));
    assert_eq!(server.worker_ids(), [workers[0].id.as_str()]);
    assert_eq!(keep(&server, &group, &workers[0], false, 200)["deleted"], json!([]));
}

#[test]
fn worker_of_another_group_is_not_chosen() {
    let server = start("groups-other");
    let (group, _) = finished(&server, 1);
    let (_, others) = finished(&server, 1);
    let refused = keep(&server, &group, &others[0], true, 400);
    assert_eq!(refused["field"], "worker", "{refused}");
    assert_eq!(server.worker_ids().len(), 2);
    server.post("/api/groups/none/keep", &json!({"worker": others[0].id})).expect(404);
}

#[test]
fn choice_is_known_after_a_restart() {
    let mut server = start("groups-restart");
    let (group, workers) = finished(&server, 2);
    fs::write(folder(&server, &workers[1]).join("new.txt"), "unsaved\n").unwrap();
    keep(&server, &group, &workers[0], false, 200);
    server.kill9();
    server.start();
    let shown = show(&server, &group);
    assert_eq!((&shown["kept"], &shown["prompt"]), (&json!(workers[0].id), &json!("echo an answer")));
    assert_eq!(shown["created_at"], group["created_at"]);
    assert_eq!(keep(&server, &group, &workers[0], true, 200)["deleted"][0]["id"], workers[1].id);
}

#[test]
fn group_keeps_its_time_when_its_first_worker_is_deleted() {
    let server = start("groups-time");
    let (group, workers) = finished(&server, 2);
    server.delete(&format!("/api/workers/{}?force=true", workers[0].id)).expect(200);
    let shown = show(&server, &group);
    assert_eq!((shown["workers"].as_array().unwrap().len(), &shown["created_at"]), (1, &group["created_at"]));
}
