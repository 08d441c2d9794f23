//! Processes, turns and commands of declared adapters.

use serde_json::json;

use super::*;
use crate::adapter::{Action, Activity, Command, Launch, LaunchRequest, Message, Refusal, SessionChoice};
use crate::journal::By;

fn message<'a>(content: &'a str) -> Message<'a> {
    Message { id: "m1", content, attachments: &[] }
}

fn lines(lines: &[Vec<u8>]) -> Vec<String> {
    lines.iter().map(|line| String::from_utf8(line.clone()).unwrap()).collect()
}

/// The stdin lines of a message.
fn written(session: &dyn Session, content: &str) -> Vec<String> {
    match session.encode(&Command::Message(&message(content))).unwrap() {
        Action::Write(written) => lines(&written),
        other => panic!("{other:?}"),
    }
}

/// The process that a message starts: program, arguments, stdin.
pub(super) fn run(session: &dyn Session, content: &str) -> (String, Vec<String>, Vec<String>) {
    match session.encode(&Command::Message(&message(content))).unwrap() {
        Action::Run { program, args, stdin } => (program.to_string_lossy().into_owned(), args, lines(&stdin)),
        other => panic!("{other:?}"),
    }
}

fn launch(adapter: &DeclaredAdapter, options: &WorkerOptions, session: SessionChoice<'_>) -> Result<Launch, Refusal> {
    adapter.launch(&LaunchRequest { project_path: Path::new("/project"), options, session })
}

fn per_message() -> DeclaredAdapter {
    declared(&json!({"family": "text", "mode": "per_message", "interrupt": "sigint",
        "command": ["p", ["-m", "{model}"], "--id", "{session_id}", "{message}"],
        "resume_command": ["p", ["-m", "{model}"], "--resume", "{session_id}", "{message}"]}))
}

#[test]
fn text_cli_is_idle_throughout_and_every_line_is_output() {
    let adapter = declared(&json!({"family": "text", "command": ["cat"]}));
    let mut session = adapter.open();
    let mut journal = Journal::launched(WorkerOptions::default());
    fold(session.as_mut(), &journal);
    assert_eq!(session.activity(), Activity::Starting);
    journal.started();
    journal.delivered("m1");
    journal.push(Kind::In, b"hi");
    journal.out("\x1b[1mhi\x1b[0m");
    journal.push(Kind::Out, b"\xff");
    journal.push(Kind::Err, b"warning");
    journal.push(Kind::OutPart, b"no newline");
    let mut session = adapter.open();
    let events: Vec<Value> = fold(session.as_mut(), &journal);
    assert_eq!(session.activity(), Activity::Idle);
    assert_eq!(brief(&events), ["assistant: hi", "assistant: \u{fffd}", "stderr: warning", "assistant: no newline"]);
    journal.exited(Some(0), false);
    fold(session.as_mut(), &journal);
    assert_eq!(session.activity(), Activity::Starting);
}

#[test]
fn a_declared_line_ends_the_turn_that_a_message_began() {
    let adapter = declared(&json!({"family": "text", "command": ["p"], "turn_end": {"line": "<<END>>"},
        "ready": {"prefix": "welcome"}, "interrupt": {"line": "/stop"}}));
    let mut journal = Journal::launched(WorkerOptions::default());
    journal.started();
    let mut session = adapter.open();
    fold(session.as_mut(), &journal);
    assert_eq!(session.activity(), Activity::Starting);
    journal.out("welcome to p");
    let mut session = adapter.open();
    fold(session.as_mut(), &journal);
    assert_eq!(session.activity(), Activity::Idle);
    let stop = session.encode(&Command::Interrupt).unwrap();
    assert_eq!(stop, Action::Write(vec![b"/stop".to_vec()]));

    journal.delivered("m1");
    journal.out("an answer");
    let mut session = adapter.open();
    fold(session.as_mut(), &journal);
    assert_eq!(session.activity(), Activity::Busy);
    journal.push(Kind::OutPart, b"a long line that ends with ");
    journal.out("<<END>>");
    journal.out("<<END>>\r");
    let mut session = adapter.open();
    let events = fold(session.as_mut(), &journal);
    assert_eq!(session.activity(), Activity::Idle);
    assert_eq!(
        brief(&events),
        [
            "assistant: welcome to p",
            "turn_started: ",
            "message_state: consumed",
            "assistant: an answer",
            "assistant: a long line that ends with ",
            "assistant: <<END>>",
            "turn_completed: ",
        ]
    );
    let end = events.last().unwrap();
    assert_eq!((&end["stop_reason"], &end["is_error"]), (&json!("end_turn"), &json!(false)));
}

