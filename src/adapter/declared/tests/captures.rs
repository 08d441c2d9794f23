//! The example files on what the real CLIs printed.

use serde_json::{Value, json};

use super::*;
use crate::adapter::Activity;

/// The output of a CLI, as one message's process in a journal.
fn journal(capture: &str, exit_code: i32) -> Journal {
    let mut journal = Journal::launched(WorkerOptions::default());
    append(&mut journal, capture, exit_code);
    journal
}

fn append(journal: &mut Journal, capture: &str, exit_code: i32) {
    journal.delivered("m1");
    journal.started();
    let text = std::fs::read_to_string(project_file(&format!("tests/captures/{capture}.jsonl"))).unwrap();
    for line in text.lines() {
        journal.out(line);
    }
    journal.exited(Some(exit_code), true);
}

/// Every capture with the example file that reads it and the exit code that was seen.
const ALL: [(&str, &str, i32); 20] = [
    ("opencode-run", "opencode/run_hello", 0),
    ("opencode-run", "opencode/run_continue_session", 0),
    ("opencode-run", "opencode/run_tool", 0),
    ("opencode-run", "opencode/run_tool_permission_rejected", 0),
    ("opencode-run", "opencode/run_api_error_401", 1),
    ("opencode-run", "opencode/run_stream_2000", 0),
    ("codex-exec", "codex/exec_hello", 0),
    ("codex-exec", "codex/exec_resume_part1", 0),
    ("codex-exec", "codex/exec_resume_part2", 0),
    ("codex-exec", "codex/exec_tool_workspace_write", 0),
    ("codex-exec", "codex/exec_file_change", 0),
    ("codex-exec", "codex/exec_api_error_400", 1),
    ("codex-exec", "codex/exec_api_error_401", 1),
    ("codex-exec", "codex/exec_stream_2000", 0),
    ("gemini-prompt", "gemini/p_hello", 0),
    ("gemini-prompt", "gemini/p_resume", 0),
    ("gemini-prompt", "gemini/p_tool_yolo", 0),
    ("gemini-prompt", "gemini/p_tool_default_mode", 0),
    ("gemini-prompt", "gemini/p_api_error_400", 144),
    ("gemini-prompt", "gemini/p_stream_2000", 0),
];

/// The events of a capture without live pieces.
fn reported(adapter: &str, capture: &str, exit_code: i32) -> Vec<Value> {
    let mut events = events(&example(adapter), &journal(capture, exit_code));
    events.retain(|event| event["type"] != "delta");
    events
}

fn of_type<'e>(events: &'e [Value], kind: &str) -> &'e Value {
    let mut found = events.iter().filter(|event| event["type"] == kind);
    let first = found.next().unwrap_or_else(|| panic!("no {kind}"));
    assert!(found.next().is_none(), "more than one {kind}");
    first
}

#[test]
fn real_clis_lines_are_all_known_and_messages_one_turn() {
    for (adapter, capture, exit_code) in ALL {
        let events = reported(adapter, capture, exit_code);
        assert!(events.iter().all(|event| event["type"] != "unknown"), "{capture}");
        let (start, end) = (of_type(&events, "turn_started"), of_type(&events, "turn_completed"));
        assert_eq!(start["turn_id"], end["turn_id"], "{capture}");
        assert_eq!(end["is_error"], json!(exit_code != 0), "{capture}");
        assert_eq!(end["stop_reason"], if exit_code == 0 { "end_turn" } else { "error" }, "{capture}");
        let state = events.iter().find(|event| event["type"] == "message_state").unwrap();
        let ids = (&state["message_id"], &state["client_message_id"]);
        assert_eq!((ids, &state["state"]), ((&json!("m1"), &json!("client-m1")), &json!("consumed")), "{capture}");
        assert!(of_type(&events, "session")["session_id"].is_string(), "{capture}");
    }
}

#[test]
fn fold_can_be_cut_at_any_record_of_a_capture() {
    for (adapter, capture, exit_code) in ALL {
        assert_any_cut_gives_the_same(&example(adapter), &journal(capture, exit_code));
    }
}

#[test]
fn opencode_reports_a_tool_and_the_sum_of_its_steps() {
    let events = reported("opencode-run", "opencode/run_tool", 0);
    assert_eq!(
        brief(&events),
        [
            "turn_started: ",
            "message_state: consumed",
            "session: ",
            "assistant: Making it.",
            "tool_call: bash: echo hi > made.txt && cat made.txt",
            "tool_result: hi\n",
            "usage: ",
            "assistant: done it",
            "usage: ",
            "turn_completed: ",
        ]
    );
    let call = of_type(&events, "tool_call");
    assert_eq!((&call["kind"], &call["tool_call_id"]), (&json!("execute"), &json!("call_fake_489_0")));
    assert_eq!(call["input"]["description"], "make a file");
    let result = of_type(&events, "tool_result");
    assert_eq!((&result["is_error"], &result["output"]["exit"]), (&json!(false), &json!(0)));
    let end = of_type(&events, "turn_completed");
    assert_eq!(
        end["usage"],
        json!({"input_tokens": 10, "output_tokens": 4, "cache_read_tokens": 0, "cache_write_tokens": 0})
    );
    assert_eq!((&end["cost_usd"], &end["duration_ms"]), (&json!(0.0), &json!(8)));
}

#[test]
fn opencode_reports_refused_tools_and_errors() {
    let events = reported("opencode-run", "opencode/run_tool_permission_rejected", 0);
    let result = of_type(&events, "tool_result");
    assert_eq!(result["is_error"], true);
    assert_eq!(result["content"], "The user rejected permission to use this specific tool call.");
    let events = reported("opencode-run", "opencode/run_api_error_401", 1);
    let error = of_type(&events, "error");
    assert_eq!((&error["code"], &error["content"]), (&json!("APIError"), &json!("Fake error 401")));
    assert_eq!(of_type(&events, "turn_completed")["content"], "the process ended with exit code 1");
}

