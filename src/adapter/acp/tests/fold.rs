//! Promises that no recording shows, or that are worth saying in words.

use serde_json::{Value, json};

use super::{Agent as _, gemini, opencode, ready, started};
use crate::adapter::acp::state::MESSAGE_BYTES_MAX;
use crate::adapter::testing::recorded::{OwnedRecord, TestFold};
use crate::adapter::{Action, Activity, Command, Message};
use crate::journal::{By, Control, Kind, WorkerOptions};

/// The answer of a capable agent to `initialize`.
pub(super) fn able() -> Value {
    json!({"protocolVersion": 1, "agentCapabilities": {"loadSession": true,
        "promptCapabilities": {"image": true, "embeddedContext": true}, "sessionCapabilities": {"resume": {}, "fork": {}}},
        "authMethods": [{"id": "login", "name": "Login", "description": "Run `agent login`"}]})
}

fn chunk(text: &str) -> Value {
    json!({"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": text}})
}

/// Sends a message and returns its request's id.
pub(super) fn say(reported: &mut TestFold, text: &str) -> Value {
    let message = Message { id: "m1", content: text, attachments: &[] };
    let action = reported.session.encode(&Command::Message(&message)).unwrap();
    let written = reported.wrote_all(Some(action));
    assert_eq!(written[0]["method"], "session/prompt");
    written[0]["id"].clone()
}

fn done(reported: &mut TestFold, id: &Value) {
    reported.out(&json!({"jsonrpc": "2.0", "id": id, "result": {"stopReason": "end_turn"}}));
}

pub(super) fn ask(reported: &mut TestFold, id: u64, call: &str) {
    let options = json!([{"optionId": "a", "name": "Yes", "kind": "allow_once"},
        {"optionId": "b", "name": "Always", "kind": "allow_always"}, {"optionId": "c", "name": "No", "kind": "reject_once"}]);
    let call = json!({"toolCallId": call, "title": "rm x", "kind": "execute", "rawInput": {"command": "rm x"}});
    reported.out(&json!({"jsonrpc": "2.0", "id": id, "method": "session/request_permission",
        "params": {"sessionId": "s1", "toolCall": call, "options": options}}));
}

#[test]
fn handshake_opens_a_session_with_each_step_due_until_written() {
    let mut reported = TestFold::ticking(&opencode());
    assert_eq!(reported.session.due(), None, "nothing runs");
    reported = started(&opencode(), WorkerOptions::default(), None);
    let first = reported.answer_due(&able(), None);
    assert_eq!((&first["method"], &first["params"]["protocolVersion"]), (&json!("initialize"), &json!(1)));
    assert_eq!(reported.session.activity(), Activity::Starting);
    let second = reported.answer_due(&json!({"sessionId": "s1"}), None);
    assert_eq!(second["method"], "session/new");
    assert_eq!(second["params"], json!({"cwd": "/project", "mcpServers": []}));
    assert_eq!((reported.session.activity(), reported.session.due()), (Activity::Idle, None));
    assert_eq!(reported.types(), ["session"]);
}

#[test]
fn requested_mode_and_model_are_set_before_it_is_ready() {
    let mode = Some("plan".to_owned());
    let options = WorkerOptions { permission_mode: mode, model: Some("m".to_owned()), ..WorkerOptions::default() };
    let mut reported = started(&gemini(), options, None);
    reported.answer_due(&able(), None);
    reported.answer_due(&json!({"sessionId": "s1", "modes": {"currentModeId": "default", "availableModes": []}}), None);
    assert_eq!(reported.session.activity(), Activity::Starting);
    let set = reported.answer_due(&json!({}), None);
    assert_eq!((&set["method"], &set["params"]["modeId"]), (&json!("session/set_mode"), &json!("plan")));
    assert_eq!(
        (reported.session.activity(), reported.session.due()),
        (Activity::Idle, None),
        "its model is on its command line"
    );
    let mut events = reported.take_events();
    assert_eq!(events.pop().unwrap()["state"], "applied");
    assert_eq!(events.pop().unwrap()["permission_mode"], "plan");
}

