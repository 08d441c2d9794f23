//! Promises that no recording shows, or that are worth saying in words.

use serde_json::{Value, json};

use super::{THREAD, answer, completed, notify, open, ready, started, thread, turn_completed, turn_started};
use crate::adapter::codex::state::PARTIAL_BYTES_MAX;
use crate::adapter::recorded::{Entry, Told};
use crate::adapter::{Activity, Command, Message, Refusal};
use crate::journal::{Control, WorkerOptions};

fn say(told: &mut Told, id: &str) -> Value {
    let message = Message { id, content: "hi", attachments: &[] };
    let action = told.session.encode(&Command::Message(&message)).unwrap();
    told.wrote_all(Some(action)).remove(0)
}

fn shown(told: &mut Told, id: &str) {
    completed(
        told,
        json!({"type": "userMessage", "id": "i", "clientId": id, "content": [{"type": "text", "text": "hi"}]}),
    );
}

fn interrupt(told: &mut Told) -> Vec<Value> {
    told.control(&Control::InterruptRequested { by: "user".to_owned() });
    let action = told.session.encode(&Command::Interrupt).unwrap();
    told.wrote_all(Some(action))
}

#[test]
fn the_handshake_is_due_step_by_step_and_its_last_answer_makes_the_cli_ready() {
    let mut told = Told::new(super::adapter());
    assert_eq!(told.session.due(), None, "nothing runs");
    told.take(&Entry::created("codex", WorkerOptions::default()));
    for _ in 0..2 {
        told.take(&Entry::started());
        told.save_and_restore();
        assert_eq!(told.session.activity(), Activity::Starting);
        let initialize = told.write_due();
        assert_eq!((initialize.len(), &initialize[0]["method"]), (1, &json!("initialize")));
        assert_eq!(told.session.due(), None, "it was written");
        answer(&mut told, &initialize[0], json!({}));
        told.save_and_restore();
        let lines = told.write_due();
        assert_eq!((&lines[0], lines.len()), (&json!({"method": "initialized"}), 2));
        assert_eq!(told.session.due(), None);
        assert_eq!(told.session.activity(), Activity::Starting);
        answer(&mut told, &lines[1], thread(THREAD));
        assert_eq!(told.session.activity(), Activity::Idle);
        assert_eq!(told.types(), ["session"]);
        told.take(&Entry::exited());
        assert_eq!(told.session.due(), None);
    }
}

#[test]
fn a_session_that_is_refused_is_told_and_messages_learn_why() {
    let mut told = started(WorkerOptions::default());
    told.control(&Control::Launching { session_id: Some("gone".to_owned()), resume: true });
    let initialize = told.write_due().remove(0);
    answer(&mut told, &initialize, json!({}));
    let resume = told.write_due().remove(1);
    told.out(&json!({"error": {"code": -32600, "message": "no rollout found"}, "id": resume["id"]}));
    let error = told.told().remove(0);
    assert_eq!(
        (&error["code"], &error["content"]),
        (&json!("resume_failed"), &json!("Codex has no session: no rollout found"))
    );
    assert_eq!(told.session.activity(), Activity::Idle, "so that waiting messages are given back");
    let message = Message { id: "a", content: "hi", attachments: &[] };
    let refusal = told.session.encode(&Command::Message(&message)).unwrap_err();
    assert_eq!(refusal, Refusal::Invalid("Codex has no session: no rollout found".to_owned()));
}

#[test]
fn the_cli_is_busy_from_a_message_until_the_end_of_its_turn() {
    let mut told = ready();
    let request = say(&mut told, "a");
    assert_eq!(told.session.activity(), Activity::Busy);
    answer(&mut told, &request, json!({"turn": {"id": "t1"}}));
    turn_started(&mut told, "t1");
    shown(&mut told, "a");
    assert_eq!(told.types(), ["turn_started", "message_state"]);
    turn_completed(&mut told, "t1", "completed");
    assert_eq!(told.session.activity(), Activity::Idle);
    assert_eq!(told.told()[0]["stop_reason"], "end_turn");
}

#[test]
fn a_message_that_is_refused_or_comes_too_late_is_told_and_keeps_nobody_waiting() {
    let mut told = ready();
    let request = say(&mut told, "a");
    told.out(&json!({"id": request["id"], "error": {"code": -32602, "message": "input_too_large"}}));
    assert_eq!(told.session.activity(), Activity::Idle);
    assert_eq!(told.told()[0]["code"], "message_refused");

    // It joined a turn that ended without it, whichever of the two is told first.
    let first = say(&mut told, "b");
    answer(&mut told, &first, json!({"turn": {"id": "t1"}}));
    turn_started(&mut told, "t1");
    turn_completed(&mut told, "t1", "interrupted");
    assert_eq!(told.types(), ["turn_started", "error", "turn_completed"]);
    let late = say(&mut told, "c");
    answer(&mut told, &late, json!({"turn": {"id": "t1"}}));
    assert_eq!(told.types(), ["error"]);
    assert_eq!(told.session.activity(), Activity::Idle);
}

