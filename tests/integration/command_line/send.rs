//! `send`: it prints the answer to its own message, always ends, and gives the reason on standard error.

use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Output, Stdio};

use serde_json::json;

use super::{refused, run, start};
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::{TestWorker, declare, run_script, server_for_programs};

const NOWHERE: &str = "/nowhere/opencode";

fn begin(server: &TestServer, args: &[&str]) -> Child {
    let mut command = server.command(args.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Returns the exit code and standard error of a running command.
fn ended(child: Child) -> (i32, String) {
    reported(&child.wait_with_output().unwrap())
}

fn reported(output: &Output) -> (i32, String) {
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn send_to_a_cli_that_cannot_start_reports_why() {
    let server = start("send-missing", &[("OPENCODE_BINARY", NOWHERE)]);
    let worker = TestWorker::create(&server, "opencode", &json!({"name": "oc"}));
    worker.wait_status(&server, "failed");
    for _ in 0..2 {
        let (code, reported) = refused(&server, &["send", "oc", "hello"]);
        assert!(code == 1 && reported.contains(NOWHERE), "{code} {reported}");
    }
}

#[test]
fn new_warns_when_its_cli_cannot_start() {
    let server = start("new-missing", &[("OPENCODE_BINARY", NOWHERE)]);
    let project = server.project();
    let output = run(&server, &["new", "oc", project.to_str().unwrap(), "--cli", "opencode"]);
    let (code, reported) = reported(&output);
    assert!(code == 0 && reported.contains(NOWHERE), "{code} {reported}");
    assert_eq!(server.worker_ids(), [String::from_utf8(output.stdout).unwrap().trim()]);
    let table = String::from_utf8(run(&server, &["ls"]).stdout).unwrap();
    assert!(table.lines().any(|line| line.contains("failed") && line.contains(NOWHERE)), "{table}");
}

#[test]
fn send_says_why_a_turn_has_failed() {
    let server = start("send-fails", &[]);
    TestWorker::create(&server, "claude", &json!({"name": "w"}));
    let output = run(&server, &["send", "w", "fail no login here"]);
    let (code, reported) = reported(&output);
    assert!(code == 3 && reported.contains("no login here"), "{code} {reported}");
}

#[test]
fn send_ends_when_the_cli_ends_in_mid_turn() {
    let server = start("send-exit", &[]);
    TestWorker::create(&server, "claude", &json!({"name": "w"}));
    let (code, reported) = refused(&server, &["send", "w", "exit 7"]);
    assert!([1, 3].contains(&code) && reported.starts_with("rs-worker send: "), "{code} {reported}");
}

/// Plays Claude Code with a background task that ends another turn before the message is read.
const BACKGROUND: &str = r#"#!/bin/sh
[ "$1" = --version ] && { echo '2.1.250 (Claude Code)'; exit 0; }
init() { echo '{"type":"system","subtype":"init","session_id":"s","cwd":"/","tools":[],"mcp_servers":[],"model":"m"}'; }
say() { echo '{"type":"assistant","session_id":"s","parent_tool_use_id":null,"message":{"id":"m-'$2'","role":"assistant","model":"m","content":[{"type":"text","text":"'$1'"}]}}'; }
result() { echo '{"type":"result","subtype":"success","is_error":false,"session_id":"s","result":""'$1'}'; }
while read -r line; do
    case $line in
    *control_request*)
        id=$(printf '%s' "$line" | sed 's/.*"request_id":"\([^"]*\)".*/\1/')
        echo '{"type":"control_response","response":{"subtype":"success","request_id":"'$id'","response":{}}}' ;;
    *'"type":"user"'*)
        init; say background 1; result ',"origin":{"kind":"task-notification"}'
        init; printf '%s\n' "$line" | sed 's/^{/{"isReplay":true,/'; say answer 2; result ;;
    esac
done
"#;

#[test]
fn send_prints_only_the_answer_to_its_own_message() {
    let mut server = server_for_programs("send-own", &[]);
    let program = server.dir().join("background");
    fs::write(&program, BACKGROUND).unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    server.set_env("CLAUDE_BINARY", program.to_str().unwrap());
    server.start();
    let worker = TestWorker::create(&server, "claude", &json!({"name": "w"}));
    let output = run(&server, &["send", "w", "a question"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "answer\n", "{:?}", worker.events(&server));
}

#[test]
fn send_ends_when_its_message_is_withdrawn_or_worker_stopped() {
    let server = start("send-queue", &[]);
    let worker = TestWorker::create(&server, "claude", &json!({"name": "w"}));
    worker.say(&server, "hang");
    worker.wait_status(&server, "busy");
    let queued = || {
        let queue = server.get(&worker.path("/queue")).expect(200).json()["queue"].clone();
        queue[0]["message_id"].as_str().map(str::to_owned)
    };
    let sending = begin(&server, &["send", "w", "later"]);
    let message = eventually(DEADLINE, "the message waits", queued);
    server.delete(&worker.path(&format!("/queue/{message}"))).expect(200);
    let (code, reported) = ended(sending);
    assert!(code == 1 && reported.contains("taken back"), "{code} {reported}");
    let sending = begin(&server, &["send", "w", "later"]);
    eventually(DEADLINE, "the message waits", queued);
    worker.call(&server, "stop").expect(200);
    let (code, reported) = ended(sending);
    assert!(code == 1 && reported.contains("next start"), "{code} {reported}");
}

#[test]
fn send_to_a_cli_without_turns_ends_on_delivery() {
    let server = start("send-text", &[]);
    let worker = run_script(&server, "while read line; do echo \"got $line\"; done");
    let (code, reported) = reported(&run(&server, &["send", &worker.id, "hello"]));
    assert!(code == 0 && reported.contains("rs-worker logs -f"), "{code} {reported}");
    worker.wait_event(&server, "assistant", 1);
}

#[test]
fn send_names_a_prompt_and_waits_for_its_answer() {
    let server = start("send-prompt", &[]);
    let worker = TestWorker::create(&server, "claude", &json!({"name": "w"}));
    let mut sending = begin(&server, &["send", "w", "permission"]);
    let mut line = String::new();
    BufReader::new(sending.stderr.take().unwrap()).read_line(&mut line).unwrap();
    let prompt = worker.wait_prompt(&server);
    let request = prompt["request_id"].as_str().unwrap();
    assert!(line.contains(&format!("rs-worker permissions allow w {request}")), "{line}");
    assert!(run(&server, &["permissions", "allow", "w", request]).status.success());
    assert!(sending.wait().unwrap().success());
}

#[test]
fn send_behind_an_earlier_prompt_reports_it_and_waits() {
    let server = start("send-behind", &[]);
    let worker = TestWorker::create(&server, "claude", &json!({"name": "w"}));
    worker.say(&server, "permission");
    let request = worker.wait_prompt(&server)["request_id"].as_str().unwrap().to_owned();
    let mut sending = begin(&server, &["send", "w", "and this"]);
    let mut line = String::new();
    BufReader::new(sending.stderr.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("earlier prompt") && line.contains("rs-worker permissions"), "{line}");
    assert!(run(&server, &["permissions", "allow", "w", &request]).status.success());
    assert!(sending.wait().unwrap().success());
}

#[test]
fn send_to_an_unresponsive_agent_ends_with_the_reason() {
    let mut server = server_for_programs("send-mute", &[("WORKER_TIMEOUT", "1")]);
    declare(&server, "mute", &json!({"family": "acp", "command": ["sh", "-c", "cat > /dev/null"]}));
    server.start();
    let worker = TestWorker::create(&server, "mute", &json!({}));
    for _ in 0..2 {
        let (code, reported) = refused(&server, &["send", &worker.id, "hello"]);
        assert!(code == 1 && reported.contains("does not respond"), "{code} {reported}");
    }
}

#[test]
fn a_piped_message_loses_the_end_of_its_last_line() {
    use std::io::Write as _;
    let server = start("send-pipe", &[]);
    let worker = TestWorker::create(&server, "claude", &json!({"name": "w"}));
    let mut child = server.command(["send", "w", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b" two\nlines\n").unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(worker.events_of(&server, "user")[0]["content"], " two\nlines");
}
