//! The real CLIs as MCP clients: workers whose agents make workers.

use serde_json::{Value, json};

use crate::support::model::FakeModel;
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::TestWorker;
use crate::wire::repository_with_branches;
use crate::{real_claude_worker, real_codex_worker, real_gemini, real_opencode};

/// The names of tools in one CLI.
struct Names {
    cli: &'static str,
    /// The prefix of our tools.
    prefix: &'static str,
    /// A tool that writes a file, with its inputs.
    write: fn(path: &str, content: &str) -> Value,
}

const CLAUDE: Names = Names {
    cli: "claude",
    prefix: "mcp__rs-worker__",
    write: |path, content| json!({"tool": "Write", "input": {"file_path": path, "content": content}}),
};

const OPENCODE: Names = Names {
    cli: "opencode",
    prefix: "rs-worker_",
    write: |path, content| json!({"tool": "write", "input": {"filePath": path, "content": content}}),
};

/// A message that makes the model do these steps.
fn script(steps: &Value) -> String {
    format!("<<{steps}>>")
}

/// The output of the last result of a tool of ours.
#[track_caller]
fn output(worker: &TestWorker, server: &TestServer) -> String {
    let result = worker.events_of(server, "tool_result").pop().expect("a result");
    assert_ne!(result["is_error"], true, "{result}");
    result.to_string()
}

/// The agent of a worker makes a second one, waits for it and reads its diff.
#[track_caller]
fn agent_makes_a_worker(server: &TestServer, names: &Names, more: &Value) {
    let project = server.project();
    repository_with_branches(&project);
    let mut options = json!({"mcp": true, "name": "boss"});
    for (name, value) in more.as_object().into_iter().flatten() {
        options[name] = value.clone();
    }
    let boss = TestWorker::create(server, names.cli, &options);
    boss.wait_status(server, "idle");
    let tool = |name: &str, input: Value| json!({"tool": format!("{}{name}", names.prefix), "input": input});
    let file = project.join("child.txt");
    let task = script(&json!([(names.write)(file.to_str().unwrap(), "made below\n"), {"text": "Written below."}]));
    let create = tool("create_worker", json!({"name": "little", "message": task}));
    boss.say(server, &script(&json!([create, {"text": "Made."}])));
    boss.wait_turn(server, 1);
    let made = output(&boss, server);
    let listed = server.get("/api/workers").expect(200).json();
    let child = listed["workers"].as_array().unwrap().iter().find(|worker| worker["name"] == "little");
    let child = child.unwrap_or_else(|| panic!("no child: {made}\n{}", server.log()));
    assert_eq!(child["parent"], json!({"id": boss.id, "name": "boss"}));
    let id = child["id"].as_str().unwrap();

    // One wait may end before a CLI on a busy machine has begun.
    let turns = (2..).find(|turn| {
        boss.say(server, &script(&json!([tool("wait", json!({"worker_id": id})), {"text": "Waited."}])));
        boss.wait_turn(server, *turn);
        let waited = output(&boss, server).replace('\\', "");
        assert!(*turn < 9, "{waited}");
        waited.contains("\"settled\":true") && waited.contains("Written below.")
    });
    boss.say(server, &script(&json!([tool("diff", json!({"worker_id": id})), {"text": "Read."}])));
    boss.wait_turn(server, turns.unwrap() + 1);
    let diff = output(&boss, server);
    assert!(diff.contains("child.txt") && diff.contains("+made below"), "{diff}");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "made below\n");
}

#[test]
fn real_claude_makes_a_worker_waits_and_reads_its_diff() {
    let model = FakeModel::start();
    let server = real_claude_worker::start(&model);
    let more = json!({"permission_mode": "acceptEdits", "args": ["--allowedTools", "mcp__rs-worker"]});
    agent_makes_a_worker(&server, &CLAUDE, &more);
}

#[test]
fn real_claude_asks_before_it_makes_a_worker() {
    let model = FakeModel::start();
    let server = real_claude_worker::start(&model);
    let boss = TestWorker::create(&server, "claude", &json!({"mcp": true}));
    let create = json!({"tool": "mcp__rs-worker__create_worker", "input": {"name": "little"}});
    boss.say(&server, &script(&json!([create, {"text": "Made."}])));
    let prompt = boss.wait_prompt(&server);
    assert_eq!(prompt["tool_name"], "mcp__rs-worker__create_worker");
    boss.answer(&server, &prompt, &json!({"option_id": "deny"})).expect(200);
    boss.wait_turn(&server, 1);
    assert_eq!(server.get("/api/workers").expect(200).json()["workers"].as_array().unwrap().len(), 1);
}

#[test]
fn real_opencode_makes_a_worker_waits_and_reads_its_diff() {
    let model = FakeModel::start();
    let server = real_opencode::builder(&model).env("OPENCODE_PERMISSION", r#"{"bash":"ask"}"#).start();
    agent_makes_a_worker(&server, &OPENCODE, &json!({}));
}

#[test]
fn real_codex_offers_the_tools_to_its_model() {
    let model = FakeModel::start();
    let server = real_codex_worker::start(&model);
    let boss = TestWorker::create(&server, "codex", &json!({"mcp": true}));
    boss.wait_status(&server, "idle");
    boss.say(&server, "hi");
    boss.wait_turn(&server, 1);
    eventually(DEADLINE, "a request that offers the tools", || {
        let offers = |turn: &crate::support::model::Request| turn.body["tools"].to_string().contains("create_worker");
        model.turns().iter().any(offers).then_some(())
    });
}

#[test]
fn real_gemini_offers_the_tools_to_its_model() {
    let model = FakeModel::start();
    let server = real_gemini::builder_with(&model).start();
    let boss = TestWorker::create(&server, "gemini", &json!({"mcp": true}));
    boss.wait_status(&server, "idle");
    boss.say(&server, "hi");
    boss.wait_turn(&server, 1);
    eventually(DEADLINE, "a request that offers the tools", || {
        let offers = |turn: &crate::support::model::Request| turn.body["tools"].to_string().contains("create_worker");
        model.turns().iter().any(offers).then_some(())
    });
}