#[test]
fn an_interrupted_turn_and_one_whose_process_ends_say_so() {
    let adapter = declared(&json!({"family": "text", "command": ["p"], "turn_end": {"line": "end"}}));
    let mut journal = Journal::launched(WorkerOptions::default());
    journal.started();
    journal.delivered("m1");
    journal.ctl(&Control::InterruptRequested { by: By::User });
    journal.out("end");
    journal.delivered("m2");
    journal.exited(Some(0), false);
    let events = events(&adapter, &journal);
    let ends: Vec<&Value> = events.iter().filter(|event| event["type"] == "turn_completed").collect();
    assert_eq!((&ends[0]["stop_reason"], &ends[0]["is_error"]), (&json!("interrupted"), &json!(false)));
    assert_eq!((&ends[1]["stop_reason"], &ends[1]["is_error"]), (&json!("process_ended"), &json!(true)));
}

#[test]
fn process_per_message_is_busy_until_its_exit() {
    let adapter = per_message();
    let mut journal = Journal::launched(WorkerOptions { model: Some("big".into()), ..WorkerOptions::default() });
    let mut session = adapter.open();
    fold(session.as_mut(), &journal);
    assert_eq!(session.activity(), Activity::Idle);
    assert_eq!(run(session.as_ref(), "hi").1, ["-m", "big", "--id", "ours", "hi"]);

    journal.delivered("m1");
    let mut session = adapter.open();
    fold(session.as_mut(), &journal);
    assert_eq!(session.activity(), Activity::Busy);
    journal.started();
    journal.out("an answer");
    journal.exited(Some(0), true);
    journal.ctl(&Control::Configured { model: Some("small".into()), permission_mode: None });
    let mut session = adapter.open();
    let events = fold(session.as_mut(), &journal);
    assert_eq!(
        brief(&events),
        ["turn_started: ", "message_state: consumed", "assistant: an answer", "session: ", "turn_completed: ",]
    );
    assert_eq!(events[3]["session_id"], "ours");
    assert_eq!(events[4]["stop_reason"], "end_turn");
    assert_eq!(session.activity(), Activity::Idle);
    assert_eq!(run(session.as_ref(), "").1, ["-m", "small", "--resume", "ours", ""]);
}

#[test]
fn failed_process_leaves_the_worker_idle_and_its_session_unmade() {
    let adapter = per_message();
    let mut journal = Journal::launched(WorkerOptions::default());
    journal.delivered("m1");
    journal.started();
    journal.exited(Some(3), true);
    journal.delivered("m2");
    journal.started();
    journal.ctl(&Control::InterruptRequested { by: By::User });
    journal.exited(None, true);
    journal.delivered("m3");
    journal.ctl(&Control::SpawnFailed { error: "no such file".into(), missing: true });
    let mut session = adapter.open();
    let events = fold(session.as_mut(), &journal);
    let ends: Vec<&Value> = events.iter().filter(|event| event["type"] == "turn_completed").collect();
    assert_eq!((&ends[0]["stop_reason"], &ends[0]["is_error"]), (&json!("error"), &json!(true)));
    assert_eq!(ends[0]["content"], "the process ended with exit code 3");
    assert_eq!((&ends[1]["stop_reason"], &ends[1]["is_error"]), (&json!("interrupted"), &json!(false)));
    assert_eq!(ends.len(), 2);
    assert_eq!(session.activity(), Activity::Idle);
    assert!(run(session.as_ref(), "x").1.contains(&"--id".to_owned()));
    // The server, which cannot know that, asks for a session that never was.
    journal.ctl(&Control::Launching { session_id: Some("ours".into()), resume: true, settings: None, limits: None });
    let mut session = adapter.open();
    fold(session.as_mut(), &journal);
    assert!(run(session.as_ref(), "x").1.contains(&"--id".to_owned()));
}

