//! The whole text of a truncated event: who gets it, and its cost in the worst case.

use std::fs;

use serde_json::{Value, json};

use super::{CAT, builder, events, idle_worker, say, server, start, wait_event};
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};

/// A worker of the fake Claude whose tool has printed `output`, and the event of its result.
#[track_caller]
fn printed(server: &TestServer, output: &str) -> (String, Value) {
    let worker = idle_worker(server, "claude");
    let result = json!([{"type": "tool_result", "tool_use_id": "t", "content": output, "is_error": false}]);
    let message = json!({"role": "user", "content": result});
    let line = json!({"type": "user", "session_id": "s", "parent_tool_use_id": null, "message": message});
    let file = server.dir().join("line.jsonl");
    let end = json!({"type": "result", "subtype": "success", "is_error": false, "session_id": "s", "result": ""});
    fs::write(&file, format!("{line}\n{end}\n")).unwrap();
    say(server, &worker, &format!("play {} 1", file.display()));
    let event = eventually(DEADLINE, "a tool result", || {
        events(server, &worker).into_iter().find(|event| event["type"] == "tool_result")
    });
    (worker, event)
}

fn path(worker: &str, seq: &Value) -> String {
    format!("/api/workers/{worker}/messages/{seq}/text")
}

#[test]
fn a_cut_output_is_returned_whole() {
    let server = server();
    let output = "é and some more\n".repeat(400_000);
    let (worker, event) = printed(&server, &output);
    assert!(event["content"].as_str().unwrap().ends_with(" bytes cut]"));
    let answer = server.get(&path(&worker, &event["seq"])).expect(200);
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert!(answer.text() == output, "{} bytes", answer.text().len());
    // The text of an event that was not truncated is returned unchanged, markup or not.
    say(&server, &worker, "echo <script>alert(1)</script>");
    let said = wait_event(&server, &worker, "assistant", "<script>alert(1)</script>");
    assert_eq!(server.get(&path(&worker, &said["seq"])).expect(200).text(), "<script>alert(1)</script>");
}

#[test]
fn missing_text_is_not_found() {
    let server = server();
    let worker = idle_worker(&server, CAT);
    say(&server, &worker, "a… [7 bytes cut]");
    let event = wait_event(&server, &worker, "assistant", "a… [7 bytes cut]");
    let seq = event["seq"].as_u64().unwrap();
    // The agent itself wrote the note: nothing is missing.
    assert_eq!(server.get(&path(&worker, &event["seq"])).expect(200).text(), "a… [7 bytes cut]");
    for missing in [seq + 1_000_000, u64::MAX] {
        assert_eq!(server.get(&path(&worker, &json!(missing))).expect(404).json()["code"], "not_found");
    }
    for wrong in ["x", "-1", "1.5", "99999999999999999999999"] {
        server.get(&format!("/api/workers/{worker}/messages/{wrong}/text")).expect(422);
    }
    server.get(&format!("/api/workers/{worker}/messages/1%2F2/text")).expect(404);
    server.get("/api/workers/00000000-0000-4000-8000-000000000000/messages/1/text").expect(404);
}

#[test]
fn texts_are_for_clients_with_the_token() {
    let token = "a-token-of-many-characters-000001";
    let server = start(builder().env("AUTH_TOKEN", token));
    let known = server.client.with("authorization", &format!("Bearer {token}"));
    let created = json!({"name": "w", "project_path": server.project(), "ai_cli_type": CAT});
    let body = created.to_string();
    let worker = known.request("POST", "/api/workers", &[("content-type", "application/json")], body.as_bytes());
    let id = worker.expect(201).json()["id"].as_str().unwrap().to_owned();
    server.client.get(&path(&id, &json!(0))).expect(401);
    let seq = known.get(&format!("/api/workers/{id}/messages?types=all")).expect(200).json();
    known.get(&path(&id, &seq["messages"][0]["seq"])).expect(200);
}
