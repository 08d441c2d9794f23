//! The OpenAPI document says what the server does: answers, errors and frames are held against it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{LOOP, builder, command, events, idle_worker, say, server, start};
use crate::support::schema::Document;
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};
use crate::support::ws::WsClient;

fn document(server: &TestServer) -> Document {
    let reply = server.get("/openapi.json").expect(200);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    Document(reply.json())
}

/// Asks, and holds the answer against the document. `params` stand for the braces of the pattern, in their order.
struct Asking<'s> {
    server: &'s TestServer,
    document: Document,
    asked: BTreeSet<(String, String)>,
}

impl Asking<'_> {
    #[track_caller]
    fn ask(&mut self, method: &str, pattern: &str, params: &[&str], body: &Value, status: u16) -> Value {
        let (path, query) = pattern.split_once('?').unwrap_or((pattern, ""));
        let mut target = path.to_owned();
        for param in params {
            let (begin, end) = (target.find('{').unwrap(), target.find('}').unwrap());
            target.replace_range(begin..=end, param);
        }
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let headers = [("Content-Type", "application/json")];
        let reply = self.server.client.request(method, &format!("{target}?{query}"), &headers, &body).expect(status);
        self.asked.insert((method.to_lowercase(), path.to_owned()));
        let answer = reply.json();
        self.document.check_answer(method, path, status, &answer);
        answer
    }
}

/// The operations whose answers are no JSON: they have tests of their own.
const NOT_JSON: [&str; 14] = [
    "/",
    "/docs",
    "/redoc",
    "/static/{path}",
    "/favicon.ico",
    "/manifest.webmanifest",
    "/sw.js",
    "/metrics",
    "/api/workers/{id}/events",
    "/api/workers/{id}/messages/{seq}/text",
    "/api/workers/{id}/blob",
    "/api/workers/{id}/images/{seq}/{index}",
    "/ws",
    "/ws/{id}",
];

