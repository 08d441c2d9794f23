//! Updates and methods that few agents send, and what agents add of their own.

use serde_json::{Value, json};

use super::fold::say;
use super::{Agent as _, gemini, opencode, ready, started};
use crate::adapter::Activity;
use crate::adapter::acp::{AcpSession, Dialect};
use crate::adapter::testing::recorded::{OwnedRecord, TestFold};
use crate::journal::{Control, WorkerOptions};

fn done(reported: &mut TestFold, id: &Value) {
    reported.out(&json!({"jsonrpc": "2.0", "id": id, "result": {"stopReason": "end_turn"}}));
}

fn chunk(text: &str) -> Value {
    json!({"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": text}})
}

fn texts(events: &[Value]) -> Vec<(&str, &str)> {
    events.iter().map(|event| (event["type"].as_str().unwrap(), event["content"].as_str().unwrap())).collect()
}

#[test]
fn notices_of_an_agent_are_events_by_their_severity() {
    let mut reported = ready();
    reported.update(
        json!({"sessionUpdate": "notice", "severity": "warning", "title": "Low on quota", "description": "3 left"}),
    );
    reported.update(json!({"sessionUpdate": "notice", "severity": "error", "message": "No more"}));
    reported.update(json!({"sessionUpdate": "notice", "severity": "info", "title": "Fine"}));
    let events = reported.take_events();
    assert_eq!(texts(&events), [("notice", "Low on quota\n3 left"), ("error", "No more"), ("notice", "Fine")]);
    assert_eq!(events[0]["code"], "agent_warning");
}

