//! Workers: the list, one of them, and what can be done with it; [`creation`](super::creation) makes them.

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::input::{Body, flag};
use super::{Call, Handled};
use crate::http::Response;
use crate::journal::{By, ListingChange, McpServer};
use crate::procfs;
use crate::worker::Worker;
use crate::worker::history::page;
use crate::worker::publish::view::Summary;

/// The field that names a worker's folder.
pub(super) const PROJECT_PATH: &str = "project_path";
/// Messages that come with one worker.
const MESSAGES_SHOWN: usize = 50;

/// `GET /api/workers`
pub(super) fn list(call: &Call<'_>) -> Handled {
    let mut json = b"{\"workers\":".to_vec();
    call.api.registry.append_list(&mut json);
    json.push(b'}');
    Ok(Response::with_content(200, "application/json", json).into())
}

/// `POST /api/workers/{id}/takeover` with `{"force"}`: a read-only worker becomes a full one.
pub(super) fn take_over(call: &Call<'_>) -> Handled {
    let worker = call.worker()?;
    let mut body = Body::parse_optional(&call.request.body)?;
    let force = body.flag("force");
    body.finish()?;
    call.api.registry.take_over(&worker, force)?;
    Ok(Response::json(200, &worker.summary()).into())
}

/// One worker with its latest messages.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    summary: Summary,
    config: Value,
    /// As they are in the history: what a CLI prints may be nested as deep as JSON is read, and is one level deeper here.
    messages: Box<RawValue>,
    process: Option<procfs::Facts>,
}

/// `GET /api/workers/{id}`
pub(super) fn show(call: &Call<'_>) -> Handled {
    let worker = call.worker()?;
    // The messages go as far as the summary's cursor, so that a client can continue from it.
    let summary = worker.summary();
    let page = worker.archive().page_before(summary.last_seq + 1, &page::messages(MESSAGES_SHOWN))?;
    let messages = String::from_utf8(page::list_json(&page)).map_err(std::io::Error::other)?;
    let shown = Shown {
        summary,
        config: config(&worker),
        messages: RawValue::from_string(messages).map_err(std::io::Error::other)?,
        process: worker.state().process.pids().and_then(|pids| procfs::Facts::of(pids.pid)),
    };
    Ok(Response::json(200, &shown).into())
}

/// The worker's options as requested. Values of environment variables may be secrets and are omitted.
fn config(worker: &Worker) -> Value {
    let state = worker.state();
    let options = &state.options;
    let server = |server: &McpServer| json!({"name": server.name, "type": server.transport.kind()});
    let servers: Vec<Value> = options.mcp_servers.iter().map(server).collect();
    let names: Vec<&str> = options.env.iter().map(|(name, _)| name.as_str()).collect();
    json!({
        "model": options.model,
        "permission_mode": options.permission_mode,
        "system_prompt": options.system_prompt,
        "args": options.args,
        "env": names,
        "resume_session": options.resume_session,
        "mcp_servers": servers,
        "runner": options.runner,
    })
}

/// `PATCH /api/workers/{id}`: name, model, permission mode, place in lists, and the folder of a stopped worker; what is
/// left out stays.
pub(super) fn update(call: &Call<'_>) -> Handled {
    let worker = call.worker()?;
    let mut body = Body::parse(&call.request.body)?;
    let name = body.optional_text("name");
    let model = body.optional_words("model");
    let permission_mode = body.optional_words("permission_mode");
    let project_path = body.optional_words("project_path");
    let listing = listing(&mut body);
    body.finish()?;
    if let Some(path) = &project_path {
        worker.move_to(path).map_err(|error| error.in_field(PROJECT_PATH))?;
    }
    if let Some(name) = &name {
        worker.rename(name)?;
    }
    if model.is_some() || permission_mode.is_some() {
        worker.configure(model.as_deref(), permission_mode.as_deref())?;
    }
    worker.arrange(listing)?;
    Ok(Response::json(200, &worker.summary()).into())
}

/// The worker's place in lists. A time of null ends a pause.
fn listing(body: &mut Body) -> ListingChange {
    let (pinned, archived) = (body.optional_flag("pinned"), body.optional_flag("archived"));
    let snoozed_until = body.optional_time("snoozed_until");
    ListingChange { pinned, archived, snoozed_until }
}

/// `DELETE /api/workers/{id}?force=true`: force also loses what is not committed in its worktree.
pub(super) fn delete(call: &Call<'_>) -> Handled {
    let worker = call.worker()?;
    let name = worker.state().name.clone();
    let force = flag(call.head(), "force")?;
    let left = call.api.registry.delete(&worker, force)?.map_or_else(String::new, |left| format!("; {left}"));
    let message = format!("Worker {name} ({}) deleted{left}", worker.id());
    Ok(Response::json(200, &json!({"status": "deleted", "message": message})).into())
}

/// `POST /api/workers/{id}/stop`: answers when no process of its tree lives.
pub(super) fn stop(call: &Call<'_>) -> Handled {
    let worker = call.worker()?;
    worker.stop(By::User)?;
    Ok(Response::json(200, &worker.summary()).into())
}

/// `POST /api/workers/{id}/start`
pub(super) fn start(call: &Call<'_>) -> Handled {
    let worker = call.worker()?;
    call.api.registry.start(&worker)?;
    Ok(Response::json(200, &worker.summary()).into())
}

/// `POST /api/workers/{id}/restart`
pub(super) fn restart(call: &Call<'_>) -> Handled {
    let worker = call.worker()?;
    worker.stop(By::User)?;
    call.api.registry.start(&worker)?;
    Ok(Response::json(200, &worker.summary()).into())
}

/// `POST /api/workers/{id}/interrupt`
pub(super) fn interrupt(call: &Call<'_>) -> Handled {
    let worker = call.worker()?;
    worker.interrupt(By::User)?;
    Ok(Response::json(200, &json!({"status": "interrupted", "worker": worker.summary()})).into())
}
