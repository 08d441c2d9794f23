//! The real Claude Code against the fake model: the behaviour on which all else relies, without a server in between.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::clis;
use crate::support::model::{FakeModel, HELLO, Step};
use crate::support::pipes::{CLAUDE_ARGS, Pipes};
use crate::support::temp::TempDir;

const UUID: &str = "11111111-2222-4333-8444-555555555555";

struct Real {
    claude: Pipes,
    model: FakeModel,
    dir: TempDir,
}

/// Claude Code in its own directory and home, with nothing of this machine's environment but PATH.
fn start(model: FakeModel, more_env: &[(&str, &str)]) -> Real {
    let dir = TempDir::new("claude");
    let (home, project) = (dir.dir("home"), dir.dir("project"));
    let mut env = clis::claude_env(&home, &model.url());
    env.extend(more_env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let claude = Pipes::start(&clis::claude(), CLAUDE_ARGS, &project, &env);
    Real { claude, model, dir }
}

#[test]
fn real_claude_has_the_version_that_the_lock_file_names() {
    let dir = TempDir::new("version");
    let output =
        Command::new(clis::claude()).arg("--version").env_clear().envs(clis::quiet_env(dir.path())).output().unwrap();
    let lock: Value = serde_json::from_str(include_str!("../clis/package-lock.json")).unwrap();
    let locked = lock["packages"]["node_modules/@anthropic-ai/claude-code"]["version"].as_str().unwrap();
    let reported = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(reported.starts_with(locked), "{reported}");
}

#[test]
fn real_claude_says_hello_and_continues_with_a_second_turn() {
    let mut real = start(FakeModel::start(), &[]);
    real.claude.control("ready", json!({"subtype": "initialize"}));
    real.claude.wait_for_type("control_response");
    real.claude.say("hi", UUID);
    let replay = real.claude.wait_for("the message's replay", |line| line["isReplay"] == true);
    assert_eq!(replay["uuid"], UUID);
    let result = real.claude.wait_for_type("result");
    assert_eq!((&result["result"], &result["is_error"]), (&json!(HELLO), &json!(false)));

    real.model.respond_with(Step::text("The second answer.").thinking("let me see"));
    real.claude.say("again", "11111111-2222-4333-8444-555555555556");
    assert_eq!(real.claude.wait_for_type("result")["result"], "The second answer.");
    real.claude.finish();
    assert!(real.claude.exit().success());

    let turns = real.model.turns();
    assert_eq!(turns.len(), 2);
    assert_eq!(turns[0].header("x-api-key"), Some(clis::FAKE_KEY));
    assert!(real.dir.path().join("home/.claude").is_dir(), "it keeps its files in the home it was given");
}

#[test]
fn real_claude_asks_and_runs_only_the_allowed_command() {
    let mut real = start(FakeModel::start(), &[]);
    let script = json!([{"tool": "Bash", "input": {"command": "echo made > made.txt", "description": "make a file"}},
                        {"text": "Made."}]);
    real.claude.say(&format!("<<{script}>>"), UUID);
    let ask = real.claude.wait_for_type("control_request");
    assert_eq!(ask["request"]["subtype"], "can_use_tool");
    let allow = json!({"behavior": "allow", "updatedInput": ask["request"]["input"]});
    let response = json!({"subtype": "success", "request_id": ask["request_id"], "response": allow});
    real.claude.send(&json!({"type": "control_response", "response": response}));
    assert_eq!(real.claude.wait_for_type("result")["result"], "Made.");
    let made = std::fs::read_to_string(real.dir.path().join("project/made.txt")).unwrap();
    assert_eq!(made, "made\n");
}

#[test]
fn real_permission_without_input_runs_what_was_asked() {
    let mut real = start(FakeModel::start(), &[]);
    let script = json!([{"tool": "Bash", "input": {"command": "echo made > made.txt", "description": "make a file"}},
                        {"text": "Made."}]);
    real.claude.say(&format!("<<{script}>>"), UUID);
    let ask = real.claude.wait_for_type("control_request");
    let response = json!({"subtype": "success", "request_id": ask["request_id"], "response": {"behavior": "allow"}});
    real.claude.send(&json!({"type": "control_response", "response": response}));
    assert_eq!(real.claude.wait_for_type("result")["result"], "Made.");
    assert!(real.dir.path().join("project/made.txt").exists());
}

#[test]
fn real_claude_is_interrupted_in_a_stream_held_open() {
    let mut real = start(FakeModel::start(), &[]);
    real.model.respond_with(Step::deltas(50).hold_after(5));
    real.claude.say("go on", UUID);
    real.model.wait_held(1);
    real.claude.wait_for("a delta", |line| line["event"]["delta"]["text"].is_string());
    real.claude.control("stop", json!({"subtype": "interrupt"}));
    let result = real.claude.wait_for_type("result");
    assert_eq!(result["subtype"], "error_during_execution");
    real.claude.say("hi", "11111111-2222-4333-8444-555555555556");
    assert_eq!(real.claude.wait_for_type("result")["result"], HELLO);
    real.model.release();
}

#[test]
fn real_claude_reports_errors_of_the_api() {
    let one_retry = [("CLAUDE_CODE_MAX_RETRIES", "1")];
    for status in [401, 429, 500, 529] {
        let model = FakeModel::start();
        model.always(Step::error(status).retry_after(0));
        let mut real = start(model, &one_retry);
        real.claude.say("hi", UUID);
        let retry = real.claude.wait_for("a retry", |line| line["subtype"] == "api_retry");
        assert_eq!(retry["error_status"], status);
        let result = real.claude.wait_for_type("result");
        assert_eq!((&result["is_error"], &result["api_error_status"]), (&json!(true), &json!(status)));
    }
}

#[test]
fn real_claude_reports_an_api_outage_and_answers_after_it() {
    let mut model = FakeModel::start();
    model.down();
    let mut real = start(model, &[("CLAUDE_CODE_MAX_RETRIES", "1")]);
    real.claude.say("hi", UUID);
    let result = real.claude.wait_for_type("result");
    assert_eq!((&result["is_error"], &result["api_error_status"]), (&json!(true), &Value::Null));
    real.model.up();
    real.claude.say("hi", "11111111-2222-4333-8444-555555555556");
    assert_eq!(real.claude.wait_for_type("result")["result"], HELLO);
}