#[test]
fn the_answer_of_every_route_is_as_documented() {
    let token = "a-token-for-this-test";
    let server = start(builder().env("AUTH_TOKEN", token).env("LOCAL_ACCESS", "same-user"));
    let mut asking = Asking { server: &server, document: document(&server), asked: BTreeSet::new() };
    let none = Value::Null;
    for path in [
        "/openapi.json",
        "/health",
        "/api/health",
        "/api/ready",
        "/api/ai-clis",
        "/api/paths?prefix=/",
        "/api/sessions",
        "/api/usage?by=project",
    ] {
        asking.ask("GET", path, &[], &none, 200);
    }
    asking.ask("POST", "/api/login", &[], &json!({"token": token}), 200);
    asking.ask("POST", "/api/login/code", &[], &none, 201);
    let logins = asking.ask("GET", "/api/logins", &[], &none, 200);
    let login = logins["logins"][0]["id"].as_str().unwrap();
    asking.ask("DELETE", "/api/logins/{id}", &[login], &none, 200);
    asking.ask("DELETE", "/api/logins", &[], &none, 200);
    asking.ask("POST", "/api/logout", &[], &json!({}), 200);
    asking.ask("GET", "/api/push", &[], &none, 200);
    let subscription = asking.ask("POST", "/api/push/subscriptions", &[], &a_browser(), 200);
    let subscription = subscription["id"].as_str().unwrap();
    asking.ask("GET", "/api/push", &[], &none, 200);
    asking.ask("POST", "/api/push/test", &[], &json!({"id": subscription}), 200);
    asking.ask("DELETE", "/api/push/subscriptions/{id}", &[subscription], &none, 200);
    asking.ask("POST", "/api/answer/{code}", &["used"], &none, 404);
    let new = json!({"name": "described", "project_path": server.project(), "ai_cli_type": "claude"});
    let made = asking.ask("POST", "/api/workers", &[], &new, 201);
    let id = made["id"].as_str().unwrap();
    server.wait_status(id, "idle");
    let worker = "/api/workers/{id}";
    let of = |rest: &str| format!("{worker}{rest}");

    asking.ask("POST", &of("/messages"), &[id], &json!({"content": "permission Bash {\"command\":\"ls\"}"}), 202);
    server.wait_status(id, "waiting");
    let inbox = asking.ask("GET", "/api/permissions", &[], &none, 200);
    let prompt = inbox["permissions"][0]["request_id"].as_str().unwrap().to_owned();
    // While the CLI waits, what is said to it waits as well.
    let waiting: Vec<String> = (0..3)
        .map(|n| asking.ask("POST", &of("/messages"), &[id], &json!({"content": format!("later {n}")}), 202))
        .map(|taken| taken["message_id"].as_str().unwrap().to_owned())
        .collect();
    asking.ask("GET", &of("/queue"), &[id], &none, 200);
    let one = of("/queue/{message}");
    asking.ask("PATCH", &one, &[id, &waiting[0]], &json!({"content": "changed"}), 200);
    asking.ask("DELETE", &one, &[id, &waiting[0]], &none, 200);
    asking.ask("DELETE", &of("/queue"), &[id], &none, 200);
    let answer = of("/permissions/{request}");
    asking.ask("POST", &answer, &[id, &prompt], &json!({"option_id": "allow"}), 200);
    asking.ask("POST", &answer, &[id, &prompt], &json!({"option_id": "deny"}), 409);
    asking.ask("GET", &of("/options"), &[id], &none, 200);
    asking.ask("GET", &of("/messages?blocks=all"), &[id], &none, 200);
    asking.ask("PUT", &of("/options/{option}"), &[id, "none"], &json!({"value": "x"}), 404);
    let named = json!({"option_id": "deny", "request_id": prompt});
    asking.ask("POST", &of("/permissions"), &[id], &named, 409);
    server.wait_status(id, "idle");

    for rest in ["", "/messages?types=all&limit=1000", "/export?format=json", "/files", "/diff"] {
        asking.ask("GET", &of(rest), &[id], &none, 200);
    }
    asking.ask("GET", "/api/workers", &[], &none, 200);
    let found = asking.ask("GET", "/api/search?q=permission", &[], &none, 200);
    assert_ne!(found["results"], json!([]));
    asking.ask("PATCH", worker, &[id], &json!({"name": "renamed"}), 200);
    asking.ask("POST", &of("/interrupt"), &[id], &none, 200);
    for rest in ["/stop", "/start", "/restart"] {
        asking.ask("POST", &of(rest), &[id], &none, 200);
    }
    // It follows no session, so there is none to take over.
    asking.ask("POST", &of("/takeover"), &[id], &none, 409);
    let fork = asking.ask("POST", &of("/fork"), &[id], &none, 201);
    asking.ask("DELETE", worker, &[fork["id"].as_str().unwrap()], &none, 200);
    // One line is JSON as well.
    asking.ask("POST", "/api/import", &[], &json!({"records": [made_as(&server, "imported")]}), 201);
    asking.ask("DELETE", worker, &[id], &none, 200);

    let documented = asking.document.0["paths"].as_object().unwrap().iter();
    let all: BTreeSet<(String, String)> = documented
        .filter(|(path, _)| !NOT_JSON.contains(&path.as_str()))
        .flat_map(|(path, methods)| methods.as_object().unwrap().keys().map(move |name| (name.clone(), path.clone())))
        .collect();
    assert_eq!(asking.asked, all, "every route was asked");
}

/// A subscription whose push service does not answer, with the keys of RFC 8291, section 5.
fn a_browser() -> Value {
    let key = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
    json!({"endpoint": "https://localhost:1/x", "keys": {"p256dh": key, "auth": "BTBZMqHH6r4Tts7J_aSIgg"}})
}

/// The record of a worker's making, as an export has it.
fn made_as(server: &TestServer, name: &str) -> Value {
    let created = json!({"type": "created", "worker_id": "w", "name": name, "project_path": server.project(), "ai_cli_type": LOOP});
    json!({"time": 1_700_000_000_000_000_u64, "kind": "ctl", "text": created.to_string()})
}

