//! `adapters/README.md` is true: its examples are loaded and run, and it names every field there is.

use std::io::{Read, Write};
use std::process::{Command as Process, Stdio};

use serde_json::json;

use super::*;
use crate::adapter::declared::{ARGUMENT_BYTES_MAX, AdapterLoadError, TYPE_BYTES_MAX, load};
use crate::adapter::testing::recorded;
use crate::adapter::{Action, Command, LaunchRequest, Message, SessionChoice};

fn guide() -> String {
    std::fs::read_to_string(project_file("adapters/README.md")).unwrap()
}

/// The block of the guide that is marked with `name`.
fn block(name: &str) -> String {
    let guide = guide();
    let (_, rest) = guide.split_once(&format!(" {name}\n")).unwrap_or_else(|| panic!("no block {name}"));
    rest.split_once("```").unwrap().0.to_owned()
}

fn adapter(name: &str) -> DeclaredAdapter {
    DeclaredAdapter::parse(block(name).as_bytes(), &Path::new("/adapters").join(name)).unwrap_or_else(|e| panic!("{e}"))
}

fn message(content: &str) -> Message<'_> {
    Message { id: "m1", content, attachments: &[] }
}

fn assert_reported(name: &str, events: &[Value]) {
    let lines: Vec<String> = brief(events).iter().map(|line| line.trim_end().to_owned()).collect();
    assert_eq!(lines, block(name).lines().collect::<Vec<_>>());
}