#[test]
fn a_resumed_worker_uses_the_resume_command_at_once() {
    let adapter = per_message();
    let mut journal = Journal::launched(WorkerOptions::default());
    journal.ctl(&Control::Launching { session_id: Some("old".into()), resume: true, settings: None, limits: None });
    let mut session = adapter.open();
    fold(session.as_mut(), &journal);
    assert_eq!(run(session.as_ref(), "x").1, ["--resume", "old", "x"]);
}

#[test]
fn launch_fills_placeholders_and_refuses_options_without_a_place() {
    let adapter =
        declared(&json!({"family": "text", "command": ["p", ["-m", "{model}"], "{project_path}", "--id={session_id}"],
        "resume_command": ["p", "--resume", "{session_id}"], "env": {"MODEL": "{model}", "X": "y"}, "volatile": ["~"],
        "stop_by_eof": false}));
    let none = WorkerOptions::default();
    let started = launch(&adapter, &none, SessionChoice::New("s1")).unwrap();
    assert_eq!((started.program, started.args), ("p".into(), vec!["/project".to_owned(), "--id=s1".to_owned()]));
    assert_eq!(started.env, [("X".to_owned(), "y".to_owned())]);
    assert_eq!(
        (started.volatile, started.one_process_per_turn, started.stop_by_eof),
        (vec![b"~".to_vec()], false, false)
    );
    let options = WorkerOptions { model: Some("big".into()), args: vec!["-v".into()], ..none.clone() };
    let started = launch(&adapter, &options, SessionChoice::New("s1")).unwrap();
    assert_eq!(started.args, ["-m", "big", "/project", "--id=s1", "-v"]);
    assert_eq!(started.env[0], ("MODEL".to_owned(), "big".to_owned()));
    assert_eq!(launch(&adapter, &none, SessionChoice::Resume("s0")).unwrap().args, ["--resume", "s0"]);
    assert!(launch(&adapter, &none, SessionChoice::Fork { from: "a", new: "b" }).is_err());
    let mode = WorkerOptions { permission_mode: Some("plan".into()), ..none.clone() };
    let error = launch(&adapter, &mode, SessionChoice::New("s1")).unwrap_err().to_string();
    assert_eq!(error, "test takes no permission_mode: its file has no {permission_mode} in a command");

    let launched = launch(&per_message(), &none, SessionChoice::New("s1")).unwrap();
    assert_eq!((launched.program, launched.one_process_per_turn), (PathBuf::new(), true));
    let cat = declared(&json!({"family": "text", "command": ["cat"]}));
    assert!(launch(&cat, &none, SessionChoice::Resume("s1")).unwrap().stop_by_eof);
    let resumed = WorkerOptions { resume_session: Some("s1".into()), ..none };
    assert!(launch(&cat, &resumed, SessionChoice::Resume("s1")).is_err());
}

#[test]
fn a_message_is_encoded_as_the_file_says() {
    let encoded = |input: Value, text: &str| {
        let adapter = declared(&json!({"family": "text", "command": ["p"], "input": input}));
        let mut session = adapter.open();
        fold(session.as_mut(), &Journal::launched(WorkerOptions::default()));
        written(session.as_ref(), text)
    };
    assert_eq!(encoded(json!({"encoding": "line"}), "a\r\nb\n"), ["a", "b", ""]);
    assert_eq!(encoded(json!({"encoding": "line", "newlines": "lines", "end_line": "."}), "a"), ["a", "."]);
    assert_eq!(encoded(json!({"encoding": "line", "newlines": "escape"}), "a\\n\nb"), ["a\\\\n\\nb"]);
    assert_eq!(encoded(json!({"encoding": "line", "newlines": "space"}), "a\nb"), ["a b"]);
    let template = json!({"type": "user", "id": "{message_id}", "session": "{session_id}", "text": "> {message}"});
    let line = encoded(json!({"encoding": "json", "template": template}), "a \"b\"\nc");
    assert_eq!(line.len(), 1);
    let line: Value = serde_json::from_str(&line[0]).unwrap();
    assert_eq!(line, json!({"type": "user", "id": "m1", "session": "ours", "text": "> a \"b\"\nc"}));
}