#[test]
fn an_interrupt_waits_until_the_turn_has_a_name() {
    let mut told = ready();
    let request = say(&mut told, "a");
    assert!(interrupt(&mut told).is_empty(), "there is no turn to name yet");
    told.save_and_restore();
    assert_eq!(told.session.due(), None);
    answer(&mut told, &request, json!({"turn": {"id": "t1"}}));
    let written = told.write_due();
    assert_eq!(written[0]["method"], "turn/interrupt");
    assert_eq!(written[0]["params"], json!({"threadId": THREAD, "turnId": "t1"}));
    assert_eq!(told.session.due(), None, "once");
    turn_started(&mut told, "t1");
    assert_eq!(interrupt(&mut told).len(), 1, "and at once when it is known");
    turn_completed(&mut told, "t1", "interrupted");
    assert_eq!(told.session.due(), None);
    assert!(interrupt(&mut told).is_empty() && told.session.due().is_none(), "an idle CLI has nothing to end");
}

#[test]
fn an_interrupt_closes_open_prompts_and_tool_calls() {
    let mut told = ready();
    turn_started(&mut told, "t1");
    let item =
        json!({"type": "commandExecution", "id": "c1", "command": "ls", "commandActions": [], "status": "inProgress"});
    notify(&mut told, "item/started", json!({"item": item}));
    let ask = json!({"threadId": THREAD, "itemId": "c1", "command": "ls"});
    told.out(&json!({"id": 0, "method": "item/commandExecution/requestApproval", "params": ask}));
    told.told();
    interrupt(&mut told);
    turn_completed(&mut told, "t1", "interrupted");
    notify(&mut told, "serverRequest/resolved", json!({"requestId": 0}));
    let events = told.told();
    let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["tool_result", "turn_completed", "permission_resolved"]);
    assert_eq!((&events[0]["is_error"], &events[2]["by"]), (&json!(true), &json!("cli")));
}

#[test]
fn prompts_of_later_processes_have_other_ids() {
    let mut told = ready();
    let ask =
        json!({"id": 0, "method": "item/fileChange/requestApproval", "params": {"threadId": THREAD, "itemId": "c1"}});
    told.out(&ask);
    told.take(&Entry::exited());
    told.take(&Entry::started());
    open(&mut told);
    told.out(&ask);
    let events = told.told();
    let ids: Vec<&Value> =
        events.iter().filter(|event| event["type"] == "permission_request").map(|event| &event["request_id"]).collect();
    assert_eq!(ids.len(), 2);
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn no_request_of_the_cli_is_left_without_an_answer() {
    let mut told = ready();
    let form = json!({"serverName": "s", "mode": "form", "message": "?", "requestedSchema": {"properties": {"a": {}}}});
    for (id, method, params) in [
        (json!(1), "account/chatgptAuthTokens/refresh", json!({})),
        (json!(2), "item/tool/call", json!({"tool": "x"})),
        (json!("3"), "mcpServer/elicitation/request", form),
        (json!(4), "item/tool/requestUserInput", json!({"questions": []})),
        (json!(5), "something/new", Value::Null),
    ] {
        told.out(&json!({"id": id, "method": method, "params": params}));
    }
    told.save_and_restore();
    let written = told.write_due();
    let ids: Vec<&Value> = written.iter().map(|line| &line["id"]).collect();
    assert_eq!(ids, [&json!(1), &json!(2), &json!("3"), &json!(4), &json!(5)]);
    assert_eq!(written[0]["error"]["message"], "rs-worker does not support account/chatgptAuthTokens/refresh");
    assert_eq!(written[2]["result"]["action"], "decline");
    assert_eq!(told.session.due(), None, "each once");
}

#[test]
fn permissions_and_consents_are_asked_like_commands() {
    let mut told = ready();
    let wanted = json!({"network": {"enabled": true}});
    let params = json!({"threadId": THREAD, "itemId": "c1", "permissions": wanted, "cwd": "/project"});
    told.out(&json!({"id": 1, "method": "item/permissions/requestApproval", "params": params}));
    let params = json!({"threadId": THREAD, "serverName": "docs", "mode": "form", "message": "May it run?", "requestedSchema": {"type": "object", "properties": {}}});
    told.out(&json!({"id": 2, "method": "mcpServer/elicitation/request", "params": params}));
    let asked = told.told();
    let mut answered = |at: usize, option: &str| {
        let allow = crate::adapter::PermissionAnswer { option_id: option.to_owned(), ..Default::default() };
        let request_id = asked[at]["request_id"].as_str().unwrap();
        let action = told.session.encode(&Command::Permission { request_id, answer: &allow }).unwrap();
        told.wrote_all(Some(action)).remove(0)["result"].clone()
    };
    assert_eq!(answered(0, "allow_always"), json!({"permissions": wanted, "scope": "session"}));
    assert_eq!(answered(1, "allow"), json!({"action": "accept", "content": {}}));
}

#[test]
fn a_turn_counts_its_own_tokens_once() {
    let mut told = ready();
    let counts = |total: u64, last: u64| {
        let count =
            |n: u64| json!({"totalTokens": n + 1, "inputTokens": n, "cachedInputTokens": n / 2, "outputTokens": 1});
        json!({"tokenUsage": {"total": count(total), "last": count(last), "modelContextWindow": 100}})
    };
    // What a resumed session used before is no part of its next turn.
    notify(&mut told, "thread/tokenUsage/updated", counts(1_000, 10));
    assert!(told.types().is_empty());
    turn_started(&mut told, "t1");
    for total in [1_010, 1_010, 1_030] {
        notify(&mut told, "thread/tokenUsage/updated", counts(total, 20));
    }
    turn_completed(&mut told, "t1", "completed");
    let events = told.told();
    let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["turn_started", "usage", "usage", "turn_completed"]);
    assert_eq!((&events[2]["context_tokens"], &events[2]["context_window"]), (&json!(21), &json!(100)));
    let usage = &events[3]["usage"];
    assert_eq!((&usage["input_tokens"], &usage["cache_read_tokens"]), (&json!(15), &json!(15)));
}