#[test]
fn guides_shell_loop_runs_and_gives_its_events() {
    let adapter = adapter("shell.json");
    assert_eq!((adapter.cli().kind.as_str(), adapter.cli().name.as_str()), ("shell", "Shell loop"));
    let options = WorkerOptions::default();
    let project_path = Path::new("/");
    let request = LaunchRequest { project_path, options: &options, session: SessionChoice::New("s") };
    let launch = adapter.launch(&request).unwrap();
    let mut journal = Journal::launched(options.clone());
    journal.started();
    journal.delivered("m1");
    let mut session = adapter.open();
    fold(session.as_mut(), &journal);
    let Action::Write(lines) = session.encode(&Command::Message(&message("hello\nworld"))).unwrap() else { panic!() };
    assert_eq!(lines, [b"hello world"]);

    let mut process = Process::new(&launch.program);
    let mut child = process.args(&launch.args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    // Closing its stdin ends the loop, as `stop_by_eof` says, so this reads to the end.
    let mut stdin = child.stdin.take().unwrap();
    lines.iter().for_each(|line| stdin.write_all(&[line, &b"\n"[..]].concat()).unwrap());
    drop(stdin);
    let mut output = String::new();
    child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    assert!(child.wait().unwrap().success() && launch.stop_by_eof);
    output.lines().for_each(|line| journal.out(line));
    assert_reported("shell.events", &events(&adapter, &journal));
}

#[test]
fn guides_json_program_gives_its_events_and_commands() {
    let adapter = adapter("tiny.json");
    let mut journal = Journal::launched(WorkerOptions::default());
    let run = |journal: &Journal, text: &str| {
        let mut session = adapter.open();
        fold(session.as_mut(), journal);
        super::turns::run(session.as_ref(), text)
    };
    let (program, args, stdin) = run(&journal, "a question");
    assert_eq!((program.as_str(), args, stdin.len()), ("tiny", vec!["a question".to_owned()], 0));
    journal.delivered("m1");
    journal.started();
    block("tiny.jsonl").lines().for_each(|line| journal.out(line));
    journal.exited(Some(0), true);
    let events = events(&adapter, &journal);
    assert_reported("tiny.events", &events);
    assert_eq!(events[4]["kind"], "execute");
    assert_eq!(events.last().unwrap()["usage"]["output_tokens"], 7);
    assert_eq!(run(&journal, "another").1, ["--session", "s1", "another"]);
}

/// The field names that an error about an unknown field lists.
fn fields_of(file: &Value) -> Vec<String> {
    match DeclaredAdapter::parse(file.to_string().as_bytes(), Path::new("/adapters/x.json")) {
        Err(AdapterLoadError::Invalid { reason, .. }) => {
            let (_, list) = reason.split_once("one of: ").unwrap_or_else(|| panic!("{reason}"));
            list.split(", ").map(str::to_owned).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_guide_names_every_field_and_every_bound() {
    let guide = guide();
    let mut files = vec![
        json!({"family": "text", "command": ["p"], "?": 1}),
        json!({"family": "jsonl", "command": ["p"], "fields": [], "?": 1}),
        json!({"family": "acp", "command": ["p"], "?": 1}),
        json!({"family": "text", "command": ["p"], "input": {"encoding": "line", "?": 1}}),
        json!({"family": "text", "command": ["p"], "input": {"encoding": "json", "template": "{message}", "?": 1}}),
    ];
    let rule = |event: &str| json!({"when": {}, "event": event, "content": "a", "tool_call_id": "a", "name": "a", "entries": "a", "usage": {}});
    let jsonl = |rule: Value| json!({"family": "jsonl", "command": ["p"], "fields": [rule]});
    let events = [
        "assistant",
        "thinking",
        "part",
        "delta",
        "tool_call",
        "tool_result",
        "plan",
        "error",
        "notice",
        "usage",
        "turn_started",
        "turn_completed",
        "session",
        "ignore",
    ];
    for event in events {
        assert!(guide.contains(&format!("`{event}`")), "{event}");
        let mut rule = rule(event);
        rule["?"] = json!(1);
        files.push(jsonl(rule));
    }
    let mut usage = rule("usage");
    usage["usage"]["?"] = json!(1);
    files.push(jsonl(usage));
    for field in files.iter().flat_map(fields_of) {
        let named = guide.contains(&format!("`{field}`")) || guide.contains(&format!("\"{field}\""));
        assert!(named, "the guide does not name the field {field}");
    }
    for (name, _) in crate::adapter::declared::template::Name::ALL {
        assert!(guide.contains(&format!("`{{{name}}}`")), "{name}");
    }
    assert_eq!((ARGUMENT_BYTES_MAX, TYPE_BYTES_MAX), (131_071, 64));
}

#[test]
fn examples_load_when_they_are_copied_up_and_not_before() {
    let found = load(&project_file("adapters/examples"), &["claude", "opencode", "codex", "gemini"]);
    assert!(found.errors.is_empty(), "{:?}", found.errors);
    let kinds: Vec<&str> = found.adapters.iter().map(|adapter| adapter.cli().kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "aider",
            "claude-agent-acp",
            "cline",
            "codex-acp",
            "codex-exec",
            "copilot",
            "gemini-prompt",
            "opencode-acp",
            "opencode-run",
            "pi",
            "qwen",
            "shell",
            "vibe",
        ]
    );
    let asked = found.adapters.iter().filter_map(|adapter| adapter.version_args());
    assert!(asked.into_iter().all(|args| args == ["--version"]));
    let own = load(&project_file("adapters"), &[]);
    assert!(own.adapters.is_empty() && own.errors.is_empty());
}

#[test]
fn protocol_agent_needs_one_entry_and_gives_builtin_events() {
    let agent = adapter("my-agent.json");
    let options = WorkerOptions { model: Some("m".to_owned()), ..WorkerOptions::default() };
    let session = SessionChoice::New("ours");
    let request = LaunchRequest { project_path: Path::new("/project"), options: &options, session };
    let launch = agent.launch(&request).unwrap();
    assert_eq!(launch.args, ["--acp", "--model", "m"]);
    assert!(agent.cli().capabilities.contains(&"permissions".to_owned()));

    let fold = |adapter: &dyn Adapter| {
        let mut journal = Journal::launched(WorkerOptions::default());
        journal.started();
        for record in recorded::journal(&project_file("tests/captures/opencode"), "acp_tool_allowed") {
            journal.push(record.kind, &record.payload);
        }
        super::fold(&mut *adapter.open(), &journal)
    };
    let declared = example("opencode-acp");
    let built_in = crate::adapter::acp::OpenCode::new(crate::adapter::acp::OpenCodeSettings::default());
    let events = fold(&declared);
    assert!(events.iter().any(|event| event["type"] == "permission_request"));
    assert_eq!(events, fold(&built_in));
}

#[test]
fn fields_fixed_by_the_protocol_are_refused_in_files() {
    for (field, value) in [("mode", json!("session")), ("input", json!({"encoding": "line"})), ("volatile", json!([]))]
    {
        let mut file = json!({"family": "acp", "command": ["p"]});
        file[field] = value;
        let error =
            DeclaredAdapter::parse(file.to_string().as_bytes(), Path::new("/a/x.json")).unwrap_err().to_string();
        assert!(error.contains("unknown field"), "{error}");
    }
    let file = json!({"family": "acp", "command": ["p", "{session_id}"]});
    assert!(DeclaredAdapter::parse(file.to_string().as_bytes(), Path::new("/a/x.json")).is_err());
}
