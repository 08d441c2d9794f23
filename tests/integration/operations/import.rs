//! A history that is exported as JSONL and imported again.

use serde_json::{Value, json};

use crate::support::http::Reply;
use crate::support::server::TestServer;
use crate::support::workers::TestWorker;
use crate::wire::{self, events};

fn import(server: &TestServer, query: &str, body: &[u8]) -> Reply {
    let headers = [("Content-Type", "application/x-ndjson")];
    server.client.request("POST", &format!("/api/import{query}"), &headers, body)
}

fn export(server: &TestServer, id: &str) -> String {
    server.get(&format!("/api/workers/{id}/export?format=jsonl")).expect(200).text()
}

/// A worker with a conversation, a tool call and two runs.
fn worker(server: &TestServer) -> TestWorker {
    let worker = TestWorker::create(server, "claude", &json!({"name": "original"}));
    worker.say(server, "hello \"you\", äöü 🙂\nnext line");
    worker.wait_turn(server, 1);
    server.post(&worker.path("/stop"), &json!({})).expect(200);
    worker.say(server, r#"tool Bash {"command":"echo again"}"#);
    worker.wait_turn(server, 2);
    worker.wait_status(server, "idle");
    worker
}

fn folders(server: &TestServer) -> usize {
    std::fs::read_dir(server.data_dir()).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_dir()).count()
}

#[test]
fn imported_export_is_a_stopped_worker_with_the_same_history() {
    let server = wire::server();
    let original = worker(&server);
    server.post(&original.path("/stop"), &json!({})).expect(200);
    let exported = export(&server, &original.id);
    let made = import(&server, "", exported.as_bytes()).expect(201).json();
    let id = made["id"].as_str().unwrap();
    assert_ne!(id, original.id);
    assert_eq!((&made["status"], &made["name"]), (&json!("stopped"), &json!("original")));
    assert_eq!(events(&server, id), events(&server, &original.id));
    assert_eq!(export(&server, id), exported.replace(&original.id, id));
    let mut server = server;
    server.restart();
    assert_eq!(export(&server, id), exported.replace(&original.id, id), "after a restart of the server");
}

#[test]
fn running_worker_is_stopped_where_its_export_is_imported() {
    let server = wire::server();
    let original = worker(&server);
    let exported = export(&server, &original.id);
    let made = import(&server, "", exported.as_bytes()).expect(201).json();
    assert!(made["pid"].is_null() && !["idle", "busy"].contains(&made["status"].as_str().unwrap()), "{made}");
    let (ours, theirs) = (events(&server, made["id"].as_str().unwrap()), events(&server, &original.id));
    assert_eq!(ours[..theirs.len()], theirs);
    assert!(made["reason"].as_str().unwrap().contains("it was imported, and has no process here"), "{made}");
    server.wait_status(&original.id, "idle");
}

#[test]
fn environment_variables_stay_where_they_are() {
    let server = wire::server();
    let original = TestWorker::create(&server, "claude", &json!({"env": {"API_PASSWORD": "correct-horse"}}));
    original.wait_status(&server, "idle");
    let exported = export(&server, &original.id);
    assert!(!exported.contains("correct-horse") && !exported.contains("API_PASSWORD"));
    import(&server, "", exported.as_bytes()).expect(201);
}

#[test]
fn broken_lines_are_refused_by_number_and_nothing_remains() {
    let server = wire::server();
    let original = worker(&server);
    server.post(&original.path("/stop"), &json!({})).expect(200);
    let exported = export(&server, &original.id);
    let lines: Vec<&str> = exported.lines().collect();
    let before = folders(&server);
    let with = |at: usize, line: &str| {
        let mut lines = lines.clone();
        lines[at] = line;
        lines.join("\n")
    };
    let out = |fields: Value| json!({"records": [fields]}).to_string();
    let wrong: Vec<(String, &str)> = vec![
        (String::new(), "nothing to import"),
        ("{}\n\n{}".to_owned(), "nothing to import"),
        (with(2, "{\"type\":"), "line 3: not a line"),
        (with(3, "[1]"), "line 4: not a line"),
        (with(1, &out(json!({"time": 1, "kind": "sideways", "text": "x"}))), "line 2: no kind of record"),
        (with(1, &out(json!({"time": 1, "kind": "out"}))), "line 2: a record has either text or hex"),
        (with(1, &out(json!({"time": 1, "kind": "out", "hex": "0x"}))), "line 2: hex"),
        (with(1, &out(json!({"time": 1, "kind": "out", "text": "a\nb"}))), "line 2: a record is one line"),
        (with(1, &out(json!({"time": -1, "kind": "out", "text": "a"}))), "line 2: not a line"),
        (format!("{exported}{}", lines[0]), "a worker is made once"),
        (lines[1..].join("\n"), "the first record is not the making of a worker"),
        (exported.replacen("\\\"ai_cli_type\\\":\\\"claude\\\"", "\\\"ai_cli_type\\\":\\\"none\\\"", 1), "none"),
        (exported.replacen("\\\"name\\\":\\\"original\\\"", "\\\"name\\\":\\\"\\\"", 1), "name must not be empty"),
    ];
    for (body, reported) in wrong {
        let answer = import(&server, "", body.as_bytes()).expect(400).json();
        assert!(answer["detail"].as_str().unwrap().contains(reported), "{reported}: {answer}");
    }
    let answer = import(&server, "?project_path=/nowhere/at/all", exported.as_bytes()).expect(400).json();
    assert!(answer["detail"].as_str().unwrap().contains("project folder"), "{answer}");
    assert_eq!((folders(&server), server.worker_ids().len()), (before, 1));
    let other = server.project_named("elsewhere");
    let made = import(&server, &format!("?project_path={}", other.display()), exported.as_bytes()).expect(201).json();
    assert_eq!(made["project_path"], json!(other.canonicalize().unwrap()));
}

#[test]
fn a_history_longer_than_a_body_may_be_is_imported() {
    let server = wire::start(wire::builder().env("MAX_BODY_BYTES", "64KiB"));
    let original = worker(&server);
    for turn in 0..10 {
        original.say(&server, &"many words ".repeat(5_000));
        original.wait_turn(&server, turn + 3);
    }
    server.post(&original.path("/stop"), &json!({})).expect(200);
    let exported = export(&server, &original.id);
    assert!(exported.len() > 10 * 64 * 1024, "{} bytes", exported.len());
    let made = import(&server, "", exported.as_bytes()).expect(201).json();
    let id = made["id"].as_str().unwrap();
    assert_eq!(export(&server, id), exported.replace(&original.id, id));
}
