//! Workers: the list, one of them, and what can be done with it.

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::error::ApiError;
use super::input::{Body, flag};
use super::{Call, Handled, mcp};
use crate::http::Response;
use crate::journal::{By, McpServer, WorkerOptions};
use crate::procfs;
use crate::sessions::FoundSession;
use crate::worker::history::page;
use crate::worker::publish::view::Summary;
use crate::worker::{NewMessage, NewWorker, NewWorktree, ToFollow, Worker, WorkerError};

/// The field that names a worker's folder.
const PROJECT_PATH: &str = "project_path";
/// Messages that come with one worker.
const MESSAGES_SHOWN: usize = 50;
/// Longest name that a worker gets from its session's title, in characters.
const SESSION_NAME_CHARS: usize = 60;
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
    let request_hash = body.hash();
    let asked_kind = body.peek_text("ai_cli_type");
    let follow = body.optional_text("follow_session").filter(|id| !id.is_empty());
    let force = body.flag("force");
    let resumed = body.peek_text("resume_session").filter(|id| !id.is_empty());
    // What a session that is there already says of itself need not be said again.
    let wanted = follow.as_ref().or(resumed.as_ref());
    let found = wanted.and_then(|id| api.clis.sessions.find(asked_kind.as_deref(), id));
    let about = found.as_ref();
    if let (Some(id), None, false) = (wanted, about, body.has("name") && body.has("project_path")) {
        let field = if follow.is_some() { "follow_session" } else { "resume_session" };
        let text = format!(
            "no session {id} on this machine (see GET /api/sessions); name and project_path are required for a session \
             that is not listed"
        );
        return Err(ApiError::in_field(field, text));
    }
    let name = match (body.has("name"), about) {
        (false, Some(about)) => session_name(about),
        _ => body.text("name"),
    };
    let path = match (body.has("project_path"), about.and_then(|about| about.project_path.clone())) {
        (false, Some(path)) => path,
        _ => body.text("project_path"),
    };
    // Mistakes are told in the order of the reference's fields.
    let _ = body.optional_text("ai_cli_type");
    let found_kind = about.map(|about| about.ai_cli_type.clone().into_owned());
    let kind = asked_kind.or(found_kind).unwrap_or_else(|| api.clis.default.clone());
    let initial_message = body.optional_text("initial_message").filter(|text| !text.trim().is_empty());
    let worktree = worktree(&mut body);
    let mut options = options(&mut body);
    body.finish()?;
    options.request_hash = options.idempotency_key.is_some().then_some(request_hash);
    // The same request again is the same worker, and its first message the same message.
    let client_message_id = options.idempotency_key.as_ref().map(|_| INITIAL_MESSAGE.to_owned());
    if worktree.is_some() && (follow.is_some() || options.resume_session.is_some()) {
        let text = "a session continues in the folder where it began: omit worktree, or omit follow_session and resume_session";
        return Err(ApiError::in_field("worktree", text));
    }
    let adapter = api.clis.adapters.get(&kind).map_err(|error| ApiError::in_field("ai_cli_type", error.to_string()))?;
    let takes_servers = adapter.cli().capabilities.iter().any(|capability| capability == "mcp_servers");
    if !options.mcp_servers.is_empty() && !takes_servers {
        let text = format!("{kind} takes no mcp_servers: configure them in the CLI itself");
        return Err(ApiError::in_field("mcp_servers", text));
    }
    if follow.is_some() && adapter.open_transcript().is_none() {
        let text = format!(
            "sessions of {kind} cannot be followed, only gone on with: resume_session instead of follow_session"
        );
        return Err(ApiError::in_field("follow_session", text));
    }
    let runners = &api.registry.launcher().places.runners;
    let runner = runners.find(options.runner.as_deref()).map_err(|why| ApiError::in_field("runner", why))?;
    if let Some(runner) = runner.filter(|runner| worktree.is_some() && runner.is_elsewhere()) {
        let text = format!("a worktree is made on this machine, and the worker runs elsewhere ({})", runner.entry);
        return Err(ApiError::in_field("worktree", text));
    }
    let project_path = api.registry.launcher().project(runner, &path).map_err(|error| error.in_field(PROJECT_PATH))?;
    // A session goes on where it began, also when another runner is the usual one by then.
    options.runner = options.runner.or_else(|| runner.map(|runner| runner.entry.clone()));
    let follow = match follow {
        Some(_) if options.resume_session.is_some() || initial_message.is_some() => {
            return Err(ApiError::in_field(
                "follow_session",
                "a session that is followed takes no messages: leave resume_session and initial_message out, and take it over later",
            ));
        }
        Some(session_id) => {
            let path = found.and_then(|found| found.transcript).ok_or_else(|| {
                let text = format!("no session {session_id} of {kind} on this machine (see GET /api/sessions)");
                ApiError::in_field("follow_session", text)
            })?;
            Some(ToFollow { session_id, path })
        }
        None => {
            if let (Some(id), false) = (&options.resume_session, force) {
                let transcript = found.as_ref().and_then(|found| found.transcript.as_deref());
                api.registry.check_free(&kind, id, transcript).map_err(|error| error.in_field("resume_session"))?;
            }
            None
        }
    };
    let new = NewWorker { name, project_path, ai_cli_type: kind, options, forked_from: None, follow, worktree };
    let worker = api.registry.create(new).map_err(limit_is_a_bad_request)?;
    if let Some(content) = initial_message {
        api.registry.post_message(&worker, NewMessage { content, client_message_id, ..NewMessage::default() })?;
    }
    Ok(Response::json(201, &worker.summary()).into())
}

