//! The audit has who has changed what, and no secrets.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use super::{TOKEN, TestToken, server, with_token};
use crate::support::http::{Client, Raw};
use crate::support::server::TestServer;
use crate::wire::{LOOP, command, idle_worker};

/// The entries, newest first.
fn entries(server: &TestServer, query: &str) -> Vec<Value> {
    server.get(&format!("/api/audit{query}")).expect(200).json()["entries"].as_array().unwrap().clone()
}

fn brief(entry: &Value) -> (String, String, Value) {
    let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    (text("action"), format!("{} {}", text("by"), text("name")).trim().to_owned(), entry["status"].clone())
}

/// The id of no worker.
const MISSING: &str = "00000000-0000-4000-8000-000000000000";

#[test]
fn changes_and_refusals_are_audited_and_reads_are_not() {
    let mut server = server();
    let worker = idle_worker(&server, LOOP);
    let made = TestToken::new(&server, "phone", "send", &json!({"workers": [worker]}));
    let phone = made.client(&server);
    phone.get("/api/workers").expect(200);
    phone.post(&format!("/api/workers/{worker}/messages"), &json!({"content": "hello"})).expect(202);
    phone.delete(&format!("/api/workers/{worker}")).expect(403);
    phone.post(&format!("/api/workers/{MISSING}/stop"), &json!({})).expect(404);
    phone.post("/api/workers/a-secret-in-a-wrong-place/stop", &json!({})).expect(404);
    Client::new(server.addr()).post(&format!("/api/workers/{worker}/stop"), &json!({})).expect(401);
    let mut ws = made.ws(&server, "/ws").unwrap();
    assert_eq!(command(&mut ws, json!({"type": "message", "worker_id": worker, "content": "hi"}))["type"], "ack");
    assert_eq!(command(&mut ws, json!({"type": "set_model", "worker_id": worker, "model": "m"}))["status"], 403);
    let all = entries(&server, "");
    let expected = [
        ("WS set_model", "token phone", 403, true),
        ("WS message", "token phone", 200, false),
        ("POST /api/workers/{id}/stop", "nobody", 401, true),
        ("POST /api/workers/{id}/stop", "token phone", 404, true),
        ("POST /api/workers/{id}/stop", "token phone", 404, true),
        ("DELETE /api/workers/{id}", "token phone", 403, true),
        ("POST /api/workers/{id}/messages", "token phone", 202, false),
        ("POST /api/tokens", "auth_token", 201, false),
        ("POST /api/workers", "auth_token", 201, false),
    ];
    for (entry, (action, who, status, refused)) in all.iter().zip(expected) {
        assert_eq!(brief(entry), (action.to_owned(), who.to_owned(), json!(status)), "{entry}");
        assert_eq!((&entry["refused"], &entry["address"]), (&json!(refused), &json!("127.0.0.1")), "{entry}");
    }
    assert_eq!(all.len(), expected.len(), "{all:?}");
    assert_eq!(all[8]["worker"], worker, "a new worker is named by the outcome");
    assert_eq!(all[2]["worker"], worker);
    let of_phone = entries(&server, "?who=phone&limit=2");
    assert_eq!((of_phone.len(), brief(&of_phone[0]).0.as_str()), (2, "WS set_model"));
    assert_eq!(entries(&server, &format!("?worker={MISSING}")).len(), 1);
    assert!(!all.iter().any(|entry| entry.to_string().contains("wrong-place")), "only ids of workers are kept");
    made.client(&server).get("/api/audit").expect(403);
    server.restart();
    assert_eq!(entries(&server, "").len(), all.len(), "it outlives the server");
    let file = server.data_dir().join("audit.jsonl");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn secrets_and_texts_of_messages_are_not_in_the_audit() {
    let server = server();
    let worker = idle_worker(&server, LOOP);
    let made = TestToken::new(&server, "phone", "send", &json!({}));
    let text = "tell nobody about the heffalump";
    made.client(&server).post(&format!("/api/workers/{worker}/messages"), &json!({"content": text})).expect(202);
    let mut ws = made.ws(&server, "/ws").unwrap();
    command(&mut ws, json!({"type": "message", "worker_id": worker, "content": text}));
    let pairing = server.post(&format!("/api/tokens/{}/pair", made.id), &json!({})).expect(201).json();
    let code = pairing["code"].as_str().unwrap().to_owned();
    let login = Client::new(server.addr()).post("/api/login", &json!({"code": code})).expect(200);
    let cookie = login.header("set-cookie").unwrap().split([';', '=']).nth(1).unwrap().to_owned();
    Client::new(server.addr()).post("/api/login", &json!({"token": "a-wrong-token-of-somebody"})).expect(401);
    server.client.request("POST", "/api/answer/a-code-of-a-link", &[], b"").expect(404);
    Client::new(server.addr())
        .with("authorization", "Bearer another-wrong-one")
        .post("/api/tokens", &json!({}))
        .expect(401);
    let text = fs::read_to_string(server.data_dir().join("audit.jsonl")).unwrap();
    let code_link = server.post("/api/login/code", &json!({})).expect(201).json();
    let secrets = [
        TOKEN,
        &made.secret[4..],
        &code,
        &cookie,
        "heffalump",
        "a-wrong-token",
        "another-wrong",
        "a-code-of-a-link",
        code_link["code"].as_str().unwrap(),
    ];
    for secret in secrets {
        assert!(!text.contains(secret), "{secret} is in the audit:\n{text}");
    }
    let login =
        entries(&server, "").into_iter().find(|entry| brief(entry).0 == "POST /api/login" && entry["status"] == 200);
    let login = login.unwrap();
    assert_eq!((brief(&login).1.as_str(), login["login"].is_string()), ("token_login phone", true), "{login}");
    assert!(entries(&server, "").iter().any(|entry| brief(entry).0 == "POST /api/answer/{code}"));
}

#[test]
fn action_is_audited_when_the_server_dies_before_its_outcome() {
    let mut server = with_token(crate::wire::builder().env("STOP_GRACE_SECS", "8"));
    let ignores = json!({"family": "text", "command": ["sh", "-c", "trap '' TERM INT; echo ready; while :; do read -r line; done"]});
    server.terminate();
    crate::wire::declare(&server, "stubborn", &ignores);
    server.start();
    let worker = server.create_worker("stubborn", &json!({}));
    server.wait_status(&worker, "idle");
    let mut raw = Raw::connect(server.addr()).unwrap();
    let head = format!(
        "POST /api/workers/{worker}/stop HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {TOKEN}\r\n\r\n",
        server.addr()
    );
    raw.send(head.as_bytes()).unwrap();
    crate::support::server::wait_file(&server.data_dir().join("audit.jsonl"), "/stop");
    server.kill9();
    server.start();
    let entry = entries(&server, "").into_iter().find(|entry| brief(entry).0.ends_with("/stop")).unwrap();
    assert_eq!((&entry["status"], &entry["refused"], &entry["worker"]), (&Value::Null, &json!(false), &json!(worker)));
}

#[test]
fn audit_takes_bounded_pages() {
    let server = server();
    for (query, status) in
        [("?limit=0", 422), ("?limit=1001", 422), ("?limit=x", 422), ("?before=x", 422), ("?before=0", 200)]
    {
        server.get(&format!("/api/audit{query}")).expect(status);
    }
    for at in 0..3 {
        TestToken::new(&server, &format!("t{at}"), "read", &json!({}));
    }
    let page = server.get("/api/audit?limit=2").expect(200).json();
    let rest = server.get(&format!("/api/audit?limit=2&before={}", page["next"])).expect(200).json();
    assert_eq!((rest["entries"].as_array().unwrap().len(), &rest["next"]), (1, &Value::Null), "{rest}");
}

#[test]
fn strangers_requests_are_few_lines_of_the_audit() {
    let server = server();
    let stranger = Client::new(server.addr());
    for _ in 0..200 {
        stranger.post("/api/logout", &json!({})).expect(200);
    }
    let lines = entries(&server, "?limit=1000").iter().filter(|entry| brief(entry).0 == "POST /api/logout").count();
    assert!((1..=120).contains(&lines), "{lines}");
}
