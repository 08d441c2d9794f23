//! The bridge between an editor and a server that are both made of lines.

use serde_json::{Value, json};

use super::*;

fn values(lines: Vec<String>) -> Vec<Value> {
    lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn request(id: u64, method: &str, params: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()
}

fn response(id: &Value, result: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string()
}

fn update(cursor: &Value) -> String {
    let params = json!({"sessionId": "s", "update": {}, "_meta": {META: {"cursor": cursor}}});
    json!({"jsonrpc": "2.0", "method": "session/update", "params": params}).to_string()
}

/// A bridge with an open session `s`, and a prompt that waits.
fn bridge() -> Bridge {
    let mut bridge = Bridge::new();
    bridge.connected();
    bridge.take_line(&request(0, "initialize", &json!({"protocolVersion": 1})));
    bridge.take_message(&response(&json!(0), &json!({})));
    bridge.take_line(&request(1, "session/new", &json!({"cwd": "/p", "mcpServers": []})));
    bridge.take_message(&response(&json!(1), &json!({"sessionId": "s"})));
    bridge.take_line(&request(2, "session/prompt", &json!({"sessionId": "s", "prompt": []})));
    bridge.take_message(&update(&json!({"seq": 7})));
    bridge.drain_editor();
    bridge
}

/// Loses the connection and gets a new one; returns the messages up to the resumed session.
fn reconnected(bridge: &mut Bridge) -> Value {
    bridge.drain_server();
    bridge.disconnected();
    bridge.connected();
    let sent = values(bridge.drain_server());
    assert_eq!((&sent[0]["method"], sent.len()), (&json!("initialize"), 1));
    bridge.take_message(&response(&sent[0]["id"], &json!({})));
    let sent = values(bridge.drain_server());
    assert_eq!((&sent[0]["method"], sent.len()), (&json!("session/resume"), 1));
    sent[0].clone()
}

#[test]
fn sessions_and_prompts_are_taken_up_after_a_lost_connection() {
    let mut bridge = bridge();
    let first = values(bridge.drain_server());
    assert_eq!(first[0]["params"]["clientCapabilities"]["_meta"][META]["cursors"], true);
    let message = first[2]["params"]["_meta"][META]["client_message_id"].clone();
    assert!(message.is_string() && first[1]["params"]["_meta"][META]["key"].is_string(), "{first:?}");
    let resume = reconnected(&mut bridge);
    let own = &resume["params"]["_meta"][META];
    assert_eq!(own["cursor"], json!({"seq": 7}));
    assert_eq!(own["prompts"], json!([{"id": 2, "client_message_id": message}]));
    bridge.take_message(&response(&resume["id"], &json!({"_meta": {META: {"open": []}}})));
    let sent = values(bridge.drain_server());
    assert_eq!((&sent[0]["id"], &sent[0]["params"]["_meta"][META]["client_message_id"]), (&json!(2), &message));
    bridge.take_message(&response(&json!(2), &json!({"stopReason": "end_turn"})));
    bridge.take_message(&response(&json!(2), &json!({"stopReason": "end_turn"})));
    assert_eq!(values(bridge.drain_editor()).len(), 1, "the prompt is answered once");
}

#[test]
fn questions_are_asked_once_and_answers_are_kept() {
    let mut bridge = bridge();
    let ask = |id: &str| {
        let params = json!({"sessionId": "s"});
        json!({"jsonrpc": "2.0", "id": id, "method": "session/request_permission", "params": params}).to_string()
    };
    for id in ["s/a", "s/b", "s/c"] {
        bridge.take_message(&ask(id));
    }
    assert_eq!(bridge.drain_editor().len(), 3);
    bridge.disconnected();
    bridge.take_line(&response(&json!("s/a"), &json!({"outcome": {}})));
    let resume = reconnected(&mut bridge);
    bridge.take_message(&response(&resume["id"], &json!({"_meta": {META: {"open": ["s/a", "s/b"]}}})));
    let taken_back = values(bridge.drain_editor());
    assert_eq!(taken_back[0]["params"]["requestId"], "s/c");
    bridge.drain_server();
    bridge.take_message(&ask("s/a"));
    bridge.take_message(&ask("s/b"));
    assert_eq!(values(bridge.drain_server())[0]["id"], "s/a");
    assert!(bridge.drain_editor().is_empty(), "the editor has both already");
}

#[test]
fn prompts_of_a_session_that_is_gone_fail() {
    let mut bridge = bridge();
    let resume = reconnected(&mut bridge);
    let error = json!({"code": -32002, "message": "gone"});
    bridge.take_message(&json!({"jsonrpc": "2.0", "id": resume["id"], "error": error}).to_string());
    assert_eq!(values(bridge.drain_editor()), [json!({"jsonrpc": "2.0", "id": 2, "error": error})]);
    assert!(bridge.drain_server().is_empty());
}

#[test]
fn lines_that_are_not_json_are_refused() {
    let mut bridge = bridge();
    bridge.take_line("{nonsense");
    assert_eq!(values(bridge.drain_editor())[0]["error"]["code"], PARSE_ERROR);
}
