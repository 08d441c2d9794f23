//! Updates and methods that few agents send, and what agents add of their own.

use serde_json::{Value, json};

use super::fold::say;
use super::{Agent as _, gemini, opencode, ready, started};
use crate::adapter::Activity;
use crate::adapter::acp::{AcpSession, Dialect};
use crate::adapter::testing::recorded::{OwnedRecord, TestFold};
use crate::journal::{Control, WorkerOptions};

fn done(told: &mut TestFold, id: &Value) {
    told.out(&json!({"jsonrpc": "2.0", "id": id, "result": {"stopReason": "end_turn"}}));
}

fn chunk(text: &str) -> Value {
    json!({"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": text}})
}

fn texts(events: &[Value]) -> Vec<(&str, &str)> {
    events.iter().map(|event| (event["type"].as_str().unwrap(), event["content"].as_str().unwrap())).collect()
}

#[test]
fn notices_of_an_agent_are_events_by_their_severity() {
    let mut told = ready();
    told.update(
        json!({"sessionUpdate": "notice", "severity": "warning", "title": "Low on quota", "description": "3 left"}),
    );
    told.update(json!({"sessionUpdate": "notice", "severity": "error", "message": "No more"}));
    told.update(json!({"sessionUpdate": "notice", "severity": "info", "title": "Fine"}));
    let events = told.take_events();
    assert_eq!(texts(&events), [("notice", "Low on quota\n3 left"), ("error", "No more"), ("notice", "Fine")]);
    assert_eq!(events[0]["code"], "agent_warning");
}

