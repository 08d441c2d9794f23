//! The MCP server: its protocol, its tools, and what the agents of workers may do with it.

mod agents;
mod bounds;
mod protocol;
mod real;
mod relay;
mod scopes;
mod suites;
mod tools;

use serde_json::{Value, json};

use crate::support::http::{Client, Reply};

/// The newest revision.
const REVISION: &str = "2025-11-25";

/// Sends a message.
#[track_caller]
fn send(client: &Client, message: &Value) -> Reply {
    client
        .with("accept", "application/json, text/event-stream")
        .with("mcp-protocol-version", REVISION)
        .post("/mcp", message)
}

/// Sends a request and returns its result.
#[track_caller]
fn ask(client: &Client, method: &str, params: &Value) -> Value {
    let message = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
    let answer = send(client, &message).expect(200).json();
    assert_eq!((&answer["jsonrpc"], &answer["id"]), (&json!("2.0"), &json!(7)));
    assert!(answer.get("error").is_none(), "{answer}");
    answer["result"].clone()
}

/// Calls a tool; returns its result as a client gets it.
#[track_caller]
fn call(client: &Client, tool: &str, arguments: &Value) -> Value {
    ask(client, "tools/call", &json!({"name": tool, "arguments": arguments}))
}

/// Calls a tool and returns its structured content.
#[track_caller]
fn used(client: &Client, tool: &str, arguments: &Value) -> Value {
    let result = call(client, tool, arguments);
    assert_ne!(result["isError"], true, "{tool}: {result}");
    let text = result["content"][0]["text"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(text).unwrap(), result["structuredContent"], "{tool}");
    result["structuredContent"].clone()
}

/// Calls a tool that fails, and returns the code and the text of its error.
#[track_caller]
fn refused(client: &Client, tool: &str, arguments: &Value) -> (String, String) {
    let result = call(client, tool, arguments);
    assert_eq!(result["isError"], true, "{tool}: {result}");
    assert!(result.get("structuredContent").is_none(), "{result}");
    let error: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
    (error["code"].as_str().unwrap().to_owned(), error["detail"].as_str().unwrap().to_owned())
}

/// The names of the tools that a client is offered.
#[track_caller]
fn names(client: &Client) -> Vec<String> {
    let listed = ask(client, "tools/list", &json!({}));
    listed["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}
