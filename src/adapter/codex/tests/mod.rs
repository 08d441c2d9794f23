//! The adapter on recordings of the real CLI, and on lines that no recording has.

mod commands;
mod fold;
mod golden;
mod partial;
mod random;

use std::sync::Arc;

use serde_json::{Value, json};

use crate::adapter::codex::{Codex, CodexSettings};
use crate::adapter::testing::recorded::{OwnedRecord, TestFold};
use crate::journal::WorkerOptions;

const THREAD: &str = "thread-1";

fn adapter() -> Arc<Codex> {
    Arc::new(Codex::new(CodexSettings { binary: "codex".into(), model: None, api_key: None }))
}

/// A worker that was made with these options and whose process has started.
fn started(options: WorkerOptions) -> TestFold {
    let mut reported = TestFold::new(adapter());
    reported.take(&OwnedRecord::created("codex", options));
    reported.take(&OwnedRecord::started());
    reported
}

/// Answers a request of ours.
fn answer(reported: &mut TestFold, request: &Value, result: Value) {
    reported.out(&json!({"id": request["id"], "result": result}));
}

/// The answer to a request for a session.
fn thread(id: &str) -> Value {
    json!({"thread": {"id": id, "turns": []}, "model": "m", "cwd": "/project", "approvalPolicy": "on-request",
        "sandbox": {"type": "readOnly"}})
}

/// Goes through the handshake; gives the request for the session.
fn open(reported: &mut TestFold) -> Value {
    let initialize = reported.write_due().remove(0);
    answer(reported, &initialize, json!({"userAgent": "codex"}));
    let request = reported.write_due().remove(1);
    answer(reported, &request, thread(THREAD));
    request
}

/// A worker whose CLI is ready for a message.
fn ready() -> TestFold {
    let mut reported = started(WorkerOptions::default());
    open(&mut reported);
    reported.take_events();
    reported
}

fn notify(reported: &mut TestFold, method: &str, mut params: Value) {
    params["threadId"] = THREAD.into();
    reported.out(&json!({"method": method, "params": params}));
}

fn turn_started(reported: &mut TestFold, id: &str) {
    notify(reported, "turn/started", json!({"turn": {"id": id, "status": "inProgress"}}));
}

fn turn_completed(reported: &mut TestFold, id: &str, status: &str) {
    notify(reported, "turn/completed", json!({"turn": {"id": id, "status": status, "items": [], "durationMs": 5}}));
}

fn completed(reported: &mut TestFold, item: Value) {
    notify(reported, "item/completed", json!({"item": item, "turnId": "t1"}));
}