#[test]
fn refused_mode_is_reported_and_the_worker_becomes_ready() {
    let options = WorkerOptions { permission_mode: Some("plan".to_owned()), ..WorkerOptions::default() };
    let mut reported = started(&opencode(), options, None);
    reported.answer_due(&able(), None);
    reported.answer_due(&json!({"sessionId": "s1"}), None);
    reported.answer_due(&Value::Null, Some(&json!({"code": -32602, "message": "no such mode"})));
    assert_eq!(reported.session.activity(), Activity::Idle);
    let mut events = reported.take_events();
    assert_eq!(events.pop().unwrap()["state"], "refused");
    let error = events.pop().unwrap();
    assert_eq!(error["code"], "request_refused");
    assert!(error["content"].as_str().unwrap().contains("no such mode"));
}

#[test]
fn session_of_this_journal_is_taken_up_without_its_history() {
    let mut reported = ready();
    let id = say(&mut reported, "hi");
    done(&mut reported, &id);
    reported.take(&OwnedRecord::exited());
    reported.take(&OwnedRecord::launching(Some("s1")));
    reported.take(&OwnedRecord::started());
    reported.answer_due(&able(), None);
    let resumed = reported.answer_due(&json!({}), None);
    assert_eq!((&resumed["method"], &resumed["params"]["sessionId"]), (&json!("session/resume"), &json!("s1")));
    reported.take(&OwnedRecord::exited());
    reported.take(&OwnedRecord::launching(Some("s1")));
    reported.take(&OwnedRecord::started());
    reported.take_events();
    // Another version that can only load: what it repeats is in the journal already.
    reported.answer_due(&json!({"protocolVersion": 1, "agentCapabilities": {"loadSession": true}}), None);
    let written = reported.write_due();
    assert_eq!(written[0]["method"], "session/load");
    reported.update(json!({"sessionUpdate": "user_message_chunk", "content": {"type": "text", "text": "hi"}}));
    reported.update(chunk("old"));
    reported.out(&json!({"jsonrpc": "2.0", "id": written[0]["id"], "result": {}}));
    assert_eq!(reported.types(), ["session"]);
}

#[test]
fn a_session_from_elsewhere_is_loaded_with_its_history() {
    let options = WorkerOptions { resume_session: Some("other".to_owned()), ..WorkerOptions::default() };
    let mut reported = started(&opencode(), options, Some("other"));
    reported.answer_due(&able(), None);
    let written = reported.write_due();
    assert_eq!(written[0]["method"], "session/load");
    reported.update(json!({"sessionUpdate": "user_message_chunk", "content": {"type": "text", "text": "hi"}}));
    reported.save_and_restore();
    reported.update(chunk("old"));
    reported.update(
        json!({"sessionUpdate": "usage_update", "used": 1, "size": 2, "cost": {"amount": 3.0, "currency": "USD"}}),
    );
    reported.out(&json!({"jsonrpc": "2.0", "id": written[0]["id"], "result": {}}));
    let events = reported.take_events();
    let types: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["user", "usage", "session", "assistant"], "and no deltas");
    assert_eq!(events[2]["session_id"], "other");
    let id = say(&mut reported, "more");
    reported.update(
        json!({"sessionUpdate": "usage_update", "used": 2, "size": 2, "cost": {"amount": 3.5, "currency": "USD"}}),
    );
    done(&mut reported, &id);
    assert_eq!(reported.take_events().last().unwrap()["cost_usd"], 0.5, "what it had cost before is not this turn's");
}

#[test]
fn history_that_comes_after_the_answer_is_waited_for() {
    let mut reported = started(&gemini(), WorkerOptions::default(), Some("s0"));
    reported.answer_due(&json!({"protocolVersion": 1, "agentCapabilities": {"loadSession": true}}), None);
    reported.answer_due(&json!({}), None);
    reported.update(chunk("old"));
    assert_eq!(reported.session.activity(), Activity::Starting);
    reported.save_and_restore();
    reported.update(json!({"sessionUpdate": "available_commands_update", "availableCommands": []}));
    assert_eq!(reported.session.activity(), Activity::Idle);
    assert_eq!(reported.types(), ["session", "session", "assistant"]);
}