#[test]
fn commands_beyond_a_declared_cli_are_refused_with_the_reason() {
    let adapter = declared(&json!({"family": "text", "command": ["p", ["-m", "{model}"]]}));
    let session = adapter.open();
    let refused = |command: &Command<'_>| session.encode(command).unwrap_err().to_string();
    assert_eq!(refused(&Command::Interrupt), "test cannot be interrupted; stop the worker instead");
    assert_eq!(refused(&Command::SetModel(None)), "test takes its model at its start only; restart the worker");
    assert_eq!(refused(&Command::SetPermissionMode("x")), "test takes no permission_mode");
    assert_eq!(refused(&Command::Steer(&message("x"))), "test takes no message within a turn");
    assert_eq!(refused(&Command::Answer { request_id: "r", answers: &json!({}) }), "test has not asked r");
    let images = [json!({"media_type": "image/png", "data": ""})];
    let with_image = Message { attachments: &images, ..message("x") };
    assert!(refused(&Command::Message(&with_image)).contains("without attachments"));

    let session = per_message().open();
    assert_eq!(session.encode(&Command::SetModel(Some("m"))), Ok(Action::Write(Vec::new())));
    assert_eq!(session.encode(&Command::Interrupt), Ok(Action::Signal(2)));
    for long in ["x".repeat(crate::adapter::declared::ARGUMENT_BYTES_MAX + 1), "a\0b".to_owned()] {
        let error = session.encode(&Command::Message(&message(&long))).unwrap_err();
        assert!(error.to_string().contains("into a file"), "{error}");
    }
}

#[test]
fn lines_without_a_rule_are_unknown_with_their_content() {
    let adapter = declared(&json!({"family": "jsonl", "command": ["p"], "fields": [
        {"when": {"type": "text"}, "event": "assistant", "content": "text"}]}));
    let mut journal = Journal::launched(WorkerOptions::default());
    journal.started();
    for line in [
        "{\"type\":\"new\",\"n\":1}",
        "{\"type\":\"text\"}",
        "not json",
        "",
        "[1]",
        "{\"type\":\"text\",\"text\":\"hi\"}",
    ] {
        journal.out(line);
    }
    let events = events(&adapter, &journal);
    let raw: Vec<&Value> =
        events.iter().filter(|event| event["type"] == "unknown").map(|event| &event["raw"]).collect();
    assert_eq!(raw, [&json!({"type": "new", "n": 1}), &json!({"type": "text"}), &json!("not json"), &json!([1])]);
    assert_eq!(events.last().unwrap()["content"], "hi");

    let mut long = Journal::launched(WorkerOptions::default());
    long.out(&json!({"type": "new", "text": "x".repeat(100_000)}).to_string());
    long.out(&"x".repeat(100_000));
    for event in super::events(&adapter, &long) {
        assert!(event.to_string().len() < 32 * 1024 + 2_500, "{}", event["type"]);
    }
}

