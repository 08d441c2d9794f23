//! The OpenAPI document: the requests and responses of the routes, for code generators and other tools.
//!
//! The table of routes defines the operations, their access and their body sizes. The parts beside this file add the
//! rest: `operations.json` for each route, `schemas.json` for bodies and responses, `events.json` for workers' events,
//! `frames.json` for WebSockets. [`notation`] makes schemas of them. A unit test fails for a route without an operation
//! and for an operation without a route. An integration test validates real responses and frames against the schemas,
//! so that the document cannot contradict the server.

mod notation;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::route::{Narrowing, Route, RouteAccess};
use super::tools::{self, MCP_PATH};
use super::{ApiCall, RouteResult};
use crate::access::Scope;
use crate::http::guard::COOKIE;
use crate::http::{Content, Response};
use notation::{Kinds, SchemaObject};

const OPERATIONS: &str = include_str!("operations.json");
const SCHEMAS: &str = include_str!("schemas.json");
const EVENTS: &str = include_str!("events.json");
const FRAMES: &str = include_str!("frames.json");

/// The introduction of the document.
const ABOUT: &str = "Starts, supervises and streams AI coding CLIs. Paths below /api are also found below /api/v1. \
    A server on a loopback address accepts programs of its own user without a token, unless its settings require one; \
    otherwise send the token as Authorization: Bearer, or log in for a cookie. Every error is an object with detail, for people.";

/// The pattern of a path segment: the transport refuses control characters.
const IN_PATH: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$";

/// The errors that many routes have, with their meanings.
const ERRORS: [(u16, &str, &str); 12] = [
    (400, "Invalid request", "Error"),
    (401, "A token is needed, or it is wrong", "Error"),
    (403, "The host, the origin or the token's scope does not allow it", "Error"),
    (404, "Not found", "Error"),
    (408, "The body did not arrive in time", "Error"),
    (409, "Conflict with the current state", "AlreadyAnswered"),
    (413, "The body is too long", "Error"),
    (415, "The body is not JSON", "Error"),
    (422, "The body or the query fails validation", "ValidationError"),
    (426, "Not a WebSocket handshake", "Error"),
    (429, "Too many: wrong tokens, or running workers", "Error"),
    (503, "The server or the CLI cannot do it now", "Error"),
];

/// The entry of one route.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Operation {
    id: String,
    tag: String,
    summary: String,
    /// Names of query parameters with their types, in the notation of the schemas; `name!` is required.
    #[serde(default)]
    query: BTreeMap<String, String>,
    /// Names of headers, in the same notation.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<String>,
    #[serde(default)]
    body_optional: bool,
    #[serde(default = "ok")]
    status: String,
    /// The schema of a JSON response; `object` for any object.
    answer: Option<String>,
    /// The content types of a response that is not JSON.
    media: Option<String>,
    /// The schema of such a response, or of each event of a stream; without it, the response is text.
    media_schema: Option<String>,
    #[serde(default)]
    more_media: Vec<String>,
    #[serde(default)]
    errors: Vec<u16>,
    #[serde(default)]
    websocket: bool,
}

fn ok() -> String {
    "200".to_owned()
}

/// Builds the document of `routes`.
pub(super) fn document(call: &ApiCall<'_>, routes: &[Route]) -> RouteResult {
    static DOCUMENT: OnceLock<Result<Arc<[u8]>, String>> = OnceLock::new();
    let made = DOCUMENT.get_or_init(|| {
        let document = build(routes, &call.api.settings.base_path, call.api.guard.needs_token())
            .map_err(|error| error.to_string())?;
        Ok(document.to_string().into_bytes().into())
    });
    match made {
        Ok(bytes) => Ok(Response::with_content(200, "application/json", Content::Shared(Arc::clone(bytes))).into()),
        Err(error) => Err(ApiError::Detail(500, format!("the document cannot be made: {error}"))),
    }
}

