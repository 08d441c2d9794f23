//! Part 1, WebSocket: greeting, history, commands, output.

use serde_json::{Value, json};
use tungstenite::Message;

use super::{CAT, LOOP, command, events, frames_before_pong, idle_worker, is_utc_time, keys, say, server, wait_event};
use crate::support::wait::DEADLINE;
use crate::support::ws::{WsClient, WsReceipt};

#[test]
fn an_unknown_worker_gets_an_error_frame_and_a_close() {
    let server = server();
    let mut ws = server.ws("/ws/no-such-id");
    let error = json!({"type": "error", "content": "Worker not found: no-such-id"});
    assert_eq!(ws.recv_json(DEADLINE), error);
    let closed = ws.wait_for_close(DEADLINE).expect("a close frame, not a cut connection");
    assert_eq!(u16::from(closed.code), 1000);
    assert_eq!(ws.frames.len(), 1);
}

#[test]
fn client_is_greeted_and_an_empty_history_is_left_out() {
    let server = server();
    let id = idle_worker(&server, LOOP);
    let mut ws = server.ws(&format!("/ws/{id}"));
    let connected = json!({"type": "connected", "worker_id": id, "worker_name": "test", "ai_cli_type": LOOP});
    assert_eq!(frames_before_pong(&mut ws), [connected]);
}