#[test]
fn last_lines_without_newline_and_long_ones_are_read() {
    let adapter = declared(&json!({"family": "jsonl", "command": ["p"], "fields": [
        {"when": {"type": "text"}, "event": "assistant", "content": "text"}]}));
    let mut journal = Journal::launched(WorkerOptions::default());
    journal.started();
    let long = format!("{{\"type\":\"text\",\"text\":\"{}", "x".repeat(10_000));
    journal.push(Kind::OutPart, long.as_bytes());
    journal.push(Kind::OutPart, b"{\"type\":\"text\",\"text\":\"inside a line\"}");
    journal.out("\"}");
    journal.push(Kind::OutPart, b"{\"type\":\"text\",\"text\":\"last\"}");
    journal.exited(Some(0), false);
    journal.started();
    journal.out("{\"type\":\"text\",\"text\":\"again\"}");
    let events = events(&adapter, &journal);
    let kinds: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    assert_eq!(kinds, ["notice", "notice", "notice", "assistant", "assistant"]);
    let notice = events[0]["content"].as_str().unwrap();
    assert!(notice.starts_with("a piece of a line, 10023 bytes: {\"type\"") && notice.len() < 2_100, "{notice}");
    assert_eq!((&events[3]["content"], &events[4]["content"]), (&json!("last"), &json!("again")));
}

#[test]
fn jsonl_cli_is_busy_until_the_turns_last_line() {
    let adapter = declared(&json!({"family": "jsonl", "command": ["p"], "ready": {"when": {"type": "hello"}},
        "volatile": ["{\"type\":\"delta\""], "fields": [
        {"when": {"type": "hello"}, "event": "session", "session_id": "id", "tools": "tools"},
        {"when": {"type": "begin"}, "event": "turn_started"},
        {"when": {"type": "delta"}, "event": "delta", "content": "text", "of": "thinking"},
        {"when": {"type": "todo"}, "event": "plan", "entries": "items"},
        {"when": {"type": "end"}, "event": "turn_completed", "stop_reason": "why", "result": "answer", "cost_usd": "cost"}]}));
    let mut journal = Journal::launched(WorkerOptions::default());
    journal.started();
    let mut session = adapter.open();
    fold(session.as_mut(), &journal);
    assert_eq!(session.activity(), Activity::Starting);
    journal.out("{\"type\":\"hello\",\"id\":\"s9\",\"tools\":[\"t\"]}");
    journal.delivered("m1");
    journal.out("{\"type\":\"begin\"}");
    journal.out("{\"type\":\"todo\",\"items\":[{\"text\":\"a\",\"completed\":true},{\"content\":\"b\",\"status\":\"in_progress\"},\"c\"]}");
    let mut session = adapter.open();
    fold(session.as_mut(), &journal);
    assert_eq!(session.activity(), Activity::Busy);
    journal.out("{\"type\":\"end\",\"why\":\"max_turns\",\"answer\":\"done\",\"cost\":0.5}");
    journal.out("{\"type\":\"begin\"}");
    journal.out("{\"type\":\"end\"}");
    journal.out("{\"type\":\"end\"}");
    let mut session = adapter.open();
    let events = fold(session.as_mut(), &journal);
    assert_eq!(session.activity(), Activity::Idle);
    let kinds: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    assert_eq!(
        kinds,
        [
            "session",
            "turn_started",
            "message_state",
            "plan",
            "turn_completed",
            "turn_started",
            "turn_completed",
            "turn_started",
            "turn_completed",
        ]
    );
    assert_eq!((&events[0]["session_id"], &events[0]["tools"]), (&json!("s9"), &json!(["t"])));
    let statuses: Vec<&Value> = events[3]["entries"].as_array().unwrap().iter().map(|entry| &entry["status"]).collect();
    assert_eq!(statuses, ["completed", "in_progress", "pending"]);
    let end = &events[4];
    assert_eq!(
        (&end["stop_reason"], &end["result"], &end["cost_usd"]),
        (&json!("max_turns"), &json!("done"), &json!(0.5))
    );

    let before = session.save();
    let mut line = Journal::default();
    line.out("{\"type\":\"delta\",\"text\":\"hm\"}");
    let mut deltas = Vec::new();
    let records = line.records();
    let mut events = Vec::new();
    session.volatile(&records[0], &mut events);
    deltas.extend(events.into_iter().map(|it| (serde_json::to_value(&it.body).unwrap(), it.content.into_owned())));
    assert_eq!(deltas, [(json!({"type": "delta", "of": "thinking"}), "hm".to_owned())]);
    assert_eq!(session.save(), before);
}