/// Builds the document of a server whose paths begin with `base_path`; without `needs_token`, local programs need none.
fn build(routes: &[Route], base_path: &str, needs_token: bool) -> Result<Value, serde_json::Error> {
    let operations: BTreeMap<String, Operation> = serde_json::from_str(OPERATIONS)?;
    let mut paths: Map<String, Value> = Map::new();
    for route in routes {
        let Some(operation) = operations.get(&key(route)) else { continue };
        let path = paths.entry(route.pattern().replace("{*}", "{path}")).or_insert_with(|| json!({}));
        if let Some(methods) = path.as_object_mut() {
            methods.insert(route.method().as_str().to_lowercase(), describe(route, operation, needs_token));
        }
    }
    Ok(json!({
        "openapi": "3.1.0",
        "info": {
            "title": "rs-worker",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": if base_path.is_empty() { "/" } else { base_path }}],
        "tags": tags(&operations),
        "paths": paths,
        "components": {
            "schemas": schemas()?,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "AUTH_TOKEN, the one that was made at first start, or one with a scope (see POST /api/tokens). Scopes, each with those before it: read, answer, send, admin; x-scope of an operation is the least that it needs"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": "The cookie of a login"},
            },
        },
    }))
}

/// Returns the key of a route in the parts.
fn key(route: &Route) -> String {
    format!("{} {}", route.method().as_str(), route.pattern())
}

fn tags(operations: &BTreeMap<String, Operation>) -> Vec<Value> {
    let mut names: Vec<&str> = operations.values().map(|operation| operation.tag.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(|name| json!({"name": name})).collect()
}

/// The accepted credentials. An empty requirement means none: a server without a token accepts programs of its own
/// machine.
fn security(route: &Route, needs_token: bool) -> Value {
    match (route.access.is_open(), needs_token) {
        (true, _) => json!([]),
        (_, true) => json!([{"token": []}, {"cookie": []}]),
        (_, false) => json!([{"token": []}, {"cookie": []}, {}]),
    }
}

fn describe(route: &Route, operation: &Operation, needs_token: bool) -> Value {
    let mut described = json!({
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "parameters": parameters(route, operation),
        "responses": responses(route, operation),
        "security": security(route, needs_token),
    });
    if let (Some((scope, narrowing)), Some(fields)) = (route.access.required(), described.as_object_mut()) {
        fields.insert("x-scope".to_owned(), json!(scope));
        fields.insert("x-narrowing".to_owned(), json!(narrowing.as_str()));
        if operation.answer.is_some() || operation.media.is_some() || route.takes_body() {
            fields.insert("description".to_owned(), json!(access_text(scope, narrowing)));
        }
    }
    if let (MCP_PATH, Some(fields)) = (route.pattern(), described.as_object_mut()) {
        fields.insert("x-tools".to_owned(), tools::scopes());
    }
    if let (false, Some(fields)) = (route.commands.is_empty(), described.as_object_mut()) {
        let scopes: Map<String, Value> =
            route.commands.iter().map(|command| (command.kind.to_owned(), json!(command.scope))).collect();
        fields.insert("x-command-scopes".to_owned(), Value::Object(scopes));
    }
    if let (Some(body), Some(fields)) = (&operation.body, described.as_object_mut()) {
        let content = json!({"application/json": {"schema": notation::reference(body)}});
        fields.insert("requestBody".to_owned(), json!({"required": !operation.body_optional, "content": content}));
    }
    if let (true, Some(fields)) = (operation.websocket, described.as_object_mut()) {
        let frames =
            json!({"server": notation::reference("ServerFrame"), "client": notation::reference("ClientFrame")});
        fields.insert("x-websocket-frames".to_owned(), frames);
    }
    described
}

/// The sentence about a route's access.
fn access_text(scope: Scope, narrowing: Narrowing) -> String {
    let narrowed = match narrowing {
        Narrowing::Free => "the same for narrowed tokens",
        Narrowing::Worker => "a worker out of a narrowed token's reach is not found",
        Narrowing::Filtered => "a narrowed token gets what is in its reach",
        Narrowing::Whole => "refused to narrowed tokens",
    };
    format!("Requires the scope {scope}; {narrowed}.")
}

fn parameters(route: &Route, operation: &Operation) -> Vec<Value> {
    let names = route.pattern().split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path = names.map(|name| {
        let name = if name == "*" { "path" } else { name };
        json!({"name": name, "in": "path", "required": true, "schema": {"type": "string", "pattern": IN_PATH}})
    });
    let named = |place: &'static str| {
        move |(name, field): (&String, &String)| {
            let (schema, description) = notation::parameter(field);
            let (name, required) = name.strip_suffix('!').map_or((name.as_str(), false), |name| (name, true));
            json!({"name": name, "in": place, "required": required, "description": description, "schema": schema})
        }
    };
    let in_query = operation.query.iter().map(named("query"));
    in_path.chain(in_query).chain(operation.headers.iter().map(named("header"))).collect()
}

