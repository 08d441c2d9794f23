//! The command line against a running server: the real program on both sides.

mod attach;
mod completions;
mod doctor;
mod review;
mod search;
mod send;

use std::io::Write;
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use crate::support::server::TestServer;
use crate::support::workers::{TestWorker, server_for_programs};

fn start(name: &str, more: &[(&str, &str)]) -> TestServer {
    let mut server = server_for_programs(name, more);
    server.start();
    server
}

fn run(server: &TestServer, args: &[&str]) -> Output {
    server.command(args.iter().copied()).stdin(Stdio::null()).output().unwrap()
}

/// Returns the output of a command that succeeds.
#[track_caller]
fn printed(server: &TestServer, args: &[&str]) -> String {
    let output = run(server, args);
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Returns the exit code and the message of a command that fails.
#[track_caller]
fn refused(server: &TestServer, args: &[&str]) -> (i32, String) {
    let output = run(server, args);
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn command_line_runs_a_workers_whole_life_by_name() {
    let server = start("command-line", &[]);
    let project = server.project();
    let id = printed(&server, &["new", "bob", project.to_str().unwrap(), "--cli", "claude"]);
    assert_eq!(server.worker_ids(), [id.trim()]);
    let answer = printed(&server, &["send", "bob", "hello"]);
    let events = server.get(&format!("/api/workers/{}/messages?types=assistant", id.trim())).expect(200).json();
    let said = events.to_string();
    assert!(!answer.trim().is_empty() && said.contains(answer.trim()), "{answer:?} is what it said: {said}");
    let table = printed(&server, &["ls"]);
    assert!(table.lines().any(|line| line.starts_with(id.trim()) && line.contains("  bob  ")), "{table}");
    let listed: Value = serde_json::from_str(&printed(&server, &["ls", "--json"])).unwrap();
    assert_eq!(listed["workers"][0]["name"], "bob");
    assert!(printed(&server, &["logs", "bob"]).contains("hello"));
    assert!(printed(&server, &["export", "bob", "jsonl"]).lines().all(|line| line.starts_with('{')));
    let in_project = ["ls", "--names", "--project", project.to_str().unwrap(), "--status"];
    assert_eq!(printed(&server, &[&in_project[..], &["idle,busy"]].concat()), "bob\n");
    assert_eq!(printed(&server, &[&in_project[..], &["failed"]].concat()), "");
    assert_eq!(printed(&server, &["ls", "--names", "--project", "/nowhere"]), "");
    let (code, reported) = refused(&server, &["ls", "--status", "asleep"]);
    assert!(code == 1 && reported.contains("asleep"), "{reported}");
    printed(&server, &["stop", "bob"]);
    server.wait_status(id.trim(), "stopped");
    printed(&server, &["start", "bob"]);
    server.wait_status(id.trim(), "idle");
    printed(&server, &["rm", "bob"]);
    assert!(server.worker_ids().is_empty());
}

#[test]
fn a_prompt_is_read_from_standard_input() {
    let server = start("command-line-stdin", &[]);
    let worker = TestWorker::create(&server, "claude", &json!({"name": "piped"}));
    let mut command = server.command(["send", "piped", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"two\nlines").unwrap();
    assert!(child.wait_with_output().unwrap().status.success());
    assert_eq!(worker.events_of(&server, "user")[0]["content"], "two\nlines");
}

#[test]
fn a_permission_is_listed_and_allowed() {
    let server = start("command-line-permissions", &[]);
    let worker = TestWorker::create(&server, "claude", &json!({}));
    worker.say(&server, "permission");
    let prompt = worker.wait_prompt(&server);
    let request = prompt["request_id"].as_str().unwrap();
    let listed = printed(&server, &["permissions"]);
    assert!(listed.contains(request) && listed.contains(&worker.id), "{listed}");
    printed(&server, &["permissions", "allow", &worker.id, request]);
    worker.wait_event(&server, "permission_resolved", 1);
    assert_eq!(printed(&server, &["permissions"]), "");
}

#[test]
fn local_token_is_found_and_sent_to_local_addresses_only() {
    let token = "0123456789abcdef0123456789abcdef";
    let server = start("command-line-token", &[("AUTH_TOKEN", token)]);
    printed(&server, &["ls"]);
    let url = format!("http://{}", server.addr());
    let (code, reported) = refused(&server, &["ls", "--url", &url]);
    assert!(code == 1 && reported.contains("--token"), "{code} {reported}");
    printed(&server, &["ls", "--url", &url, "--token", token]);
}

#[test]
fn impossible_requests_are_reported_with_a_remedy() {
    let server = start("command-line-mistakes", &[]);
    let (code, reported) = refused(&server, &["send", "nobody", "hello"]);
    assert!(code == 1 && reported.contains("rs-worker ls"), "{code} {reported}");
    let (code, reported) = refused(&server, &["ls", "--what"]);
    assert!(code == 2 && reported.contains("--what"), "{code} {reported}");
    let (code, reported) = refused(&server, &["ls", "--url", "http://127.0.0.1:1"]);
    assert!(code == 1 && reported.contains("rs-worker serve"), "{code} {reported}");
    for command in
        "serve ls new handover best group send attach logs search stop start rm permissions export import doctor completions man"
            .split(' ')
    {
        let reported = printed(&server, &[command, "--help"]);
        let examples = reported.lines().filter(|line| line.contains(&format!("rs-worker {command}"))).count();
        assert!(examples >= 3, "{reported}");
        assert!(printed(&server, &["--help"]).contains(&format!("rs-worker {command}")));
    }
}

#[test]
fn a_server_below_a_path_is_found_by_its_settings() {
    let server = TestServer::builder().name("command-line-base").env("BASE_PATH", "/agents").start();
    assert!(printed(&server, &["ls"]).starts_with("ID "));
    let (code, reported) = refused(&server, &["ls", "--token", "a\r\nHost: elsewhere"]);
    assert_eq!((code, reported.trim_end()), (1, "rs-worker ls: the token holds blanks or control characters"));
}

#[test]
fn conversation_is_handed_over_by_name() {
    let server = start("command-line-handover", &[]);
    let worker = TestWorker::create(&server, "claude", &json!({"name": "first"}));
    worker.say(&server, "echo forty-two");
    worker.wait_turn(&server, 1);
    let (code, reported) = refused(&server, &["handover", "first", "--model", "opus"]);
    assert!(code == 1 && reported.contains("stop it first"), "{code} {reported}");
    let id = printed(&server, &["handover", "first", "Go", "on.", "--model", "opus", "--name", "next", "--force"]);
    let next = TestWorker { id: id.trim().to_owned() };
    let said = next.wait_event(&server, "user", 1)["content"].as_str().unwrap().to_owned();
    assert!(said.contains("forty-two") && said.ends_with("Go on."), "{said}");
    let shown = next.show(&server);
    assert_eq!((&shown["name"], &shown["config"]["model"]), (&json!("next"), &json!("opus")));
}
