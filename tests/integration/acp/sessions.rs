//! Sessions on the WebSocket: made, listed, loaded, resumed, closed and deleted.

use std::time::Instant;

use serde_json::{Value, json};

use super::{Editor, server};
use crate::support::clis;
use crate::support::server::TestServer;
use crate::support::wait::DEADLINE;
use crate::support::workers::TestWorker;
use crate::support::ws::{WsClient, WsReceipt};

#[test]
fn session_is_a_worker_and_prompt_ends_with_its_turn() {
    let server = server();
    let mut editor = Editor::connect(&server, "", &[]);
    let session = editor.open(&server);
    let worker = TestWorker { id: session.clone() };
    assert_eq!(worker.show(&server)["name"], "project (Test)");
    assert_eq!(editor.prompt(&session, "deltas 30"), "end_turn");
    let wanted: String = (0..30).map(|number| format!("w{number} ")).collect();
    assert_eq!(editor.text("agent_message_chunk"), wanted, "each piece comes once");
    assert!(editor.updates("user_message_chunk").is_empty(), "the editor shows its own prompts");
    assert_eq!(editor.prompt(&session, "echo again"), "end_turn");
    assert_eq!(editor.text("agent_message_chunk"), format!("{wanted}again"));
    editor.check_schema();
}

#[test]
fn tool_calls_carry_kind_diff_and_result() {
    let server = server();
    let mut editor = Editor::connect(&server, "", &[]);
    let session = editor.open(&server);
    let input = json!({"file_path": "a.rs", "old_string": "one", "new_string": "two"});
    assert_eq!(editor.prompt(&session, &format!("tool Edit {input}")), "end_turn");
    let call = editor.updates("tool_call")[0].clone();
    assert_eq!((&call["kind"], &call["status"], &call["rawInput"]), (&json!("edit"), &json!("in_progress"), &input));
    let path = server.project().join("a.rs");
    assert_eq!(call["content"][0], json!({"type": "diff", "path": path, "oldText": "one", "newText": "two"}));
    let result = editor.updates("tool_call_update")[0].clone();
    assert_eq!((&result["toolCallId"], &result["status"]), (&call["toolCallId"], &json!("completed")));
    assert_eq!(result["content"][0]["content"]["text"], "ok");
    editor.check_schema();
}

#[test]
fn loading_replays_the_history_and_resuming_does_not() {
    let server = server();
    let mut first = Editor::connect(&server, "", &[]);
    let session = first.open(&server);
    first.prompt(&session, "echo one");
    first.prompt(&session, "tool Read {\"file_path\":\"/x\"}");
    let params = json!({"sessionId": session, "cwd": server.project(), "mcpServers": []});
    let mut second = Editor::connect(&server, "", &[]);
    second.request("session/load", params.clone());
    assert!(second.text("user_message_chunk").starts_with("echo one"));
    assert_eq!(second.text("agent_message_chunk"), "onedone");
    assert_eq!(second.updates("tool_call").len(), 1);
    let mut third = Editor::connect(&server, "", &[]);
    third.request("session/resume", params.clone());
    assert_eq!(third.text("agent_message_chunk"), "");
    // All three see what one of them asks; those that did not ask see the question too.
    assert_eq!(third.prompt(&session, "echo two"), "end_turn");
    for other in [&mut first, &mut second] {
        let chunk = other.wait_for(|message| message["params"]["update"]["content"]["text"] == "two");
        assert_eq!(chunk["params"]["update"]["sessionUpdate"], "agent_message_chunk");
        assert!(other.text("user_message_chunk").ends_with("echo two"));
    }
    // Loading again on the same connection repeats all of it, once.
    let before = second.text("agent_message_chunk").len();
    second.request("session/load", params);
    assert_eq!(second.text("agent_message_chunk")[before..], *"onedonetwo");
    [first, second, third].iter().for_each(Editor::check_schema);
}

#[test]
fn disconnected_editor_leaves_the_turn_running() {
    let server = server();
    let mut editor = Editor::connect(&server, "", &[]);
    let session = editor.open(&server);
    editor.begin_prompt(&session, "deltas 40 100");
    editor.wait_update("agent_message_chunk");
    drop(editor);
    let worker = TestWorker { id: session };
    assert_eq!(worker.wait_turn(&server, 1)["stop_reason"], "end_turn");
    worker.wait_status(&server, "idle");
}

#[test]
fn closed_session_hibernates_and_deleted_one_is_gone() {
    let server = server();
    let mut editor = Editor::connect(&server, "", &[]);
    let session = editor.open(&server);
    editor.prompt(&session, "echo one");
    assert_eq!(editor.request("session/close", json!({"sessionId": session})), json!({}));
    let worker = TestWorker { id: session.clone() };
    worker.wait_status(&server, "stopped");
    assert_eq!(editor.refused("session/prompt", json!({"sessionId": session, "prompt": []})), -32602);
    let params = json!({"sessionId": session, "cwd": server.project(), "mcpServers": []});
    editor.request("session/resume", params.clone());
    assert_eq!(editor.prompt(&session, "memory"), "end_turn", "the next prompt starts it again");
    editor.request("session/delete", json!({"sessionId": session}));
    server.get(&worker.path("")).expect(404);
    assert_eq!(editor.refused("session/load", params), -32002);
    editor.check_schema();
}

