//! The scenarios of Codex.

use serde_json::{Value, json};

use super::stage::{Scenario, Stage, indented};
use crate::real_codex_worker::configure;
use crate::support::clis;
use crate::support::model::FakeModel;
use crate::support::server::TestServer;

/// The key for the model.
const KEY: &str = "sk-fake-codex-0123456789";

/// A server whose Codex talks to a fake model alone.
pub(super) fn stage() -> Stage {
    let model = FakeModel::start();
    let mut server = TestServer::builder()
        .name("record-codex")
        .env("ENABLED_AI_CLIS", "claude,codex")
        .env("CODEX_TEST_KEY", KEY)
        .prepare();
    configure(&server, &model);
    let binary = indented(&server, &clis::real("codex"), &[]);
    server.set_env("CODEX_BINARY", binary.to_str().unwrap());
    let mut stage = Stage::new("codex", model, server);
    stage.option("permission_mode", json!("auto"));
    stage
}

/// Builds a message that makes the model think, and run a command with this input.
fn make_file(more: &Value) -> String {
    let mut input = json!({"cmd": "echo hi > made.txt && cat made.txt"});
    for (name, value) in more.as_object().into_iter().flatten() {
        input[name] = value.clone();
    }
    let step = json!({"thinking": "let me", "text": "Making it.", "tool": "exec_command", "input": input});
    script(&json!([step, {"text": "done it"}]))
}

/// The same outside the sandbox, which needs a permission.
fn escalated() -> String {
    make_file(&json!({"sandbox_permissions": "require_escalated", "justification": "need to write"}))
}

fn script(steps: &Value) -> String {
    format!("<<{steps}>>")
}

/// Builds a message that makes the model run a command.
fn run(command: &str, then: &str) -> String {
    script(&json!([{"tool": "exec_command", "input": {"cmd": command}}, {"text": then}]))
}

/// A command that changes files.
fn patch(changes: &str) -> String {
    format!("apply_patch <<'EOF'\n*** Begin Patch\n{changes}*** End Patch\nEOF\n")
}

/// Records the answer to a command that needs a decision.
fn tool(it: &mut Stage, name: &str, option: &str) {
    it.say(&escalated());
    it.answer(&json!({"option_id": option}));
    it.turns(1);
    it.record_with_transcript(name);
}

pub(super) const SCENARIOS: &[&[Scenario]] = &[&[
    ("app_hello", |it| {
        it.turn("hi");
        it.record_with_transcript("app_hello");
    }),
    ("app_two_turns", |it| {
        it.turn("first");
        it.turn("second");
        it.record_with_transcript("app_two_turns");
        it.turn("third");
        it.record_with_transcript("app_resume");
    }),
    ("app_stream_2000", |it| {
        it.turn(&script(&json!({"n": 2000})));
        it.record_with_transcript("app_stream_2000");
    }),
    ("app_tool_allowed", |it| tool(it, "app_tool_allowed", "allow_once")),
    ("app_tool_allow_rule", |it| tool(it, "app_tool_allow_rule", "allow_rule")),
    ("app_tool_accept_for_session", |it| {
        it.option("permission_mode", json!("untrusted"));
        it.say(&run(&patch("*** Add File: a.txt\n+one\n"), "patched"));
        it.answer(&json!({"option_id": "allow_always"}));
        it.turns(1);
        it.turn(&run(&patch("*** Update File: a.txt\n@@\n-one\n+two\n"), "patched again"));
        it.record_with_transcript("app_tool_accept_for_session");
    }),
    ("app_tool_denied", |it| tool(it, "app_tool_denied", "deny")),
    ("app_tool_cancel", |it| tool(it, "app_tool_cancel", "cancel")),
    ("app_untrusted_ask", |it| {
        it.option("permission_mode", json!("untrusted"));
        it.say(&make_file(&json!({})));
        it.allow();
        it.turns(1);
        it.record_with_transcript("app_untrusted_ask");
    }),
    ("app_file_change_ask", |it| {
        it.option("permission_mode", json!("untrusted"));
        it.say(&run(&patch("*** Add File: ap2.txt\n+hello\n"), "patched"));
        it.allow();
        it.turns(1);
        it.record_with_transcript("app_file_change_ask");
    }),
    ("app_interrupt", |it| {
        it.say(&script(&json!({"n": 100, "hold": 5})));
        it.held();
        it.interrupt();
        it.turns(1);
        it.model.release();
        it.turn("after");
        it.record_with_transcript("app_interrupt");
    }),
    ("app_steer", |it| {
        it.say(&script(&json!({"n": 20, "hold": 5})));
        it.held();
        it.steer("steered message");
        it.turns(1);
        it.model.release();
        it.record_with_transcript("app_steer");
    }),
    ("app_switched", |it| {
        it.turn("hi");
        it.patch(&json!({"model": "other-model", "permission_mode": "untrusted"}));
        it.turn("hi again");
        it.say(&run("touch x", "ok"));
        it.asked();
        it.interrupt();
        it.turns(3);
        it.record("app_switched");
    }),
    ("app_api_error_500", |it| {
        it.turn(&script(&json!({"error": 500})));
        it.record_with_transcript("app_api_error_500");
    }),
    ("app_no_key", |it| {
        it.env("CODEX_TEST_KEY", "");
        it.turn("hi");
        it.record("app_no_key");
    }),
    ("app_resume_unknown_id", |it| {
        it.option("resume_session", json!("01a201f6-2361-7173-a5a0-642098aad967"));
        it.event("error", 1);
        it.idle();
        it.record("app_resume_unknown_id");
    }),
    ("app_edits", |it| {
        it.option("permission_mode", json!("full-access"));
        it.write("a.txt", "one\ntwo\nthree\n");
        it.write("gone.txt", "gone\n");
        let update = "*** Update File: a.txt\n*** Move to: b.txt\n@@\n one\n-two\n+2\n three\n";
        let others = "*** Delete File: gone.txt\n*** Add File: new.txt\n+x\n";
        it.turn(&run(&patch(&format!("{update}{others}")), "patched"));
        it.turn(&run("cat missing.txt", "failed"));
        it.record("app_edits");
        it.fork();
        it.turn("after the fork");
        it.record("app_fork");
    }),
]];
