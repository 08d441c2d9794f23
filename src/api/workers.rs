//! Workers: the list, one of them, and what can be done with it.

use serde_json::{Value, json};

use super::error::ApiError;
use super::input::Body;
use super::{Call, Handled};
use crate::http::Response;
use crate::journal::WorkerOptions;
use crate::procfs;
use crate::worker::{NewMessage, NewWorker, Worker, WorkerError, history, project};

/// Messages that come with one worker.
const MESSAGES_SHOWN: usize = 50;
/// The client's id of the message that comes with a new worker which has an idempotency key.
const INITIAL_MESSAGE: &str = "initial-message";

/// `GET /api/workers`
pub(super) fn list(call: &Call<'_>) -> Handled {
    let mut json = b"{\"workers\":".to_vec();
    call.api.registry.append_list(&mut json);
    json.push(b'}');
    Ok(Response::with_content(200, "application/json", json).into())
}

/// `POST /api/workers`
pub(super) fn create(call: &Call<'_>) -> Handled {
    let api = call.api;
    let mut body = Body::parse(&call.request.body)?;
    let name = body.text("name");
    let path = body.text("project_path");
    let kind = body.optional_text("ai_cli_type").unwrap_or_else(|| api.default_cli.clone());
    let initial_message = body.optional_text("initial_message");
    let worktree = body.flag("worktree");
    let options = options(&mut body);
    body.finish()?;
    // The same request again is the same worker, and its first message the same message.
    let client_message_id = options.idempotency_key.as_ref().map(|_| INITIAL_MESSAGE.to_owned());
    if worktree {
        return Err(ApiError::bad_request("worktree is not supported yet"));
    }
    api.adapters.get(&kind).map_err(|error| ApiError::bad_request(error.to_string()))?;
    let project_path = project::resolve(&path, &api.project_roots)?;
    let new = NewWorker { name, project_path, ai_cli_type: kind, options, forked_from: None };
    let worker = api.registry.create(new).map_err(limit_is_a_bad_request)?;
    if let Some(content) = initial_message {
        api.registry.post_message(&worker, NewMessage { content, client_message_id, ..NewMessage::default() })?;
    }
    Ok(Response::json(201, &worker.summary()).into())
}

/// The reference answers 400 where a new worker would be one too many.
fn limit_is_a_bad_request(error: WorkerError) -> ApiError {
    match error {
        WorkerError::Limit(text) => ApiError::bad_request(text),
        other => other.into(),
    }
}

fn options(body: &mut Body) -> WorkerOptions {
    let env = body.text_map("env");
    for (name, value) in &env {
        if !crate::worker_env::is_env_entry(name, value) {
            body.mistake("env", &format!("not a variable that an environment can hold: {name:?}"), "value_error");
        }
    }
    WorkerOptions {
        model: body.optional_text("model").filter(|model| !model.is_empty()),
        permission_mode: body.optional_text("permission_mode").filter(|mode| !mode.is_empty()),
        system_prompt: body.optional_text("system_prompt").filter(|prompt| !prompt.is_empty()),
        args: body.texts("args"),
        env,
        resume_session: body.optional_text("resume_session").filter(|id| !id.is_empty()),
        fork: false,
        idempotency_key: body.optional_text("idempotency_key").filter(|key| !key.is_empty()),
    }
}

/// `GET /api/workers/{id}`
pub(super) fn show(call: &Call<'_>) -> Handled {
    let worker = call.worker()?;
    let mut shown = serde_json::to_value(worker.summary()).unwrap_or_default();
    let page = worker.archive().page_before(worker.views().end(), MESSAGES_SHOWN, &history::is_message)?;
    if let Some(fields) = shown.as_object_mut() {
        fields.insert("config".to_owned(), config(&worker));
        let messages = serde_json::from_slice(&history::list_json(&page)).unwrap_or_default();
        fields.insert("messages".to_owned(), messages);
        let process = worker.state().process.pids().and_then(|pids| procfs::Facts::of(pids.pid));
        fields.insert("process".to_owned(), json!(process));
    }
    Ok(Response::json(200, &shown).into())
}