#[test]
fn session_that_cannot_resume_is_replaced_and_reported() {
    let mut reported = started(&gemini(), WorkerOptions::default(), Some("s0"));
    reported.answer_due(&json!({"protocolVersion": 1, "agentCapabilities": {"loadSession": true}}), None);
    let error = json!({"code": -32603, "message": "Internal error", "data": {"details": "Invalid session\nmore"}});
    reported.answer_due(&Value::Null, Some(&error));
    let events = reported.take_events();
    assert_eq!(events[0]["code"], "session_not_found");
    assert!(events[0]["content"].as_str().unwrap().contains("(Invalid session)"));
    let new = reported.answer_due(&json!({"sessionId": "s2"}), None);
    assert_eq!((&new["method"], reported.session.activity()), (&json!("session/new"), Activity::Idle));

    let mut reported = started(&gemini(), WorkerOptions::default(), Some("s0"));
    reported.answer_due(&json!({"protocolVersion": 1}), None);
    assert_eq!(reported.answer_due(&json!({"sessionId": "s2"}), None)["method"], "session/new", "it loads none");
    assert_eq!(reported.types(), ["error", "session"]);
}

#[test]
fn a_fork_begins_as_a_copy() {
    let resume_session = Some("from".to_owned());
    let options = WorkerOptions { resume_session, fork: true, ..WorkerOptions::default() };
    let mut reported = started(&opencode(), options, None);
    reported.answer_due(&able(), None);
    let fork = reported.answer_due(&json!({"sessionId": "s2"}), None);
    assert_eq!((&fork["method"], &fork["params"]["sessionId"]), (&json!("session/fork"), &json!("from")));
    assert_eq!(reported.take_events()[0]["session_id"], "s2");
}

#[test]
fn agent_without_login_is_ended_and_says_what_to_do() {
    let mut reported = started(&opencode(), WorkerOptions::default(), None);
    reported.answer_due(&able(), None);
    reported.answer_due(&Value::Null, Some(&json!({"code": -32000, "message": "Authentication required"})));
    let error = reported.take_events().pop().unwrap();
    let text = error["content"].as_str().unwrap();
    assert_eq!(error["code"], "authentication_failed");
    assert!(text.contains("OPENCODE_API_KEY") && text.contains("Run `agent login`"), "{text}");
    assert!(text.ends_with("start the worker again. It offers: Login (Run `agent login`)."), "whole sentences: {text}");
    assert_eq!(reported.session.due(), Some(Action::Signal(15)));
    reported.take(&OwnedRecord::exited());
    reported.take(&OwnedRecord::started());
    assert!(matches!(reported.session.due(), Some(Action::Write(_))), "the next start tries again");
}

#[test]
fn another_version_of_the_protocol_is_refused_in_words() {
    let mut reported = started(&opencode(), WorkerOptions::default(), None);
    reported.answer_due(&json!({"protocolVersion": 2}), None);
    assert_eq!(reported.take_events()[0]["code"], "protocol_version");
    assert!(matches!(reported.session.due(), Some(Action::Signal(_))));
}

#[test]
fn a_message_ends_when_something_else_follows() {
    let mut reported = ready();
    let id = say(&mut reported, "hi");
    reported.update(json!({"sessionUpdate": "agent_thought_chunk", "content": {"type": "text", "text": "hm"}}));
    reported.update(chunk("a"));
    reported.save_and_restore();
    reported.update(chunk("b"));
    reported.update(json!({"sessionUpdate": "usage_update", "used": 1, "size": 2}));
    reported.update(chunk("c"));
    reported.update(
        json!({"sessionUpdate": "plan", "entries": [{"content": "p", "priority": "high", "status": "pending"}]}),
    );
    reported.update(chunk("d"));
    done(&mut reported, &id);
    let events = reported.take_events();
    let reported: Vec<String> = events
        .iter()
        .filter(|event| ["thinking", "assistant", "plan"].contains(&event["type"].as_str().unwrap()))
        .map(|event| format!("{}:{}", event["type"].as_str().unwrap(), event["content"].as_str().unwrap()))
        .collect();
    assert_eq!(reported, ["thinking:hm", "assistant:abc", "plan:p", "assistant:d"]);
    let states: Vec<_> = events.iter().filter(|event| event["type"] == "message_state").collect();
    assert_eq!((states.len(), &states[0]["state"], &states[0]["message_id"]), (1, &json!("consumed"), &json!("m1")));
}

#[test]
fn interrupt_without_an_answer_ends_its_turn_as_interrupted() {
    let mut reported = ready();
    for (text, interrupts, expected) in
        [(None, true, "interrupted"), (Some("All done"), true, "end_turn"), (None, false, "end_turn")]
    {
        let id = say(&mut reported, "hi");
        if let Some(text) = text {
            reported.update(chunk(text));
        }
        if interrupts {
            let action = reported.session.encode(&Command::Interrupt).unwrap();
            reported.wrote_all(Some(action));
        }
        reported.save_and_restore();
        done(&mut reported, &id);
        let end = reported.take_events().pop().unwrap();
        assert_eq!((&end["type"], &end["stop_reason"]), (&json!("turn_completed"), &json!(expected)));
    }
}

