//! Lines that newer versions of the CLI print.

use serde_json::{Value, json};

use super::fold::{INIT, result};
use super::ready;
use crate::adapter::Activity;
use crate::adapter::testing::recorded::{OwnedRecord, TestFold};

#[test]
fn listed_background_tasks_decide_what_runs() {
    let mut reported = ready();
    let list = |ids: &[(&str, bool)]| {
        let tasks: Vec<_> = ids.iter().map(|(id, ambient)| json!({"task_id": id, "ambient": ambient})).collect();
        json!({"type": "system", "subtype": "background_tasks_changed", "tasks": tasks}).to_string()
    };
    reported.take_events();
    for (tasks, runs) in [(&[("a", false), ("b", true)][..], true), (&[("b", true)], false), (&[], false)] {
        reported.out(&list(tasks));
        reported.save_and_restore();
        assert_eq!(reported.session.has_background_work(), runs, "{tasks:?}");
    }
    reported.out(&json!({"type": "system", "subtype": "task_started", "task_id": "x", "description": "d"}).to_string());
    assert!(!reported.session.has_background_work(), "the list says it, not the count");
    assert_eq!(reported.types(), ["notice"]);
}

#[test]
fn resumed_sessions_earlier_cost_is_no_turns_cost() {
    let mut reported = ready();
    let cost = |reported: &mut TestFold, models: Value| {
        let mut line: Value = serde_json::from_str(&result(0.75)).unwrap();
        line["model_usage_since_last_result"] = models;
        reported.out(INIT);
        reported.out(&line);
        reported.take_events().pop().unwrap()["cost_usd"].to_string()
    };
    assert_eq!(cost(&mut reported, json!({"a": {"costUSD": 0.125}, "b": {"costUSD": 0.0625}})), "0.1875");
    assert_eq!(cost(&mut reported, json!({})), "0.0", "no model has worked");
    reported.take(&OwnedRecord::started());
    assert_eq!(
        cost(&mut reported, json!({"a": {"costUSD": null}})),
        "0.75",
        "what can't be read falls back on the total"
    );
}

#[test]
fn cleared_conversation_is_a_notice() {
    let mut reported = ready();
    reported.take_events();
    reported.out(r#"{"type":"conversation_reset","new_conversation_id":"n","trigger":"clear","session_id":"s"}"#);
    let event = reported.take_events().pop().unwrap();
    assert_eq!((&event["type"], &event["code"]), (&json!("notice"), &json!("conversation_reset")));
}

#[test]
fn messages_repeated_by_a_compaction_are_reported_once() {
    let mut reported = ready();
    let said = |id: &str, uuid: &str| {
        json!({"type": "assistant", "uuid": uuid, "parent_tool_use_id": null, "message": {"id": id, "model": "<synthetic>",
            "content": [{"type": "text", "text": "the cost"}]}})
        .to_string()
    };
    reported.out(INIT);
    reported.out(&said("m1", "u1"));
    reported.out(&result(0.0));
    reported.take_events();
    reported.out(INIT);
    reported.out(
        &json!({"type": "system", "subtype": "compact_boundary",
        "compact_metadata": {"trigger": "manual", "pre_tokens": 9, "preserved_messages": {"uuids": ["u0", "u1"]}}})
        .to_string(),
    );
    reported.save_and_restore();
    reported.out(&said("m2", "u1"));
    reported.out(&said("m3", "u2"));
    reported.out(&result(0.0));
    assert_eq!(reported.types(), ["turn_started", "notice", "assistant", "turn_completed"]);
    reported.out(&said("m4", "u1"));
    assert_eq!(reported.types(), ["assistant"], "only while it compacts");
}

#[test]
fn background_task_text_is_not_a_user_message() {
    let mut reported = ready();
    reported.take_events();
    reported.wrote(&json!({"type": "user", "message": {"role": "user", "content": "hi"}}).to_string());
    let line = |origin: &str| {
        let content =
            "<task-notification>\n<task-id>t</task-id>\n<summary>It was stopped</summary>\n</task-notification>";
        json!({"type": "user", "message": {"role": "user", "content": content}, "uuid": "u", "isReplay": true,
            "parent_tool_use_id": null, "origin": {"kind": origin}})
        .to_string()
    };
    reported.out(&line("task-notification"));
    let event = reported.take_events().pop().unwrap();
    assert_eq!((&event["type"], &event["code"]), (&json!("notice"), &json!("task_notification")));
    assert_eq!(event["content"], "It was stopped");
    reported.out(&line("human"));
    assert_eq!(reported.types(), Vec::<String>::new(), "it shows our message, which had no id");
    assert_eq!(reported.session.activity(), Activity::Idle);
}

#[test]
fn system_lines_of_newer_versions_are_known_by_name() {
    let mut reported = ready();
    reported.take_events();
    for (subtype, expected) in [
        ("vcs_state_changed", None),
        ("dev_intent", None),
        ("turn_handoff_available", None),
        ("code_change_published", Some("notice")),
        ("turn_preempted", Some("notice")),
        ("peer_message_hold", Some("notice")),
        ("session_writes_lost", Some("error")),
        ("worker_shutting_down", Some("notice")),
        ("model_refusal_fallback", Some("notice")),
    ] {
        reported.out(&json!({"type": "system", "subtype": subtype, "reason": "r", "content": "c"}).to_string());
        assert_eq!(reported.types(), Vec::from_iter(expected), "{subtype}");
    }
    reported.out(r#"{"type":"command_lifecycle","state":"queued"}"#);
    assert_eq!(reported.types(), Vec::<String>::new());
}
