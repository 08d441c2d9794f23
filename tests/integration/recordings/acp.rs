//! The scenarios of Gemini CLI and OpenCode, which speak the same protocol.

use std::fs;

use serde_json::{Value, json};

use super::stage::{Scenario, Stage};
use crate::support::model::FakeModel;
use crate::{real_gemini, real_opencode};

/// A server whose Gemini CLI talks to a fake model alone.
pub(super) fn gemini() -> Stage {
    let model = FakeModel::start();
    let server = real_gemini::builder_with(&model).prepare();
    Stage::new("gemini", model, server)
}

/// A server whose OpenCode talks to a fake model alone.
pub(super) fn opencode() -> Stage {
    let model = FakeModel::start();
    let server = real_opencode::builder(&model).prepare();
    // It reports the use of the context only if its size is known.
    let limit = json!({"context": 200_000, "output": 8_000});
    let provider = json!({"rs-worker": {"models": {"fake-model": {"limit": limit}}}});
    let folder = server.home().join(".config/opencode");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("opencode.json"), json!({"provider": provider}).to_string()).unwrap();
    Stage::new("opencode", model, server)
}

fn script(steps: &Value) -> String {
    format!("<<{steps}>>")
}

/// Builds a message that makes the model think, and create a file by a command.
fn make_file(it: &Stage) -> String {
    let tool = if it.cli == "gemini" { "run_shell_command" } else { "bash" };
    let input = json!({"command": "echo hi > made.txt && cat made.txt", "description": "make a file"});
    let step = json!({"thinking": "let me", "text": "Making it.", "tool": tool, "input": input});
    script(&json!([step, {"text": "done it"}]))
}

/// Builds a message that makes the model write a file.
fn write_file(it: &Stage) -> String {
    let (tool, path) = if it.cli == "gemini" { ("write_file", "file_path") } else { ("write", "filePath") };
    let input = json!({path: it.file("w1.txt"), "content": "hello"});
    script(&json!([{"tool": tool, "input": input}, {"text": "w"}]))
}

pub(super) const SCENARIOS: &[&[Scenario]] = &[&[
    ("acp_hello", |it| {
        it.turn("hi");
        it.record("acp_hello");
        it.turn("what did I say");
        it.record("acp_resume");
    }),
    ("acp_two_turns", |it| {
        it.turn("first");
        it.turn("second");
        it.record("acp_two_turns");
    }),
    ("acp_stream_2000", |it| {
        it.turn(&script(&json!({"n": 2000})));
        it.record("acp_stream_2000");
    }),
    ("acp_tool_allowed", |it| {
        it.say(&make_file(it));
        it.allow();
        it.turns(1);
        it.record("acp_tool_allowed");
    }),
    ("acp_tool_denied", |it| {
        it.say(&make_file(it));
        it.answer(&json!({"option_id": "deny"}));
        it.turns(1);
        it.record("acp_tool_denied");
    }),
    ("acp_write_file", |it| {
        it.say(&write_file(it));
        it.allow();
        it.turns(1);
        it.record("acp_write_file");
    }),
    ("acp_interrupt", |it| {
        it.say(&script(&json!({"n": 100, "hold": 5})));
        it.held();
        it.interrupt();
        it.turns(1);
        it.model.release();
        it.turn("after cancel");
        it.record("acp_interrupt");
    }),
    ("acp_cancel_while_asking", |it| {
        it.say(&make_file(it));
        it.asked();
        it.interrupt();
        it.turns(1);
        it.record("acp_cancel_while_asking");
    }),
    ("acp_api_error_400", |it| {
        it.turn(&script(&json!({"error": 400})));
        it.record("acp_api_error_400");
    }),
]];
