//! Scenarios of several turns.

use serde_json::{Value, json};

use super::super::stage::{Scenario, Stage};
use super::{WAITS, bash, delegate, question, script};
use crate::support::model::Step;

pub(super) const SCENARIOS: &[Scenario] = &[
    ("compact", |it| {
        for number in 0..4 {
            it.turn(&format!("message {number} {}", "bla ".repeat(50)));
        }
        it.turn("/compact");
        it.turn("after compact");
        it.record("compact");
    }),
    ("compact_failed", |it| {
        it.turn("hi");
        it.model.always(Step::error(400));
        it.turn("/compact");
        it.record("compact_failed");
    }),
    ("compact_and_clear", |it| {
        for message in ["hi", "hi again", "/usage", "/context", "/compact", "after it"] {
            it.turn(message);
        }
        let session = it.session();
        it.turn("/clear");
        it.turn("a new one");
        it.record("compact_and_clear");
        it.transcript("compact_and_clear", &session);
    }),
    ("slash_commands", |it| {
        let commands = ["/compact", "/nonexistent", "hello there", "/cost", "/context", "/compact", "/clear"];
        for message in commands.into_iter().chain(["/model claude-sonnet-4-5", "/init", "after clear"]) {
            it.turn(message);
        }
        it.say(&script(&json!({"n": 20, "hold": 5})));
        it.held();
        for message in ["/cost", "text after slash", "/clear"] {
            it.steer(message);
        }
        it.model.release();
        it.drained();
        it.record("slash_commands");
    }),
    ("slash_commands_queued", |it| {
        it.say(&script(&json!([{"n": 10, "hold": 5}])));
        it.held();
        for message in ["/cost", "/cost", "/init", "plain"] {
            it.steer(message);
        }
        it.model.release();
        it.drained();
        it.record("slash_commands_queued");
    }),
    ("interrupt_during_retry", |it| {
        it.option("args", json!(["--allowedTools", "Bash"]));
        it.say(&script(&json!([{"error": 529}])));
        it.event("error", 1);
        it.steer("queued during retry");
        it.interrupt();
        it.drained();
        it.turn(&script(&json!([{"text": "x"}])));
        it.say(&script(&json!([bash(WAITS), {"text": "mid"}])));
        it.event("tool_call", 1);
        it.steer("steered then interrupted");
        it.interrupt();
        it.drained();
        it.record("interrupt_during_retry");
    }),
    ("plan_mode_and_questions", |it| {
        it.option("permission_mode", json!("plan"));
        it.turn("hi");
        let ask = plan(&plan_file(it));
        it.say(&ask);
        it.answer(&json!({"option_id": "allow_mode"}));
        it.turns(2);
        it.change(&json!({"permission_mode": "plan"}));
        it.change(&json!({"model": "claude-haiku-4-5"}));
        it.say(&ask);
        it.answer(&json!({"option_id": "deny", "message": "refine"}));
        it.turns(3);
        it.change(&json!({"model": "default"}));
        let asks = |then: &str| script(&json!([question(2), {"text": then}]));
        it.say(&asks("thanks"));
        it.answer(&json!({"answers": {"Which?": ["A", "B"], "Why?": "because"}}));
        it.turns(4);
        it.say(&asks("never"));
        it.asked();
        it.interrupt();
        it.turns(5);
        it.say(&asks("denied"));
        it.answer(&json!({"decision": "decline"}));
        it.turns(6);
        it.record("plan_mode_and_questions");
    }),
    ("edits_and_tasks", |it| {
        // The tools for tasks are not offered to the default model.
        it.option("model", json!("claude-haiku-4-5"));
        it.write("a.txt", "one\ntwo\nthree\nfour\nfive\n");
        let (old, new) = (it.file("a.txt"), it.file("new.txt"));
        it.say(&script(&json!([
            {"tool": "Read", "input": {"file_path": old}},
            {"tool": "Edit", "input": {"file_path": old, "old_string": "two", "new_string": "TWO"}},
            {"tool": "Write", "input": {"file_path": new, "content": "hi\nthere\n"}},
            {"tool": "Write", "input": {"file_path": old, "content": "all\nnew\n"}},
            {"text": "edited"},
        ])));
        it.answer(&json!({"option_id": "allow_mode"}));
        it.turns(1);
        it.turn(&tasks());
        it.say(&script(&json!([bash("touch zz"), bash("touch zz2; echo err >&2; exit 3"), {"text": "ok"}])));
        it.answer(&json!({"option_id": "allow_always"}));
        it.turns(3);
        let notebook = json!({"notebook_path": it.file("x.ipynb"), "new_source": "x"});
        let fetch = json!({"url": it.model.url(), "prompt": "p"});
        it.say(&script(&json!([
            {"tools": [["WebFetch", fetch], ["NotebookEdit", notebook], ["Nope", {"a": 1}]]},
            {"text": "ok"},
        ])));
        it.allow();
        it.turns(4);
        it.record("edits_and_tasks");
    }),
    ("suggestions", |it| {
        it.say(&script(&json!([bash("npm pkg get name; mkdir q"), {"text": "one"}])));
        it.answer(&json!({"option_id": "allow_always"}));
        it.turns(1);
        it.say(&script(&json!([bash("touch ../outside.txt"), {"text": "two"}])));
        it.allow();
        it.turns(2);
        let file = json!({"file_path": it.file("a.txt"), "content": "a\n"});
        it.say(&script(&json!([{"tool": "Write", "input": file}, {"text": "three"}])));
        it.allow();
        it.turns(3);
        it.say(&script(&json!([question(1), {"text": "four"}])));
        it.answer(&json!({"answers": {"Which?": "B"}}));
        it.turns(4);
        it.change(&json!({"permission_mode": "acceptEdits"}));
        it.record_with_transcript("suggestions");
    }),
    ("background_turns", |it| {
        it.say(&script(&json!([in_background("sleep 1; echo bgdone"), {"text": "started"}])));
        it.turns(2);
        it.say(&script(&json!([in_background("sleep 1; echo bgdone"), {"n": 40, "delay_ms": 50}])));
        it.turns(4);
        it.say(&delegate(&json!([bash("sleep 1; echo x"), {"text": "sub answer"}]), true));
        it.turns(6);
        it.record("background_turns");
    }),
    ("background_agent", |it| {
        let works = |file: &str| json!([bash(&format!("echo sub > {file}")), {"text": "sub done"}]);
        it.say(&delegate(&works("sub.txt"), true));
        it.asked();
        it.turns(1);
        it.turn("meanwhile");
        it.allow();
        it.turns(3);
        it.say(&delegate(&works("sub2.txt"), true));
        it.asked();
        it.turns(4);
        it.interrupt();
        it.turn("queued");
        it.record_with_transcript("background_agent");
    }),
];

