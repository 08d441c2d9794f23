//! Part 2: one WebSocket for all workers.

use serde_json::{Value, json};

use super::{LOOP, command, events, frames_before_pong, idle_worker, say, seqs, server, wait_event};
use crate::support::server::TestServer;
use crate::support::wait::DEADLINE;
use crate::support::ws::WsClient;

/// A connection to `/ws` that has the snapshot.
fn connect(server: &TestServer) -> WsClient {
    let mut ws = server.ws("/ws");
    let first = ws.recv_json(DEADLINE);
    assert_eq!(first["type"], "workers", "{first}");
    ws
}

fn ids(snapshot: &Value) -> Vec<&str> {
    snapshot["workers"].as_array().unwrap().iter().map(|worker| worker["id"].as_str().unwrap()).collect()
}

#[test]
fn it_begins_with_all_workers_as_rest_lists_them() {
    let server = server();
    let workers = [idle_worker(&server, LOOP), idle_worker(&server, LOOP)];
    let mut ws = server.ws("/ws");
    let snapshot = ws.recv_json(DEADLINE);
    assert_eq!(snapshot["type"], "workers");
    assert_eq!(ids(&snapshot), workers);
    assert_eq!(snapshot["workers"], server.get("/api/workers").json()["workers"]);
    assert_eq!(frames_before_pong(&mut ws), Vec::<Value>::new());
}

#[test]
fn creations_changes_and_deletions_are_reported() {
    let server = server();
    let mut ws = connect(&server);
    let id = server.create_worker(LOOP, &json!({}));
    let about = |frame: &Value, status: &str| {
        frame["type"] == "worker" && frame["worker"]["id"] == *id && frame["worker"]["status"] == status
    };
    let reported = ws.wait_for("the new worker", DEADLINE, |frame| about(frame, "idle"));
    assert_eq!(reported["worker"]["name"], "test");
    server.patch(&format!("/api/workers/{id}"), &json!({"name": "renamed"})).expect(200);
    ws.wait_for("its new name", DEADLINE, |frame| frame["worker"]["name"] == "renamed");
    server.post(&format!("/api/workers/{id}/stop"), &json!({})).expect(200);
    ws.wait_for("its end", DEADLINE, |frame| about(frame, "stopped"));
    server.delete(&format!("/api/workers/{id}")).expect(200);
    let reported = ws.wait_for("its deletion", DEADLINE, |frame| frame["type"] == "worker_deleted");
    assert_eq!(reported, json!({"type": "worker_deleted", "worker_id": id}));
    assert!(ws.frames.iter().all(|frame| frame["type"] != "output"), "no output without a subscription");
}

#[test]
fn permission_prompts_arrive_without_a_subscription_and_can_be_answered() {
    let server = server();
    let id = idle_worker(&server, "claude");
    let mut ws = connect(&server);
    say(&server, &id, "permission Bash {\"command\":\"ls\"}");
    let asked = ws.wait_for("the prompt", DEADLINE, |frame| frame["content"]["type"] == "permission_request");
    assert_eq!((&asked["type"], &asked["worker_id"]), (&json!("output"), &json!(id)));
    let request_id = &asked["content"]["request_id"];
    let refused = command(&mut ws, json!({"type": "permission", "request_id": request_id, "option_id": "allow"}));
    assert_eq!((&refused["status"], &refused["content"]), (&json!(422), &json!("worker_id: Field required")));
    ws.send_json(&json!({"type": "permission", "worker_id": id, "request_id": request_id, "option_id": "allow"}));
    let resolved = ws.wait_for("the answer", DEADLINE, |frame| frame["content"]["type"] == "permission_resolved");
    assert_eq!(&resolved["content"]["request_id"], request_id);
    wait_event(&server, &id, "assistant", "allowed: {\"command\":\"ls\"}");
}

