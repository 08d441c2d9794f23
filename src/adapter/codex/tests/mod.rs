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
    let mut told = TestFold::new(adapter());
    told.take(&OwnedRecord::created("codex", options));
    told.take(&OwnedRecord::started());
    told
}

/// Answers a request of ours.
fn answer(told: &mut TestFold, request: &Value, result: Value) {
    told.out(&json!({"id": request["id"], "result": result}));
}

/// The answer to a request for a session.
fn thread(id: &str) -> Value {
    json!({"thread": {"id": id, "turns": []}, "model": "m", "cwd": "/project", "approvalPolicy": "on-request",
        "sandbox": {"type": "readOnly"}})
}

/// Goes through the handshake; gives the request for the session.
fn open(told: &mut TestFold) -> Value {
    let initialize = told.write_due().remove(0);
    answer(told, &initialize, json!({"userAgent": "codex"}));
    let request = told.write_due().remove(1);
    answer(told, &request, thread(THREAD));
    request
}

/// A worker whose CLI is ready for a message.
fn ready() -> TestFold {
    let mut told = started(WorkerOptions::default());
    open(&mut told);
    told.take_events();
    told
}

fn notify(told: &mut TestFold, method: &str, mut params: Value) {
    params["threadId"] = THREAD.into();
    told.out(&json!({"method": method, "params": params}));
}

fn turn_started(told: &mut TestFold, id: &str) {
    notify(told, "turn/started", json!({"turn": {"id": id, "status": "inProgress"}}));
}

fn turn_completed(told: &mut TestFold, id: &str, status: &str) {
    notify(told, "turn/completed", json!({"turn": {"id": id, "status": status, "items": [], "durationMs": 5}}));
}

fn completed(told: &mut TestFold, item: Value) {
    notify(told, "item/completed", json!({"item": item, "turnId": "t1"}));
}