/// `true` for a worktree with names of ours, or `{"branch", "base"}`.
fn worktree(body: &mut Body) -> Option<NewWorktree> {
    match body.value("worktree") {
        None | Some(Value::Null | Value::Bool(false)) => None,
        Some(Value::Bool(true)) => Some(NewWorktree::default()),
        Some(Value::Object(fields)) => {
            let mut fields = Body::of(fields);
            let mut text = |name| fields.optional_text(name).filter(|text| !text.is_empty());
            let wanted = NewWorktree { branch: text("branch"), base: text("base") };
            body.take_mistakes("worktree", fields);
            Some(wanted)
        }
        Some(_) => {
            body.mistake("worktree", "Input should be a valid boolean, or an object with branch and base", "bool_type");
            None
        }
    }
}

/// The name of a worker that has none but its session's title.
fn session_name(about: &FoundSession) -> String {
    let title = about.title.as_deref().unwrap_or(&about.session_id);
    let line = title.lines().next().unwrap_or(title);
    line.chars().take(SESSION_NAME_CHARS).collect()
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
        mcp_servers: mcp::servers(body),
        resume_session: body.optional_text("resume_session").filter(|id| !id.is_empty()),
        fork: false,
        runner: body.optional_text("runner").filter(|runner| !runner.is_empty()),
        idempotency_key: body.optional_text("idempotency_key").filter(|key| !key.is_empty()),
        request_hash: None,
    }
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
    let page = worker.archive().page_before(summary.last_seq + 1, MESSAGES_SHOWN, &page::is_message)?;
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

/// `PATCH /api/workers/{id}`: name, model, permission mode, and the folder of a stopped worker; what is left out stays.
pub(super) fn update(call: &Call<'_>) -> Handled {
    let worker = call.worker()?;
    let mut body = Body::parse(&call.request.body)?;
    let name = body.optional_text("name");
    let model = body.optional_words("model");
    let permission_mode = body.optional_words("permission_mode");
    let project_path = body.optional_words("project_path");
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
    Ok(Response::json(200, &worker.summary()).into())
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

/// `POST /api/workers/{id}/fork`: a new worker that goes on from this one's session.
pub(super) fn fork(call: &Call<'_>) -> Handled {
    let worker = call.worker()?;
    let mut body = Body::parse_optional(&call.request.body)?;
    let name = body.optional_text("name");
    let initial_message = body.optional_text("initial_message").filter(|text| !text.trim().is_empty());
    body.finish()?;
    let state = worker.state();
    if !worker.adapter().cli().capabilities.iter().any(|capability| capability == "fork") {
        let kind = &state.ai_cli_type;
        return Err(WorkerError::Conflict(format!("{kind} cannot fork a session")).into());
    }
    if worker.can_fork() == Some(false) {
        let name = &worker.adapter().cli().name;
        return Err(WorkerError::Conflict(format!("{name} does not offer to fork a session (session/fork)")).into());
    }
    let Some(session_id) = state.session_id.clone().filter(|_| state.session_used) else {
        return Err(
            WorkerError::Conflict("the worker has no session to fork yet: send it a message first".into()).into()
        );
    };
    let options = WorkerOptions {
        resume_session: Some(session_id),
        fork: true,
        idempotency_key: None,
        request_hash: None,
        ..state.options.clone()
    };
    let new = NewWorker {
        name: name.unwrap_or_else(|| format!("{} (fork)", state.name)),
        // The folder is looked at when it starts, where it runs.
        project_path: state.project_path.clone(),
        ai_cli_type: state.ai_cli_type.clone(),
        options,
        forked_from: Some(worker.id().to_owned()),
        follow: None,
        worktree: None,
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
    worker.interrupt(By::User)?;
    Ok(Response::json(200, &json!({"status": "interrupted", "worker": worker.summary()})).into())
}
