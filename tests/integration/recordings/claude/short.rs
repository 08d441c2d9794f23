//! Scenarios with one subject each.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use super::super::stage::{Scenario, Stage};
use super::{WAITS, bash, delegate, make_file, question, script, stage_without};

/// A picture of one pixel.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

pub(super) const SCENARIOS: &[Scenario] = &[
    ("hello", |it| {
        it.turn("hi");
        it.record_with_transcript("hello");
    }),
    ("hello_no_partial", |it| {
        *it = stage_without(&["--include-partial-messages"]);
        it.turn("hi");
        it.record_with_transcript("hello_no_partial");
    }),
    ("two_turns", |it| {
        it.turn("first question");
        it.turn(&script(&json!([{"thinking": "let me think", "text": "Second answer."}])));
        it.record_with_transcript("two_turns");
    }),
    ("stream_2000", |it| {
        it.turn(&script(&json!({"n": 2000})));
        it.record_with_transcript("stream_2000");
    }),
    ("resume", |it| {
        it.turn("remember 42");
        it.record_with_transcript("resume_part1");
        it.turn("what did I say?");
        it.record_with_transcript("resume_part2");
    }),
    ("resume_unknown_id", |it| {
        it.option("resume_session", json!("99999999-2222-4333-8444-555555555555"));
        it.event("exit", 1);
        it.record("resume_unknown_id");
    }),
    ("tool_allowed", |it| {
        it.say(&make_file());
        it.allow();
        it.turns(1);
        it.record_with_transcript("tool_allowed");
    }),
    ("tool_denied", |it| {
        it.say(&make_file());
        it.answer(&json!({"option_id": "deny", "message": "Not allowed by the manager"}));
        it.turns(1);
        it.record_with_transcript("tool_denied");
    }),
    ("tool_denied_interrupt", |it| {
        it.say(&make_file());
        it.answer(&json!({"option_id": "deny", "message": "stop now", "interrupt": true}));
        it.turns(1);
        it.record_with_transcript("tool_denied_interrupt");
    }),
    ("ask_user_question", |it| {
        it.say(&script(&json!([question(1)])));
        it.answer(&json!({"answers": {"Which?": "B"}}));
        it.turns(1);
        it.record_with_transcript("ask_user_question");
    }),
    ("asks", |it| {
        it.say(&make_file());
        it.asked();
        it.steer("steered while asking");
        it.answer(
            &json!({"option_id": "allow_once", "updated_input": {"command": "echo changed", "description": "x"}}),
        );
        it.turns(1);
        let touch = |file: &str| json!(["Bash", {"command": format!("touch {file}"), "description": file}]);
        it.say(&script(&json!([{"tools": [touch("a1"), touch("a2"), touch("a3")]}, {"text": "ok"}])));
        it.allow();
        it.answer(&json!({"option_id": "deny"}));
        it.allow();
        it.turns(2);
        it.record("asks");
    }),
    ("attachments", |it| {
        let image = json!({"media_type": "image/png", "data": PNG});
        let document = json!({"media_type": "application/pdf", "data": data_encoding::BASE64.encode(b"%PDF-1.7 startxref 0 %%EOF")});
        it.attach("look", &json!([image]));
        it.attach("doc", &json!([document]));
        it.record("attachments");
    }),
    ("interrupt", |it| {
        it.say(&script(&json!({"n": 100, "hold": 5})));
        it.held();
        it.interrupt();
        it.turns(1);
        it.model.release();
        it.turn("after interrupt");
        it.record_with_transcript("interrupt");
    }),
    ("interrupt_while_asking", |it| {
        it.say(&make_file());
        it.asked();
        it.interrupt();
        it.turns(1);
        it.record_with_transcript("interrupt_while_asking");
    }),
    ("interrupt_with_queue", |it| {
        it.say(&script(&json!({"n": 100, "hold": 5})));
        it.held();
        it.steer("queued after");
        it.interrupt();
        it.turns(1);
        it.model.release();
        it.turns(2);
        it.record("interrupt_with_queue");
    }),
    ("killed_while_asking", |it| {
        it.say(&script(&json!([{"tools": [["Bash", {"command": "touch x", "description": "d"}]]}])));
        it.asked();
        kill(Pid::from_raw(it.pid()), Signal::SIGKILL).unwrap();
        it.event("exit", 1);
        it.record("killed_while_asking");
    }),
    ("queued_while_busy", |it| {
        it.say(&script(&json!({"n": 20, "hold": 5})));
        it.held();
        it.steer("queued one");
        it.steer("queued two");
        it.model.release();
        it.turns(2);
        it.record_with_transcript("queued_while_busy");
    }),
    ("queued_during_tool", |it| {
        it.option("args", json!(["--allowedTools", "Bash"]));
        it.say(&script(&json!([bash(WAITS), {"text": "all done"}])));
        it.event("tool_call", 1);
        it.steer("message during a tool");
        it.write("go.txt", "");
        it.turns(1);
        it.record_with_transcript("queued_during_tool");
    }),
    ("steer_during_tool", |it| {
        it.option("args", json!(["--allowedTools", "Bash"]));
        it.say(&script(&json!([bash(WAITS), {"text": "mid"}, {"text": "end"}])));
        it.event("tool_call", 1);
        it.steer("steered one");
        it.steer("steered two");
        it.write("go.txt", "");
        it.turns(1);
        it.record("steer_during_tool");
    }),
    ("steer_while_streaming", |it| {
        it.say(&script(&json!([{"n": 20, "hold": 5}])));
        it.held();
        it.steer("steered one");
        it.steer("steered two");
        it.model.release();
        it.turns(2);
        it.record("steer_while_streaming");
    }),
    ("api_error_401", |it| api_error(it, 401)),
    ("api_error_429", |it| api_error(it, 429)),
    ("api_error_500", |it| api_error(it, 500)),
    ("api_retry_then_ok", |it| {
        it.turn(&script(&json!({"error": 529, "times": 2, "text": "ok after retries"})));
        it.record_with_transcript("api_retry_then_ok");
    }),
    ("set_model_and_mode", |it| {
        it.idle();
        it.change(&json!({"model": "claude-sonnet-4-5", "permission_mode": "acceptEdits"}));
        it.turn("hi");
        it.record_with_transcript("set_model_and_mode");
    }),
    ("mode_dont_ask", |it| {
        it.option("permission_mode", json!("dontAsk"));
        it.turn(&script(&json!([bash("touch zz"), {"text": "ok"}])));
        it.record("mode_dont_ask");
    }),
    ("subagent", |it| {
        it.turn(&delegate(&json!([bash("echo from-sub"), {"text": "sub answer"}]), false));
        it.record_with_transcript("subagent");
        it.subagent("subagent");
    }),
    ("subagent_ask", |it| {
        it.say(&delegate(&json!([bash("touch fromsub"), {"thinking": "hm", "text": "sub answer"}]), false));
        it.allow();
        it.turns(1);
        it.record("subagent_ask");
    }),
    ("background_task", |it| {
        let input = json!({"command": "sleep 2; echo bgdone", "description": "bg", "run_in_background": true});
        it.say(&script(&json!([{"tool": "Bash", "input": input}, {"text": "started"}])));
        it.turns(2);
        it.record_with_transcript("background_task");
    }),
];

/// A turn that ends with an error of the API.
fn api_error(it: &mut Stage, status: u16) {
    it.env("CLAUDE_CODE_MAX_RETRIES", if status == 500 { "2" } else { "1" });
    it.turn(&script(&json!({"error": status, "retry_after": 1})));
    it.record_with_transcript(&format!("api_error_{status}"));
}
