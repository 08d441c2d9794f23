//! Tools that change something: new workers, messages, stops and answers to prompts.

use serde_json::{Value, json};

use super::session::{SessionCall, ToolResult, path, result};
use super::shown;
use crate::api::audited;
use crate::api::creation;
use crate::http::{Method, Reply, Response};
use crate::worker::registry::children::ChildRequest;

/// The route of new workers, for the audit.
const CREATE: (Method, &str) = (Method::Post, "/api/workers");
/// Fields of a new worker that go to the API as they are.
const GIVEN: [&str; 6] = ["ai_cli_type", "model", "permission_mode", "preset", "idempotency_key", "project_path"];

pub(super) fn create_worker(tool: &mut SessionCall<'_, '_>) -> ToolResult {
    let name = tool.arguments.required_text("name")?;
    let message = tool.arguments.text("message")?;
    let (worktree, mcp) = (tool.arguments.flag("worktree")?, tool.arguments.flag("mcp")?);
    if let Some(parent) = tool.agent()? {
        let wanted = ChildRequest {
            name,
            project_path: tool.arguments.text("project_path")?,
            model: tool.arguments.text("model")?,
            permission_mode: tool.arguments.text("permission_mode")?,
            worktree,
            mcp,
        };
        let begun = audited::begin(tool.call, CREATE);
        let made = creation::create_child(tool.call, &parent, wanted, message);
        let response = made.unwrap_or_else(|error| error.response());
        audited::end(tool.call, (begun, CREATE), &Reply::Response(response.clone()));
        return shown_worker(&response);
    }
    let mut body = json!({"name": name});
    for name in GIVEN {
        if let Some(text) = tool.arguments.text(name)? {
            body[name] = json!(text);
        }
    }
    if let Some(values) = tool.arguments.texts("placeholders")? {
        body["placeholders"] = values;
    }
    if let Some(message) = message {
        body["initial_message"] = json!(message);
    }
    // What is left out comes from the preset.
    for (name, _) in [("worktree", worktree), ("mcp", mcp)].into_iter().filter(|(_, wanted)| *wanted) {
        body[name] = json!(true);
    }
    tool.post(CREATE.1, &body).map(|made| json!({"worker": shown::worker(&made)}))
}

fn shown_worker(response: &Response) -> ToolResult {
    Ok(json!({"worker": shown::worker(&result(response)?)}))
}

pub(super) fn send_message(tool: &mut SessionCall<'_, '_>) -> ToolResult {
    let id = tool.arguments.worker_id()?;
    let mut body = json!({"content": tool.arguments.required_text("message")?, "steer": tool.arguments.flag("steer")?});
    if let Some(own) = tool.arguments.text("client_message_id")? {
        body["client_message_id"] = json!(own);
    }
    let sent = tool.post(&path(&id, "/messages"), &body)?;
    let before = sent["seq"].as_u64().map(|seq| seq.saturating_sub(1));
    Ok(json!({"message_id": sent["message_id"], "state": sent["state"], "cursor": before}))
}

pub(super) fn stop_worker(tool: &mut SessionCall<'_, '_>) -> ToolResult {
    let id = tool.arguments.worker_id()?;
    let stopped = tool.post(&path(&id, "/stop"), &json!({}))?;
    Ok(json!({"worker": shown::worker(&stopped)}))
}

pub(super) fn answer_prompt(tool: &mut SessionCall<'_, '_>) -> ToolResult {
    let id = tool.arguments.worker_id()?;
    let mut body = json!({"request_id": tool.arguments.required_text("request_id")?});
    for name in ["option_id", "message"] {
        if let Some(text) = tool.arguments.text(name)? {
            body[name] = json!(text);
        }
    }
    if let Some(answers) = tool.arguments.object("answers")? {
        body["answers"] = answers;
    }
    let answered = tool.post(&path(&id, "/permissions"), &body)?;
    let decision = answered["answer"]["decision"].as_str().map_or(Value::Null, |decision| json!(decision));
    Ok(json!({"request_id": body["request_id"], "decision": decision}))
}
