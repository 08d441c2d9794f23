//! The examples of `docs/api.md` run unchanged in each language, except for the address and the project's path.

use std::process::{Command, Stdio};

use serde_json::json;

use super::block;
use crate::support::require::require_program;
use crate::support::server::TestServer;
use crate::wire::{builder, events, idle_worker, say, start};

/// The project's path in the examples.
const PROJECT: &str = "/srv/docs";

/// Runs the block `name` by a program that reads it from the file `file`, beside a worker that asks for a permission.
/// Returns its output.
#[track_caller]
fn run(name: &str, program: &mut Command, file: &str) -> String {
    let server = start(builder());
    let asking = idle_worker(&server, "claude");
    say(&server, &asking, "permission Bash {\"command\":\"ls\"}");
    server.wait_status(&asking, "waiting");

    let text = block(name);
    assert!(text.contains("http://127.0.0.1:7788") && text.contains(PROJECT), "{text}");
    let text =
        text.replace("127.0.0.1:7788", &server.addr().to_string()).replace(PROJECT, server.project().to_str().unwrap());
    std::fs::write(server.dir().join(file), text).unwrap();
    let ran = program.arg(file).current_dir(server.dir()).stdin(Stdio::null()).output().unwrap();
    let (said, reported) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success() && reported.is_empty(), "{}\n{said}\n{reported}", ran.status);
    assert_done(&server, &asking);
    said.into_owned()
}

/// Asserts the end of every example: it has answered the prompt, and deleted the worker that it made.
#[track_caller]
fn assert_done(server: &TestServer, asking: &str) {
    let workers = server.get("/api/workers").expect(200).json();
    let left: Vec<_> = workers["workers"].as_array().unwrap().iter().map(|worker| worker["id"].clone()).collect();
    assert_eq!(left, [json!(asking)]);
    let resolved = events(server, asking).into_iter().find(|event| event["type"] == "permission_resolved");
    let resolved = resolved.expect("the prompt is answered");
    assert_eq!((&resolved["decision"], &resolved["by"]), (&json!("deny"), &json!("user")));
}

/// The answer of the example's agent.
const ANSWER: &str = "You said: Explain the build";

/// Number of attempts of an example that follows its worker for a few seconds: a busy machine may not answer within
/// them.
const RUNS: usize = 3;

#[test]
fn documented_curl_example_runs_unchanged() {
    let Some(_) = require_program("curl") else { return };
    let is_whole = |said: &String| said.matches(&format!("\"content\":\"{ANSWER}\"")).count() == 2;
    let mut runs = (0..RUNS).map(|_| run("api-curl", &mut Command::new("sh"), "example.sh"));
    // Once in the stream, once in the history.
    let said = runs.find(is_whole).expect("the answer, twice");
    assert!(said.contains("\"client_message_id\":\"m-1\"") && said.contains("\"has_more\""), "{said}");
}

#[test]
fn real_documented_python_example_runs_unchanged() {
    let said = run("api-python", &mut Command::new(project_root("target/venv/bin/python")), "example.py");
    assert_followed_and_read(&said);
}

#[test]
fn real_documented_javascript_example_runs_unchanged() {
    let said =
        run("api-javascript", Command::new("node").args(["--no-warnings", "--experimental-websocket"]), "example.mjs");
    assert_followed_and_read(&said);
}

fn project_root(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

#[track_caller]
fn assert_followed_and_read(said: &str) {
    let followed = "user Explain the build\n";
    assert!(said.contains(followed) && said.contains(&format!("assistant {ANSWER}\n")), "{said}");
    let history = said.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit()));
    let read: Vec<&str> = history.filter_map(|line| line.split_once(' ')).map(|(_, kind)| kind).collect();
    assert!(read.contains(&"user") && read.contains(&"assistant"), "{said}");
}
