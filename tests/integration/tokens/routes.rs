//! Every route and WebSocket command, by every scope and narrowing: the exact status.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::table::{COMMANDS, Case, ROUTES};
use super::{TestToken, with_token};
use crate::support::server::TestServer;
use crate::support::wait::DEADLINE;
use crate::wire::{LOOP, builder};

/// The scopes, the narrowest first.
const SCOPES: [&str; 4] = ["read", "answer", "send", "admin"];

/// One worker that is stopped and one that runs, each in a project of its own; the second takes the only place, so that
/// nothing can start the first.
struct Setting {
    server: TestServer,
    mine: String,
    tokens: Vec<NarrowedToken>,
}

/// A token, with its scope, and what its narrowing means for the worker of the requests.
struct NarrowedToken {
    made: TestToken,
    scope: usize,
    is_narrowed: bool,
    sees_worker: bool,
    name: String,
}

fn setting() -> Setting {
    let server = with_token(builder().env("MAX_WORKERS", "1"));
    let (inside, outside) = (server.project_named("inside"), server.project_named("outside"));
    let mine = server.create_worker(LOOP, &json!({"project_path": inside}));
    server.wait_status(&mine, "idle");
    server.post(&format!("/api/workers/{mine}/stop"), &json!({})).expect(200);
    let other = server.create_worker(LOOP, &json!({"project_path": outside}));
    server.wait_status(&other, "idle");
    let narrowings = [
        ("everything", json!({}), false, true),
        ("my worker", json!({"workers": [mine]}), true, true),
        ("my project", json!({"projects": [inside]}), true, true),
        ("another worker", json!({"workers": [other]}), true, false),
        ("another project", json!({"projects": [outside]}), true, false),
    ];
    let mut tokens = Vec::new();
    for (scope, word) in SCOPES.iter().enumerate() {
        for (narrowing, more, is_narrowed, sees_worker) in &narrowings {
            let name = format!("{word}, {narrowing}");
            let made = TestToken::new(&server, &name, word, more);
            tokens.push(NarrowedToken { made, scope, is_narrowed: *is_narrowed, sees_worker: *sees_worker, name });
        }
    }
    Setting { server, mine, tokens }
}

/// The status of a request that its scope and narrowing may not make.
fn refusal(token: &NarrowedToken, scope: &str, narrowing: &str) -> Option<u16> {
    let needed = SCOPES.iter().position(|word| *word == scope).unwrap();
    match narrowing {
        _ if token.scope < needed => Some(403),
        "whole" if token.is_narrowed => Some(403),
        "worker" if !token.sees_worker => Some(404),
        _ => None,
    }
}

/// Operations of the OpenAPI document, which is made of the table of routes.
fn operations(server: &TestServer) -> BTreeMap<String, Value> {
    let document = server.get("/openapi.json").expect(200).json();
    let mut operations = BTreeMap::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            operations.insert(format!("{} {path}", method.to_uppercase()), operation.clone());
        }
    }
    operations
}

fn ask(server: &TestServer, token: &TestToken, case: &Case, path: &str) -> (u16, String) {
    if path.starts_with("/ws") || path == "/acp" {
        let status = token.ws(server, path).map_or_else(|status| status, |_| 101);
        let detail = if status == 404 { token.client(server).get(path).text() } else { String::new() };
        return (status, detail);
    }
    let (method, _) = case.route.split_once(' ').unwrap();
    let json = [("content-type", "application/json")];
    let headers: &[(&str, &str)] = if method == "GET" { &[] } else { &json };
    // A stream of events has no end, and none for HEAD.
    let method = if path.ends_with("/events") { "HEAD" } else { method };
    let reply = token.client(server).request(method, path, headers, case.body.as_bytes());
    (reply.status, reply.text())
}

#[test]
fn every_route_answers_every_scope_and_reach_as_listed() {
    let Setting { server, mine, tokens } = setting();
    let operations = operations(&server);
    let routes: BTreeSet<&str> = operations.keys().map(String::as_str).collect();
    let cases: BTreeSet<&str> = ROUTES.iter().map(|case| case.route).collect();
    assert_eq!(routes, cases, "each route has a case, and each case a route");
    let mut wrong = Vec::new();
    for case in ROUTES {
        let operation = &operations[case.route];
        let access = (operation["x-scope"].as_str(), operation["x-narrowing"].as_str());
        let wanted = if case.scope.is_empty() { (None, None) } else { (Some(case.scope), Some(case.narrowing)) };
        if access != wanted {
            wrong.push(format!("{}: {access:?} in the document, {wanted:?} in the table", case.route));
            continue;
        }
        let path = format!("{}{}", case.path(&mine), case.query);
        for token in &tokens {
            let refused = if case.scope.is_empty() { None } else { refusal(token, case.scope, case.narrowing) };
            let expected = refused.unwrap_or(case.status);
            let (status, detail) = ask(&server, &token.made, case, &path);
            // A worker out of reach is not there at all, whatever else the path names.
            let is_hidden = detail.contains("Worker not found");
            if status != expected || (is_hidden != (refused == Some(404)) && !detail.is_empty()) {
                wrong.push(format!("{} with {}: {status}, not {expected}", case.route, token.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_command_answers_every_scope_and_reach_as_listed() {
    let Setting { server, mine, tokens } = setting();
    let operations = operations(&server);
    for route in ["GET /ws", "GET /ws/{id}"] {
        let scopes = operations[route]["x-command-scopes"].as_object().unwrap();
        let wanted: BTreeMap<&str, &str> = COMMANDS.iter().map(|command| (command.kind, command.scope)).collect();
        let stated: BTreeMap<&str, &str> =
            scopes.iter().map(|(kind, scope)| (kind.as_str(), scope.as_str().unwrap())).collect();
        assert_eq!(stated, wanted, "each command of {route} has a case, and each case a command");
    }
    let mut wrong = Vec::new();
    for token in &tokens {
        let mut ws = token.made.ws(&server, "/ws").unwrap();
        for command in COMMANDS {
            let narrowing = if command.names_worker { "worker" } else { "free" };
            let expected = refusal(token, command.scope, narrowing).unwrap_or(command.status);
            let mut frame: Value = serde_json::from_str(&command.frame.replace("{id}", &mine)).unwrap();
            frame["type"] = json!(command.kind);
            frame["ref"] = json!(command.kind);
            ws.send_json(&frame);
            let answer = ws.wait_for("an answer", DEADLINE, |frame| frame["ref"] == command.kind);
            let status = answer["status"].as_u64().unwrap_or(200);
            if status != u64::from(expected) {
                wrong.push(format!("{} with {}: {status}, not {expected}: {answer}", command.kind, token.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}
