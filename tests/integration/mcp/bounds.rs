//! The bounds of workers that agents make: budgets and rules of their parents, and tokens that are not theirs.

use serde_json::{Value, json};

use super::agents::{child, environment, parent};
use super::{names, used};
use crate::support::http::Client;
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::TestWorker;
use crate::wire::{builder, server, start};

#[track_caller]
fn add_budget(server: &TestServer, worker: &str) -> String {
    let body = json!({"name": "boss", "worker": worker, "period": "total", "limits": {"turns": 3}});
    server.post("/api/budgets", &body).expect(201).json()["id"].as_str().unwrap().to_owned()
}

#[track_caller]
fn turns_used(server: &TestServer, budget: &str) -> Value {
    server.get(&format!("/api/budgets/{budget}")).expect(200).json()["used"]["turns"].clone()
}

/// Has a child do one turn.
#[track_caller]
fn turn(server: &TestServer, agent: &Client, child: &str, turns: usize) {
    used(agent, "send_message", &json!({"worker_id": child, "message": "echo x"}));
    TestWorker { id: child.to_owned() }.wait_turn(server, turns);
}

#[test]
fn children_spend_the_budget_of_their_parent() {
    let mut server = start(builder().env("MAX_WORKERS", "20"));
    let (boss, agent) = parent(&server, &json!({}));
    let budget = add_budget(&server, &boss);
    let first = child(&agent, &json!({"mcp": true}));
    turn(&server, &agent, &first, 1);
    assert_eq!(turns_used(&server, &budget), 1);
    // So do theirs.
    let below = child(&super::agents::agent_of(&server, &first), &json!({}));
    turn(&server, &agent, &below, 1);
    assert_eq!(turns_used(&server, &budget), 2);
    // What a deleted child has used stays used, over a restart too.
    server.delete(&format!("/api/workers/{below}")).expect(200);
    assert_eq!(turns_used(&server, &budget), 2);
    server.kill9();
    server.start();
    server.wait_status(&first, "idle");
    assert_eq!(turns_used(&server, &budget), 2);
    let agent = Client::new(server.addr()).with("authorization", &agent.headers[0].1);
    turn(&server, &agent, &first, 2);
    let second = child(&agent, &json!({}));
    let sent = used(&agent, "send_message", &json!({"worker_id": second, "message": "echo x"}));
    assert_eq!(sent["state"], "queued");
    let held = server.get(&format!("/api/budgets/{budget}")).expect(200).json();
    assert_eq!((&held["state"], &held["workers"]), (&json!("over"), &json!(3)), "{held}");
    // One of them asks for all: the last that worked, or the first whose message waits.
    let asked = eventually(DEADLINE, "a prompt of the budget", || {
        let inbox = server.get("/api/permissions").expect(200).json();
        inbox["permissions"].as_array().unwrap().iter().find(|prompt| prompt["tool_name"] == "Budget").cloned()
    });
    assert!([&first, &second].iter().any(|id| asked["worker_id"] == **id), "{asked}");
    // A worker beside it has room.
    let (_, other) = parent(&server, &json!({"name": "other"}));
    let free = child(&other, &json!({}));
    turn(&server, &other, &free, 1);
}

#[test]
fn agent_escapes_no_rule_by_a_child() {
    let server = server();
    let (boss, agent) = parent(&server, &json!({}));
    for (name, effect, command) in [("no push", "deny", "git push **"), ("status", "allow", "git status")] {
        let rule = json!({"name": name, "effect": effect, "worker": boss, "commands": [command]});
        server.post("/api/rules", &rule).expect(201);
    }
    let own = TestWorker { id: child(&agent, &json!({})) };
    let ask = |command: &str| own.say(&server, &format!("permission Bash {}", json!({"command": command})));
    ask("git push origin");
    let denied = own.wait_event(&server, "permission_resolved", 1);
    assert_eq!((&denied["decision"], &denied["rule"]), (&json!("deny"), &json!("no push")));
    own.wait_turn(&server, 1);
    // What is allowed to its parent is not allowed to a child.
    ask("git status");
    assert_eq!(own.wait_prompt(&server)["tool_name"], "Bash");
}

#[test]
fn token_of_the_servers_owner_reaches_no_agent() {
    for pass in ["", "RS_WORKER_TOKEN,RS_*"] {
        let builder = builder().env("RS_WORKER_TOKEN", "of-the-owner").env("RS_WORKER_URL", "http://127.0.0.1:1");
        let server = start(builder.env("WORKER_ENV_PASS", pass));
        let plain = server.create_worker("claude", &json!({}));
        let pid = server.wait_status(&plain, "idle")["pid"].as_i64().unwrap();
        let given = environment(pid);
        assert!(!given.iter().any(|entry| entry.starts_with("RS_WORKER_TOKEN=")), "{pass}");
        assert!(!given.iter().any(|entry| entry.starts_with("RS_WORKER_URL=")), "{pass}");
        // One that has a token of its own has that.
        let (_, agent) = parent(&server, &json!({}));
        assert!(agent.headers[0].1.starts_with("Bearer rsw_") && names(&agent).len() == 9);
    }
}

#[test]
fn agents_token_is_refused_through_a_proxy() {
    let server = server();
    let (_, agent) = parent(&server, &json!({}));
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    agent.with("x-forwarded-for", "192.0.2.7").post("/mcp", &ping).expect(401);
    agent.post("/mcp", &ping).expect(200);
}

#[test]
fn imported_history_belongs_to_no_agent() {
    let server = server();
    let (boss, agent) = parent(&server, &json!({}));
    let own = child(&agent, &json!({"mcp": true, "message": "echo x"}));
    used(&agent, "wait", &json!({"worker_id": own}));
    let export = server.get(&format!("/api/workers/{own}/export?format=jsonl")).expect(200).text();
    assert!(export.contains("agent_token_made") && export.contains(&boss));
    // An agent can write such a file, with any options, and have a person import it.
    let headers = [("Content-Type", "application/x-ndjson")];
    let made = server.client.request("POST", "/api/import", &headers, export.as_bytes()).expect(201).json();
    let id = made["id"].as_str().unwrap();
    let shown = server.get(&format!("/api/workers/{id}")).expect(200).json();
    assert_eq!((&shown["parent"], &shown["config"]["mcp"]), (&Value::Null, &json!(false)), "{shown}");
    assert_eq!(super::refused(&agent, "send_message", &json!({"worker_id": id, "message": "x"})).0, "not_found");
    assert_eq!(used(&agent, "list_workers", &json!({}))["workers"].as_array().unwrap().len(), 1);
    let kept = server.get(&format!("/api/workers/{id}/export?format=jsonl")).expect(200).text();
    assert!(!kept.contains("agent_token_made"));
}
