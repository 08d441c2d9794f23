//! The transport and the messages, raw.

use serde_json::{Value, json};

use super::{REVISION, ask, names, send};
use crate::wire::server;

#[test]
fn client_is_initialized_with_the_revision_that_it_asks_for() {
    let server = server();
    for (asked, given) in [(REVISION, REVISION), ("2025-06-18", "2025-06-18"), ("1999-01-01", REVISION)] {
        let params = json!({"protocolVersion": asked, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
        let result = ask(&server.client, "initialize", &params);
        assert_eq!(result["protocolVersion"], given);
        assert_eq!(result["serverInfo"]["name"], "rs-worker");
        assert!(result["capabilities"]["tools"].is_object() && result["instructions"].is_string(), "{result}");
    }
    assert_eq!(ask(&server.client, "ping", &json!({})), json!({}));
}

#[test]
fn notifications_and_responses_are_accepted_without_content() {
    let server = server();
    for message in [
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}),
        json!({"jsonrpc": "2.0", "id": 1, "result": {}}),
    ] {
        let reply = send(&server.client, &message).expect(202);
        assert!(reply.body.is_empty(), "{message}");
    }
}

#[test]
fn streams_and_sessions_are_refused_by_method() {
    let server = server();
    let accept = server.client.with("accept", "text/event-stream");
    for method in ["GET", "DELETE"] {
        let reply = accept.request(method, "/mcp", &[], b"").expect(405);
        assert_eq!(reply.header("allow"), Some("POST"), "{method}");
    }
}

#[test]
fn malformed_messages_are_bad_requests() {
    let server = server();
    for body in ["{", "[]", r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, r#"{"id":1,"method":"ping"}"#, "5"] {
        let json = [("content-type", "application/json")];
        let reply = server.client.request("POST", "/mcp", &json, body.as_bytes()).expect(400).json();
        assert_eq!(reply["code"], "invalid_request", "{body}");
    }
    let old = server.client.with("mcp-protocol-version", "2020-01-01");
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    let reply = old.post("/mcp", &ping).expect(400).json();
    assert!(reply["detail"].as_str().unwrap().contains("2020-01-01"), "{reply}");
    // A client that names none is one of an older revision.
    server.post("/mcp", &ping).expect(200);
}

#[test]
fn unknown_methods_and_tools_are_errors_of_the_protocol() {
    let server = server();
    let code = |method: &str, params: &Value| {
        let message = json!({"jsonrpc": "2.0", "id": "x", "method": method, "params": params});
        let answer = send(&server.client, &message).expect(200).json();
        assert_eq!(answer["id"], "x");
        answer["error"]["code"].as_i64()
    };
    assert_eq!(code("resources/list", &json!({})), Some(-32_601));
    assert_eq!(code("tools/call", &json!({"name": "rm_rf", "arguments": {}})), Some(-32_602));
    assert_eq!(code("tools/call", &json!({"name": 5})), Some(-32_602));
    assert_eq!(code("tools/call", &json!({"name": "read", "arguments": []})), Some(-32_602));
    assert_eq!(code("tools/list", &json!({"cursor": "x"})), Some(-32_602));
}

#[test]
fn pages_of_other_sites_reach_no_tool() {
    let server = server();
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    server.client.with("origin", "https://evil.example").post("/mcp", &ping).expect(403);
    server.client.with("host", "evil.example").post("/mcp", &ping).expect(403);
    server.client.with("sec-fetch-site", "cross-site").post("/mcp", &ping).expect(403);
    let plain = [("content-type", "text/plain")];
    server.client.request("POST", "/mcp", &plain, ping.to_string().as_bytes()).expect(415);
}

#[test]
fn tools_are_described_with_schemas_and_hints() {
    let server = server();
    let listed = ask(&server.client, "tools/list", &json!({}));
    assert_eq!(names(&server.client).len(), 10);
    for tool in listed["tools"].as_array().unwrap() {
        let name = &tool["name"];
        assert_eq!(tool["inputSchema"]["type"], "object", "{name}");
        assert_eq!(tool["outputSchema"]["type"], "object", "{name}");
        let reads =
            ["list_workers", "wait", "read", "search", "diff", "list_prompts"].contains(&name.as_str().unwrap());
        assert_eq!(tool["annotations"]["readOnlyHint"], reads, "{name}");
        assert!(tool["annotations"]["destructiveHint"].is_boolean() && tool["description"].is_string(), "{name}");
    }
}