fn responses(route: &Route, operation: &Operation) -> Value {
    let mut content = Map::new();
    for media in operation.media.iter().chain(&operation.more_media) {
        let text = json!({"type": "string"});
        let schema = operation.media_schema.as_deref().map_or(text, notation::reference);
        content.insert(media.clone(), json!({ "schema": schema }));
    }
    if let Some(answer) = &operation.answer {
        let schema = if answer == "object" { json!({"type": "object"}) } else { notation::reference(answer) };
        content.insert("application/json".to_owned(), json!({ "schema": schema }));
    }
    let mut responses = Map::new();
    let mut good = json!({"description": operation.summary});
    if let (false, Some(fields)) = (content.is_empty(), good.as_object_mut()) {
        fields.insert("content".to_owned(), Value::Object(content));
    }
    responses.insert(operation.status.clone(), good);
    if route.pattern() == MCP_PATH {
        responses.insert("202".to_owned(), json!({"description": "A notification or a response was accepted"}));
    }
    if matches!(route.access, RouteAccess::KnownReader(..)) {
        responses.insert("303".to_owned(), json!({"description": "To the login, for a browser that has no token"}));
    }
    for (status, description, schema) in ERRORS {
        if operation.errors.contains(&status) || is_usual(status, route, operation) {
            let content = json!({"application/json": {"schema": notation::reference(schema)}});
            responses.insert(status.to_string(), json!({"description": description, "content": content}));
        }
    }
    let content = json!({"application/json": {"schema": notation::reference("Error")}});
    responses.insert("5XX".to_owned(), json!({"description": "The server's own failure", "content": content}));
    Value::Object(responses)
}

/// Returns whether a route has this error because of its kind.
fn is_usual(status: u16, route: &Route, operation: &Operation) -> bool {
    let takes_body = route.takes_body();
    match status {
        // The transport refuses control characters in a path, and NUL in a query, in any encoding.
        400 => route.pattern().contains('{') || !operation.query.is_empty(),
        401 | 429 => !route.access.is_open(),
        403 => true,
        // An unknown worker on a WebSocket is reported in a frame.
        404 => route.pattern().starts_with("/api/") && route.pattern().contains('{'),
        413 | 415 => takes_body,
        422 => operation.body.is_some() || !operation.query.is_empty() || !operation.headers.is_empty(),
        _ => false,
    }
}

fn schemas() -> Result<Value, serde_json::Error> {
    let objects: BTreeMap<String, SchemaObject> = serde_json::from_str(SCHEMAS)?;
    let events: BTreeMap<String, SchemaObject> = serde_json::from_str(EVENTS)?;
    let frames: BTreeMap<String, BTreeMap<String, SchemaObject>> = serde_json::from_str(FRAMES)?;
    let mut schemas = Map::new();
    for (name, object) in &objects {
        schemas.insert(name.clone(), notation::object(object));
    }
    let event = Kinds { name: "Event", about: "An event of a worker, the same for every CLI.", prefix: "Event" };
    let readable = [
        ("content", "string: readable text"),
        ("timestamp", "time: when it happened"),
        ("seq?", "integer: its cursor, in histories and exports; a frame has it itself"),
    ];
    notation::kinds(&mut schemas, &event, &readable, &events);
    let sides = [
        ("server", Kinds { name: "ServerFrame", about: "What the server sends on a WebSocket.", prefix: "Frame" }),
        ("client", Kinds { name: "ClientFrame", about: "What a client sends on a WebSocket.", prefix: "Command" }),
    ];
    for (side, kinds) in &sides {
        if let Some(frames) = frames.get(*side) {
            notation::kinds(&mut schemas, kinds, &[], frames);
        }
    }
    Ok(Value::Object(schemas))
}

#[cfg(test)]
mod tests;