#[test]
fn what_a_sub_agent_does_belongs_to_the_call_that_started_it() {
    let mut told = ready();
    turn_started(&mut told, "t1");
    let spawn = |status: &str, agents: &Value| {
        json!({"type": "collabAgentToolCall", "id": "c1", "tool": "spawnAgent", "prompt": "look", "status": status,
            "senderThreadId": THREAD, "receiverThreadIds": agents, "agentsStates": {}})
    };
    notify(&mut told, "item/started", json!({"item": spawn("inProgress", &json!([]))}));
    notify(&mut told, "item/completed", json!({"item": spawn("completed", &json!(["sub"]))}));
    told.told();
    told.save_and_restore();
    for (method, more) in [
        ("turn/started", json!({"turn": {"id": "s1"}})),
        (
            "item/completed",
            json!({"item": {"type": "userMessage", "id": "u", "content": [{"type": "text", "text": "look"}]}}),
        ),
        ("item/completed", json!({"item": {"type": "agentMessage", "id": "m", "text": "found"}})),
        ("thread/tokenUsage/updated", json!({"tokenUsage": {"total": {"inputTokens": 9}, "last": {"inputTokens": 9}}})),
        ("turn/completed", json!({"turn": {"id": "s1", "status": "completed"}})),
    ] {
        let mut params = more;
        params["threadId"] = "sub".into();
        told.out(&json!({"method": method, "params": params}));
    }
    let events = told.told();
    assert_eq!(events.len(), 1);
    assert_eq!((&events[0]["type"], &events[0]["parent_tool_call_id"]), (&json!("assistant"), &json!("c1")));
    assert_eq!(told.session.activity(), Activity::Busy, "its turn goes on");
}