#[test]
fn codex_reports_reasoning_commands_and_file_changes() {
    let events = reported("codex-exec", "codex/exec_tool_workspace_write", 0);
    let kinds: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    assert_eq!(
        kinds,
        [
            "turn_started",
            "message_state",
            "session",
            "notice",
            "thinking",
            "assistant",
            "tool_call",
            "tool_result",
            "assistant",
            "turn_completed",
        ]
    );
    assert_eq!(of_type(&events, "tool_call")["content"], "/bin/bash -lc 'echo hi > made.txt && cat made.txt'");
    assert_eq!(of_type(&events, "tool_result")["content"], "hi\n");
    let events = reported("codex-exec", "codex/exec_file_change", 0);
    let call = of_type(&events, "tool_call");
    assert_eq!((&call["kind"], &call["locations"]), (&json!("edit"), &json!([{"path": "/project/ap.txt"}])));
    assert_eq!(of_type(&events, "tool_result")["is_error"], false);
}

#[test]
fn codex_distinguishes_retries_from_the_error_that_ends_the_turn() {
    let events = reported("codex-exec", "codex/exec_api_error_401", 1);
    let codes: Vec<&Value> =
        events.iter().filter(|event| event["type"] == "error").map(|event| &event["code"]).collect();
    assert_eq!(codes, ["api_retry", "api_retry", "api_retry", "api_retry", "api_retry", "api_error"]);
    let end = of_type(&events, "turn_completed");
    assert!(end["content"].as_str().unwrap().starts_with("unexpected status 401"));
}

#[test]
fn session_wide_token_counts_are_reported_by_turn() {
    let adapter = example("codex-exec");
    let mut journal = journal("codex/exec_resume_part1", 0);
    append(&mut journal, "codex/exec_resume_part2", 0);
    let events = events(&adapter, &journal);
    let of = |kind: &str| events.iter().filter(|event| event["type"] == kind).cloned().collect::<Vec<_>>();
    let tokens: Vec<Value> = of("turn_completed").iter().map(|event| event["usage"]["input_tokens"].clone()).collect();
    assert_eq!(tokens, [5, 5]);
    assert_eq!(of("session").len(), 1, "the same session is no news");
    let ids: Vec<Value> = of("assistant").iter().map(|event| event["message_id"].clone()).collect();
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn gemini_pieces_are_shown_live_and_reported_as_whole_messages() {
    let all = events(&example("gemini-prompt"), &journal("gemini/p_tool_yolo", 0));
    let pieces: Vec<&Value> =
        all.iter().filter(|event| event["type"] == "delta").map(|event| &event["content"]).collect();
    assert_eq!(pieces, ["Making ", "it.", "done ", "it"]);
    let events = reported("gemini-prompt", "gemini/p_tool_yolo", 0);
    assert_eq!(
        brief(&events),
        [
            "turn_started: ",
            "message_state: consumed",
            "session: ",
            "assistant: Making it.",
            "tool_call: run_shell_command: echo hi > made.txt && cat made.txt",
            "tool_result: hi",
            "assistant: done it",
            "turn_completed: ",
        ]
    );
    assert_eq!(of_type(&events, "session")["model"], "gemini-2.5-pro");
    let end = of_type(&events, "turn_completed");
    assert_eq!((&end["duration_ms"], &end["usage"]["input_tokens"]), (&json!(230), &json!(10)));
    let events = reported("gemini-prompt", "gemini/p_stream_2000", 0);
    let words: Vec<String> = (0..2000).map(|n| format!("w{n}")).collect();
    assert_eq!(of_type(&events, "assistant")["content"].as_str().unwrap().trim_end(), words.join(" "));
}

#[test]
fn gemini_reports_errors_of_tools_and_of_the_api() {
    let events = reported("gemini-prompt", "gemini/p_tool_default_mode", 0);
    assert_eq!(of_type(&events, "tool_result")["is_error"], true);
    let events = reported("gemini-prompt", "gemini/p_api_error_400", 144);
    assert!(of_type(&events, "error")["content"].as_str().unwrap().contains("Fake error 400"));
}

#[test]
fn the_next_message_resumes_the_session_that_the_cli_named() {
    for (adapter, capture, flag) in [
        ("opencode-run", "opencode/run_hello", "ses_dfdfc2231ffegRn2oUEUJlxDW1"),
        ("codex-exec", "codex/exec_resume_part1", "01a201f5-fe06-7272-9acf-b5d4c82a4a3d"),
        ("gemini-prompt", "gemini/p_hello", "edf274d5-cecb-4bb4-8752-931899ecbf25"),
    ] {
        let adapter = example(adapter);
        let mut session = adapter.open();
        fold(session.as_mut(), &Journal::launched(WorkerOptions::default()));
        let first = super::turns::run(session.as_ref(), "hi");
        assert!(!first.1.iter().any(|arg| arg == flag || arg.contains("resume")), "{:?}", first.1);
        let mut session = adapter.open();
        fold(session.as_mut(), &journal(capture, 0));
        assert_eq!(session.activity(), Activity::Idle);
        let next = super::turns::run(session.as_ref(), "--go on");
        assert!(next.1.iter().any(|arg| arg == flag), "{:?}", next.1);
        let reported = next.1.iter().any(|arg| arg == " --go on") || next.2 == ["--go on"];
        assert!(reported, "{next:?}");
    }
}
