//! `rs-worker mcp`: lines to the server and back.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::server::TestServer;
use crate::wire::{builder, server, start};

/// Runs the command with these lines, and returns its lines.
#[track_caller]
fn relayed(server: &TestServer, env: &[(&str, &str)], lines: &[String]) -> Vec<Value> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_rs-worker"))
        .args(["mcp", "--url", &format!("http://{}", server.addr())])
        .envs(env.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(lines.concat().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn line(message: &Value) -> String {
    format!("{message}\n")
}

#[test]
fn each_request_gets_a_line_and_notifications_none() {
    let server = server();
    let lines = [
        line(&json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18"}})),
        line(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"})),
        "\n".to_owned(),
        line(&json!({"jsonrpc": "2.0", "id": "two", "method": "tools/list"})),
        line(&json!({"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "list_workers"}})),
    ];
    let answers = relayed(&server, &[], &lines);
    let of = |id: &Value| answers.iter().find(|answer| answer["id"] == *id).unwrap();
    assert_eq!(answers.len(), 3, "{answers:?}");
    assert_eq!(of(&json!(1))["result"]["protocolVersion"], "2025-06-18");
    assert!(!of(&json!("two"))["result"]["tools"].as_array().unwrap().is_empty());
    assert_eq!(of(&json!(3))["result"]["structuredContent"]["workers"], json!([]));
}

#[test]
fn refusals_of_the_server_are_errors_of_their_request() {
    let server = start(builder().env("AUTH_TOKEN", "correct-horse-battery-staple-0123"));
    let ping = line(&json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}));
    let answers = relayed(&server, &[("RS_WORKER_TOKEN", "wrong")], &[ping.clone(), "{\n".to_owned()]);
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert!(answers[0]["error"]["message"].as_str().unwrap().contains("token"), "{answers:?}");
    let answers = relayed(&server, &[("RS_WORKER_TOKEN", "correct-horse-battery-staple-0123")], &[ping]);
    assert_eq!(answers[0]["result"], json!({}));
}