#[test]
fn last_20_messages_come_directly_after_the_greeting() {
    let server = server();
    let id = idle_worker(&server, LOOP);
    for number in 1..=12 {
        say(&server, &id, &format!("m{number}"));
    }
    wait_event(&server, &id, "assistant", "you said: m12");
    server.wait_status(&id, "idle");
    let mut ws = server.ws(&format!("/ws/{id}"));
    let frames = frames_before_pong(&mut ws);
    let types: Vec<_> = frames.iter().map(|frame| frame["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["connected", "history"]);
    let history = frames[1]["messages"].as_array().unwrap();
    assert_eq!(history.len(), 20);
    for message in history {
        assert!(message["type"].is_string() && message["content"].is_string(), "{message}");
        assert!(is_utc_time(&message["timestamp"]), "{message}");
    }
    let conversation: Vec<Value> = events(&server, &id)
        .into_iter()
        .filter(|event| ["user", "assistant", "turn_completed"].contains(&event["type"].as_str().unwrap()))
        .collect();
    assert_eq!(history, &conversation[conversation.len() - 20..]);
}

#[test]
fn a_ping_is_answered_with_pong() {
    let server = server();
    let mut ws = server.ws(&format!("/ws/{}", idle_worker(&server, LOOP)));
    ws.recv_json(DEADLINE);
    ws.send_json(&json!({"type": "ping"}));
    assert_eq!(ws.recv_json(DEADLINE), json!({"type": "pong"}));
    assert_eq!(command(&mut ws, json!({"type": "ping"}))["type"], "pong");
}

#[test]
fn a_message_is_answered_with_output_frames() {
    let server = server();
    let id = idle_worker(&server, LOOP);
    let mut ws = server.ws(&format!("/ws/{id}?deltas=1"));
    ws.send_json(&json!({"type": "message", "content": "Hello, AI!"}));
    let frame = ws.wait_for("the answer", DEADLINE, |frame| frame["content"]["type"] == "assistant");
    assert_eq!(keys(&frame), ["content", "seq", "timestamp", "type", "worker_id"]);
    assert_eq!((&frame["type"], &frame["worker_id"]), (&json!("output"), &json!(id)));
    assert!(frame["seq"].is_u64() && is_utc_time(&frame["timestamp"]));
    assert_eq!(frame["content"]["content"], "you said: Hello, AI!");
    assert_eq!(frame["content"]["timestamp"], frame["timestamp"]);
    ws.wait_for_event("turn_completed", DEADLINE);
    let user = ws.events().into_iter().find(|event| event["type"] == "user").unwrap();
    assert_eq!(user["content"], "Hello, AI!");
    for event in ws.events() {
        assert!(event["type"].is_string() && event["content"].is_string(), "{event}");
        assert!(is_utc_time(&event["timestamp"]), "{event}");
    }
}

#[test]
fn malformed_messages_get_an_error_and_the_connection_stays() {
    let server = server();
    let mut ws = server.ws(&format!("/ws/{}", idle_worker(&server, LOOP)));
    ws.recv_json(DEADLINE);
    let frames = [
        "",
        "hello",
        "{",
        "[]",
        "1",
        "null",
        "\"ping\"",
        "{}",
        r#"{"type":1}"#,
        r#"{"type":null}"#,
        r#"{"type":"nonsense"}"#,
        r#"{"type":"message"}"#,
        r#"{"type":"message","content":1}"#,
        r#"{"type":"message","content":""}"#,
        r#"{"type":"message","content":null}"#,
        r#"{"type":"message","content":"x","worker_id":"no-such-id"}"#,
        r#"{"type":"subscribe"}"#,
        r#"{"type":"permission"}"#,
        r#"{"type":"answer","request_id":"none"}"#,
        r#"{"type":"set_model"}"#,
        r#"{"type":"set_permission_mode"}"#,
    ];
    for frame in frames {
        ws.send_text(frame);
        let error = ws.recv_json(DEADLINE);
        assert_eq!(error["type"], "error", "{frame}: {error}");
        assert!(!error["content"].as_str().unwrap().is_empty(), "{frame}: {error}");
        assert_eq!(frames_before_pong(&mut ws), Vec::<Value>::new(), "{frame}");
    }
    ws.send(Message::binary(b"{\"type\":\"ping\"}".to_vec())).unwrap();
    assert_eq!(ws.recv_json(DEADLINE)["type"], "error");
    assert_eq!(frames_before_pong(&mut ws), Vec::<Value>::new());
}

#[test]
fn error_carries_the_clients_ref_and_the_rest_answer() {
    let server = server();
    let mut ws = server.ws(&format!("/ws/{}", idle_worker(&server, LOOP)));
    let error = command(&mut ws, json!({"type": "message", "content": 1}));
    assert_eq!((&error["type"], &error["status"]), (&json!("error"), &json!(422)));
    assert_eq!(error["content"], "content: Input should be a valid string");
    let error = command(&mut ws, json!({"type": "message", "content": "x", "worker_id": "none"}));
    assert_eq!((&error["content"], &error["status"]), (&json!("Worker not found: none"), &json!(404)));
    let error = command(&mut ws, json!({"type": "dance"}));
    assert_eq!((&error["content"], &error["status"]), (&json!("unknown type: dance"), &json!(400)));
}

#[test]
fn commands_with_a_ref_are_acknowledged() {
    let server = server();
    let id = idle_worker(&server, LOOP);
    let mut ws = server.ws(&format!("/ws/{id}"));
    let ack = command(&mut ws, json!({"type": "message", "content": "hello", "client_message_id": "c1"}));
    assert_eq!(keys(&ack), ["client_message_id", "message_id", "ref", "seq", "state", "type"]);
    assert_eq!((&ack["type"], &ack["client_message_id"]), (&json!("ack"), &json!("c1")));
    let again = command(&mut ws, json!({"type": "message", "content": "hello", "client_message_id": "c1"}));
    assert_eq!((&again["message_id"], &again["seq"]), (&ack["message_id"], &ack["seq"]));
    server.wait_status(&id, "idle");
    let ack = command(&mut ws, json!({"type": "interrupt"}));
    assert_eq!((&ack["type"], keys(&ack)), (&json!("ack"), vec!["ref", "type"]));
    ws.send_json(&json!({"type": "ping", "ref": {"any": ["json", 1]}}));
    let pong = ws.wait_for("pong", DEADLINE, |frame| frame["type"] == "pong");
    assert_eq!(pong["ref"], json!({"any": ["json", 1]}));
}

#[test]
fn two_clients_see_the_same_frames_in_the_same_order() {
    let server = server();
    let id = idle_worker(&server, LOOP);
    let mut clients = [server.ws(&format!("/ws/{id}?deltas=1")), server.ws(&format!("/ws/{id}?deltas=1"))];
    for ws in &mut clients {
        frames_before_pong(ws);
    }
    clients[0].send_json(&json!({"type": "message", "content": "one"}));
    clients[1].send_json(&json!({"type": "message", "content": "two"}));
    let mut seen = clients.iter_mut().map(|ws| {
        let both = |ws: &WsClient| ws.events().iter().filter(|event| event["type"] == "turn_completed").count() == 2;
        while !both(ws) {
            ws.recv_json(DEADLINE);
        }
        frames_before_pong(ws);
        ws.frames.iter().filter(|frame| frame["type"] == "output").cloned().collect::<Vec<_>>()
    });
    let (first, second) = (seen.next().unwrap(), seen.next().unwrap());
    let common = first.len().min(second.len());
    assert_eq!(first[..common], second[..common]);
}

#[test]
fn raw_brings_the_clis_own_lines() {
    let server = server();
    let id = idle_worker(&server, "claude");
    let mut ws = server.ws(&format!("/ws/{id}?raw=1"));
    ws.send_json(&json!({"type": "message", "content": "echo hi there"}));
    let frame =
        ws.wait_for("the answer", DEADLINE, |frame| frame["content"]["type"] == "assistant" && frame["seq"].is_u64());
    assert_eq!(frame["raw"]["type"], "assistant");
    assert_eq!(frame["raw"]["message"]["content"][0]["text"], "hi there");
    let mut plain = server.ws(&format!("/ws/{id}?raw=0&since=0"));
    plain.wait_for("all", DEADLINE, |frame| frame["type"] == "replay_complete");
    assert!(plain.frames.iter().all(|frame| frame["raw"].is_null()));
}

#[test]
fn deltas_are_live_without_seq_and_the_whole_message_follows() {
    let server = server();
    let id = idle_worker(&server, "claude");
    let mut ws = server.ws(&format!("/ws/{id}?deltas=1"));
    frames_before_pong(&mut ws);
    ws.send_json(&json!({"type": "message", "content": "deltas 30 100"}));
    ws.wait_for_event("turn_completed", DEADLINE);
    let whole: Vec<_> = ws.events().into_iter().filter(|event| event["type"] == "assistant").collect();
    let expected: String = (0..30).map(|number| format!("w{number} ")).collect();
    assert_eq!((whole.len(), &whole[0]["content"]), (1, &json!(expected)));
    let deltas: Vec<_> = ws.frames.iter().filter(|frame| frame["content"]["type"] == "delta").collect();
    // A delta is for live clients that keep up; its text is also in the message. A lagging client gets several in one.
    let words = deltas.iter().flat_map(|frame| frame["content"]["content"].as_str().unwrap().split_whitespace());
    let numbers: Vec<u32> = words.map(|word| word[1..].parse().unwrap()).collect();
    assert!(!numbers.is_empty() && numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
    for delta in deltas {
        assert_eq!(
            (keys(delta), &delta["content"]["of"]),
            (vec!["content", "timestamp", "type", "worker_id"], &json!("assistant"))
        );
    }
}

#[test]
fn any_text_comes_back_as_it_was_sent() {
    let server = server();
    let id = idle_worker(&server, CAT);
    let mut ws = server.ws(&format!("/ws/{id}"));
    for text in ["quotes \" and \\ and / and <b>", "ünïcödé 漢字 🦀 \u{2028}", "a\ttab", &"long ".repeat(50_000)]
    {
        ws.send_json(&json!({"type": "message", "content": text}));
        let answer = ws.wait_for_event("assistant", DEADLINE);
        assert_eq!(answer["content"].as_str().unwrap().trim_end(), text.trim_end());
    }
}

#[test]
fn a_connection_without_an_upgrade_is_refused() {
    let server = server();
    let reply = server.get("/ws/any");
    assert!(matches!(reply.status, 400 | 426), "{}", reply.status);
    assert!(reply.json()["detail"].is_string());
}

#[test]
fn deleted_worker_is_reported_on_its_connection() {
    let server = server();
    let id = idle_worker(&server, LOOP);
    let mut ws = server.ws(&format!("/ws/{id}"));
    frames_before_pong(&mut ws);
    server.delete(&format!("/api/workers/{id}")).expect(200);
    let frame = ws.wait_for("the end", DEADLINE, |frame| frame["type"] == "worker_deleted");
    assert_eq!(frame, json!({"type": "worker_deleted", "worker_id": id}));
    ws.send_json(&json!({"type": "message", "content": "are you there?"}));
    let error = ws.wait_for("an error", DEADLINE, |frame| frame["type"] == "error");
    assert_eq!(error["content"], format!("Worker not found: {id}"));
}

#[test]
fn the_servers_end_closes_the_connections() {
    let mut server = server();
    let id = idle_worker(&server, LOOP);
    let mut ws = server.ws(&format!("/ws/{id}"));
    frames_before_pong(&mut ws);
    assert!(server.terminate().success());
    assert!(matches!(ws.receive(DEADLINE), WsReceipt::Closed(_)));
    server.start();
}