#[test]
fn compactions_of_an_agent_are_notices_with_their_summary() {
    let mut told = ready();
    let update = |status: &str| json!({"sessionUpdate": "compaction_update", "compactionId": "c", "status": status});
    told.update(update("in_progress"));
    for piece in ["the ", "sum"] {
        told.update(json!({"sessionUpdate": "compaction_summary_chunk", "compactionId": "c",
            "content": {"type": "text", "text": piece}}));
        told.save_and_restore();
    }
    told.update(update("completed"));
    let mut failed = update("failed");
    failed["error"] = json!("too long");
    told.update(failed);
    let events = told.take_events();
    let codes: Vec<&str> = events.iter().map(|event| event["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["compacting", "compacted", "compact_failed"]);
    assert_eq!(events[1]["content"], "The conversation was compacted: the sum");
    assert!(events[2]["content"].as_str().unwrap().ends_with("too long"));
}

#[test]
fn unstable_updates_are_events_of_their_kind() {
    let mut told = ready();
    told.update(json!({"sessionUpdate": "plan_update", "plan": {"type": "items", "planId": "p",
        "entries": [{"content": "one", "priority": "high", "status": "pending"}]}}));
    told.update(
        json!({"sessionUpdate": "plan_update", "plan": {"type": "markdown", "planId": "p", "content": "# Plan"}}),
    );
    told.update(json!({"sessionUpdate": "plan_removed", "planId": "p"}));
    told.update(json!({"sessionUpdate": "subagent_update", "sessionId": "c1", "title": "Search", "state": {"state": "running"}}));
    for text in ["to ", "you"] {
        told.update(json!({"sessionUpdate": "session_message_chunk", "messageId": "m", "content": {"type": "text", "text": text}}));
    }
    told.update(
        json!({"sessionUpdate": "agent_message", "messageId": "x", "content": [{"type": "text", "text": "whole"}]}),
    );
    told.out(&json!({"jsonrpc": "2.0", "method": "auth/status_update", "params": {"state": "authenticated"}}));
    told.out(&json!({"jsonrpc": "2.0", "method": "auth/status_update", "params": {"state": "unauthenticated"}}));
    let events = told.take_events();
    let types: Vec<&str> = texts(&events).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(types, ["plan", "notice", "plan", "notice", "notice", "assistant", "error"]);
    assert_eq!(events[3]["content"], "Sub-agent Search: running");
    assert_eq!((&events[4]["code"], &events[4]["content"]), (&json!("session_message"), &json!("to you")));
    assert_eq!(events[5]["content"], "whole");
}

#[test]
fn additions_of_an_agent_are_ignored_and_its_requests_declined() {
    let mut told = ready();
    told.update(json!({"sessionUpdate": "_vendor_thing", "x": 1}));
    for method in ["_vendor/notice", "qwen/notify/session/prompt-suggestion"] {
        told.out(&json!({"jsonrpc": "2.0", "method": method, "params": {}}));
    }
    for (id, method) in [(7, "_vendor/ask"), (8, "craft/drainMidTurnQueue")] {
        told.out(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": {}}));
    }
    assert!(told.take_events().is_empty());
    let declined = told.write_due();
    let codes: Vec<&Value> = declined.iter().map(|line| &line["error"]["code"]).collect();
    assert_eq!(codes, [&json!(-32601), &json!(-32601)]);
    told.out(&json!({"jsonrpc": "2.0", "method": "session/strange", "params": {}}));
    assert_eq!(told.types(), ["unknown"], "a method of the protocol's own is told");
}

#[test]
fn later_title_or_name_mends_the_name_of_a_tool() {
    let mut told = ready();
    say(&mut told, "go");
    told.take_events();
    let call = |title: &str| json!({"sessionUpdate": "tool_call", "toolCallId": "t", "title": title, "kind": "edit"});
    told.update(call("Preparing file…"));
    told.update(call("Write x.txt"));
    let mut named = call("Write x.txt");
    named["_meta"] = json!({"vendor": {"toolName": "Write"}});
    told.update(named);
    let events = told.take_events();
    let calls: Vec<&Value> = events.iter().filter(|event| event["type"] == "tool_call").collect();
    let names: Vec<&str> = calls.iter().map(|call| call["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["edit", "edit", "Write"]);
    assert_eq!(calls[2]["content"], "Write: Write x.txt");
}

#[test]
fn single_word_that_the_input_repeats_is_not_a_name() {
    let mut told = ready();
    say(&mut told, "go");
    told.take_events();
    told.update(json!({"sessionUpdate": "tool_call", "toolCallId": "t", "title": "ls", "kind": "execute",
        "rawInput": {"command": ["/bin/sh", "-c", "ls"]}}));
    let call = told.take_events().pop().unwrap();
    assert_eq!((&call["name"], &call["content"]), (&json!("execute"), &json!("execute: ls")));
}

#[test]
fn gemini_repeats_its_mode_as_text_which_is_no_answer() {
    let mut told = started(&gemini(), WorkerOptions::default(), None);
    told.answer_due(&super::fold::able(), None);
    let modes = json!([{"id": "default", "name": "D"}, {"id": "autoEdit", "name": "A"}]);
    told.answer_due(&json!({"sessionId": "s1", "modes": {"currentModeId": "default", "availableModes": modes}}), None);
    told.update(json!({"sessionUpdate": "available_commands_update", "availableCommands": []}));
    told.take_events();
    told.update(chunk("[MODE_UPDATE] autoEdit"));
    let events = told.take_events();
    assert_eq!((events.len(), &events[0]["permission_mode"]), (1, &json!("autoEdit")));
    told.update(chunk("[MODE_UPDATE] of my own"));
    assert_eq!(told.types(), ["delta"], "other words are words");
}

#[test]
fn tokens_beside_pieces_of_text_are_those_of_the_turn() {
    let mut told = ready();
    let id = say(&mut told, "go");
    for _ in 0..2 {
        let mut piece = chunk("");
        piece["_meta"] = json!({"usage": {"inputTokens": 10, "outputTokens": 2, "cachedReadTokens": 4}});
        told.update(piece);
    }
    done(&mut told, &id);
    let turn = told.take_events().pop().unwrap();
    let usage = json!({"input_tokens": 12, "output_tokens": 4, "cache_read_tokens": 8, "cache_write_tokens": 0});
    assert_eq!(turn["usage"], usage);
}

#[test]
fn text_after_the_end_of_a_turn_is_told_when_the_agent_is_quiet() {
    let mut told = ready();
    let id = say(&mut told, "one");
    done(&mut told, &id);
    told.take_events();
    for piece in ["and ", "later"] {
        told.update(chunk(piece));
    }
    assert_eq!(told.types(), ["delta", "delta"]);
    assert!(told.session.holds_text() && told.session.activity() == Activity::Idle);
    told.save_and_restore();
    told.take(&OwnedRecord::control(&Control::Quiet {}));
    let events = told.take_events();
    assert_eq!(texts(&events), [("assistant", "and later")]);
    assert!(!told.session.holds_text());
}

#[test]
fn text_after_the_end_of_a_turn_stands_before_the_next_message() {
    let mut told = ready();
    told.update(chunk("later"));
    told.take_events();
    told.take(&OwnedRecord::control(&Control::MessageDelivered {
        message_id: "m2".to_owned(),
        client_message_id: None,
        content: "two".to_owned(),
        attachments: Vec::new(),
    }));
    assert_eq!(told.types(), ["assistant"]);
}

#[test]
fn adapter_file_names_the_mode_to_begin_with() {
    let dialect = Dialect { permission_mode: Some("ask".to_owned()), ..Dialect::default() };
    let mut told = started(&opencode(), WorkerOptions::default(), None);
    told.session = Box::new(AcpSession::open(dialect.into()));
    told.take(&OwnedRecord::created("acp", WorkerOptions::default()));
    told.take(&OwnedRecord::launching(None));
    told.take(&OwnedRecord::started());
    let mut written = Vec::new();
    for result in [super::fold::able(), json!({"sessionId": "s1", "modes": {"currentModeId": "yolo"}}), json!({})] {
        let line = told.write_due().remove(0);
        told.out(&json!({"jsonrpc": "2.0", "id": line["id"], "result": result}));
        written.push(line);
    }
    assert_eq!((&written[2]["method"], &written[2]["params"]["modeId"]), (&json!("session/set_mode"), &json!("ask")));
    assert_eq!(told.session.activity(), Activity::Idle);
}

#[test]
fn only_the_agent_knows_whether_it_can_fork() {
    let mut told = started(&opencode(), WorkerOptions::default(), None);
    assert_eq!(told.session.can_fork(), None);
    told.answer_due(&json!({"protocolVersion": 1, "agentCapabilities": {"sessionCapabilities": {}}}), None);
    assert_eq!(told.session.can_fork(), Some(false));
    told.take(&OwnedRecord::exited());
    assert_eq!(told.session.can_fork(), Some(false), "a stopped agent has said so too");
    assert_eq!(ready().session.can_fork(), Some(true));
}
