//! A terminal of a worker in a sandbox is in the sandbox.

use serde_json::json;

use super::client::Terminal;
use crate::support::clis;
use crate::support::require::require_program;
use crate::support::workers::{TestWorker, server_for_programs};

const SIZE: (u16, u16) = (120, 30);

#[test]
fn terminal_of_a_sandboxed_worker_reaches_no_terminal_socket() {
    let Some(_) = require_program("bwrap") else { return };
    let mut server = server_for_programs("terminal-bwrap", &[("RUNNER", "bwrap")]);
    let cli = server.project().join("cli");
    std::fs::copy(clis::fake_cli(), &cli).unwrap();
    server.set_env("CLAUDE_BINARY", cli.to_str().unwrap());
    server.start();
    let worker = TestWorker::create(&server, "claude", &json!({}));
    let made = server.post(&worker.path("/terminals"), &json!({"program": ["bash", "--norc"]})).expect(201).json();
    let id = made["id"].as_str().unwrap().to_owned();
    let mut terminal = Terminal::connect(&server, &worker, &id, SIZE);
    // The project is writable, sockets of terminals are not visible, and job control works.
    let socket = server.data_dir().join(&worker.id).join("terminals").join(&id).join("shim.sock");
    assert!(socket.exists());
    let script = format!(
        "touch written; ls {} >/dev/null 2>&1 || echo no-''socket; find / -name '*.sock' -path '*terminals*' 2>/dev/null | grep -q . || echo none-''found\r",
        socket.display()
    );
    terminal.type_text(&script);
    terminal.wait_text("no-socket");
    terminal.wait_text("none-found");
    assert!(server.project().join("written").exists());
    terminal.type_text("sleep 1000 & fg\r");
    terminal.wait_text("sleep 1000\n");
    terminal.say(&json!({"type": "key", "key": "c", "ctrl": true}));
    terminal.type_text("echo back-''again\r");
    terminal.wait_text("back-again");
    terminal.type_text("exit\r");
    terminal.wait_end();
}
