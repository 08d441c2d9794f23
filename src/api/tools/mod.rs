//! The MCP server: `POST /mcp` by the streamable HTTP transport, without sessions.
//!
//! A tool is a few requests of the API, answered within the server by the same handlers, with the scope, the narrowing and
//! the audit of the client. So a tool can do nothing that its token could not do by REST, with one exception: the agent of
//! a worker may make workers below its own, restricted by [`children`](crate::worker::registry::children).
//!
//! `table` lists the tools. It keeps neither sessions nor streams nor state: `GET` and `DELETE` are refused, as the transport
//! allows.

mod act;
mod arguments;
mod look;
mod rpc;
mod schema;
mod session;
mod shown;
mod table;
mod wait;

use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::{ApiCall, RouteResult};
use crate::access::Identity;
use crate::http::Response;
use arguments::{Arguments, ToolError};
use rpc::{REVISIONS, RpcMessage, ToolRpcError, UNNAMED_REVISION};
use session::SessionCall;
use table::TOOLS;

/// The path of the MCP server, below `BASE_PATH`.
pub(crate) const MCP_PATH: &str = "/mcp";

/// The header with the revision that was agreed on.
const REVISION_HEADER: &str = "mcp-protocol-version";
/// The description of the server as a whole, for models.
const INSTRUCTIONS: &str = "rs-worker runs AI coding agents (workers) in the background. Create a worker with a complete task, \
    wait until it is settled, then read its answer and its diff. Prompts of workers are answered by people unless this \
    client may answer them.";

/// `POST /mcp`
pub(super) fn post(call: &ApiCall<'_>) -> RouteResult {
    if let Err(ended) = session::agent(call) {
        return Err(ApiError::Detail(401, ended.detail));
    }
    let named = call.head().header(REVISION_HEADER).unwrap_or(UNNAMED_REVISION);
    if named != UNNAMED_REVISION && !REVISIONS.contains(&named) {
        let text = format!("unknown revision in MCP-Protocol-Version: {named}; known are {}", REVISIONS.join(", "));
        return Err(ApiError::bad_request(text));
    }
    let (id, method, params) = match RpcMessage::parse(&call.request.body) {
        Ok(RpcMessage::Request { id, method, params }) => (id, method, params),
        Ok(RpcMessage::Silent) => return Ok(Response::new(202).into()),
        Err(text) => return Err(ApiError::bad_request(text)),
    };
    let answer = match answer(call, &method, params) {
        Ok(result) => rpc::response(&id, &result),
        Err(error) => error.response(&id),
    };
    Ok(Response::json(200, &answer).into())
}

fn answer(call: &ApiCall<'_>, method: &str, params: Map<String, Value>) -> Result<Value, ToolRpcError> {
    match method {
        "initialize" => Ok(initialized(&params)),
        "ping" => Ok(json!({})),
        "tools/list" => listed(call, &params),
        "tools/call" => called(call, params),
        unknown => Err(ToolRpcError::unknown_method(unknown)),
    }
}

fn initialized(params: &Map<String, Value>) -> Value {
    json!({
        "protocolVersion": rpc::negotiated(params.get("protocolVersion").and_then(Value::as_str)),
        "capabilities": {"tools": {"listChanged": false}},
        "serverInfo": {"name": "rs-worker", "title": "rs-worker", "version": env!("CARGO_PKG_VERSION")},
        "instructions": INSTRUCTIONS,
    })
}

fn listed(call: &ApiCall<'_>, params: &Map<String, Value>) -> Result<Value, ToolRpcError> {
    if params.get("cursor").is_some_and(|cursor| !cursor.is_null()) {
        return Err(ToolRpcError::invalid_params("all tools are on one page: leave out the cursor"));
    }
    let identity = identity(call)?;
    let for_agent = identity.agent_of().is_some();
    let tools: Vec<Value> =
        TOOLS.iter().filter(|tool| tool.is_for(identity)).map(|tool| tool.described(for_agent)).collect();
    Ok(json!({ "tools": tools }))
}

fn called(call: &ApiCall<'_>, mut params: Map<String, Value>) -> Result<Value, ToolRpcError> {
    let Some(Value::String(name)) = params.remove("name") else {
        return Err(ToolRpcError::invalid_params("name should be a string"));
    };
    let given = match params.remove("arguments") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(given)) => given,
        Some(_) => return Err(ToolRpcError::invalid_params("arguments should be an object")),
    };
    let Some(tool) = TOOLS.iter().find(|tool| tool.name == name) else {
        return Err(ToolRpcError::invalid_params(format!("unknown tool: {name}")));
    };
    let identity = identity(call)?;
    if let Some(text) = tool.refusal(identity) {
        return Ok(session::failed(&ToolError::new("forbidden", text)));
    }
    let schema = (tool.input)(identity.agent_of().is_some());
    let done = Arguments::of(given, &schema).and_then(|arguments| (tool.run)(&mut SessionCall { call, arguments }));
    Ok(match done {
        Ok(result) => session::succeeded(&result),
        Err(error) => session::failed(&error),
    })
}

fn identity<'c>(call: &ApiCall<'c>) -> Result<&'c Identity, ToolRpcError> {
    call.request.head.identity().ok_or_else(|| ToolRpcError::internal("the request has no identity"))
}

/// The tools with their scopes and narrowings, for the document of the API.
pub(super) fn scopes() -> Value {
    let scope = |tool: &table::Tool| {
        let of = json!({"scope": tool.scope, "narrowing": tool.narrowing.as_str()});
        (tool.name.to_owned(), of)
    };
    Value::Object(TOOLS.iter().map(scope).collect())
}
