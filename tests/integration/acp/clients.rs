//! Clients and agents of others: the reference SDKs, `acpx`, and an agent behind the bridge behind our own client.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::json;

use super::{Editor, installed, server};
use crate::real_claude_worker;
use crate::support::model::FakeModel;
use crate::support::server::TestServer;
use crate::support::workers::{TestWorker, declare};

fn file(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Runs a client in the environment of the server's own commands.
fn run(server: &TestServer, program: &str, args: &[&str]) -> Output {
    let own = server.command([]);
    let mut command = Command::new(program);
    command.args(args).current_dir(server.project()).env_clear();
    command.envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("RS_WORKER", own.get_program()).env("ACP_CLIENTS", file("target/acp-clients/node_modules"));
    command.env("RS_WORKER_URL", format!("http://{}", server.addr()));
    command.output().unwrap()
}

#[track_caller]
fn said(output: &Output) -> String {
    let (said, reported) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{said}\n{reported}", output.status);
    said.into_owned()
}

#[test]
fn reference_sdk_drives_a_worker_through_the_bridge() {
    if installed("node_modules/@agentclientprotocol/sdk").is_none() {
        return;
    }
    let server = server();
    let script = file("tests/acp/sdk_client.mjs");
    let output = run(&server, "node", &[script.to_str().unwrap(), "deltas 3", "permission Bash {\"command\":\"ls\"}"]);
    assert_eq!(
        said(&output),
        "w0 w1 w2 \nend_turn\nasked for ls\nallowed: {\"command\":\"ls\"}\nend_turn\nloaded: deltas 3w0 w1 w2 \
         permission Bash {\"command\":\"ls\"}allowed: {\"command\":\"ls\"}\n"
    );
}

#[test]
fn python_sdk_drives_a_worker_through_the_bridge() {
    let Some(python) = installed("venv/bin/python") else { return };
    let server = server();
    let script = file("tests/acp/sdk_client.py");
    let output = run(&server, python.to_str().unwrap(), &[script.to_str().unwrap(), "deltas 3"]);
    assert_eq!(said(&output), "w0 w1 w2 \nend_turn\n");
}

/// Has `acpx` ask the agent of the bridge, and returns what it prints.
fn acpx(server: &TestServer, prompt: &str) -> Option<String> {
    let acpx = installed("node_modules/.bin/acpx")?;
    let agent = format!("{} acp", server.command([]).get_program().to_str().unwrap());
    let words = ["--approve-all", "--agent", &agent, "exec", prompt];
    Some(said(&run(server, acpx.to_str().unwrap(), &words)))
}

#[test]
fn acpx_drives_a_worker_through_the_bridge() {
    let server = server();
    let Some(said) = acpx(&server, "echo hello from acpx") else { return };
    assert!(said.contains("hello from acpx"), "{said}");
    let Some(said) = acpx(&server, "permission Bash {\"command\":\"ls\"}") else { return };
    assert!(said.contains("allowed: "), "{said}");
}

#[test]
fn real_claude_code_is_driven_by_acpx_and_the_sdk() {
    let model = FakeModel::start();
    let server = real_claude_worker::start(&model);
    let call = json!([{"tool": "Bash", "input": {"command": "echo made > made.txt", "description": "make"}}, {"text": "It is made."}]);
    let Some(said) = acpx(&server, &format!("<<{call}>>")) else { return };
    assert!(said.contains("It is made."), "{said}");
    assert!(server.project().join("made.txt").exists());
    let listed = server.get("/api/workers").expect(200).json();
    let worker = TestWorker { id: listed["workers"][0]["id"].as_str().unwrap().to_owned() };
    let mut editor = Editor::bridged(&server, &[]);
    let params = json!({"sessionId": worker.id, "cwd": server.project(), "mcpServers": []});
    editor.request("session/load", params);
    assert!(editor.text("agent_message_chunk").ends_with("It is made."), "the history is complete");
    let results = editor.updates("tool_call_update");
    assert!(results.iter().any(|update| update["status"] == "completed"), "{results:?}");
    assert_eq!(editor.prompt(&worker.id, "and again"), "end_turn");
    editor.check_schema();
}

#[test]
fn real_agent_behind_the_bridge_behind_our_own_client() {
    let Some(agent) = installed("node_modules/.bin/claude-agent-acp") else { return };
    let model = FakeModel::start();
    // The agent allows its tools by itself, which it refuses to root elsewhere.
    let mut inner = real_claude_worker::builder(&model).name("acp-inner").env("IS_SANDBOX", "1").prepare();
    let secrets = ["ANTHROPIC_API_KEY"];
    let agent =
        json!({"family": "acp", "command": ["node", agent], "permission_mode": "default", "secret_env": secrets});
    declare(&inner, "agent", &agent);
    inner.start();
    let mut outer = TestServer::builder().name("acp-outer").prepare();
    let program = inner.command([]).get_program().to_str().unwrap().to_owned();
    let url = format!("http://{}", inner.addr());
    let command = json!([program, "acp", "--url", url, "--cli", "agent", "--project", inner.project()]);
    declare(&outer, "bridged", &json!({"family": "acp", "command": command}));
    outer.start();
    let worker = TestWorker::create(&outer, "bridged", &json!({}));
    worker.wait_status(&outer, "idle");
    worker.say(&outer, "hello there");
    let end = worker.wait_turn(&outer, 1);
    assert_eq!((&end["stop_reason"], &end["is_error"]), (&json!("end_turn"), &json!(false)), "{end}");
    assert!(!worker.events_of(&outer, "assistant").is_empty());
    assert_eq!(inner.get("/api/workers").expect(200).json()["workers"].as_array().unwrap().len(), 1);
}
