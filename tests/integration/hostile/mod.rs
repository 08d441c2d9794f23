//! Clients that mean no good, against the real server: each gets the exact answer that it should, and the server serves
//! everybody else as before.

mod connections;
mod frames;
mod heads;
mod paths;

use rs_worker::testing::http::error_code;
use serde_json::json;

use crate::support::clis;
use crate::support::http::Reply;
use crate::support::server::{Builder, TestServer};
use crate::support::wait::DEADLINE;

/// A server whose CLI is the fake one.
pub(crate) fn builder() -> Builder {
    TestServer::builder().env("CLAUDE_BINARY", clis::fake_cli())
}

/// The server answers, and a worker can be made, talked to and deleted.
#[track_caller]
pub(crate) fn assert_serves(server: &TestServer) {
    let health = server.get("/health").expect(200).json();
    assert_eq!(health, json!({"status": "healthy", "service": "AI Code Worker Manager"}));
    let worker = server.create_worker("claude", &json!({}));
    let mut client = server.ws(&format!("/ws/{worker}?deltas=1"));
    client.send_json(&json!({"type": "message", "content": "echo still here"}));
    assert_eq!(client.wait_for_event("turn_completed", DEADLINE)["result"], "still here");
    server.delete(&format!("/api/workers/{worker}")).expect(200);
}

/// An error as every part of the server answers it.
#[track_caller]
fn assert_error(reply: &Reply, status: u16, detail: &str) {
    assert_eq!((reply.status, reply.json()), (status, json!({ "detail": detail, "code": error_code(status) })));
    assert_eq!(reply.header("content-type"), Some("application/json"));
}
