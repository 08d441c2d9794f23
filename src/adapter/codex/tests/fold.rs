//! Promises that no recording shows, or that are worth saying in words.

use serde_json::{Value, json};

use super::{THREAD, answer, completed, notify, open, ready, started, thread, turn_completed, turn_started};
use crate::adapter::testing::recorded::{OwnedRecord, TestFold};
use crate::adapter::{Action, Activity, Command, Message};
use crate::journal::{By, Control, WorkerOptions};

fn say(reported: &mut TestFold, id: &str) -> Value {
    let message = Message { id, content: "hi", attachments: &[] };
    let action = reported.session.encode(&Command::Message(&message)).unwrap();
    reported.wrote_all(Some(action)).remove(0)
}

fn shown(reported: &mut TestFold, id: &str) {
    completed(
        reported,
        json!({"type": "userMessage", "id": "i", "clientId": id, "content": [{"type": "text", "text": "hi"}]}),
    );
}

fn interrupt(reported: &mut TestFold) -> Vec<Value> {
    reported.control(&Control::InterruptRequested { by: By::User });
    let action = reported.session.encode(&Command::Interrupt).unwrap();
    reported.wrote_all(Some(action))
}

#[test]
fn handshake_is_due_step_by_step_until_the_last_answer() {
    let mut reported = TestFold::new(super::adapter());
    assert_eq!(reported.session.due(), None, "nothing runs");
    reported.take(&OwnedRecord::created("codex", WorkerOptions::default()));
    for _ in 0..2 {
        reported.take(&OwnedRecord::started());
        reported.save_and_restore();
        assert_eq!(reported.session.activity(), Activity::Starting);
        let initialize = reported.write_due();
        assert_eq!((initialize.len(), &initialize[0]["method"]), (1, &json!("initialize")));
        assert_eq!(reported.session.due(), None, "it was written");
        answer(&mut reported, &initialize[0], json!({}));
        reported.save_and_restore();
        let lines = reported.write_due();
        assert_eq!((&lines[0], lines.len()), (&json!({"method": "initialized"}), 3));
        assert_eq!(reported.session.due(), None);
        assert_eq!(reported.session.activity(), Activity::Starting);
        answer(&mut reported, &lines[1], thread(THREAD));
        assert_eq!(reported.session.activity(), Activity::Idle);
        assert_eq!(reported.types(), ["session"]);
        reported.take(&OwnedRecord::exited());
        assert_eq!(reported.session.due(), None);
    }
}

#[test]
fn models_keep_their_effort_levels_until_the_next_list() {
    let mut reported = started(WorkerOptions::default());
    let initialize = reported.write_due().remove(0);
    answer(&mut reported, &initialize, json!({}));
    let lines = reported.write_due();
    answer(&mut reported, &lines[1], thread(THREAD));
    reported.take_events();
    assert_eq!((&lines[2]["method"], reported.session.options_record()), (&json!("model/list"), None));
    let effort = json!([{"reasoningEffort": "low"}, {"reasoningEffort": "high"}]);
    let result = json!({"data": [
        {"id": "m", "model": "m", "displayName": "M", "hidden": false, "supportedReasoningEfforts": effort},
        {"id": "old", "model": "old", "displayName": "Old", "hidden": true}]});
    let payload = json!({"id": lines[2]["id"], "result": result}).to_string();
    answer(&mut reported, &lines[2], result);
    let event = reported.take_events().remove(0);
    assert_eq!((&event["type"], &event["options"][0]["value"]), (&json!("options"), &json!("m")));
    assert_eq!(event["options"][0]["choices"], json!([{"value": "m", "name": "M", "effort_levels": ["low", "high"]}]));
    assert_eq!(event["options"][1]["choices"][0]["value"], "untrusted");
    reported.control(&Control::Configured { model: Some("n".to_owned()), permission_mode: None });
    reported.save_and_restore();
    assert_eq!(reported.session.options(payload.as_bytes())[0].next, Some(json!("n")));
    reported.take(&OwnedRecord::exited());
    assert!(reported.session.options_record().is_some(), "it can be read while nothing runs");
}

#[test]
fn codex_without_a_model_list_works_on_in_silence() {
    let mut reported = started(WorkerOptions::default());
    let initialize = reported.write_due().remove(0);
    answer(&mut reported, &initialize, json!({}));
    let lines = reported.write_due();
    reported.out(&json!({"error": {"code": -32600, "message": "unknown variant"}, "id": lines[2]["id"]}));
    assert_eq!(reported.types(), [""; 0]);
    answer(&mut reported, &lines[1], thread(THREAD));
    assert_eq!((reported.session.activity(), reported.session.options_record()), (Activity::Idle, None));
}