#[test]
fn sessions_are_listed_by_folder_and_page() {
    let server = server();
    let mut editor = Editor::connect(&server, "", &[]);
    let first = editor.open(&server);
    let other = server.project_named("other");
    let params = json!({"cwd": other, "mcpServers": []});
    let second = editor.request("session/new", params)["sessionId"].as_str().unwrap().to_owned();
    let listed = editor.request("session/list", json!({}));
    let ids: Vec<&Value> = listed["sessions"].as_array().unwrap().iter().map(|it| &it["sessionId"]).collect();
    assert!(ids.len() == 2 && ids.contains(&&json!(first)) && ids.contains(&&json!(second)), "{listed}");
    let narrowed = editor.request("session/list", json!({"cwd": other}));
    assert_eq!(narrowed["sessions"].as_array().unwrap().len(), 1);
    assert_eq!(narrowed["sessions"][0]["title"], "other (Test)");
    assert_eq!(editor.refused("session/list", json!({"cursor": "nonsense"})), -32602);
    let mut bound = Editor::connect(&server, &format!("?worker={first}"), &[]);
    assert_eq!(bound.open(&server), first, "a new session of a bound connection is its worker");
    assert_eq!(bound.request("session/list", json!({}))["sessions"].as_array().unwrap().len(), 1);
    let params = json!({"sessionId": second, "cwd": other, "mcpServers": []});
    assert_eq!(bound.refused("session/load", params), -32002);
    editor.check_schema();
}

#[test]
fn malformed_and_unknown_messages_are_refused_by_code() {
    let server = server();
    let mut socket = WsClient::connect(server.addr(), "/acp", &[]).unwrap();
    socket.send_json(&json!({"jsonrpc": "2.0", "id": 1, "method": "session/list", "params": {}}));
    let closed = socket.wait_for_close(DEADLINE).unwrap();
    assert_eq!(u16::from(closed.code), 1002, "the first frame must be initialize");
    let mut editor = Editor::connect(&server, "", &[]);
    assert_eq!(editor.refused("session/teleport", json!({})), -32601);
    assert_eq!(editor.refused("initialize", json!({"protocolVersion": 1})), -32600);
    assert_eq!(editor.refused("session/new", json!({"mcpServers": []})), -32602);
    assert_eq!(editor.refused("session/new", json!({"cwd": "/nowhere/at/all", "mcpServers": []})), -32602);
    let super::Line::Socket(socket) = &mut editor.line else { unreachable!() };
    for (text, code) in [("{", -32700), ("[]", -32600), ("{\"id\":1}", -32600)] {
        socket.send_text(text);
        let WsReceipt::Frame(frame) = socket.receive(DEADLINE) else { panic!("no answer to {text}") };
        assert_eq!(
            (&frame["error"]["code"], &frame["id"].is_null()),
            (&json!(code), &(code == -32700 || text == "[]"))
        );
    }
    server.get("/acp").expect(426);
}

#[test]
fn modes_models_and_options_are_those_of_the_cli() {
    let server = server();
    let mut editor = Editor::connect(&server, "", &[]);
    let made = editor.request("session/new", json!({"cwd": server.project(), "mcpServers": []}));
    let session = made["sessionId"].as_str().unwrap().to_owned();
    editor.request("session/set_mode", json!({"sessionId": session, "modeId": "plan"}));
    editor.request("session/set_model", json!({"sessionId": session, "modelId": "other-model"}));
    let worker = TestWorker { id: session.clone() };
    let next = worker.show(&server)["next_start"].clone();
    assert_eq!((&next["permission_mode"], &next["model"]), (&json!("plan"), &json!("other-model")));
    if made["configOptions"].is_array() {
        let value = json!({"sessionId": session, "configId": "mode", "value": "default"});
        let options = editor.request("session/set_config_option", value)["configOptions"].clone();
        assert!(options.as_array().is_some_and(|options| !options.is_empty()), "{options}");
    }
    editor.check_schema();
}

