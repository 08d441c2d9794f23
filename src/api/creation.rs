//! New workers: from a request, and forked from another one's session.

use std::path::Path;

use serde_json::Value;

use super::error::ApiError;
use super::input::JsonBody;
use super::limits::limits;
use super::workers::PROJECT_PATH;
use super::{Api, ApiCall, RouteResult, mcp, presets};
use crate::adapter::{AGENT_TOKENS, Adapter};
use crate::cgroup::WorkerLimits;
use crate::http::Response;
use crate::journal::WorkerOptions;
use crate::runner::Runner;
use crate::sessions::FoundSession;
use crate::worker::registry::children::ChildRequest;
use crate::worker::{NewMessage, NewWorker, NewWorktree, ToFollow, Worker, WorkerError};

/// Longest worker name that is taken from a session's title, in characters.
const SESSION_NAME_CHARS: usize = 60;
/// The client's id of the first message of a new worker that has an idempotency key.
pub(super) const INITIAL_MESSAGE: &str = "initial-message";
/// Names of the fields that identify sessions.
const FOLLOW: &str = "follow_session";
const RESUME: &str = "resume_session";
/// The field that asks for a token of the agent's own.
const MCP: &str = "mcp";

/// A request for a new worker, completed with the facts of its session.
struct CreationRequest {
    name: String,
    path: String,
    kind: String,
    /// The id of a session to follow.
    follow: Option<String>,
    /// The session to follow or resume, as found on this machine.
    found: Option<FoundSession>,
    /// True to resume a session that another process may hold.
    force: bool,
    worktree: Option<NewWorktree>,
    options: WorkerOptions,
    initial_message: Option<String>,
}

/// `POST /api/workers`
pub(super) fn create(call: &ApiCall<'_>) -> RouteResult {
    let registry = &call.api.registry;
    let (new, first) = plan(call.api, JsonBody::parse(&call.request.body)?)?;
    let worker = registry.create(new).map_err(limit_is_a_bad_request)?;
    if let Some(message) = first {
        registry.post_message(&worker, message)?;
    }
    Ok(Response::json(201, &call.summary(&worker)).into())
}

/// Makes a new worker and its first message of a request's body.
pub(super) fn plan(api: &Api, body: JsonBody) -> Result<(NewWorker, Option<NewMessage>), ApiError> {
    let wanted = wanted(api, body)?;
    let adapter =
        api.clis.adapters.get(&wanted.kind).map_err(|error| ApiError::in_field("ai_cli_type", error.to_string()))?;
    require_supported(&wanted, adapter.as_ref())?;
    let runners = &api.registry.launcher().places.runners;
    let runner = runners.find(wanted.options.runner.as_deref()).map_err(|why| ApiError::in_field("runner", why))?;
    let project_path = project(api, &wanted, runner)?;
    let follow = session(api, &wanted)?;
    let CreationRequest { name, kind, mut worktree, mut options, initial_message, .. } = wanted;
    if follow.is_none() && !runner.is_some_and(Runner::is_elsewhere) {
        apply_project(api, &project_path, &mut worktree, &mut options)?;
    }
    // A session continues in its own runner, even if another one is the default by now.
    options.runner = options.runner.or_else(|| runner.map(|runner| runner.entry.clone()));
    // A repeated request returns the same worker and the same first message.
    let client_message_id = options.idempotency_key.as_ref().map(|_| INITIAL_MESSAGE.to_owned());
    let first = initial_message.map(|content| NewMessage { content, client_message_id, ..NewMessage::default() });
    let new = NewWorker { name, project_path, ai_cli_type: kind, options, forked_from: None, follow, worktree };
    Ok((new, first))
}

/// Makes the worker that the agent of another one asks for.
pub(super) fn create_child(
    call: &ApiCall<'_>,
    parent: &Worker,
    wanted: ChildRequest,
    message: Option<String>,
) -> Result<Response, ApiError> {
    let registry = &call.api.registry;
    let worker = registry.create(registry.child_of(parent, wanted)?).map_err(limit_is_a_bad_request)?;
    if let Some(content) = message.filter(|text| !text.trim().is_empty()) {
        registry.post_message(&worker, NewMessage { content, ..NewMessage::default() })?;
    }
    Ok(Response::json(201, &call.summary(&worker)))
}