/// What the worker was asked for. Values of environment variables may be secrets and are not told.
fn config(worker: &Worker) -> Value {
    let state = worker.state();
    let options = &state.options;
    let names: Vec<&str> = options.env.iter().map(|(name, _)| name.as_str()).collect();
    json!({
        "model": options.model,
        "permission_mode": options.permission_mode,
        "system_prompt": options.system_prompt,
        "args": options.args,
        "env": names,
        "resume_session": options.resume_session,
    })
}

/// `PATCH /api/workers/{id}`: name, model, permission mode; what is left out stays.
pub(super) fn update(call: &Call<'_>) -> Handled {
    let worker = call.worker()?;
    let mut body = Body::parse(&call.request.body)?;
    let name = body.optional_text("name");
    let model = body.optional_text("model");
    let permission_mode = body.optional_text("permission_mode");
    body.finish()?;
    if let Some(name) = &name {
        worker.rename(name)?;
    }
    if model.is_some() || permission_mode.is_some() {
        worker.configure(model.as_deref(), permission_mode.as_deref())?;
    }
    Ok(Response::json(200, &worker.summary()).into())
}

/// `DELETE /api/workers/{id}`
pub(super) fn delete(call: &Call<'_>) -> Handled {
    let worker = call.worker()?;
    let name = worker.state().name.clone();
    call.api.registry.delete(&worker)?;
    let message = format!("Worker {name} ({}) deleted", worker.id());
    Ok(Response::json(200, &json!({"status": "deleted", "message": message})).into())
}

/// `POST /api/workers/{id}/stop`: answers when no process of its tree lives.
pub(super) fn stop(call: &Call<'_>) -> Handled {
    let worker = call.worker()?;
    worker.stop("user")?;
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
    worker.stop("user")?;
    call.api.registry.start(&worker)?;
    Ok(Response::json(200, &worker.summary()).into())
}

/// `POST /api/workers/{id}/fork`: a new worker that goes on from this one's session.
pub(super) fn fork(call: &Call<'_>) -> Handled {
    let worker = call.worker()?;
    let mut body = Body::parse_optional(&call.request.body)?;
    let name = body.optional_text("name");
    let initial_message = body.optional_text("initial_message");
    body.finish()?;
    let state = worker.state();
    if !worker.adapter().cli().capabilities.iter().any(|capability| capability == "fork") {
        let kind = &state.ai_cli_type;
        return Err(WorkerError::Conflict(format!("{kind} cannot fork a session")).into());
    }
    let Some(session_id) = state.session_id.clone().filter(|_| state.session_used) else {
        return Err(
            WorkerError::Conflict("the worker has no session to fork yet: send it a message first".into()).into()
        );
    };
    let options =
        WorkerOptions { resume_session: Some(session_id), fork: true, idempotency_key: None, ..state.options.clone() };
    let new = NewWorker {
        name: name.unwrap_or_else(|| format!("{} (fork)", state.name)),
        project_path: project::resolve(&state.project_path, &call.api.project_roots)?,
        ai_cli_type: state.ai_cli_type.clone(),
        options,
        forked_from: Some(worker.id().to_owned()),
    };
    let forked = call.api.registry.create(new).map_err(limit_is_a_bad_request)?;
    if let Some(content) = initial_message {
        call.api.registry.post_message(&forked, NewMessage { content, ..NewMessage::default() })?;
    }
    Ok(Response::json(201, &forked.summary()).into())
}

/// `POST /api/workers/{id}/interrupt`
pub(super) fn interrupt(call: &Call<'_>) -> Handled {
    let worker = call.worker()?;
    worker.interrupt("user")?;
    Ok(Response::json(200, &json!({"status": "interrupted", "worker": worker.summary()})).into())
}
