//! The harness's own server: it starts, crashes, restarts with its data, and leaves nothing behind.

use serde_json::json;

use crate::support::clis;
use crate::support::processes;
use crate::support::server::TestServer;
use crate::support::wait::DEADLINE;

#[test]
fn killed_server_returns_on_its_port_and_leaves_nothing_behind() {
    let mut server = TestServer::builder().env("CLAUDE_BINARY", clis::fake_cli()).start();
    let worker = server.create_worker("claude", &json!({}));
    let mut client = server.ws(&format!("/ws/{worker}?deltas=1"));
    client.send_json(&json!({"type": "message", "content": "echo hello"}));
    assert_eq!(client.wait_for_event("turn_completed", DEADLINE)["result"], "hello");

    let addr = server.addr();
    let before = server.processes_of(&worker);
    assert_eq!(before.len(), 2, "a shim and its CLI: {before:#?}");
    server.kill9();
    assert!(before.iter().all(processes::is_alive), "they outlive the server");
    server.start();
    assert_eq!(server.addr(), addr);
    server.restart();
    assert_eq!(server.wait_status(&worker, "idle")["id"], worker.as_str());
    assert_eq!(server.processes_of(&worker), before, "they were not disturbed");
    drop(server);
    assert!(!before.iter().any(processes::is_alive), "they end with the test");
}

#[test]
fn a_server_that_refuses_to_start_says_why() {
    let mut server = TestServer::builder().env("MAX_WORKERS", "many").prepare();
    let (status, output) = server.start_in_vain();
    assert!(!status.success());
    assert!(output.contains("MAX_WORKERS") && output.contains("many"), "{output}");
}
