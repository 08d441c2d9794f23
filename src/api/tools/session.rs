//! One call of a tool: its client, its arguments, and the routes of the API that it uses.

use std::sync::Arc;

use serde_json::{Value, json};

use super::arguments::{Arguments, ToolError};
use crate::access::Identity;
use crate::api::ApiCall;
use crate::api::error::{ApiError, mistakes_in_words};
use crate::http::{Method, Response};
use crate::worker::Worker;

/// One call of a tool.
pub(super) struct SessionCall<'c, 'r> {
    pub(super) call: &'c ApiCall<'r>,
    pub(super) arguments: Arguments,
}

pub(super) type ToolResult = Result<Value, ToolError>;

impl SessionCall<'_, '_> {
    /// Answers as a route of the API does, with the client's scope, narrowing and audit.
    pub(super) fn get(&self, path: &str, query: &[(&str, String)]) -> ToolResult {
        self.ask(Method::Get, path, query, &Value::Null)
    }

    /// The same with a body.
    pub(super) fn post(&self, path: &str, body: &Value) -> ToolResult {
        self.ask(Method::Post, path, &[], body)
    }

    fn ask(&self, method: Method, path: &str, query: &[(&str, String)], body: &Value) -> ToolResult {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let query = query.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        result(&self.call.api.within(self.call, (method, path), query, body))
    }

    /// The worker whose agent calls, if the client is one.
    pub(super) fn agent(&self) -> Result<Option<Arc<Worker>>, ToolError> {
        agent(self.call)
    }
}

/// The worker whose agent calls, if the client is one. The token is of one run: when that has ended, so has the token.
pub(super) fn agent(call: &ApiCall<'_>) -> Result<Option<Arc<Worker>>, ToolError> {
    let Some(id) = call.head().identity().and_then(Identity::agent_of) else { return Ok(None) };
    let worker = call.api.registry.get(id).ok().filter(|worker| worker.state().is_running());
    worker.map(Some).ok_or_else(|| ToolError::new("unauthorized", "the run that this token was made for has ended"))
}

/// The content of a response of the API.
pub(super) fn result(response: &Response) -> ToolResult {
    let content = response.content().bytes();
    let value: Value =
        if content.is_empty() { Value::Null } else { serde_json::from_slice(content).unwrap_or_default() };
    if response.status() < 400 {
        return Ok(value);
    }
    let code = value["code"].as_str().unwrap_or("internal");
    let detail = match &value["detail"] {
        Value::String(text) => text.clone(),
        mistakes @ Value::Array(_) => mistakes_in_words(mistakes),
        _ => format!("the server answered {}", response.status()),
    };
    Err(ToolError::new(code, detail))
}

impl From<ApiError> for ToolError {
    fn from(error: ApiError) -> Self {
        match result(&error.response()) {
            Err(error) => error,
            Ok(_) => Self::new("internal", "the request failed"),
        }
    }
}

/// The path of a worker, with a suffix. The id is one part of a path, as [`Arguments::worker_id`] has checked.
pub(super) fn path(worker: &str, rest: &str) -> String {
    format!("/api/workers/{worker}{rest}")
}

/// A failure as the result of a tool, as the model gets it.
pub(super) fn failed(error: &ToolError) -> Value {
    let text = json!({"code": error.code, "detail": error.detail}).to_string();
    json!({"content": [{"type": "text", "text": text}], "isError": true})
}

/// The result of a tool.
pub(super) fn succeeded(result: &Value) -> Value {
    // As text too, for clients of older revisions.
    json!({"content": [{"type": "text", "text": result.to_string()}], "structuredContent": result})
}