#[test]
fn session_that_another_process_has_ends_the_process() {
    let mut reported = started(WorkerOptions::default());
    reported.control(&Control::Launching {
        session_id: Some("taken".to_owned()),
        resume: true,
        settings: None,
        limits: None,
    });
    let initialize = reported.write_due().remove(0);
    answer(&mut reported, &initialize, json!({}));
    let resume = reported.write_due().remove(1);
    reported.out(
        &json!({"error": {"code": -32600, "message": "thread taken already has an active writer"}, "id": resume["id"]}),
    );
    let error = reported.take_events().remove(0);
    assert_eq!(error["code"], "resume_failed");
    assert!(error["content"].as_str().unwrap().contains("session taken can't be resumed now"), "{error}");
    assert_eq!(reported.session.activity(), Activity::Starting, "messages stay in the queue");
    assert_eq!(reported.session.due(), Some(Action::Signal(15)));
}

#[test]
fn cli_is_busy_from_a_message_until_its_turn_ends() {
    let mut reported = ready();
    let request = say(&mut reported, "a");
    assert_eq!(reported.session.activity(), Activity::Busy);
    answer(&mut reported, &request, json!({"turn": {"id": "t1"}}));
    turn_started(&mut reported, "t1");
    shown(&mut reported, "a");
    assert_eq!(reported.types(), ["turn_started", "message_state"]);
    turn_completed(&mut reported, "t1", "completed");
    assert_eq!(reported.session.activity(), Activity::Idle);
    assert_eq!(reported.take_events()[0]["stop_reason"], "end_turn");
}

#[test]
fn refused_or_late_message_is_reported_and_blocks_nobody() {
    let mut reported = ready();
    let request = say(&mut reported, "a");
    reported.out(&json!({"id": request["id"], "error": {"code": -32602, "message": "input_too_large"}}));
    assert_eq!(reported.session.activity(), Activity::Idle);
    assert_eq!(reported.take_events()[0]["code"], "message_refused");

    // It joined a turn that ended without it, whichever of the two is reported first.
    let first = say(&mut reported, "b");
    answer(&mut reported, &first, json!({"turn": {"id": "t1"}}));
    turn_started(&mut reported, "t1");
    turn_completed(&mut reported, "t1", "interrupted");
    assert_eq!(reported.types(), ["turn_started", "error", "turn_completed"]);
    let late = say(&mut reported, "c");
    answer(&mut reported, &late, json!({"turn": {"id": "t1"}}));
    assert_eq!(reported.types(), ["error"]);
    assert_eq!(reported.session.activity(), Activity::Idle);
}

#[test]
fn an_interrupt_waits_until_the_turn_has_a_name() {
    let mut reported = ready();
    let request = say(&mut reported, "a");
    assert!(interrupt(&mut reported).is_empty(), "there is no turn to name yet");
    reported.save_and_restore();
    assert_eq!(reported.session.due(), None);
    answer(&mut reported, &request, json!({"turn": {"id": "t1"}}));
    let written = reported.write_due();
    assert_eq!(written[0]["method"], "turn/interrupt");
    assert_eq!(written[0]["params"], json!({"threadId": THREAD, "turnId": "t1"}));
    assert_eq!(reported.session.due(), None, "once");
    turn_started(&mut reported, "t1");
    assert_eq!(interrupt(&mut reported).len(), 1, "and at once when it is known");
    turn_completed(&mut reported, "t1", "interrupted");
    assert_eq!(reported.session.due(), None);
    assert!(interrupt(&mut reported).is_empty() && reported.session.due().is_none(), "an idle CLI has nothing to end");
}

#[test]
fn an_interrupt_closes_open_prompts_and_tool_calls() {
    let mut reported = ready();
    turn_started(&mut reported, "t1");
    let item =
        json!({"type": "commandExecution", "id": "c1", "command": "ls", "commandActions": [], "status": "inProgress"});
    notify(&mut reported, "item/started", json!({"item": item}));
    let ask = json!({"threadId": THREAD, "itemId": "c1", "command": "ls"});
    reported.out(&json!({"id": 0, "method": "item/commandExecution/requestApproval", "params": ask}));
    reported.take_events();
    interrupt(&mut reported);
    turn_completed(&mut reported, "t1", "interrupted");
    notify(&mut reported, "serverRequest/resolved", json!({"requestId": 0}));
    let events = reported.take_events();
    let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["tool_result", "turn_completed", "permission_resolved"]);
    assert_eq!((&events[0]["is_error"], &events[2]["by"]), (&json!(true), &json!("cli")));
}

