//! Ways out of a budget that are closed: CLIs that ignore an interrupt, and deletions.

use serde_json::json;

use crate::support::clis;
use crate::support::server::TestServer;
use crate::support::workers::TestWorker;

fn server(name: &str, settings: &[(&str, &str)]) -> TestServer {
    let builder = TestServer::builder().name(name).env("CLAUDE_BINARY", clis::fake_cli()).env("STOP_GRACE_SECS", "1");
    settings.iter().fold(builder, |builder, (name, value)| builder.env(name, value)).start()
}

fn worker(server: &TestServer) -> TestWorker {
    let worker = TestWorker::create(server, "claude", &json!({}));
    worker.wait_status(server, "idle");
    worker
}

#[test]
fn cli_that_ignores_the_interrupt_is_stopped() {
    let server = server("budget-hard", &[("BUDGET_TOOL_WAIT_SECS", "1")]);
    let worker = worker(&server);
    worker.say(&server, "hang hard");
    worker.wait_status(&server, "busy");
    server.post("/api/budgets", &json!({"name": "short", "limits": {"running_secs": 0}})).expect(201);
    let end = worker.wait_event(&server, "exit", 1);
    assert_eq!(worker.controls(&server, "stop_requested")[0]["by"], "budget", "{end}");
    worker.wait_prompt(&server);
}

#[test]
fn interrupted_turn_is_named_when_the_queue_continues() {
    let server = server("budget-cut", &[]);
    let worker = worker(&server);
    worker.say(&server, "hang");
    worker.wait_status(&server, "busy");
    server.post("/api/budgets", &json!({"name": "short", "limits": {"running_secs": 0}})).expect(201);
    assert_eq!(worker.wait_turn(&server, 1)["stop_reason"], "interrupted");
    let prompt = worker.wait_prompt(&server);
    let ack = worker.say(&server, "echo next");
    assert_eq!(ack["held_by_budget"], "short");
    worker.answer(&server, &prompt, &json!({"option_id": "once_more"})).expect(200);
    worker.wait_turn(&server, 2);
    assert_eq!(worker.events_of(&server, "turn_completed")[1]["result"], "next");
    let notices = worker.events_of(&server, "notice");
    let about: Vec<&str> = notices
        .iter()
        .filter(|notice| notice["code"] == "budget_interrupt")
        .map(|notice| notice["content"].as_str().unwrap())
        .collect();
    assert_eq!(about.len(), 2, "{notices:?}");
    assert!(about[0].starts_with("The turn is interrupted, since a budget is used up."), "{about:?}");
    assert!(about[1].starts_with("The message that waits is delivered."), "{about:?}");
    assert!(about.iter().all(|text| text.contains("send a message to continue it")), "{about:?}");
}

#[test]
fn deleted_worker_counts_after_a_restart() {
    let mut server = server("budget-deleted", &[]);
    let worker = worker(&server);
    let new = json!({"name": "all", "limits": {"turns": 100}, "period": "total"});
    let budget = server.post("/api/budgets", &new).expect(201).json();
    let path = format!("/api/budgets/{}", budget["id"].as_str().unwrap());
    worker.say(&server, "echo 1");
    worker.wait_turn(&server, 1);
    server.delete(&worker.path("")).expect(200);
    assert_eq!(server.get(&path).expect(200).json()["used"]["turns"], 1);
    server.kill9();
    server.start();
    assert_eq!(server.get(&path).expect(200).json()["used"]["turns"], 1);
}
