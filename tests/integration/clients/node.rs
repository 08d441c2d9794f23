//! Node's own WebSocket.

use std::process::Command;

use super::project_file;
use crate::wire::{builder, start};

#[test]
fn real_node_websocket_resumes_after_the_last_event() {
    let server = start(builder());
    // Node.js 20 has it behind this flag; later versions accept the flag and always have it.
    let ran = Command::new("node")
        .arg("--experimental-websocket")
        .arg(project_file("tests/node/websocket_client.mjs"))
        .args([&format!("http://{}", server.addr())])
        .arg(server.project())
        .output()
        .unwrap();
    let (said, reported) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{}\n{said}\n{reported}", ran.status);
    assert_eq!(said, "user echo one\nassistant one\nuser echo two\nassistant two\n");
}