/// Parses the request.
fn wanted(api: &Api, mut body: JsonBody) -> Result<CreationRequest, ApiError> {
    let clis = &api.clis;
    let request_hash = body.hash();
    let preset = presets::named(&body);
    presets::apply(api, &mut body)?;
    let asked_kind = body.peek_text("ai_cli_type");
    let follow = body.optional_text(FOLLOW).filter(|id| !id.is_empty());
    let force = body.flag("force");
    let resumed = body.peek_text(RESUME).filter(|id| !id.is_empty());
    // Facts of an existing session need not be repeated in the request.
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
    // Errors are listed in the order of the reference's fields.
    let _ = body.optional_text("ai_cli_type");
    let found_kind = about.map(|about| about.ai_cli_type.clone().into_owned());
    let kind = asked_kind.or(found_kind).unwrap_or_else(|| clis.default.clone());
    let initial_message = body.optional_text("initial_message").filter(|text| !text.trim().is_empty());
    let worktree = worktree(&mut body);
    let mut options = options(&mut body);
    body.finish()?;
    options.preset = preset;
    options.request_hash = options.idempotency_key.is_some().then_some(request_hash);
    Ok(CreationRequest { name, path, kind, follow, found, force, worktree, options, initial_message })
}

/// Refuses options that the CLI does not support, or that contradict each other.
fn require_supported(wanted: &CreationRequest, adapter: &dyn Adapter) -> Result<(), ApiError> {
    let CreationRequest { kind, follow, options, .. } = wanted;
    if wanted.worktree.is_some() && (follow.is_some() || options.resume_session.is_some()) {
        let text = "a session continues in the folder where it began: omit worktree, or omit follow_session and resume_session";
        return Err(ApiError::in_field("worktree", text));
    }
    require_effort(options, adapter)?;
    let takes_servers = adapter.cli().capabilities.iter().any(|capability| capability == "mcp_servers");
    if !options.mcp_servers.is_empty() && !takes_servers {
        let text = format!("{kind} takes no mcp_servers: configure them in the CLI itself");
        return Err(ApiError::in_field("mcp_servers", text));
    }
    if options.mcp {
        require_agent_tokens(adapter, follow.is_some())?;
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

/// Refuses an effort that the CLI does not know, before anything is made for the worker.
pub(super) fn require_effort(options: &WorkerOptions, adapter: &dyn Adapter) -> Result<(), ApiError> {
    effort_problem(options, adapter).map_or(Ok(()), |why| Err(ApiError::in_field("effort", why)))
}

/// Returns why the CLI can't be started with the effort that was asked for.
pub(super) fn effort_problem(options: &WorkerOptions, adapter: &dyn Adapter) -> Option<String> {
    let effort = options.effort.as_deref()?;
    let cli = adapter.cli();
    let Some(known) = cli.config_options.iter().find(|option| option["name"] == "effort") else {
        return Some(format!("{} has no effort that can be set: omit it", cli.name));
    };
    let choices: Vec<&str> = known["choices"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let is_known = choices.is_empty() || choices.contains(&effort);
    (!is_known).then(|| format!("{} has no effort {effort:?}; one of {}", cli.name, choices.join(", ")))
}

/// Refuses an agent's token for a CLI that cannot be given one, and for one that is not started.
fn require_agent_tokens(adapter: &dyn Adapter, follows: bool) -> Result<(), ApiError> {
    let kind = &adapter.cli().kind;
    if !adapter.cli().capabilities.iter().any(|capability| capability == AGENT_TOKENS) {
        return Err(ApiError::in_field(MCP, format!("the agents of {kind} cannot be given a token: omit mcp")));
    }
    if follows {
        return Err(ApiError::in_field(MCP, "a session that runs elsewhere cannot be given a token: omit mcp"));
    }
    Ok(())
}

/// Returns the folder of the project, where the worker will run.
fn project(api: &Api, wanted: &CreationRequest, runner: Option<&Runner>) -> Result<String, ApiError> {
    if let Some(runner) = runner.filter(|runner| wanted.worktree.is_some() && runner.is_elsewhere()) {
        let text = format!("a worktree is made on this machine, and the worker runs elsewhere ({})", runner.entry);
        return Err(ApiError::in_field("worktree", text));
    }
    if let Some(runner) = runner.filter(|runner| wanted.options.mcp && runner.starts_elsewhere()) {
        let text = format!("the server cannot be reached from where the worker runs ({}): omit mcp", runner.entry);
        return Err(ApiError::in_field(MCP, text));
    }
    let launcher = api.registry.launcher();
    Ok(launcher.project(runner, &wanted.path).map_err(|error| error.in_field(PROJECT_PATH))?)
}

/// Adds the project file's settings where the request has none.
pub(super) fn apply_project(
    api: &Api,
    path: &str,
    worktree: &mut Option<NewWorktree>,
    options: &mut WorkerOptions,
) -> Result<(), ApiError> {
    let Some(project) = api.projects.find(Path::new(path)).map_err(WorkerError::from)? else { return Ok(()) };
    if let Some(worktree) = worktree {
        worktree.base = worktree.base.take().or(project.base);
    }
    let own = std::mem::take(&mut options.env);
    let others = project.env.into_iter().filter(|(name, _)| !own.iter().any(|(own, _)| own == name));
    options.env = others.chain(own.iter().cloned()).collect();
    Ok(())
}

/// Returns the session to follow; a session to resume must be free.
fn session(api: &Api, wanted: &CreationRequest) -> Result<Option<ToFollow>, ApiError> {
    let CreationRequest { kind, found, .. } = wanted;
    let transcript = found.as_ref().and_then(|found| found.transcript.clone());
    if let Some(session_id) = wanted.follow.clone() {
        let path = transcript.ok_or_else(|| {
            let text = format!("no session {session_id} of {kind} on this machine (see GET /api/sessions)");
            ApiError::in_field(FOLLOW, text)
        })?;
        return Ok(Some(ToFollow { session_id, path }));
    }
    if let (Some(id), false) = (&wanted.options.resume_session, wanted.force) {
        let free = api.registry.check_free(kind, id, transcript.as_deref());
        free.map_err(|error| error.in_field(RESUME))?;
    }
    Ok(None)
}

/// Parses `true` for a worktree with generated names, or `{"branch", "base"}`.
fn worktree(body: &mut JsonBody) -> Option<NewWorktree> {
    match body.value("worktree") {
        None | Some(Value::Null | Value::Bool(false)) => None,
        Some(Value::Bool(true)) => Some(NewWorktree::default()),
        Some(Value::Object(fields)) => {
            let mut fields = JsonBody::of(fields);
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

/// Returns a name for a worker that has only its session's title.
fn session_name(about: &FoundSession) -> String {
    let title = about.title.as_deref().unwrap_or(&about.session_id);
    let line = title.lines().next().unwrap_or(title);
    line.chars().take(SESSION_NAME_CHARS).collect()
}

/// Converts the error of the worker limit: the reference answers 400.
pub(super) fn limit_is_a_bad_request(error: WorkerError) -> ApiError {
    match error {
        WorkerError::Limit(text) => ApiError::bad_request(text),
        other => other.into(),
    }
}

/// Parses the options that every new worker can have.
pub(super) fn options(body: &mut JsonBody) -> WorkerOptions {
    let env = body.text_map("env");
    for (name, value) in &env {
        if !crate::worker_env::is_env_entry(name, value) {
            body.mistake("env", &format!("not a variable that an environment can hold: {name:?}"), "value_error");
        }
    }
    WorkerOptions {
        model: body.optional_text("model").filter(|model| !model.is_empty()),
        permission_mode: body.optional_text("permission_mode").filter(|mode| !mode.is_empty()),
        effort: body.optional_text("effort").filter(|effort| !effort.is_empty()),
        system_prompt: body.optional_text("system_prompt").filter(|prompt| !prompt.is_empty()),
        args: body.texts("args"),
        env,
        mcp_servers: mcp::servers(body),
        resume_session: body.optional_text("resume_session").filter(|id| !id.is_empty()),
        fork: false,
        limits: limits(body, WorkerLimits::default()),
        preset: None,
        runner: body.optional_text("runner").filter(|runner| !runner.is_empty()),
        idempotency_key: body.optional_text("idempotency_key").filter(|key| !key.is_empty()),
        request_hash: None,
        handover: None,
        group: None,
        mcp: body.flag("mcp"),
        parent: None,
    }
}

/// `POST /api/workers/{id}/fork`: creates a worker that continues from this one's session.
pub(super) fn fork(call: &ApiCall<'_>) -> RouteResult {
    let worker = call.worker()?;
    let mut body = JsonBody::parse_optional(&call.request.body)?;
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
        handover: None,
        group: None,
        parent: None,
        ..state.options.clone()
    };
    let new = NewWorker {
        name: name.unwrap_or_else(|| format!("{} (fork)", state.name)),
        // The folder is checked at its start, in its runner.
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
    Ok(Response::json(201, &call.summary(&forked)).into())
}