/// Builds a message that makes the model keep a list of tasks.
fn tasks() -> String {
    let todo = json!({"todos": [{"content": "do a", "status": "in_progress", "activeForm": "doing a"}]});
    let update = |id: &str, status: &str| json!({"tool": "TaskUpdate", "input": {"taskId": id, "status": status}});
    script(&json!([
        {"tools": [
            ["TodoWrite", todo],
            ["TaskCreate", {"subject": "Task one", "description": "desc one", "activeForm": "Doing one"}],
            ["TaskCreate", {"subject": "Task two", "description": "desc two"}],
        ]},
        update("1", "in_progress"),
        update("1", "completed"),
        {"tool": "TaskList", "input": {}},
        {"tool": "TaskGet", "input": {"taskId": "2"}},
        update("2", "deleted"),
        {"text": "planned"},
    ]))
}

/// A step that runs a command in the background.
fn in_background(command: &str) -> Value {
    json!({"tool": "Bash", "input": {"command": command, "description": "bg", "run_in_background": true}})
}

/// Returns the file into which the CLI has asked the model to write its plan.
fn plan_file(it: &Stage) -> String {
    let asked = it.model.turns()[0].body.to_string();
    let end = asked.find("/.claude/plans/").map(|at| at + asked[at..].find(".md").unwrap() + ".md".len());
    let path = &asked[..end.expect("a file for the plan")];
    path[path.rfind([' ', '"', '`']).unwrap() + 1..].to_owned()
}

/// Builds a message that makes the model write a plan and ask for its approval.
fn plan(file: &str) -> String {
    let write = json!({"tool": "Write", "input": {"file_path": file, "content": "# Plan\n1. do it\n"}});
    script(&json!([write, {"tool": "ExitPlanMode", "input": {}}, {"text": "ok plan"}]))
}
