//! Agents of the Agent Client Protocol that a file declares, through the whole server.

mod options;
mod questions;
mod servers;
mod sessions;
mod text;

use serde_json::{Value, json};

use crate::support::clis;
use crate::support::server::{Builder, TestServer};
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::{TestWorker, declare};

/// A server with the type `agent`; `more` is merged into its file.
fn start_with(builder: Builder, more: &Value) -> TestServer {
    let mut server = builder.name("agents").env("STOP_GRACE_SECS", "1").prepare();
    let mut file = json!({"family": "acp", "command": [clis::fake_cli(), "acp"]});
    for (name, value) in more.as_object().unwrap() {
        file[name] = value.clone();
    }
    declare(&server, "agent", &file);
    server.start();
    server
}

fn start() -> TestServer {
    start_with(TestServer::builder(), &json!({}))
}

/// A worker of the type `agent` that is idle.
#[track_caller]
fn idle(server: &TestServer, more: &Value) -> TestWorker {
    let worker = TestWorker::create(server, "agent", more);
    worker.call(server, "start");
    worker.wait_status(server, "idle");
    worker
}

/// Sends a message and returns the last text of the agent in the turn.
#[track_caller]
fn ask(server: &TestServer, worker: &TestWorker, text: &str) -> String {
    let turns = worker.events_of(server, "turn_completed").len();
    worker.say(server, text);
    worker.wait_turn(server, turns + 1);
    said(server, worker).pop().unwrap_or_default()
}

fn said(server: &TestServer, worker: &TestWorker) -> Vec<String> {
    let said = worker.events_of(server, "assistant");
    said.iter().map(|event| event["content"].as_str().unwrap().to_owned()).collect()
}

/// Waits until the agent has printed this text.
#[track_caller]
fn wait_said(server: &TestServer, worker: &TestWorker, text: &str) {
    eventually(DEADLINE, &format!("the agent says {text:?}"), || {
        said(server, worker).iter().any(|said| said == text).then_some(())
    });
}
