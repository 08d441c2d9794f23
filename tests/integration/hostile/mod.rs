//! Hostile clients against the real server: each gets exactly the documented response, and the server serves all others
//! as before.

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

/// Checks that the server answers, and that a worker can be created, used and deleted.
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

/// Checks an error in the format of every part of the server.
#[track_caller]
fn assert_error(reply: &Reply, status: u16, detail: &str) {
    assert_eq!((reply.status, reply.json()), (status, json!({ "detail": detail, "code": error_code(status) })));
    assert_eq!(reply.header("content-type"), Some("application/json"));
}