#[test]
fn refusals_are_as_documented() {
    let server = server();
    let id = idle_worker(&server, LOOP);
    let mut asking = Asking { server: &server, document: document(&server), asked: BTreeSet::new() };
    let worker = "/api/workers/{id}";
    asking.ask("GET", worker, &["none"], &Value::Null, 404);
    asking.ask("POST", "/api/workers", &[], &json!({"name": 1}), 422);
    asking.ask("POST", "/api/workers", &[], &json!({"name": "a", "project_path": "relative"}), 400);
    asking.ask("GET", "/api/workers/{id}/messages?limit=0", &[&id], &Value::Null, 422);
    asking.ask("GET", "/api/workers/{id}/export?format=pdf", &[&id], &Value::Null, 422);
    asking.ask("POST", "/api/workers/{id}/fork", &[&id], &Value::Null, 409);
    asking.ask("DELETE", "/api/workers/{id}/queue/{message}", &[&id, "none"], &Value::Null, 404);
    let guarded =
        server.client.request("GET", "/api/workers", &[("Origin", "http://elsewhere.example")], b"").expect(403);
    asking.document.check_answer("GET", "/api/workers", 403, &guarded.json());
    let no_json = server.client.request("POST", "/api/workers", &[("Content-Type", "text/plain")], b"{}").expect(415);
    asking.document.check_answer("POST", "/api/workers", 415, &no_json.json());
    let no_socket = server.get("/ws").expect(426);
    asking.document.check_answer("GET", "/ws", 426, &no_socket.json());
}

#[test]
fn frames_and_events_are_as_documented() {
    let server = server();
    let document = document(&server);
    let id = idle_worker(&server, "claude");
    let mut all = WsClient::connect(server.addr(), "/ws", &[]).unwrap();
    say(&server, &id, "hello");
    eventually(DEADLINE, "a turn's end", || {
        events(&server, &id).into_iter().find(|event| event["type"] == "turn_completed")
    });
    let mut one = WsClient::connect(server.addr(), &format!("/ws/{id}?raw=1"), &[]).unwrap();
    let mut replay = WsClient::connect(server.addr(), &format!("/ws/{id}?since=0"), &[]).unwrap();
    let mut ahead = WsClient::connect(server.addr(), &format!("/ws/{id}?since=999999999"), &[]).unwrap();
    let sent = [
        json!({"type": "message", "content": "again", "client_message_id": "one"}),
        json!({"type": "ping"}),
        json!({"type": "set_model", "model": "haiku"}),
        json!({"type": "interrupt"}),
        json!({"type": "nonsense"}),
    ];
    let mut simple = WsClient::connect(server.addr(), &format!("/ws/{id}"), &[]).unwrap();
    for frame in &sent {
        command(&mut one, frame.clone());
        let known = document.mistakes(&document.0["components"]["schemas"]["ClientFrame"], frame).is_empty();
        assert_eq!(known, frame["type"] != "nonsense", "{frame}");
    }
    replay.wait_for("the replay's end", DEADLINE, |frame| frame["type"] == "replay_complete");
    ahead.wait_for("a word on the cursor", DEADLINE, |frame| frame["type"] == "resync_required");
    simple.wait_for("an event that is not the agent's", DEADLINE, |frame| frame["type"] == "event");
    server.post(&format!("/api/workers/{id}/stop"), &json!({})).expect(200);
    server.delete(&format!("/api/workers/{id}")).expect(200);
    all.wait_for("the worker's end", DEADLINE, |frame| frame["type"] == "worker_deleted");
    let mut seen = BTreeSet::new();
    for frame in [&all, &one, &replay, &ahead, &simple].into_iter().flat_map(|client| &client.frames) {
        document.check("ServerFrame", frame);
        seen.insert(frame["type"].as_str().unwrap());
    }
    let kinds = &document.0["components"]["schemas"]["ServerFrame"]["discriminator"]["mapping"];
    assert_eq!(seen, kinds.as_object().unwrap().keys().map(String::as_str).collect(), "every frame type was seen");
}