#[test]
fn a_subscription_brings_a_workers_output_until_it_ends() {
    let server = server();
    let workers = [idle_worker(&server, LOOP), idle_worker(&server, LOOP), idle_worker(&server, LOOP)];
    let mut ws = connect(&server);
    for id in &workers[..2] {
        ws.send_json(&json!({"type": "subscribe", "worker_id": id, "since": 0, "ref": id}));
        let (mut acknowledged, mut complete) = (false, false);
        while !(acknowledged && complete) {
            let frame = ws.recv_json(DEADLINE);
            acknowledged |= frame == json!({"type": "ack", "ref": id});
            complete |= frame["type"] == "replay_complete" && frame["worker_id"] == **id;
        }
    }
    for id in &workers {
        say(&server, id, "hello");
        wait_event(&server, id, "assistant", "you said: hello");
        server.wait_status(id, "idle");
    }
    // A connection may be a moment behind what REST answers.
    for id in &workers[..2] {
        let last = seqs(&events(&server, id)).pop();
        let has_come = |frame: &Value| frame["worker_id"] == **id && frame["seq"].as_u64() == last;
        if !ws.frames.iter().any(has_come) {
            ws.wait_for("the last event", DEADLINE, has_come);
        }
    }
    frames_before_pong(&mut ws);
    for (at, id) in workers.iter().enumerate() {
        let seen: Vec<Value> =
            ws.frames.iter().filter(|frame| frame["type"] == "output" && frame["worker_id"] == **id).cloned().collect();
        let expected = if at < 2 { seqs(&events(&server, id)) } else { Vec::new() };
        assert_eq!(seqs(&seen), expected, "each event of a subscription once, and no others");
    }
    assert_eq!(command(&mut ws, json!({"type": "unsubscribe", "worker_id": workers[0]}))["type"], "ack");
    let from = ws.frames.len();
    say(&server, &workers[0], "unheard");
    wait_event(&server, &workers[0], "assistant", "you said: unheard");
    say(&server, &workers[1], "heard");
    ws.wait_for("the other's answer", DEADLINE, |frame| frame["content"]["content"] == "you said: heard");
    assert!(ws.frames[from..].iter().all(|frame| frame["type"] != "output" || frame["worker_id"] == *workers[1]));
}

#[test]
fn a_subscription_without_a_cursor_begins_with_a_short_history() {
    let server = server();
    let id = idle_worker(&server, LOOP);
    say(&server, &id, "before");
    wait_event(&server, &id, "assistant", "you said: before");
    server.wait_status(&id, "idle");
    let mut ws = connect(&server);
    ws.send_json(&json!({"type": "subscribe", "worker_id": id, "ref": 1}));
    let history = ws.wait_for("history", DEADLINE, |frame| frame["type"] == "history");
    assert_eq!(history["worker_id"], id);
    assert_eq!(history["messages"][0]["content"], "before");
    say(&server, &id, "after");
    ws.wait_for("live output", DEADLINE, |frame| frame["content"]["content"] == "you said: after");
    assert!(ws.events().iter().all(|event| event["content"] != "before"), "it is not told twice");
}

#[test]
fn subscribing_again_moves_the_cursor() {
    let server = server();
    let id = idle_worker(&server, LOOP);
    say(&server, &id, "hello");
    wait_event(&server, &id, "assistant", "you said: hello");
    server.wait_status(&id, "idle");
    let all = seqs(&events(&server, &id));
    let mut ws = connect(&server);
    for _ in 0..3 {
        let from = ws.frames.len();
        ws.send_json(&json!({"type": "subscribe", "worker_id": id, "since": 0}));
        ws.wait_for("replay_complete", DEADLINE, |frame| frame["type"] == "replay_complete");
        let seen: Vec<Value> = ws.frames[from..].iter().filter(|frame| frame["type"] == "output").cloned().collect();
        assert_eq!(seqs(&seen), all);
    }
}

#[test]
fn messages_can_be_sent_to_any_worker() {
    let server = server();
    let id = idle_worker(&server, LOOP);
    let mut ws = connect(&server);
    let ack = command(&mut ws, json!({"type": "message", "worker_id": id, "content": "over the list"}));
    assert!(ack["message_id"].is_string(), "{ack}");
    wait_event(&server, &id, "assistant", "you said: over the list");
}

#[test]
fn an_unknown_worker_is_an_error_and_the_connection_stays() {
    let server = server();
    let mut ws = connect(&server);
    let error = command(&mut ws, json!({"type": "subscribe", "worker_id": "none"}));
    assert_eq!((&error["content"], &error["status"]), (&json!("Worker not found: none"), &json!(404)));
    let error = command(&mut ws, json!({"type": "subscribe", "worker_id": "none", "since": "x"}));
    assert_eq!(error["status"], 422);
    assert_eq!(command(&mut ws, json!({"type": "unsubscribe", "worker_id": "none"}))["type"], "ack");
    assert_eq!(frames_before_pong(&mut ws), Vec::<Value>::new());
}