#[test]
fn message_cut_off_by_its_process_is_reported_so_far() {
    let mut reported = ready();
    say(&mut reported, "hi");
    reported.update(chunk("so f"));
    reported.save_and_restore();
    reported.take(&OwnedRecord::exited());
    let events = reported.take_events();
    let last = &events[events.len() - 2..];
    assert_eq!((&last[0]["type"], &last[0]["content"]), (&json!("assistant"), &json!("so f")));
    assert_eq!((&last[1]["stop_reason"], &last[1]["is_error"]), (&json!("process_ended"), &json!(true)));
}

#[test]
fn long_message_is_reported_in_parts_with_bounded_state() {
    let mut reported = ready();
    let id = say(&mut reported, "hi");
    let piece = "é".repeat(MESSAGE_BYTES_MAX / 3);
    for _ in 0..10 {
        reported.update(chunk(&piece));
        assert!(reported.session.save().to_string().len() < MESSAGE_BYTES_MAX + 8_192);
    }
    done(&mut reported, &id);
    let events = reported.take_events();
    let parts: Vec<_> = events.iter().filter(|event| event["type"] == "assistant").collect();
    let whole: String = parts.iter().map(|event| event["content"].as_str().unwrap()).collect();
    assert_eq!(whole, piece.repeat(10));
    assert!(parts.len() > 1 && parts.iter().all(|part| part["message_id"] == parts[0]["message_id"]));
}

#[test]
fn content_that_comes_before_the_result_is_kept_for_it() {
    let mut reported = ready();
    say(&mut reported, "hi");
    let content = json!([{"type": "content", "content": {"type": "text", "text": "out"}},
        {"type": "diff", "path": "/project/a", "oldText": "x\n", "newText": "y\n"}]);
    reported.update(
        json!({"sessionUpdate": "tool_call", "toolCallId": "t", "title": "edit", "kind": "edit", "status": "pending"}),
    );
    reported.update(json!({"sessionUpdate": "tool_call_update", "toolCallId": "t", "content": content}));
    reported.save_and_restore();
    reported.update(json!({"sessionUpdate": "tool_call_update", "toolCallId": "t", "status": "completed"}));
    let result = reported.take_events().pop().unwrap();
    assert_eq!((&result["type"], &result["content"]), (&json!("tool_result"), &json!("out")));
    assert_eq!(result["diff"][0]["diff"], "--- a/project/a\n+++ b/project/a\n@@ -1,1 +1,1 @@\n-x\n+y\n");
}

#[test]
fn prompts_of_another_process_have_other_ids() {
    let mut reported = ready();
    say(&mut reported, "hi");
    ask(&mut reported, 0, "t");
    let first = reported.take_events().pop().unwrap()["request_id"].clone();
    reported.take(&OwnedRecord::exited());
    reported.take(&OwnedRecord::started());
    ask(&mut reported, 0, "t");
    assert_ne!(reported.take_events().pop().unwrap()["request_id"], first);
}

#[test]
fn a_prompt_is_open_until_its_answer_was_written() {
    let mut reported = ready();
    let id = say(&mut reported, "hi");
    ask(&mut reported, 0, "t");
    let events = reported.take_events();
    let types: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["turn_started", "message_state", "tool_call", "permission_request"]);
    let request_id = events[3]["request_id"].as_str().unwrap().to_owned();
    reported.save_and_restore();
    let answer = crate::adapter::PermissionAnswer { option_id: "deny".to_owned(), ..Default::default() };
    let command = Command::Permission { request_id: &request_id, answer: &answer };
    let action = reported.session.encode(&command).unwrap();
    reported.take(&OwnedRecord::control(&Control::PermissionAnswered {
        request_id: request_id.clone(),
        decision: "c".to_owned(),
        message: None,
        answers: None,
        updated_input: None,
        by: By::User,
        rule: None,
    }));
    let written = reported.wrote_all(Some(action));
    assert_eq!(
        written[0],
        json!({"jsonrpc": "2.0", "id": 0, "result": {"outcome": {"outcome": "selected", "optionId": "c"}}})
    );
    assert!(reported.take_events().is_empty(), "the worker's own state tells of the answer");
    assert!(reported.session.encode(&command).is_err(), "a prompt is answered once");
    done(&mut reported, &id);
    assert_eq!(reported.take_events()[0]["content"], "It was not allowed.");
}

