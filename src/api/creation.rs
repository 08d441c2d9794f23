//! New workers: of a request, and forked from another one's session.

use serde_json::Value;

use super::error::ApiError;
use super::input::Body;
use super::workers::PROJECT_PATH;
use super::{Call, Handled, mcp};
use crate::adapter::Adapter;
use crate::http::Response;
use crate::journal::WorkerOptions;
use crate::runner::Runner;
use crate::sessions::FoundSession;
use crate::worker::{NewMessage, NewWorker, NewWorktree, ToFollow, WorkerError};

/// Longest name that a worker gets from its session's title, in characters.
const SESSION_NAME_CHARS: usize = 60;
/// The client's id of the message that comes with a new worker which has an idempotency key.
const INITIAL_MESSAGE: &str = "initial-message";
/// Names of the fields that sessions are named by.
const FOLLOW: &str = "follow_session";
const RESUME: &str = "resume_session";

/// A request for a new worker, with what its session already says of itself filled in.
struct Wanted {
    name: String,
    path: String,
    kind: String,
    /// Id of a session to follow.
    follow: Option<String>,
    /// The session to follow or resume, as it was found on this machine.
    found: Option<FoundSession>,
    /// True to resume a session that another process may have.
    force: bool,
    worktree: Option<NewWorktree>,
    options: WorkerOptions,
    initial_message: Option<String>,
}

/// `POST /api/workers`
pub(super) fn create(call: &Call<'_>) -> Handled {
    let registry = &call.api.registry;
    let wanted = wanted(call)?;
    let adapter = call
        .api
        .clis
        .adapters
        .get(&wanted.kind)
        .map_err(|error| ApiError::in_field("ai_cli_type", error.to_string()))?;
    require_supported(&wanted, adapter.as_ref())?;
    let runners = &registry.launcher().places.runners;
    let runner = runners.find(wanted.options.runner.as_deref()).map_err(|why| ApiError::in_field("runner", why))?;
    let project_path = project(call, &wanted, runner)?;
    let follow = session(call, &wanted)?;
    let Wanted { name, kind, worktree, mut options, initial_message, .. } = wanted;
    // A session goes on where it began, also when another runner is the usual one by then.
    options.runner = options.runner.or_else(|| runner.map(|runner| runner.entry.clone()));
    // The same request again is the same worker, and its first message the same message.
    let client_message_id = options.idempotency_key.as_ref().map(|_| INITIAL_MESSAGE.to_owned());
    let new = NewWorker { name, project_path, ai_cli_type: kind, options, forked_from: None, follow, worktree };
    let worker = registry.create(new).map_err(limit_is_a_bad_request)?;
    if let Some(content) = initial_message {
        registry.post_message(&worker, NewMessage { content, client_message_id, ..NewMessage::default() })?;
    }
    Ok(Response::json(201, &worker.summary()).into())
}

/// Reads the request.
fn wanted(call: &Call<'_>) -> Result<Wanted, ApiError> {
    let clis = &call.api.clis;
    let mut body = Body::parse(&call.request.body)?;
    let request_hash = body.hash();
    let asked_kind = body.peek_text("ai_cli_type");
    let follow = body.optional_text(FOLLOW).filter(|id| !id.is_empty());
    let force = body.flag("force");
    let resumed = body.peek_text(RESUME).filter(|id| !id.is_empty());
    // What a session that is there already says of itself need not be said again.
    let id = follow.as_ref().or(resumed.as_ref());
    let found = id.and_then(|id| clis.sessions.find(asked_kind.as_deref(), id));
    let about = found.as_ref();
    if let (Some(id), None, false) = (id, about, body.has("name") && body.has(PROJECT_PATH)) {
        let text = format!(
            "no session {id} on this machine (see GET /api/sessions); name and project_path are required for a session \
             that is not listed"
        );
        return Err(ApiError::in_field(if follow.is_some() { FOLLOW } else { RESUME }, text));
    }
    let name = match (body.has("name"), about) {
        (false, Some(about)) => session_name(about),
        _ => body.text("name"),
    };
    let path = match (body.has(PROJECT_PATH), about.and_then(|about| about.project_path.clone())) {
        (false, Some(path)) => path,
        _ => body.text(PROJECT_PATH),
    };
    // Mistakes are listed in the order of the reference's fields.
    let _ = body.optional_text("ai_cli_type");
    let found_kind = about.map(|about| about.ai_cli_type.clone().into_owned());
    let kind = asked_kind.or(found_kind).unwrap_or_else(|| clis.default.clone());
    let initial_message = body.optional_text("initial_message").filter(|text| !text.trim().is_empty());
    let worktree = worktree(&mut body);
    let mut options = options(&mut body);
    body.finish()?;
    options.request_hash = options.idempotency_key.is_some().then_some(request_hash);
    Ok(Wanted { name, path, kind, follow, found, force, worktree, options, initial_message })
}

/// Refuses what fits neither the CLI nor the rest of the request.
fn require_supported(wanted: &Wanted, adapter: &dyn Adapter) -> Result<(), ApiError> {
    let Wanted { kind, follow, options, .. } = wanted;
    if wanted.worktree.is_some() && (follow.is_some() || options.resume_session.is_some()) {
        let text = "a session continues in the folder where it began: omit worktree, or omit follow_session and resume_session";
        return Err(ApiError::in_field("worktree", text));
    }
    let takes_servers = adapter.cli().capabilities.iter().any(|capability| capability == "mcp_servers");
    if !options.mcp_servers.is_empty() && !takes_servers {
        let text = format!("{kind} takes no mcp_servers: configure them in the CLI itself");
        return Err(ApiError::in_field("mcp_servers", text));
    }
    if follow.is_some() && adapter.open_transcript().is_none() {
        let text = format!("sessions of {kind} cannot be followed: send resume_session instead of follow_session");
        return Err(ApiError::in_field(FOLLOW, text));
    }
    if follow.is_some() && (options.resume_session.is_some() || wanted.initial_message.is_some()) {
        let text = "a session that is followed takes no messages: leave resume_session and initial_message out, and take it over later";
        return Err(ApiError::in_field(FOLLOW, text));
    }
    Ok(())
}

/// The folder of the project, where the worker will run.
fn project(call: &Call<'_>, wanted: &Wanted, runner: Option<&Runner>) -> Result<String, ApiError> {
    if let Some(runner) = runner.filter(|runner| wanted.worktree.is_some() && runner.is_elsewhere()) {
        let text = format!("a worktree is made on this machine, and the worker runs elsewhere ({})", runner.entry);
        return Err(ApiError::in_field("worktree", text));
    }
    let launcher = call.api.registry.launcher();
    Ok(launcher.project(runner, &wanted.path).map_err(|error| error.in_field(PROJECT_PATH))?)
}

/// The session to follow; one that is to be resumed must be free.
fn session(call: &Call<'_>, wanted: &Wanted) -> Result<Option<ToFollow>, ApiError> {
    let Wanted { kind, found, .. } = wanted;
    let transcript = found.as_ref().and_then(|found| found.transcript.clone());
    if let Some(session_id) = wanted.follow.clone() {
        let path = transcript.ok_or_else(|| {
            let text = format!("no session {session_id} of {kind} on this machine (see GET /api/sessions)");
            ApiError::in_field(FOLLOW, text)
        })?;
        return Ok(Some(ToFollow { session_id, path }));
    }
    if let (Some(id), false) = (&wanted.options.resume_session, wanted.force) {
        let free = call.api.registry.check_free(kind, id, transcript.as_deref());
        free.map_err(|error| error.in_field(RESUME))?;
    }
    Ok(None)
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
