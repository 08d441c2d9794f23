//! Lines of a CLI that are not well-formed JSON: how they are shown.

use serde_json::{Value, json};

use super::{builder, events, idle_worker, say, server, wait_event};
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};

fn warning(server: &TestServer, worker: &str) -> Value {
    server.get(&format!("/api/workers/{worker}")).expect(200).json()["warning"].clone()
}

#[test]
fn unreadable_request_is_a_warning_until_the_next_turn() {
    let mut server = server();
    let id = idle_worker(&server, "claude");
    assert_eq!(warning(&server, &id), Value::Null);
    say(&server, &id, r#"raw {"type":"control_request","request_id":"p","request":{"subtype":"can_use_tool","input":"#);
    let error = eventually(DEADLINE, "the error", || {
        events(&server, &id).into_iter().find(|event| event["code"] == "request_not_understood")
    });
    assert_eq!(error["type"], "error");
    server.wait_status(&id, "idle");
    assert_eq!(warning(&server, &id), error["content"]);
    let listed = server.get("/api/workers").expect(200).json();
    assert_eq!(listed["workers"][0]["warning"], error["content"], "in the list too");
    server.kill9();
    server.start();
    assert_eq!(warning(&server, &id), error["content"], "and after a restart");
    say(&server, &id, "echo on");
    wait_event(&server, &id, "assistant", "on");
    assert_eq!(warning(&server, &id), Value::Null);
}

#[test]
fn import_with_a_mark_and_half_a_pair_is_accepted() {
    let server = builder().start();
    let id = idle_worker(&server, "claude");
    say(&server, &id, "echo half PAIR end");
    wait_event(&server, &id, "assistant", "half PAIR end");
    let export = server.get(&format!("/api/workers/{id}/export?format=jsonl")).expect(200).text();
    let odd = format!("\u{feff}{}", export.replace("half PAIR", r"half \ud83a"));
    let headers = [("Content-Type", "application/x-ndjson")];
    let import = |body: &str| server.client.request("POST", "/api/import", &headers, body.as_bytes());
    let made = import(&odd).expect(201).json();
    let imported = made["id"].as_str().unwrap();
    wait_event(&server, imported, "assistant", "half \u{fffd} end");
    let broken = odd.replacen('}', "", 1);
    let refused = import(&broken).expect(400).json();
    assert!(refused["detail"].as_str().unwrap().contains("line 1"), "{refused}");
    assert_eq!(json!(server.get("/api/workers").expect(200).json()["workers"].as_array().unwrap().len()), 2);
}
