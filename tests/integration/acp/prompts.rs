//! Permissions, questions and cancellation, with several editors.

use serde_json::{Value, json};

use super::{Editor, server};
use crate::support::server::TestServer;
use crate::support::workers::TestWorker;

/// Two editors on one session, and a prompt of the first that waits for a permission: its id.
fn asking(server: &TestServer) -> (Editor, Editor, String, u64) {
    let mut first = Editor::connect(server, "", &[]);
    let session = first.open(server);
    let mut second = Editor::connect(server, "", &[]);
    second.request("session/resume", json!({"sessionId": session, "cwd": server.project(), "mcpServers": []}));
    let id = first.begin_prompt(&session, "permission Bash {\"command\":\"ls\"}");
    (first, second, session, id)
}

fn selected(request: &Value, kind: &str) -> Value {
    let options = request["params"]["options"].as_array().unwrap();
    let option = options.iter().find(|option| option["kind"] == kind).unwrap();
    json!({"outcome": {"outcome": "selected", "optionId": option["optionId"]}})
}

#[test]
fn permission_is_asked_of_all_and_withdrawn_when_answered() {
    let server = server();
    let (mut first, mut second, session, id) = asking(&server);
    let request = first.wait_request("session/request_permission");
    assert_eq!(request["params"]["sessionId"], session);
    assert_eq!(request["params"]["toolCall"]["rawInput"], json!({"command": "ls"}));
    assert_eq!(request["params"]["toolCall"]["toolCallId"], first.updates("tool_call")[0]["toolCallId"]);
    let other = second.wait_request("session/request_permission");
    second.answer(&other, selected(&other, "allow_once"));
    let withdrawn = first.wait_request("$/cancel_request");
    assert_eq!(withdrawn["params"]["requestId"], request["id"]);
    assert_eq!(first.wait_response(id)["result"]["stopReason"], "end_turn");
    assert!(first.text("agent_message_chunk").starts_with("allowed: "));
    second.wait_for(|message| message["params"]["update"]["sessionUpdate"] == "agent_message_chunk");
    assert!(!second.log.iter().any(|entry| entry["message"]["method"] == "$/cancel_request"), "it answered itself");
    // An answer that comes too late changes nothing.
    first.answer(&request, selected(&request, "reject_once"));
    assert_eq!(first.prompt(&session, "echo fine"), "end_turn");
    first.check_schema();
    second.check_schema();
}

#[test]
fn permission_answered_in_the_inbox_is_withdrawn_in_editors() {
    let server = server();
    let (mut first, mut second, session, id) = asking(&server);
    let request = first.wait_request("session/request_permission");
    second.wait_request("session/request_permission");
    let worker = TestWorker { id: session };
    let prompt = worker.wait_prompt(&server);
    worker.answer(&server, &prompt, &json!({"option_id": "deny"})).expect(200);
    assert_eq!(first.wait_request("$/cancel_request")["params"]["requestId"], request["id"]);
    second.wait_request("$/cancel_request");
    assert_eq!(first.wait_response(id)["result"]["stopReason"], "end_turn");
}

#[test]
fn open_permission_is_asked_of_editors_that_come_later() {
    let server = server();
    let (mut first, _second, session, id) = asking(&server);
    first.wait_request("session/request_permission");
    let mut late = Editor::connect(&server, "", &[]);
    late.request("session/load", json!({"sessionId": session, "cwd": server.project(), "mcpServers": []}));
    let request = late.wait_request("session/request_permission");
    // A dismissed dialog decides nothing.
    late.answer(&request, json!({"outcome": {"outcome": "cancelled"}}));
    let worker = TestWorker { id: session.clone() };
    worker.wait_status(&server, "waiting");
    first.notify("session/cancel", json!({"sessionId": session}));
    assert_eq!(first.wait_response(id)["result"]["stopReason"], "cancelled");
    late.check_schema();
}

#[test]
fn queued_prompt_is_answered_after_its_own_turn() {
    let server = server();
    let mut editor = Editor::connect(&server, "", &[]);
    let session = editor.open(&server);
    let first = editor.begin_prompt(&session, "deltas 10 50");
    let second = editor.begin_prompt(&session, "echo second");
    assert_eq!(editor.wait_response(first)["result"]["stopReason"], "end_turn");
    assert!(!editor.text("agent_message_chunk").contains("second"));
    assert_eq!(editor.wait_response(second)["result"]["stopReason"], "end_turn");
    assert!(editor.text("agent_message_chunk").ends_with("second"));
}

#[test]
fn cancel_takes_back_own_queued_prompt_and_spares_others() {
    let server = server();
    let mut first = Editor::connect(&server, "", &[]);
    let session = first.open(&server);
    let mut second = Editor::connect(&server, "", &[]);
    second.request("session/resume", json!({"sessionId": session, "cwd": server.project(), "mcpServers": []}));
    let running = first.begin_prompt(&session, "hang");
    let worker = TestWorker { id: session.clone() };
    worker.wait_status(&server, "busy");
    let queued = second.begin_prompt(&session, "echo never");
    worker.wait_event(&server, "message_state", 2);
    second.notify("$/cancel_request", json!({"requestId": queued}));
    assert_eq!(second.wait_response(queued)["result"]["stopReason"], "cancelled");
    worker.wait_status(&server, "busy");
    second.notify("session/cancel", json!({"sessionId": session}));
    assert_eq!(first.wait_response(running)["result"]["stopReason"], "cancelled");
    first.check_schema();
}

#[test]
fn failed_turn_is_an_error_with_its_words() {
    let server = server();
    let mut editor = Editor::connect(&server, "", &[]);
    let session = editor.open(&server);
    let id = editor.begin_prompt(&session, "fail the model is out");
    let response = editor.wait_response(id);
    assert_eq!(response["error"]["code"], -32603);
    assert!(response["error"]["message"].as_str().unwrap().contains("the model is out"), "{response}");
    let id = editor.begin_prompt(&session, "exit 3");
    assert_eq!(editor.wait_response(id)["error"]["code"], -32603);
    editor.check_schema();
}
