//! The fake CLI behaves as the recordings of the real one.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::clis;
use crate::support::pipes::{CLAUDE_ARGS, Pipes};
use crate::support::processes::{self, Process};
use crate::support::temp::TempDir;
use crate::support::wait::{DEADLINE, eventually};

const UUID: &str = "11111111-2222-4333-8444-555555555555";

fn start(dir: &TempDir, more: &[&str]) -> Pipes {
    let args = [CLAUDE_ARGS, more].concat();
    Pipes::start(&clis::fake_cli(), &args, dir.path(), &clis::quiet_env(dir.path()))
}

fn answer(cli: &mut Pipes, prompt: &str) -> Value {
    cli.say(prompt, UUID);
    cli.wait_for_type("result")
}

#[test]
fn turn_has_the_lines_of_the_real_one_in_order() {
    let dir = TempDir::new("fake-cli");
    let mut cli = start(&dir, &["--session-id", UUID]);
    cli.control("r1", json!({"subtype": "initialize"}));
    assert_eq!(cli.wait_for_type("control_response")["response"]["request_id"], "r1");
    let result = answer(&mut cli, "echo one two");
    assert_eq!((&result["result"], &result["session_id"]), (&json!("one two"), &json!(UUID)));
    let lines: Vec<Value> = cli.seen.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let place = |wanted: &dyn Fn(&Value) -> bool| lines.iter().position(wanted).expect("a line of that kind");
    let order = [
        place(&|line| line["subtype"] == "init"),
        place(&|line| line["isReplay"] == true && line["uuid"] == UUID),
        place(&|line| line["event"]["delta"]["text"] == "one "),
        place(&|line| line["type"] == "assistant"),
        place(&|line| line["type"] == "result"),
    ];
    assert!(order.is_sorted(), "{order:?}");
    cli.finish();
    assert!(cli.exit().success());

    let mut resumed = start(&dir, &["--resume", UUID]);
    assert_eq!(answer(&mut resumed, "memory")["result"], "2", "a resumed session remembers its messages");
    let mut unknown = start(&dir, &["--resume", "99999999-2222-4333-8444-555555555555"]);
    assert_eq!(unknown.exit().code(), Some(1));
}

#[test]
fn a_permission_is_asked_allowed_denied_and_withdrawn() {
    let dir = TempDir::new("fake-cli");
    let mut cli = start(&dir, &[]);
    let prompt = r#"permission Write {"path":"a"}"#;
    let decide = |cli: &mut Pipes, response: Value| {
        cli.say(prompt, UUID);
        let ask = cli.wait_for_type("control_request");
        assert_eq!(ask["request"]["tool_name"], "Write");
        let response = json!({"subtype": "success", "request_id": ask["request_id"], "response": response});
        cli.send(&json!({"type": "control_response", "response": response}));
        cli.wait_for_type("result")["result"].as_str().unwrap().to_owned()
    };
    let allowed = decide(&mut cli, json!({"behavior": "allow", "updatedInput": {"path": "b"}}));
    assert_eq!(allowed, r#"allowed: {"path":"b"}"#);
    assert_eq!(decide(&mut cli, json!({"behavior": "deny", "message": "no"})), "denied: no");

    cli.say(prompt, UUID);
    let ask = cli.wait_for_type("control_request");
    cli.control("stop", json!({"subtype": "interrupt"}));
    assert_eq!(cli.wait_for_type("control_cancel_request")["request_id"], ask["request_id"]);
    assert_eq!(cli.wait_for_type("result")["is_error"], true);
}

#[test]
fn hanging_turn_is_interrupted_and_waiting_messages_follow_in_order() {
    let dir = TempDir::new("fake-cli");
    let mut cli = start(&dir, &[]);
    cli.say("hang", UUID);
    cli.wait_for("init", |line| line["subtype"] == "init");
    cli.say("echo first", UUID);
    cli.say("echo second", UUID);
    cli.control("stop", json!({"subtype": "interrupt"}));
    assert_eq!(cli.wait_for_type("result")["subtype"], "error_during_execution");
    assert_eq!(cli.wait_for_type("result")["result"], "first");
    assert_eq!(cli.wait_for_type("result")["result"], "second");
}

#[test]
fn it_ends_as_it_must() {
    let dir = TempDir::new("fake-cli");
    for (prompt, code) in [("exit 7", Some(7)), ("signal SIGKILL", None)] {
        let mut cli = start(&dir, &[]);
        cli.say(prompt, UUID);
        assert_eq!(cli.exit().code(), code, "{prompt}");
    }
    let mut cli = start(&dir, &[]);
    cli.send(&json!({"type": "control_request"}));
    assert_eq!(cli.exit().code(), Some(1), "a line that the real CLI cannot read ends it");
}

#[test]
fn numbered_lines_come_in_order_and_bytes_as_they_are() {
    let dir = TempDir::new("fake-cli");
    let mut cli = start(&dir, &[]);
    assert_eq!(answer(&mut cli, "lines 200 2000")["result"], "200 lines");
    let texts: Vec<String> = cli
        .seen
        .iter()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|line| line["message"]["content"][0]["text"].as_str().map(str::to_owned))
        .filter(|text| text.starts_with("line "))
        .collect();
    assert_eq!(texts, (1..=200).map(|number| format!("line {number}")).collect::<Vec<_>>());

    let recording = dir.path().join("recording.jsonl");
    std::fs::write(&recording, "{\"a\":1}\nno json\n").unwrap();
    cli.seen.clear();
    cli.say(&format!("play {} 1", recording.display()), UUID);
    cli.wait_for("the recording", |line| line["a"] == 1);
    assert_eq!(cli.line(DEADLINE).as_deref(), Some("no json"));

    let output = Command::new(clis::fake_cli()).args(["lines", "3", "--pad", "2"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "line 1xx\nline 2xx\nline 3xx\n");
}

#[test]
fn forked_process_holds_the_pipes_and_ignores_sigterm() {
    use nix::sys::signal::Signal;

    for kind in ["fork", "fork orphan"] {
        let dir = TempDir::new("fake-cli");
        let mut env = clis::quiet_env(dir.path());
        let tag = format!("fork-{}-{}", std::process::id(), kind.len());
        env.push(("HARNESS_TAG".to_owned(), tag.clone()));
        let mut cli = Pipes::start(&clis::fake_cli(), CLAUDE_ARGS, dir.path(), &env);
        answer(&mut cli, kind);
        let stubborn: Process = eventually(DEADLINE, "the forked process leads a session", || {
            processes::with_env("HARNESS_TAG", &tag).into_iter().find(|process| process.session == process.pid)
        });
        assert_ne!(stubborn.pid, cli.pid());
        assert!(processes::signal(&stubborn, Signal::SIGTERM));
        cli.finish();
        assert!(cli.exit().success());
        assert!(processes::is_alive(&stubborn), "{kind}: it outlives the CLI and SIGTERM");
        assert_eq!(processes::end(&[stubborn]), []);
        assert_eq!(cli.line(DEADLINE), None, "stdout ends with the last process that holds it");
    }
}

#[test]
fn plain_lines_are_echoed() {
    use std::io::Write;

    let mut child =
        Command::new(clis::fake_cli()).arg("echo").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"a\n\xff").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.stdout, b"you said: a\nyou said: \xff\n");
}
