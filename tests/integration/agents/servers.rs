//! MCP servers that a worker's agent gets.

use serde_json::{Value, json};

use super::{ask, idle, start};
use crate::support::workers::TestWorker;

const SECRET: &str = "s3cret-of-the-test";

fn servers() -> Value {
    json!([{"name": "files", "command": "mcp-files", "args": ["--root", "."], "env": {"KEY": SECRET}},
        {"name": "docs", "url": "http://127.0.0.1:1/mcp", "headers": {"Authorization": SECRET}},
        {"name": "old", "type": "sse", "url": "http://127.0.0.1:1/sse"}])
}

#[test]
fn agent_and_its_fork_get_usable_mcp_servers() {
    let server = start();
    let worker = idle(&server, &json!({"mcp_servers": servers()}));
    let got: Value = serde_json::from_str(&ask(&server, &worker, "servers")).unwrap();
    let pair = |name: &str| json!([{"name": name, "value": SECRET}]);
    let expected = json!([
        {"name": "files", "command": "mcp-files", "args": ["--root", "."], "env": pair("KEY")},
        {"type": "http", "name": "docs", "url": "http://127.0.0.1:1/mcp", "headers": pair("Authorization")},
    ]);
    assert_eq!(got, expected);
    let left_out = worker.events_of(&server, "error").remove(0);
    assert_eq!(left_out["code"], "mcp_server_left_out");
    assert!(left_out["content"].as_str().unwrap().ends_with("old (sse)"), "{left_out}");
    let forked = server.post(&worker.path("/fork"), &json!({})).expect(201).json();
    let forked = TestWorker { id: forked["id"].as_str().unwrap().to_owned() };
    let got: Value = serde_json::from_str(&ask(&server, &forked, "servers")).unwrap();
    assert_eq!(got, expected);
}

#[test]
fn secrets_of_mcp_servers_reach_no_answer_and_no_log() {
    let server = start();
    let worker = idle(&server, &json!({"mcp_servers": servers()}));
    let shown = worker.show(&server);
    let names =
        json!([{"name": "files", "type": "stdio"}, {"name": "docs", "type": "http"}, {"name": "old", "type": "sse"}]);
    assert_eq!(shown["config"]["mcp_servers"], names);
    for path in ["", "/messages?types=all&limit=1000", "/export?format=json", "/options"] {
        let text = server.get(&worker.path(path)).expect(200).text();
        assert!(!text.contains(SECRET), "{path}");
    }
    let log = std::fs::read_to_string(server.dir().join("logs/app.log")).unwrap_or_default();
    assert!(!log.contains(SECRET));
}

#[test]
fn mcp_servers_are_validated_and_refused_without_cli_support() {
    let server = start();
    let make = |servers: Value, kind: &str| {
        let body = json!({"name": "n", "project_path": server.project(), "ai_cli_type": kind, "mcp_servers": servers});
        server.post("/api/workers", &body)
    };
    for wrong in [
        json!("x"),
        json!([{"name": "a"}]),
        json!([{"name": "a b", "command": "x"}]),
        json!([{"name": "a", "command": "x", "url": "http://y"}]),
        json!([{"name": "a", "url": "file:///etc"}]),
        json!([{"name": "a", "url": "http://y", "headers": {"A\nB": "c"}}]),
        json!([{"name": "a", "command": "x", "env": {"A=B": "c"}}]),
        json!([{"name": "a", "command": "x"}, {"name": "a", "command": "y"}]),
        json!([{"name": "a", "type": "pipe", "command": "x"}]),
    ] {
        assert_eq!(make(wrong.clone(), "agent").status, 422, "{wrong}");
    }
    let refused = make(json!([{"name": "a", "command": "x"}]), "claude");
    assert_eq!(refused.status, 400);
    assert!(refused.json()["detail"].as_str().unwrap().contains("takes no mcp_servers"));
}
