//! Lines of real agents of these families that the rules must read.

use serde_json::json;

use super::*;
use crate::adapter::{Adapter, LaunchRequest, SessionChoice};

/// An agent whose answers are lists of parts.
fn lists() -> DeclaredAdapter {
    declared(&json!({"family": "jsonl", "command": ["p"], "fields": [
        {"when": {"type": "said"}, "event": "assistant", "content": "content"},
        {"when": {"type": "done"}, "event": "tool_result", "tool_call_id": "id", "content": {"texts": "output"}},
        {"when": {"type": "raw"}, "event": "tool_result", "tool_call_id": "id", "content": "output"},
        {"when": {"type": "said"}, "event": "ignore"},
    ]}))
}

#[test]
fn answer_that_is_a_list_gives_texts_never_json() {
    let mut journal = Journal::launched(WorkerOptions::default());
    journal.started();
    for line in [
        json!({"type": "said", "content": []}),
        json!({"type": "said", "content": [{"type": "toolCall", "arguments": {"x": 1}}]}),
        json!({"type": "said", "content": [{"type": "toolCall"}, {"type": "text", "text": "Hello"}, "."]}),
        json!({"type": "done", "id": "t", "output": [{"type": "image"}, {"text": "one"}]}),
        json!({"type": "raw", "id": "t", "output": [{"lines": 1}]}),
    ] {
        journal.out(&line.to_string());
    }
    let reported = brief(&events(&lists(), &journal));
    assert_eq!(reported, ["assistant: Hello.", "tool_result: one", "tool_result: [{\"lines\":1}]"]);
}

#[test]
fn blank_lines_of_plain_programs_are_no_answers() {
    let plain = declared(&json!({"family": "text", "command": ["p"]}));
    let mut journal = Journal::launched(WorkerOptions::default());
    journal.started();
    for line in ["", "one", "  \t", "two"] {
        journal.out(line);
    }
    assert_eq!(brief(&events(&plain, &journal)), ["assistant: one", "assistant: two"]);
}

#[test]
fn pieces_after_a_turn_are_reported_when_the_program_pauses() {
    let adapter = declared(&json!({"family": "jsonl", "command": ["p"], "fields": [
        {"when": {"type": "piece"}, "event": "part", "content": "text"},
        {"when": {"type": "end"}, "event": "turn_completed"},
    ]}));
    let mut journal = Journal::launched(WorkerOptions::default());
    journal.started();
    journal.delivered("m1");
    for line in
        [json!({"type": "end"}), json!({"type": "piece", "text": "and "}), json!({"type": "piece", "text": "later"})]
    {
        journal.out(&line.to_string());
    }
    let mut session = adapter.open();
    fold(session.as_mut(), &journal);
    assert!(session.holds_text());
    journal.ctl(&Control::Quiet {});
    let reported = brief(&events(&adapter, &journal));
    assert_eq!(reported.last().map(String::as_str), Some("assistant: and later"));
}

#[test]
fn file_names_the_permission_mode_of_workers_that_name_none() {
    let file = json!({"family": "jsonl", "command": ["p", ["--mode", "{permission_mode}"]], "permission_mode": "ask",
        "fields": [{"when": {"type": "x"}, "event": "ignore"}]});
    let args = |mode: Option<&str>| {
        let options = WorkerOptions { permission_mode: mode.map(str::to_owned), ..WorkerOptions::default() };
        let session = SessionChoice::New("s");
        let request = LaunchRequest { project_path: Path::new("/project"), options: &options, session };
        declared(&file).launch(&request).unwrap().args
    };
    assert_eq!(
        (args(None), args(Some("yolo"))),
        (vec!["--mode".into(), "ask".into()], vec!["--mode".into(), "yolo".into()])
    );
    let mut homeless = file;
    homeless["command"] = json!(["p"]);
    let error =
        DeclaredAdapter::parse(homeless.to_string().as_bytes(), Path::new("/a/x.json")).unwrap_err().to_string();
    assert!(error.contains("permission_mode: no command"), "{error}");
}
