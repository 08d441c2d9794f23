//! MCP servers that a worker's agent gets.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{ask, idle, start};
use crate::support::workers::TestWorker;

const SECRET: &str = "s3cret-of-the-test";

fn servers() -> Value {
    json!([{"name": "files", "command": "mcp-files", "args": ["--root", "."], "env": {"KEY": SECRET}},
        {"name": "docs", "url": "http://127.0.0.1:1/mcp", "headers": {"Authorization": SECRET}},
        {"name": "old", "type": "sse", "url": "http://127.0.0.1:1/sse"}])
}

#[test]
fn agent_and_its_fork_get_usable_mcp_servers() {
    let server = start();
    let worker = idle(&server, &json!({"mcp_servers": servers()}));
    let got: Value = serde_json::from_str(&ask(&server, &worker, "servers")).unwrap();
    let pair = |name: &str| json!([{"name": name, "value": SECRET}]);
    let expected = json!([
        {"name": "files", "command": "mcp-files", "args": ["--root", "."], "env": pair("KEY")},
        {"type": "http", "name": "docs", "url": "http://127.0.0.1:1/mcp", "headers": pair("Authorization")},
    ]);
    assert_eq!(got, expected);
    let left_out = worker.events_of(&server, "error").remove(0);
    assert_eq!(left_out["code"], "mcp_server_left_out");
    assert!(left_out["content"].as_str().unwrap().ends_with("old (sse)"), "{left_out}");
    let forked = server.post(&worker.path("/fork"), &json!({})).expect(201).json();
    let forked = TestWorker { id: forked["id"].as_str().unwrap().to_owned() };
    let got: Value = serde_json::from_str(&ask(&server, &forked, "servers")).unwrap();
    assert_eq!(got, expected);
}

#[test]
fn secrets_of_mcp_servers_reach_no_answer_and_no_log() {
    let server = start();
    let worker = idle(&server, &json!({"mcp_servers": servers()}));
    let shown = worker.show(&server);
    let names =
        json!([{"name": "files", "type": "stdio"}, {"name": "docs", "type": "http"}, {"name": "old", "type": "sse"}]);
    assert_eq!(shown["config"]["mcp_servers"], names);
    for path in ["", "/messages?types=all&limit=1000", "/export?format=json", "/options"] {
        let text = server.get(&worker.path(path)).expect(200).text();
        assert!(!text.contains(SECRET), "{path}");
    }
    let log = std::fs::read_to_string(server.dir().join("logs/app.log")).unwrap_or_default();
    assert!(!log.contains(SECRET));
}

#[test]
fn mcp_servers_are_validated_and_refused_without_cli_support() {
    let server = start();
    let make = |servers: Value, kind: &str| {
        let body = json!({"name": "n", "project_path": server.project(), "ai_cli_type": kind, "mcp_servers": servers});
        server.post("/api/workers", &body)
    };
    for wrong in [
        json!("x"),
        json!([{"name": "a"}]),
        json!([{"name": "a b", "command": "x"}]),
        json!([{"name": "a", "command": "x", "url": "http://y"}]),
        json!([{"name": "a", "url": "file:///etc"}]),
        json!([{"name": "a", "url": "http://y", "headers": {"A\nB": "c"}}]),
        json!([{"name": "a", "command": "x", "env": {"A=B": "c"}}]),
        json!([{"name": "a", "command": "x"}, {"name": "a", "command": "y"}]),
        json!([{"name": "a", "type": "pipe", "command": "x"}]),
    ] {
        assert_eq!(make(wrong.clone(), "agent").status, 422, "{wrong}");
    }
    let refused = make(json!([{"name": "a", "command": "x"}]), "claude");
    assert_eq!(refused.status, 400);
    assert!(refused.json()["detail"].as_str().unwrap().contains("takes no mcp_servers"));
}

/// Lists the tools of an MCP server that a program starts by this line of a shell; or returns what it has printed as an error.
#[track_caller]
fn tools(line: &str, env: &[(&str, &str)]) -> Result<Vec<String>, String> {
    let mut child = Command::new("sh")
        .args(["-c", line])
        .env_remove("RS_WORKER_URL")
        .env_remove("RS_WORKER_TOKEN")
        .envs(env.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let ask = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    // A program that refuses to start reads nothing.
    let _ = child.stdin.take().unwrap().write_all(format!("{ask}\n").as_bytes());
    let output = child.wait_with_output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8(output.stderr).unwrap());
    }
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let tools = answer["result"]["tools"].as_array().unwrap_or_else(|| panic!("{answer}"));
    Ok(tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect())
}

#[test]
fn agent_with_a_token_gets_this_server_with_its_session() {
    let server = start();
    let worker = idle(&server, &json!({"mcp": true, "mcp_servers": [{"name": "files", "command": "mcp-files"}]}));
    let got: Value = serde_json::from_str(&ask(&server, &worker, "servers")).unwrap();
    let url = format!("http://{}", server.addr());
    assert_eq!((got.as_array().unwrap().len(), &got[0]["name"]), (2, &json!("files")));
    let own = &got[1];
    assert_eq!((&own["name"], &own["args"]), (&json!("rs-worker"), &json!(["mcp", "--agent"])));
    assert_eq!(own["env"], json!([{"name": "RS_WORKER_URL", "value": url}]), "its token is not in the journal");
    let environment = std::fs::read(format!("/proc/{}/environ", worker.show(&server)["pid"])).unwrap();
    let environment = String::from_utf8(environment).unwrap();
    let secret = environment.split('\0').find_map(|entry| entry.strip_prefix("RS_WORKER_TOKEN=")).unwrap();
    for format in ["md", "json", "jsonl"] {
        let export = server.get(&worker.path(&format!("/export?format={format}"))).expect(200).text();
        assert!(!export.contains(secret), "{format}");
    }
    // The agent starts it with all of its variables, or with a few.
    let line = format!("{} mcp --agent", own["command"].as_str().unwrap());
    let env = [("RS_WORKER_URL", url.as_str()), ("RS_WORKER_TOKEN", secret)];
    let offered = tools(&line, &env).unwrap();
    assert!(offered.len() == 9 && offered.contains(&"create_worker".to_owned()), "{offered:?}");
    assert_eq!(tools(&format!("env -u RS_WORKER_TOKEN {line}; :"), &env).unwrap(), offered);
    // Without the token it is not the server's owner.
    let refused = tools(&line, &[("RS_WORKER_URL", &url)]).unwrap_err();
    assert!(refused.contains("RS_WORKER_TOKEN is not set"), "{refused}");
}

#[test]
fn only_agents_with_a_token_get_this_server() {
    let server = start();
    let worker = idle(&server, &json!({}));
    assert_eq!(ask(&server, &worker, "servers"), "[]");
    let made = json!({"name": "n", "project_path": server.project(), "ai_cli_type": "agent", "mcp": true});
    let id = server.post("/api/workers", &made).expect(201).json()["id"].as_str().unwrap().to_owned();
    let worker = TestWorker { id };
    worker.wait_status(&server, "idle");
    // Each run has a token, and the session that is taken up the same server.
    worker.call(&server, "restart").expect(200);
    worker.wait_status(&server, "idle");
    let got: Value = serde_json::from_str(&ask(&server, &worker, "servers")).unwrap();
    assert_eq!((got.as_array().unwrap().len(), &got[0]["name"]), (1, &json!("rs-worker")));
}