#[test]
fn limits_are_told_when_they_change_and_with_their_end() {
    let mut told = ready();
    let limits = |percent: u64, reached: Value| {
        json!({"rateLimits": {"primary": {"usedPercent": percent, "resetsAt": 1_704_067_200}, "secondary": null,
            "rateLimitReachedType": reached}})
    };
    for (percent, reached) in
        [(10, Value::Null), (85, Value::Null), (86, Value::Null), (100, json!("rate_limit_reached"))]
    {
        told.out(&json!({"method": "account/rateLimits/updated", "params": limits(percent, reached)}));
    }
    let events = told.told();
    let statuses: Vec<&str> = events.iter().map(|event| event["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["warning", "rejected"]);
    assert_eq!(events[1]["resets_at"], "2024-01-01T00:00:00.000000Z");
}

#[test]
fn an_error_says_what_to_do_and_whether_codex_tries_again() {
    let mut told = ready();
    for (info, retry, code) in [
        (json!("unauthorized"), false, "authentication_failed"),
        (json!({"responseStreamDisconnected": {"httpStatusCode": 500}}), true, "api_retry"),
        (json!({"httpConnectionFailed": {}}), false, "api_error"),
    ] {
        notify(&mut told, "error", json!({"error": {"message": "no", "codexErrorInfo": info}, "willRetry": retry}));
        let error = told.told().remove(0);
        assert_eq!(error["code"], code);
        assert_eq!(error["content"].as_str().unwrap().contains("codex login"), code == "authentication_failed");
    }
}

#[test]
fn a_process_that_ends_takes_its_turn_with_it() {
    let mut told = ready();
    say(&mut told, "a");
    turn_started(&mut told, "t1");
    told.told();
    told.take(&Entry::exited());
    assert_eq!(told.told()[0]["stop_reason"], "process_ended");
    assert_eq!(told.session.activity(), Activity::Starting);
}

#[test]
fn plans_thoughts_and_searches_are_told() {
    let mut told = ready();
    let steps = json!([{"step": "one", "status": "completed"}, {"step": "two", "status": "inProgress"}]);
    notify(&mut told, "turn/plan/updated", json!({"turnId": "t1", "plan": steps}));
    completed(&mut told, json!({"type": "reasoning", "id": "r1", "summary": ["a", "b"], "content": ["c"]}));
    completed(&mut told, json!({"type": "webSearch", "id": "w1", "query": "rust", "action": {"type": "search"}}));
    completed(
        &mut told,
        json!({"type": "mcpToolCall", "id": "m1", "server": "s", "tool": "t", "arguments": {"a": 1},
        "status": "completed", "result": {"content": [{"type": "text", "text": "out"}, {"type": "image", "data": "x"}]}}),
    );
    completed(&mut told, json!({"type": "futureThing", "id": "f1"}));
    let events = told.told();
    let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["plan", "thinking", "tool_call", "tool_result", "tool_call", "tool_result", "unknown"]);
    assert_eq!(events[0]["content"], "[x] one\n[~] two");
    assert_eq!(events[1]["content"], "a\n\nb");
    assert_eq!((&events[4]["name"], &events[5]["content"]), (&json!("s/t"), &json!("out\n[image]")));
}

#[test]
fn changes_of_files_are_unified_diffs() {
    let mut told = ready();
    let changes = json!([
        {"path": "/project/a", "kind": {"type": "update", "move_path": "/project/b"}, "diff": "@@ -1 +1 @@\n-x\n+y\n\n\nMoved to: /project/b"},
        {"path": "/project/c", "kind": {"type": "delete"}, "diff": "gone\n"},
    ]);
    completed(&mut told, json!({"type": "fileChange", "id": "c1", "changes": changes, "status": "completed"}));
    let diff = &told.told()[1]["diff"];
    assert_eq!(diff[0]["diff"], "--- a/project/a\n+++ b/project/b\n@@ -1 +1 @@\n-x\n+y\n");
    assert_eq!(diff[1]["diff"], "--- a/project/c\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-gone\n");
}

fn piece(told: &mut Told, item: &str, text: &str) {
    notify(told, "item/agentMessage/delta", json!({"turnId": "t1", "itemId": item, "delta": text}));
}

#[test]
fn a_message_that_is_interrupted_is_told_as_far_as_it_came() {
    let mut told = ready();
    turn_started(&mut told, "t1");
    piece(&mut told, "m1", "Half ");
    piece(&mut told, "m1", "a sentence");
    told.save_and_restore();
    turn_completed(&mut told, "t1", "interrupted");
    let events = told.told();
    let types: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["turn_started", "delta", "delta", "assistant", "turn_completed"]);
    assert_eq!((&events[3]["content"], &events[3]["message_id"]), (&json!("Half a sentence"), &json!("m1")));
}

#[test]
fn a_message_is_told_as_far_as_it_came_when_its_process_ends() {
    let mut told = ready();
    turn_started(&mut told, "t1");
    piece(&mut told, "m1", "Half");
    told.told();
    told.take(&Entry::exited());
    assert_eq!(told.types(), ["assistant", "turn_completed"]);
}

#[test]
fn what_was_told_of_a_message_is_not_told_again_when_it_follows_whole() {
    let mut told = ready();
    turn_started(&mut told, "t1");
    let long = "é".repeat(PARTIAL_BYTES_MAX / 2);
    piece(&mut told, "m1", &long);
    piece(&mut told, "m1", "x");
    completed(&mut told, json!({"type": "agentMessage", "id": "m1", "text": format!("{long}x and the rest")}));
    let events = told.told();
    let texts: Vec<&str> = events
        .iter()
        .filter(|event| event["type"] == "assistant")
        .map(|event| event["content"].as_str().unwrap())
        .collect();
    assert_eq!(texts, [format!("{long}x").as_str(), " and the rest"]);
    // One that came in one piece is told once.
    piece(&mut told, "m2", "whole");
    completed(&mut told, json!({"type": "agentMessage", "id": "m2", "text": "whole"}));
    assert_eq!(told.types(), ["delta", "assistant"]);
}
