//! Every tool, by every scope and narrowing.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{call, names};
use crate::support::http::Client;
use crate::support::server::TestServer;
use crate::wire::{LOOP, builder, start};

/// The server's own token.
const TOKEN: &str = "correct-horse-battery-staple-0123";
/// The scopes, the narrowest first.
const SCOPES: [&str; 4] = ["read", "answer", "send", "admin"];

/// A tool, the scope that it requires, the effect of narrowing, its arguments, and the code of its error for who may use
/// it; empty for none.
struct Case {
    tool: &'static str,
    scope: &'static str,
    narrowing: &'static str,
    arguments: &'static str,
    code: &'static str,
}

/// All tools. The worker is stopped, and nothing can start it.
#[rustfmt::skip]
const CASES: [Case; 10] = [
    Case { tool: "list_workers", scope: "read", narrowing: "filtered", arguments: "{}", code: "" },
    Case { tool: "create_worker", scope: "admin", narrowing: "whole", arguments: r#"{"name": "x", "project_path": "/none-such"}"#, code: "invalid_request" },
    Case { tool: "send_message", scope: "send", narrowing: "worker", arguments: r#"{"worker_id": "{id}", "message": " "}"#, code: "invalid_request" },
    Case { tool: "wait", scope: "read", narrowing: "worker", arguments: r#"{"worker_id": "{id}", "cursor": 0}"#, code: "" },
    Case { tool: "read", scope: "read", narrowing: "worker", arguments: r#"{"worker_id": "{id}"}"#, code: "" },
    Case { tool: "search", scope: "read", narrowing: "filtered", arguments: r#"{"query": "nothing"}"#, code: "" },
    Case { tool: "diff", scope: "read", narrowing: "worker", arguments: r#"{"worker_id": "{id}"}"#, code: "" },
    Case { tool: "stop_worker", scope: "send", narrowing: "worker", arguments: r#"{"worker_id": "{id}"}"#, code: "" },
    Case { tool: "list_prompts", scope: "read", narrowing: "filtered", arguments: "{}", code: "" },
    Case { tool: "answer_prompt", scope: "answer", narrowing: "worker", arguments: r#"{"worker_id": "{id}", "request_id": "none", "option_id": "allow"}"#, code: "not_found" },
];

struct NarrowedClient {
    client: Client,
    scope: usize,
    is_narrowed: bool,
    sees_worker: bool,
    name: String,
}

#[track_caller]
fn with_scope(server: &TestServer, name: &str, scope: &str, more: &Value) -> Client {
    let mut body = json!({"name": name, "scope": scope});
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    let made = server.post("/api/tokens", &body).expect(201).json();
    Client::new(server.addr()).with("authorization", &format!("Bearer {}", made["secret"].as_str().unwrap()))
}

#[test]
fn every_tool_answers_every_scope_as_the_table_says() {
    let mut server = start(builder().env("AUTH_TOKEN", TOKEN).env("MAX_WORKERS", "1"));
    server.client = server.client.with("authorization", &format!("Bearer {TOKEN}"));
    let (inside, outside) = (server.project_named("inside"), server.project_named("outside"));
    let mine = server.create_worker(LOOP, &json!({"project_path": inside}));
    server.wait_status(&mine, "idle");
    server.post(&format!("/api/workers/{mine}/stop"), &json!({})).expect(200);
    let other = server.create_worker(LOOP, &json!({"project_path": outside, "name": "hidden"}));
    server.wait_status(&other, "idle");
    let document = server.get("/openapi.json").expect(200).json();
    let documented: BTreeMap<String, Value> =
        serde_json::from_value(document["paths"]["/mcp"]["post"]["x-tools"].clone()).unwrap();
    assert_eq!(documented.len(), CASES.len(), "each tool has a case");
    let narrowings = [
        ("everything", json!({}), false, true),
        ("my worker", json!({"workers": [mine]}), true, true),
        ("my project", json!({"projects": [inside]}), true, true),
        ("another project", json!({"projects": [outside]}), true, false),
    ];
    let mut wrong = Vec::new();
    for (scope, word) in SCOPES.iter().enumerate() {
        for (narrowing, more, is_narrowed, sees_worker) in &narrowings {
            let name = format!("{word}, {narrowing}");
            let client = with_scope(&server, &name, word, more);
            let token = NarrowedClient { client, scope, is_narrowed: *is_narrowed, sees_worker: *sees_worker, name };
            let offered = names(&token.client);
            for case in &CASES {
                assert_eq!(
                    documented[case.tool],
                    json!({"scope": case.scope, "narrowing": case.narrowing}),
                    "{}",
                    case.tool
                );
                wrong.extend(mistake(&token, case, &mine, &offered));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The other's worker is in no answer to a token that does not cover it.
    let client = with_scope(&server, "narrow", "read", &json!({"projects": [inside]}));
    for tool in ["list_workers", "list_prompts"] {
        let text = call(&client, tool, &json!({})).to_string();
        assert!(!text.contains(&other) && !text.contains("hidden"), "{tool}: {text}");
    }
}

/// Returns what is wrong with the answer to a token, if anything.
fn mistake(token: &NarrowedClient, case: &Case, worker: &str, offered: &[String]) -> Option<String> {
    let needed = SCOPES.iter().position(|word| *word == case.scope).unwrap();
    let is_beyond = token.scope < needed || case.narrowing == "whole" && token.is_narrowed;
    let expected = match case.narrowing {
        _ if is_beyond => "forbidden",
        "worker" if !token.sees_worker => "not_found",
        _ => case.code,
    };
    let arguments: Value = serde_json::from_str(&case.arguments.replace("{id}", worker)).unwrap();
    let result = call(&token.client, case.tool, &arguments);
    let text = result["content"][0]["text"].as_str().unwrap();
    let error: Value = serde_json::from_str(text).unwrap();
    let code = if result["isError"] == true { error["code"].as_str().unwrap() } else { "" };
    let is_offered = offered.iter().any(|name| name == case.tool);
    let fits = code == expected && is_offered != is_beyond;
    (!fits).then(|| {
        format!("{} for {}: {code:?} instead of {expected:?}, offered: {is_offered}: {text}", case.tool, token.name)
    })
}

#[test]
fn tools_leave_the_same_lines_in_the_audit_as_routes() {
    let mut server = start(builder().env("AUTH_TOKEN", TOKEN));
    server.client = server.client.with("authorization", &format!("Bearer {TOKEN}"));
    let id = server.create_worker(LOOP, &json!({}));
    server.wait_status(&id, "idle");
    let client = with_scope(&server, "scripts", "send", &json!({}));
    call(&client, "read", &json!({"worker_id": id}));
    call(&client, "send_message", &json!({"worker_id": id, "message": "hello"}));
    call(&client, "stop_worker", &json!({"worker_id": id}));
    let entries = server.get("/api/audit").expect(200).json()["entries"].as_array().unwrap().clone();
    let own: Vec<String> = entries
        .iter()
        .filter(|entry| entry.to_string().contains("scripts"))
        .map(|entry| entry["action"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert!(own.contains(&"POST /api/workers/{id}/messages".to_owned()), "{entries:?}");
    assert!(own.contains(&"POST /api/workers/{id}/stop".to_owned()) && own.len() == 2, "{own:?}");
}
