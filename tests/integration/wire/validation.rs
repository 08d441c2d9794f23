//! Part 1: each invalid field gets 422 with a location, a text and a code; malformed JSON too.

use serde_json::{Value, json};

use super::{LOOP, idle_worker, keys, server};
use crate::support::server::TestServer;

/// Returns the errors of a 422: location and code of each.
#[track_caller]
fn mistakes(server: &TestServer, path: &str, body: &str) -> Vec<(Value, String)> {
    let reply = server.client.request("POST", path, &[("content-type", "application/json")], body.as_bytes());
    reported(&reply.expect(422).json())
}

#[track_caller]
fn reported(answer: &Value) -> Vec<(Value, String)> {
    let mistakes = answer["detail"].as_array().unwrap();
    // A single error is also named in `field`, beside the list.
    let field = mistakes.first().filter(|_| mistakes.len() == 1).map_or(&Value::Null, |mistake| &mistake["loc"][1]);
    assert_eq!(&answer["field"], if field.is_string() { field } else { &Value::Null }, "{answer}");
    mistakes
        .iter()
        .map(|mistake| {
            assert_eq!(keys(mistake), ["loc", "msg", "type"]);
            assert!(!mistake["msg"].as_str().unwrap().is_empty());
            (mistake["loc"].clone(), mistake["type"].as_str().unwrap().to_owned())
        })
        .collect()
}

#[test]
fn a_missing_field_is_reported_as_the_reference_does() {
    let server = server();
    let body = json!({"project_path": server.project(), "ai_cli_type": LOOP});
    let answer = server.post("/api/workers", &body).expect(422).json();
    let expected = json!({"detail": [{"loc": ["body", "name"], "msg": "Field required", "type": "missing"}], "code": "validation_failed", "field": "name"});
    assert_eq!(answer, expected);
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let server = server();
    let expected = [
        (json!(["body", "name"]), "missing".to_owned()),
        (json!(["body", "project_path"]), "string_type".to_owned()),
        (json!(["body", "ai_cli_type"]), "string_type".to_owned()),
        (json!(["body", "worktree"]), "bool_type".to_owned()),
    ];
    let body = r#"{"project_path": 1, "ai_cli_type": [], "worktree": "yes"}"#;
    assert_eq!(mistakes(&server, "/api/workers", body), expected);
}

#[test]
fn a_body_that_is_no_object_is_a_mistake() {
    let server = server();
    for body in ["[]", "1", "\"name\"", "null"] {
        let expected = [(json!(["body"]), "model_attributes_type".to_owned())];
        assert_eq!(mistakes(&server, "/api/workers", body), expected, "{body}");
    }
    assert_eq!(mistakes(&server, "/api/workers", ""), [(json!(["body"]), "missing".to_owned())]);
}

#[test]
fn broken_json_is_a_mistake() {
    let server = server();
    for body in ["{", "{\"name\": }", "nonsense", "{} {}", "{\"name\": \"\u{1}\"}"] {
        let found = mistakes(&server, "/api/workers", body);
        assert_eq!((found.len(), found[0].1.as_str()), (1, "json_invalid"), "{body}");
        assert_eq!(found[0].0[0], "body");
    }
    let reply =
        server.client.request("POST", "/api/workers", &[("content-type", "application/json")], b"{\"name\": \"\xff\"}");
    assert_eq!(reported(&reply.expect(422).json())[0].1, "json_invalid");
}

#[test]
fn endlessly_nested_json_is_an_error_not_a_crash() {
    let server = server();
    let found = mistakes(&server, "/api/workers", &"[".repeat(200_000));
    assert_eq!(found[0].1, "json_invalid");
    server.get("/health").expect(200);
}