#[test]
fn prompts_that_a_turn_leaves_open_are_closed_with_it() {
    let mut reported = ready();
    let id = say(&mut reported, "hi");
    ask(&mut reported, 0, "t");
    ask(&mut reported, 1, "u");
    reported.take_events();
    reported.out(&json!({"jsonrpc": "2.0", "method": "$/cancel_request", "params": {"requestId": 1}}));
    assert_eq!(reported.types(), ["permission_resolved"]);
    done(&mut reported, &id);
    assert_eq!(reported.types(), ["tool_result", "tool_result", "permission_resolved", "turn_completed"]);
}

#[test]
fn unsupported_agent_requests_are_declined_at_once() {
    let mut reported = ready();
    reported.out(&json!({"jsonrpc": "2.0", "id": 7, "method": "fs/read_text_file", "params": {"path": "/x"}}));
    reported.out(&json!({"jsonrpc": "2.0", "id": "x", "method": "terminal/create", "params": {}}));
    assert_eq!(reported.types(), ["unknown", "error"]);
    reported.save_and_restore();
    let written = reported.write_due();
    let ids: Vec<_> = written.iter().map(|line| (line["id"].clone(), line["error"]["code"].clone())).collect();
    assert_eq!(ids, [(json!(7), json!(-32601)), (json!("x"), json!(-32601))]);
    assert_eq!(reported.session.due(), None);
}

#[test]
fn lines_outside_the_protocol_are_forwarded() {
    let mut reported = ready();
    reported.take(&OwnedRecord::new(Kind::Out, "LoadedAdapters cached credentials."));
    reported.out(&json!({"jsonrpc": "2.0", "method": "session/thing", "params": {}}));
    reported.update(json!({"sessionUpdate": "vendor_update", "x": 1}));
    reported.out(&json!({"jsonrpc": "2.0", "id": 99, "result": {}}));
    reported.out(&json!([1]));
    assert_eq!(reported.types(), ["unknown"; 5]);
    reported.take(&OwnedRecord::new(Kind::Out, " "));
    assert!(reported.types().is_empty());
}

#[test]
fn files_are_served_one_by_one_to_agents_without_access() {
    let file = json!({"type": "x", "family": "acp", "command": ["p"], "client_files": true});
    let declared =
        crate::adapter::declared::DeclaredAdapter::parse(file.to_string().as_bytes(), std::path::Path::new("/x.json"));
    let adapter: std::sync::Arc<dyn crate::adapter::Adapter> = std::sync::Arc::new(declared.unwrap());
    let mut reported = started(&adapter, WorkerOptions::default(), None);
    let first = reported.answer_due(&able(), None);
    assert_eq!(first["params"]["clientCapabilities"]["fs"], json!({"readTextFile": true, "writeTextFile": true}));
    reported.answer_due(&json!({"sessionId": "s1"}), None);
    reported.take_events();
    let read =
        json!({"jsonrpc": "2.0", "id": 3, "method": "fs/read_text_file", "params": {"path": "/project/a", "line": 2}});
    let (seq, line) = (reported.seq, read.to_string());
    reported.out(&read);
    reported.out(
        &json!({"jsonrpc": "2.0", "id": 4, "method": "fs/write_text_file", "params": {"path": "/a", "content": "x"}}),
    );
    reported.save_and_restore();
    assert_eq!(reported.session.due(), Some(Action::Serve(seq)));
    let request = reported.session.file_request(line.as_bytes()).unwrap();
    assert_eq!(request.access, crate::adapter::FileAccess::Read { line: Some(2), limit: None });
    let answer = reported.session.file_answer(line.as_bytes(), Ok(Some("text".to_owned()))).unwrap();
    assert_eq!(reported.wrote_all(Some(Action::Write(vec![answer])))[0]["result"]["content"], "text");
    assert!(matches!(reported.session.due(), Some(Action::Serve(other)) if other != seq));
    let refused = reported.session.file_answer(br#"{"id":4}"#, Err("not in the project".to_owned())).unwrap();
    assert_eq!(reported.wrote_all(Some(Action::Write(vec![refused])))[0]["error"]["message"], "not in the project");
    assert_eq!(reported.session.due(), None);
    assert!(reported.types().is_empty());
}
