//! Workers: the list, one of them, and its commands; [`creation`](super::creation) creates them.

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::input::{JsonBody, flag};
use super::limits::limits;
use super::selection::selection;
use super::{ApiCall, RouteResult};
use crate::http::Response;
use crate::journal::{By, ListingChange, McpServer};
use crate::procfs;
use crate::worker::Worker;
use crate::worker::history::page;
use crate::worker::publish::summary::Summary;

/// The field that names a worker's folder.
pub(super) const PROJECT_PATH: &str = "project_path";
/// Number of messages that the response for one worker includes.
const MESSAGES_SHOWN: usize = 50;

/// `GET /api/workers?limit&cursor&status&project`
pub(super) fn list(call: &ApiCall<'_>) -> RouteResult {
    let selection = selection(call.head())?;
    let mut json = b"{".to_vec();
    call.api.registry.append_list(&selection, call.reach(), &mut json);
    json.push(b'}');
    Ok(Response::with_content(200, "application/json", json).into())
}

/// `POST /api/workers/{id}/takeover` with `{"force"}`: a read-only worker becomes a full one.
pub(super) fn take_over(call: &ApiCall<'_>) -> RouteResult {
    let worker = call.worker()?;
    let mut body = JsonBody::parse_optional(&call.request.body)?;
    let force = body.flag("force");
    body.finish()?;
    call.api.registry.take_over(&worker, force)?;
    Ok(Response::json(200, &call.summary(&worker)).into())
}

/// One worker with its latest messages.
#[derive(Serialize)]
struct WorkerDetails {
    #[serde(flatten)]
    summary: Summary,
    config: Value,
    /// Inserted as text: the output of a CLI may be nested as deeply as the JSON parser allows, and is one level deeper
    /// here.
    messages: Box<RawValue>,
    process: Option<procfs::Facts>,
}

/// `GET /api/workers/{id}`
pub(super) fn show(call: &ApiCall<'_>) -> RouteResult {
    let worker = call.worker()?;
    // The messages end at the summary's cursor, so that a client can continue from it.
    let summary = call.summary(&worker);
    let page = worker.archive().page_before(summary.last_seq + 1, &page::messages(MESSAGES_SHOWN))?;
    let messages = String::from_utf8(page::list_json(&page)).map_err(std::io::Error::other)?;
    let shown = WorkerDetails {
        summary,
        config: config(&worker),
        messages: RawValue::from_string(messages).map_err(std::io::Error::other)?,
        process: worker.state().process.pids().and_then(|pids| procfs::Facts::of(pids.pid)),
    };
    Ok(Response::json(200, &shown).into())
}

/// Returns the worker's options as requested. Values of environment variables may be secrets and are omitted.
fn config(worker: &Worker) -> Value {
    let state = worker.state();
    let options = &state.options;
    let server = |server: &McpServer| json!({"name": server.name, "type": server.transport.kind()});
    let servers: Vec<Value> = options.mcp_servers.iter().map(server).collect();
    let mut limits = Map::new();
    options.limits.put(&mut limits);
    let names: Vec<&str> = options.env.iter().map(|(name, _)| name.as_str()).collect();
    let mut config = json!({
        "model": options.model,
        "permission_mode": options.permission_mode,
        "effort": options.effort,
        "system_prompt": options.system_prompt,
        "args": options.args,
        "env": names,
        "resume_session": options.resume_session,
        "mcp_servers": servers,
        "runner": options.runner,
        "mcp": options.mcp,
    });
    if let Some(config) = config.as_object_mut() {
        config.append(&mut limits);
    }
    config
}

/// `PATCH /api/workers/{id}`: name, model, permission mode, limits of the next start, place in lists, and the folder of a stopped worker; omitted
/// fields stay unchanged.
pub(super) fn update(call: &ApiCall<'_>) -> RouteResult {
    let worker = call.worker()?;
    let mut body = JsonBody::parse(&call.request.body)?;
    let name = body.optional_text("name");
    let model = body.optional_words("model");
    let permission_mode = body.optional_words("permission_mode");
    let project_path = body.optional_words("project_path");
    let listing = listing(&mut body);
    let present = worker.state().options.limits;
    let wanted_limits = limits(&mut body, present);
    body.finish()?;
    if project_path.is_some() && !call.sees_everything() {
        // Another folder may be one that the token does not cover.
        return Err(ApiError::Detail(403, "this token is narrowed, and moves no worker to another folder".to_owned()));
    }
    if let Some(path) = &project_path {
        worker.move_to(path).map_err(|error| error.in_field(PROJECT_PATH))?;
        // It may be in the reach of other tokens now.
        call.api.guard.tokens().close_narrowed();
    }
    if let Some(name) = &name {
        worker.rename(name)?;
    }
    if model.is_some() || permission_mode.is_some() {
        worker.configure(model.as_deref(), permission_mode.as_deref())?;
    }
    if wanted_limits != present {
        worker.set_limits(wanted_limits)?;
    }
    worker.arrange(listing)?;
    Ok(Response::json(200, &call.summary(&worker)).into())
}

/// Parses the worker's place in lists. A null time ends a snooze.
fn listing(body: &mut JsonBody) -> ListingChange {
    let (pinned, archived) = (body.optional_flag("pinned"), body.optional_flag("archived"));
    let snoozed_until = body.optional_time("snoozed_until");
    ListingChange { pinned, archived, snoozed_until }
}

/// `DELETE /api/workers/{id}?force=true`: force also discards uncommitted changes in its worktree.
pub(super) fn delete(call: &ApiCall<'_>) -> RouteResult {
    let worker = call.worker()?;
    let name = worker.state().name.clone();
    let force = flag(call.head(), "force")?;
    call.api.registry.refuse_hidden_sharers(&worker, call.reach())?;
    let left = call.api.registry.delete(&worker, force)?.map_or_else(String::new, |left| format!("; {left}"));
    let message = format!("Worker {name} ({}) deleted{left}", worker.id());
    Ok(Response::json(200, &json!({"status": "deleted", "message": message})).into())
}

/// `POST /api/workers/{id}/stop`: answers when no process of its tree is left.
pub(super) fn stop(call: &ApiCall<'_>) -> RouteResult {
    let worker = call.worker()?;
    worker.stop(By::User)?;
    worker.end_terminals();
    Ok(Response::json(200, &call.summary(&worker)).into())
}

/// `POST /api/workers/{id}/start`
pub(super) fn start(call: &ApiCall<'_>) -> RouteResult {
    let worker = call.worker()?;
    call.api.registry.start(&worker)?;
    Ok(Response::json(200, &call.summary(&worker)).into())
}

/// `POST /api/workers/{id}/restart`
pub(super) fn restart(call: &ApiCall<'_>) -> RouteResult {
    let worker = call.worker()?;
    worker.stop(By::User)?;
    call.api.registry.start(&worker)?;
    Ok(Response::json(200, &call.summary(&worker)).into())
}

/// `POST /api/workers/{id}/prepare`: sets up its worktree again.
pub(super) fn prepare(call: &ApiCall<'_>) -> RouteResult {
    let worker = call.worker()?;
    call.api.registry.prepare(&worker)?;
    Ok(Response::json(200, &call.summary(&worker)).into())
}

/// `POST /api/workers/{id}/interrupt`
pub(super) fn interrupt(call: &ApiCall<'_>) -> RouteResult {
    let worker = call.worker()?;
    worker.interrupt(By::User)?;
    Ok(Response::json(200, &json!({"status": "interrupted", "worker": call.summary(&worker)})).into())
}