#[test]
fn compactions_of_an_agent_are_notices_with_their_summary() {
    let mut reported = ready();
    let update = |status: &str| json!({"sessionUpdate": "compaction_update", "compactionId": "c", "status": status});
    reported.update(update("in_progress"));
    for piece in ["the ", "sum"] {
        reported.update(json!({"sessionUpdate": "compaction_summary_chunk", "compactionId": "c",
            "content": {"type": "text", "text": piece}}));
        reported.save_and_restore();
    }
    reported.update(update("completed"));
    let mut failed = update("failed");
    failed["error"] = json!("too long");
    reported.update(failed);
    let events = reported.take_events();
    let codes: Vec<&str> = events.iter().map(|event| event["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["compacting", "compacted", "compact_failed"]);
    assert_eq!(events[1]["content"], "The conversation was compacted: the sum");
    assert!(events[2]["content"].as_str().unwrap().ends_with("too long"));
}

#[test]
fn unstable_updates_are_events_of_their_kind() {
    let mut reported = ready();
    reported.update(json!({"sessionUpdate": "plan_update", "plan": {"type": "items", "planId": "p",
        "entries": [{"content": "one", "priority": "high", "status": "pending"}]}}));
    reported.update(
        json!({"sessionUpdate": "plan_update", "plan": {"type": "markdown", "planId": "p", "content": "# Plan"}}),
    );
    reported.update(json!({"sessionUpdate": "plan_removed", "planId": "p"}));
    reported.update(json!({"sessionUpdate": "subagent_update", "sessionId": "c1", "title": "Search", "state": {"state": "running"}}));
    for text in ["to ", "you"] {
        reported.update(json!({"sessionUpdate": "session_message_chunk", "messageId": "m", "content": {"type": "text", "text": text}}));
    }
    reported.update(
        json!({"sessionUpdate": "agent_message", "messageId": "x", "content": [{"type": "text", "text": "whole"}]}),
    );
    reported.out(&json!({"jsonrpc": "2.0", "method": "auth/status_update", "params": {"state": "authenticated"}}));
    reported.out(&json!({"jsonrpc": "2.0", "method": "auth/status_update", "params": {"state": "unauthenticated"}}));
    let events = reported.take_events();
    let types: Vec<&str> = texts(&events).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(types, ["plan", "notice", "plan", "notice", "notice", "assistant", "error"]);
    assert_eq!(events[3]["content"], "Sub-agent Search: running");
    assert_eq!((&events[4]["code"], &events[4]["content"]), (&json!("session_message"), &json!("to you")));
    assert_eq!(events[5]["content"], "whole");
}

#[test]
fn additions_of_an_agent_are_ignored_and_its_requests_declined() {
    let mut reported = ready();
    reported.update(json!({"sessionUpdate": "_vendor_thing", "x": 1}));
    for method in ["_vendor/notice", "qwen/notify/session/prompt-suggestion"] {
        reported.out(&json!({"jsonrpc": "2.0", "method": method, "params": {}}));
    }
    for (id, method) in [(7, "_vendor/ask"), (8, "craft/drainMidTurnQueue")] {
        reported.out(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": {}}));
    }
    assert!(reported.take_events().is_empty());
    let declined = reported.write_due();
    let codes: Vec<&Value> = declined.iter().map(|line| &line["error"]["code"]).collect();
    assert_eq!(codes, [&json!(-32601), &json!(-32601)]);
    reported.out(&json!({"jsonrpc": "2.0", "method": "session/strange", "params": {}}));
    assert_eq!(reported.types(), ["unknown"], "a method of the protocol's own is reported");
}

#[test]
fn later_title_or_name_mends_the_name_of_a_tool() {
    let mut reported = ready();
    say(&mut reported, "go");
    reported.take_events();
    let call = |title: &str| json!({"sessionUpdate": "tool_call", "toolCallId": "t", "title": title, "kind": "edit"});
    reported.update(call("Preparing file…"));
    reported.update(call("Write x.txt"));
    let mut named = call("Write x.txt");
    named["_meta"] = json!({"vendor": {"toolName": "Write"}});
    reported.update(named);
    let events = reported.take_events();
    let calls: Vec<&Value> = events.iter().filter(|event| event["type"] == "tool_call").collect();
    let names: Vec<&str> = calls.iter().map(|call| call["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["edit", "edit", "Write"]);
    assert_eq!(calls[2]["content"], "Write: Write x.txt");
}

#[test]
fn single_word_that_the_input_repeats_is_not_a_name() {
    let mut reported = ready();
    say(&mut reported, "go");
    reported.take_events();
    reported.update(json!({"sessionUpdate": "tool_call", "toolCallId": "t", "title": "ls", "kind": "execute",
        "rawInput": {"command": ["/bin/sh", "-c", "ls"]}}));
    let call = reported.take_events().pop().unwrap();
    assert_eq!((&call["name"], &call["content"]), (&json!("execute"), &json!("execute: ls")));
}

#[test]
fn gemini_repeats_its_mode_as_text_which_is_no_answer() {
    let mut reported = started(&gemini(), WorkerOptions::default(), None);
    reported.answer_due(&super::fold::able(), None);
    let modes = json!([{"id": "default", "name": "D"}, {"id": "autoEdit", "name": "A"}]);
    reported
        .answer_due(&json!({"sessionId": "s1", "modes": {"currentModeId": "default", "availableModes": modes}}), None);
    reported.update(json!({"sessionUpdate": "available_commands_update", "availableCommands": []}));
    reported.take_events();
    reported.update(chunk("[MODE_UPDATE] autoEdit"));
    let events = reported.take_events();
    assert_eq!((events.len(), &events[0]["permission_mode"]), (1, &json!("autoEdit")));
    reported.update(chunk("[MODE_UPDATE] of my own"));
    assert_eq!(reported.types(), ["delta"], "other words are words");
}

#[test]
fn tokens_beside_pieces_of_text_are_those_of_the_turn() {
    let mut reported = ready();
    let id = say(&mut reported, "go");
    for _ in 0..2 {
        let mut piece = chunk("");
        piece["_meta"] = json!({"usage": {"inputTokens": 10, "outputTokens": 2, "cachedReadTokens": 4}});
        reported.update(piece);
    }
    done(&mut reported, &id);
    let turn = reported.take_events().pop().unwrap();
    let usage = json!({"input_tokens": 12, "output_tokens": 4, "cache_read_tokens": 8, "cache_write_tokens": 0});
    assert_eq!(turn["usage"], usage);
}

#[test]
fn late_text_of_a_turn_is_reported_when_agents_pause() {
    let mut reported = ready();
    let id = say(&mut reported, "one");
    done(&mut reported, &id);
    reported.take_events();
    for piece in ["and ", "later"] {
        reported.update(chunk(piece));
    }
    assert_eq!(reported.types(), ["delta", "delta"]);
    assert!(reported.session.holds_text() && reported.session.activity() == Activity::Idle);
    reported.save_and_restore();
    reported.take(&OwnedRecord::control(&Control::Quiet {}));
    let events = reported.take_events();
    assert_eq!(texts(&events), [("assistant", "and later")]);
    assert!(!reported.session.holds_text());
}

#[test]
fn late_text_of_a_turn_precedes_the_next_message() {
    let mut reported = ready();
    reported.update(chunk("later"));
    reported.take_events();
    reported.take(&OwnedRecord::control(&Control::MessageDelivered {
        message_id: "m2".to_owned(),
        client_message_id: None,
        content: "two".to_owned(),
        attachments: Vec::new(),
    }));
    assert_eq!(reported.types(), ["assistant"]);
}

#[test]
fn adapter_file_names_the_mode_to_begin_with() {
    let dialect = Dialect { permission_mode: Some("ask".to_owned()), ..Dialect::default() };
    let mut reported = started(&opencode(), WorkerOptions::default(), None);
    reported.session = Box::new(AcpSession::open(dialect.into()));
    reported.take(&OwnedRecord::created("acp", WorkerOptions::default()));
    reported.take(&OwnedRecord::launching(None));
    reported.take(&OwnedRecord::started());
    let mut written = Vec::new();
    for result in [super::fold::able(), json!({"sessionId": "s1", "modes": {"currentModeId": "yolo"}}), json!({})] {
        let line = reported.write_due().remove(0);
        reported.out(&json!({"jsonrpc": "2.0", "id": line["id"], "result": result}));
        written.push(line);
    }
    assert_eq!((&written[2]["method"], &written[2]["params"]["modeId"]), (&json!("session/set_mode"), &json!("ask")));
    assert_eq!(reported.session.activity(), Activity::Idle);
}

#[test]
fn only_the_agent_knows_whether_it_can_fork() {
    let mut reported = started(&opencode(), WorkerOptions::default(), None);
    assert_eq!(reported.session.can_fork(), None);
    reported.answer_due(&json!({"protocolVersion": 1, "agentCapabilities": {"sessionCapabilities": {}}}), None);
    assert_eq!(reported.session.can_fork(), Some(false));
    reported.take(&OwnedRecord::exited());
    assert_eq!(reported.session.can_fork(), Some(false), "a stopped agent has said so too");
    assert_eq!(ready().session.can_fork(), Some(true));
}

fn with_effort(level: &str) -> TestFold {
    let options = WorkerOptions { effort: Some(level.to_owned()), ..WorkerOptions::default() };
    let mut reported = started(&opencode(), options, None);
    reported.answer_due(&super::fold::able(), None);
    reported
}

fn levels(now: &str) -> Value {
    json!([{"id": "thinking", "name": "Effort", "category": "thought_level", "type": "select", "currentValue": now,
        "options": [{"value": "low", "name": "Low"}, {"value": "high", "name": "High"}]}])
}

#[test]
fn effort_is_set_where_the_agent_lists_it() {
    let mut reported = with_effort("high");
    reported.answer_due(&json!({"sessionId": "s1", "configOptions": levels("low")}), None);
    let asked = reported.answer_due(&json!({"configOptions": levels("high")}), None);
    assert_eq!(asked["method"], "session/set_config_option");
    let (id, value) = (&asked["params"]["configId"], &asked["params"]["value"]);
    assert_eq!((id, value), (&json!("thinking"), &json!("high")));
    assert_eq!(reported.session.activity(), Activity::Idle);
    assert!(reported.take_events().iter().all(|event| event["type"] != "error"));
}

#[test]
fn effort_that_the_agent_does_not_offer_is_reported_once() {
    let mut reported = with_effort("high");
    reported.answer_due(&json!({"sessionId": "s1"}), None);
    assert_eq!(reported.session.activity(), Activity::Idle, "it works without");
    let events = reported.take_events();
    let errors: Vec<&Value> = events.iter().filter(|event| event["type"] == "error").collect();
    assert_eq!(errors.len(), 1, "{events:?}");
    assert!(errors[0]["content"].as_str().unwrap().contains("no effort that can be set"));
}