#[test]
fn the_other_bodies_are_validated_too() {
    let server = server();
    let id = idle_worker(&server, LOOP);
    let one = |name: &str, kind: &str| vec![(json!(["body", name]), kind.to_owned())];
    let path = format!("/api/workers/{id}/messages");
    assert_eq!(mistakes(&server, &path, "{}"), one("content", "missing"));
    assert_eq!(mistakes(&server, &path, r#"{"content": null}"#), one("content", "string_type"));
    assert_eq!(mistakes(&server, &path, r#"{"content": "x", "attachments": {}}"#), one("attachments", "list_type"));
    let path = format!("/api/workers/{id}/permissions/none");
    assert_eq!(mistakes(&server, &path, "{}"), one("option_id", "missing"));
    let body = r#"{"name": "x", "project_path": "/", "env": {"A": 1}}"#;
    assert_eq!(mistakes(&server, "/api/workers", body), one("env", "string_type"));
    let body = r#"{"name": "x", "project_path": "/", "env": {"A=B": "1"}, "args": [1]}"#;
    let expected = [one("env", "value_error"), one("args", "string_type")].concat();
    assert_eq!(mistakes(&server, "/api/workers", body), expected);
}

#[test]
fn a_query_is_validated_too() {
    let server = server();
    let id = idle_worker(&server, LOOP);
    for (query, name, kind) in [
        ("since=x", "since", "int_parsing"),
        ("since=-1", "since", "int_parsing"),
        ("before=1.5", "before", "int_parsing"),
        ("limit=many", "limit", "int_parsing"),
        ("limit=0", "limit", "value_error"),
        ("limit=1001", "limit", "value_error"),
    ] {
        let answer = server.get(&format!("/api/workers/{id}/messages?{query}")).expect(422).json();
        assert_eq!(reported(&answer), [(json!(["query", name]), kind.to_owned())], "{query}");
    }
    let headers = [("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13")];
    let answer = server.client.request("GET", &format!("/ws/{id}?since=x"), &headers, b"").expect(422).json();
    assert_eq!(reported(&answer), [(json!(["query", "since"]), "int_parsing".to_owned())]);
    let answer = server.client.request("GET", &format!("/ws/{id}?deltas=many"), &headers, b"").expect(422).json();
    assert_eq!(reported(&answer), [(json!(["query", "deltas"]), "enum".to_owned())]);
}

#[test]
fn a_name_must_say_something_and_be_of_bounded_length() {
    let server = server();
    let id = idle_worker(&server, LOOP);
    let new = |name: &str| json!({"name": name, "project_path": server.project(), "ai_cli_type": LOOP});
    for (name, expected) in [
        ("", "name must not be empty"),
        (" \t", "name must not be empty"),
        (&"x".repeat(201), "name must have at most 200 characters"),
    ] {
        assert_eq!(server.post("/api/workers", &new(name)).expect(400).json()["detail"], expected);
        let renamed = server.patch(&format!("/api/workers/{id}"), &json!({"name": name}));
        assert_eq!(renamed.expect(400).json()["detail"], expected);
    }
    server.post("/api/workers", &new(&"ä".repeat(200))).expect(201);
}

#[test]
fn a_body_over_the_limit_is_413() {
    let server = super::start(super::builder().env("MAX_BODY_BYTES", "2KiB"));
    let id = idle_worker(&server, LOOP);
    let long = json!({"content": "x".repeat(4_000)});
    let reply = server.post(&format!("/api/workers/{id}/messages"), &long).expect(413);
    assert!(reply.json()["detail"].is_string());
}

#[test]
fn refusals_name_the_field_at_fault() {
    let server = server();
    let worker = idle_worker(&server, LOOP);
    let make = |more: Value| {
        let mut body = json!({"name": "x", "project_path": server.project(), "ai_cli_type": LOOP});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        server.post("/api/workers", &body)
    };
    let refusals = [
        (make(json!({"project_path": "relative"})), "project_path"),
        (make(json!({"project_path": server.data_dir()})), "project_path"),
        (make(json!({"ai_cli_type": "nobody"})), "ai_cli_type"),
        (make(json!({"runner": "nowhere"})), "runner"),
        (make(json!({"worktree": true})), "worktree"),
        (make(json!({"follow_session": "none"})), "follow_session"),
        (make(json!({"name": " "})), "name"),
        (server.patch(&format!("/api/workers/{worker}"), &json!({"name": "x".repeat(1000)})), "name"),
        (server.patch(&format!("/api/workers/{worker}"), &json!({"project_path": server.project()})), "project_path"),
        (server.post(&format!("/api/workers/{worker}/messages"), &json!({"content": " "})), "content"),
    ];
    for (refusal, field) in refusals {
        let answer = refusal.json();
        assert!((400..500).contains(&refusal.status), "{field}: {} {answer}", refusal.status);
        assert_eq!(answer["field"], field, "{answer}");
    }
    // If no field is at fault, none is named.
    assert_eq!(server.get("/api/workers/none").expect(404).json().get("field"), None);
}