#[test]
fn prompts_of_later_processes_have_other_ids() {
    let mut reported = ready();
    let ask =
        json!({"id": 0, "method": "item/fileChange/requestApproval", "params": {"threadId": THREAD, "itemId": "c1"}});
    reported.out(&ask);
    reported.take(&OwnedRecord::exited());
    reported.take(&OwnedRecord::started());
    open(&mut reported);
    reported.out(&ask);
    let events = reported.take_events();
    let ids: Vec<&Value> =
        events.iter().filter(|event| event["type"] == "permission_request").map(|event| &event["request_id"]).collect();
    assert_eq!(ids.len(), 2);
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn no_request_of_the_cli_is_left_without_an_answer() {
    let mut reported = ready();
    let form = json!({"serverName": "s", "mode": "form", "message": "?", "requestedSchema": {"properties": {"a": {}}}});
    for (id, method, params) in [
        (json!(1), "account/chatgptAuthTokens/refresh", json!({})),
        (json!(2), "item/tool/call", json!({"tool": "x"})),
        (json!("3"), "mcpServer/elicitation/request", form),
        (json!(4), "item/tool/requestUserInput", json!({"questions": []})),
        (json!(5), "something/new", Value::Null),
    ] {
        reported.out(&json!({"id": id, "method": method, "params": params}));
    }
    reported.save_and_restore();
    let written = reported.write_due();
    let ids: Vec<&Value> = written.iter().map(|line| &line["id"]).collect();
    assert_eq!(ids, [&json!(1), &json!(2), &json!("3"), &json!(4), &json!(5)]);
    assert_eq!(written[0]["error"]["message"], "rs-worker does not support account/chatgptAuthTokens/refresh");
    assert_eq!(written[2]["result"]["action"], "decline");
    assert_eq!(reported.session.due(), None, "each once");
}

#[test]
fn mcp_servers_form_is_a_question_with_checked_answers() {
    let mut reported = ready();
    let schema = json!({"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]});
    let params = json!({"serverName": "docs", "mode": "form", "message": "Who?", "requestedSchema": schema});
    reported.out(&json!({"id": 3, "method": "mcpServer/elicitation/request", "params": params}));
    reported.save_and_restore();
    let question = reported.take_events().pop().unwrap();
    assert_eq!((&question["content"], &question["questions"][0]["field"]), (&json!("docs: Who?"), &json!("name")));
    let request_id = question["request_id"].as_str().unwrap();
    assert!(reported.session.encode(&Command::Answer { request_id, answers: &json!({}) }).is_err());
    let declined = reported.session.encode(&Command::Decline { request_id, cancel: false }).unwrap();
    let Action::Write(lines) = declined else { panic!("not written") };
    assert!(String::from_utf8_lossy(&lines[0]).contains(r#""action":"decline""#));
    let answered = reported.session.encode(&Command::Answer { request_id, answers: &json!(["Ann"]) }).unwrap();
    let result = reported.wrote_all(Some(answered)).remove(0)["result"].clone();
    assert_eq!(result, json!({"action": "accept", "content": {"name": "Ann"}}));
}

#[test]
fn permissions_and_consents_are_asked_like_commands() {
    let mut reported = ready();
    let wanted = json!({"network": {"enabled": true}});
    let params = json!({"threadId": THREAD, "itemId": "c1", "permissions": wanted, "cwd": "/project"});
    reported.out(&json!({"id": 1, "method": "item/permissions/requestApproval", "params": params}));
    let params = json!({"threadId": THREAD, "serverName": "docs", "mode": "form", "message": "May it run?", "requestedSchema": {"type": "object", "properties": {}}});
    reported.out(&json!({"id": 2, "method": "mcpServer/elicitation/request", "params": params}));
    let asked = reported.take_events();
    let mut answered = |at: usize, option: &str| {
        let allow = crate::adapter::PermissionAnswer { option_id: option.to_owned(), ..Default::default() };
        let request_id = asked[at]["request_id"].as_str().unwrap();
        let action = reported.session.encode(&Command::Permission { request_id, answer: &allow }).unwrap();
        reported.wrote_all(Some(action)).remove(0)["result"].clone()
    };
    assert_eq!(answered(0, "allow_always"), json!({"permissions": wanted, "scope": "session"}));
    assert_eq!(answered(1, "allow"), json!({"action": "accept", "content": {}}));
}

#[test]
fn a_turn_counts_its_own_tokens_once() {
    let mut reported = ready();
    let counts = |total: u64, last: u64| {
        let count =
            |n: u64| json!({"totalTokens": n + 1, "inputTokens": n, "cachedInputTokens": n / 2, "outputTokens": 1});
        json!({"tokenUsage": {"total": count(total), "last": count(last), "modelContextWindow": 100}})
    };
    // The earlier usage of a resumed session does not count for its next turn.
    notify(&mut reported, "thread/tokenUsage/updated", counts(1_000, 10));
    assert!(reported.types().is_empty());
    turn_started(&mut reported, "t1");
    for total in [1_010, 1_010, 1_030] {
        notify(&mut reported, "thread/tokenUsage/updated", counts(total, 20));
    }
    turn_completed(&mut reported, "t1", "completed");
    let events = reported.take_events();
    let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["turn_started", "usage", "usage", "turn_completed"]);
    assert_eq!((&events[2]["context_tokens"], &events[2]["context_window"]), (&json!(21), &json!(100)));
    let usage = &events[3]["usage"];
    assert_eq!((&usage["input_tokens"], &usage["cache_read_tokens"]), (&json!(15), &json!(15)));
}

#[test]
fn sub_agents_work_belongs_to_the_call_that_started_it() {
    let mut reported = ready();
    turn_started(&mut reported, "t1");
    let spawn = |status: &str, agents: &Value| {
        json!({"type": "collabAgentToolCall", "id": "c1", "tool": "spawnAgent", "prompt": "look", "status": status,
            "senderThreadId": THREAD, "receiverThreadIds": agents, "agentsStates": {}})
    };
    notify(&mut reported, "item/started", json!({"item": spawn("inProgress", &json!([]))}));
    notify(&mut reported, "item/completed", json!({"item": spawn("completed", &json!(["sub"]))}));
    reported.take_events();
    reported.save_and_restore();
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
        reported.out(&json!({"method": method, "params": params}));
    }
    let events = reported.take_events();
    assert_eq!(events.len(), 1);
    assert_eq!((&events[0]["type"], &events[0]["parent_tool_call_id"]), (&json!("assistant"), &json!("c1")));
    assert_eq!(reported.session.activity(), Activity::Busy, "its turn goes on");
}

#[test]
fn limits_are_reported_when_they_change_and_with_their_end() {
    let mut reported = ready();
    let limits = |percent: u64, reached: Value| {
        json!({"rateLimits": {"primary": {"usedPercent": percent, "resetsAt": 1_704_067_200}, "secondary": null,
            "rateLimitReachedType": reached}})
    };
    for (percent, reached) in
        [(10, Value::Null), (85, Value::Null), (86, Value::Null), (100, json!("rate_limit_reached"))]
    {
        reported.out(&json!({"method": "account/rateLimits/updated", "params": limits(percent, reached)}));
    }
    let events = reported.take_events();
    let statuses: Vec<&str> = events.iter().map(|event| event["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["warning", "rejected"]);
    assert_eq!(events[1]["resets_at"], "2024-01-01T00:00:00.000000Z");
}

#[test]
fn ends_of_limits_beyond_belief_are_left_out() {
    for odd in [json!(1e26), json!(-1), json!(u64::MAX), json!("NaN"), json!("1704067200"), Value::Null] {
        let mut reported = ready();
        let limits = json!({"rateLimits": {"primary": {"usedPercent": 100, "resetsAt": odd}}});
        reported.out(&json!({"method": "account/rateLimits/updated", "params": limits}));
        let events = reported.take_events();
        assert_eq!((&events[0]["status"], &events[0]["resets_at"]), (&json!("rejected"), &Value::Null), "{odd}");
    }
}

#[test]
fn damaged_session_is_replaced_and_a_temporary_failure_retried() {
    // As Codex 0.171.0 says them.
    let path = "/home/u/locked/.codex/sessions/2026/11/30/rollout-old.jsonl";
    let metadata =
        format!("failed to read thread: thread-store internal error: failed to read session metadata {path}");
    let opened = |reason: &str| {
        let mut reported = started(WorkerOptions::default());
        reported.control(&Control::Launching {
            session_id: Some("old".to_owned()),
            resume: true,
            settings: None,
            limits: None,
        });
        let initialize = reported.write_due().remove(0);
        answer(&mut reported, &initialize, json!({}));
        let resume = reported.write_due().remove(1);
        reported.out(&json!({"error": {"code": -32603, "message": reason}, "id": resume["id"]}));
        (reported.take_events().remove(0), reported)
    };
    for reason in [
        format!("{metadata}: rollout at {path} is empty"),
        format!("{metadata}: stream did not contain valid UTF-8"),
        format!("{metadata}: rollout at {path} does not start with session metadata"),
        format!("{metadata}: Is a directory (os error 21)"),
    ] {
        let (error, mut reported) = opened(&reason);
        let due = reported.write_due();
        assert_eq!((&error["code"], &due[0]["method"]), (&json!("session_not_found"), &json!("thread/start")));
    }
    for reason in ["connection refused", "not logged in", "failed to load configuration: bad value", "rate limit"] {
        assert_eq!(opened(reason).0["code"], "resume_failed", "{reason}");
    }
}

#[test]
fn error_says_what_to_do_and_whether_codex_tries_again() {
    let mut reported = ready();
    for (info, retry, code) in [
        (json!("unauthorized"), false, "authentication_failed"),
        (json!({"responseStreamDisconnected": {"httpStatusCode": 500}}), true, "api_retry"),
        (json!({"httpConnectionFailed": {}}), false, "api_error"),
    ] {
        notify(&mut reported, "error", json!({"error": {"message": "no", "codexErrorInfo": info}, "willRetry": retry}));
        let error = reported.take_events().remove(0);
        assert_eq!(error["code"], code);
        assert_eq!(error["content"].as_str().unwrap().contains("codex login"), code == "authentication_failed");
    }
}

#[test]
fn a_process_that_ends_takes_its_turn_with_it() {
    let mut reported = ready();
    say(&mut reported, "a");
    turn_started(&mut reported, "t1");
    reported.take_events();
    reported.take(&OwnedRecord::exited());
    assert_eq!(reported.take_events()[0]["stop_reason"], "process_ended");
    assert_eq!(reported.session.activity(), Activity::Starting);
}

#[test]
fn plans_thoughts_and_searches_are_reported() {
    let mut reported = ready();
    let steps = json!([{"step": "one", "status": "completed"}, {"step": "two", "status": "inProgress"}]);
    notify(&mut reported, "turn/plan/updated", json!({"turnId": "t1", "plan": steps}));
    completed(&mut reported, json!({"type": "reasoning", "id": "r1", "summary": ["a", "b"], "content": ["c"]}));
    completed(&mut reported, json!({"type": "webSearch", "id": "w1", "query": "rust", "action": {"type": "search"}}));
    completed(
        &mut reported,
        json!({"type": "mcpToolCall", "id": "m1", "server": "s", "tool": "t", "arguments": {"a": 1},
        "status": "completed", "result": {"content": [{"type": "text", "text": "out"}, {"type": "image", "data": "x"}]}}),
    );
    completed(&mut reported, json!({"type": "futureThing", "id": "f1"}));
    let events = reported.take_events();
    let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["plan", "thinking", "tool_call", "tool_result", "tool_call", "tool_result", "unknown"]);
    assert_eq!(events[0]["content"], "[x] one\n[~] two");
    assert_eq!(events[1]["content"], "a\n\nb");
    assert_eq!((&events[4]["name"], &events[5]["content"]), (&json!("s/t"), &json!("out\n[image]")));
}

#[test]
fn changes_of_files_are_unified_diffs() {
    let mut reported = ready();
    let changes = json!([
        {"path": "/project/a", "kind": {"type": "update", "move_path": "/project/b"}, "diff": "@@ -1 +1 @@\n-x\n+y\n\n\nMoved to: /project/b"},
        {"path": "/project/c", "kind": {"type": "delete"}, "diff": "gone\n"},
    ]);
    completed(&mut reported, json!({"type": "fileChange", "id": "c1", "changes": changes, "status": "completed"}));
    let diff = &reported.take_events()[1]["diff"];
    assert_eq!(diff[0]["diff"], "--- a/project/a\n+++ b/project/b\n@@ -1 +1 @@\n-x\n+y\n");
    assert_eq!(diff[1]["diff"], "--- a/project/c\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-gone\n");
}