#[test]
fn token_bounds_apply_to_every_method() {
    let server = TestServer::builder()
        .name("acp-tokens")
        .env("CLAUDE_BINARY", clis::fake_cli())
        .env("AUTH_TOKEN", "x".repeat(32));
    let mut server = server.start();
    let admin = format!("Bearer {}", "x".repeat(32));
    server.client = server.client.with("authorization", &admin);
    let token = |scope: &str| {
        let made = server.post("/api/tokens", &json!({"name": scope, "scope": scope})).expect(201).json();
        format!("Bearer {}", made["secret"].as_str().unwrap())
    };
    let mut owner = Editor::connect(&server, "", &[("authorization", &admin)]);
    let session = owner.open(&server);
    let (reader, sender) = (token("read"), token("send"));
    let params = json!({"sessionId": session, "cwd": server.project(), "mcpServers": []});
    let mut reading = Editor::connect(&server, "", &[("authorization", &reader)]);
    reading.request("session/load", params.clone());
    let prompt = json!({"sessionId": session, "prompt": [{"type": "text", "text": "echo no"}]});
    for (method, params) in [
        ("session/prompt", prompt),
        ("session/new", json!({"cwd": server.project(), "mcpServers": []})),
        ("session/close", json!({"sessionId": session})),
        ("session/delete", json!({"sessionId": session})),
        ("session/set_mode", json!({"sessionId": session, "modeId": "plan"})),
    ] {
        assert_eq!(reading.refused(method, params), -32003, "{method}");
    }
    let mut sending = Editor::connect(&server, "", &[("authorization", &sender)]);
    sending.request("session/load", params);
    assert_eq!(sending.prompt(&session, "echo yes"), "end_turn");
    assert_eq!(sending.refused("session/delete", json!({"sessionId": session})), -32003);
    assert_eq!(WsClient::connect(server.addr(), "/acp", &[]).err(), Some(401));
}

#[test]
fn history_of_ten_thousand_events_is_loaded_whole() {
    let server = server();
    let mut editor = Editor::connect(&server, "", &[]);
    let session = editor.open(&server);
    assert_eq!(editor.prompt(&session, "lines 10000"), "end_turn");
    let mut second = Editor::connect(&server, "", &[]);
    let begun = Instant::now();
    let params = json!({"sessionId": session, "cwd": server.project(), "mcpServers": []});
    let id = second.begin("session/load", params);
    second.wait_update("agent_message_chunk");
    let first = begun.elapsed();
    assert!(second.wait_response(id).get("error").is_none());
    let last = begun.elapsed();
    eprintln!("session/load of 10,000 events: first update {first:?}, last {last:?}");
    let chunks = second.updates("agent_message_chunk");
    assert_eq!(chunks.len(), 10_001);
    assert_eq!(chunks[9_999]["content"]["text"], "line 10000");
}

#[test]
fn prompt_with_the_clients_id_of_another_is_refused() {
    let server = server();
    let mut editor = Editor::connect(&server, "", &[]);
    let (first, second) = (editor.open(&server), editor.open(&server));
    let prompt = |session: &str, text: &str| {
        let own = json!({"rs-worker": {"client_message_id": "same"}});
        json!({"sessionId": session, "prompt": [{"type": "text", "text": text}], "_meta": own})
    };
    let begun = editor.begin("session/prompt", prompt(&first, "hang"));
    // Neither would ever have a response, and the second one would take that of the first.
    for (session, text) in [(&first, "echo y"), (&second, "echo x")] {
        let id = editor.begin("session/prompt", prompt(session, text));
        let refused = editor.wait_for(|message| message["id"] == id);
        assert_eq!(refused["error"]["code"], -32602, "{refused}");
    }
    TestWorker { id: first.clone() }.wait_status(&server, "busy");
    editor.notify("session/cancel", json!({"sessionId": first}));
    assert_eq!(editor.wait_for(|message| message["id"] == begun)["result"]["stopReason"], "cancelled");
    let id = editor.begin("session/prompt", prompt(&first, "echo z"));
    assert_eq!(editor.wait_for(|message| message["id"] == id)["error"]["code"], -32602);
    assert!(TestWorker { id: second }.events_of(&server, "user").is_empty());
}

#[test]
fn session_beyond_the_limit_makes_no_worker() {
    const SESSIONS_MAX: usize = 256;
    let server = server();
    let mut editor = Editor::connect(&server, "", &[]);
    let first = editor.open(&server);
    let export = server.get(&format!("/api/workers/{first}/export?format=jsonl")).expect(200).text();
    let headers = [("Content-Type", "application/x-ndjson")];
    for _ in 1..SESSIONS_MAX {
        let made = server.client.request("POST", "/api/import", &headers, export.as_bytes()).expect(201).json();
        editor.request("session/resume", json!({"sessionId": made["id"], "cwd": server.project(), "mcpServers": []}));
    }
    let count = || server.get("/api/workers").expect(200).json()["workers"].as_array().unwrap().len();
    assert_eq!(count(), SESSIONS_MAX);
    let id = editor.begin("session/new", json!({"cwd": server.project(), "mcpServers": []}));
    let refused = editor.wait_for(|message| message["id"] == id);
    assert!(refused["error"]["message"].as_str().unwrap().contains("256 sessions at most"), "{refused}");
    assert_eq!(count(), SESSIONS_MAX);
}
