//! Claude Code: its server, and the common parts of its scenarios.

mod long;
mod short;

use serde_json::{Value, json};

use super::stage::{Scenario, Stage, indented};
use crate::support::clis;
use crate::support::model::FakeModel;
use crate::support::server::TestServer;

/// A command that runs until the scenario has written this file, which is not visible to the CLI.
const WAITS: &str = "until [ -e go.txt ]; do sleep 0.1; done; echo done";

/// A server whose Claude Code talks to a fake model alone.
pub(super) fn stage() -> Stage {
    stage_without(&[])
}

/// The same without some arguments.
fn stage_without(arguments: &[&str]) -> Stage {
    let model = FakeModel::start();
    let mut server = TestServer::builder()
        .name("record-claude")
        .env("ANTHROPIC_BASE_URL", model.url())
        .env("ANTHROPIC_API_KEY", clis::FAKE_KEY)
        .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
        .env("DISABLE_TELEMETRY", "1")
        .prepare();
    let binary = indented(&server, &clis::claude(), arguments);
    server.set_env("CLAUDE_BINARY", binary.to_str().unwrap());
    Stage::new("claude", model, server)
}

/// A script for the model.
fn script(steps: &Value) -> String {
    format!("<<{steps}>>")
}

/// A step that runs a command.
fn bash(command: &str) -> Value {
    json!({"tool": "Bash", "input": {"command": command, "description": "a command"}})
}

/// Builds a message that makes the model create a file.
fn make_file() -> String {
    let input = json!({"command": "echo hi > made.txt && cat made.txt", "description": "make a file"});
    script(&json!([{"text": "I will make a file.", "tool": "Bash", "input": input}, {"text": "The file is made."}]))
}

/// Builds a message that makes the model give a task to a sub-agent, whose own script has these steps.
fn delegate(steps: &Value, background: bool) -> String {
    let input = json!({"description": "do sub work", "prompt": script(steps), "subagent_type": "general-purpose",
        "run_in_background": background});
    script(&json!([{"tool": "Agent", "input": input}, {"text": "main done"}]))
}

/// A step that asks one question, and one that asks two.
fn question(count: usize) -> Value {
    let options = json!([{"label": "A", "description": "first"}, {"label": "B", "description": "second"}]);
    let questions = json!([
        {"question": "Which?", "header": "Pick", "multiSelect": count > 1, "options": options},
        {"question": "Why?", "header": "Why", "multiSelect": false, "options": options},
    ]);
    json!({"tool": "AskUserQuestion", "input": {"questions": questions.as_array().unwrap()[..count]}})
}

/// All its scenarios.
pub(super) const SCENARIOS: &[&[Scenario]] = &[short::SCENARIOS, long::SCENARIOS];
