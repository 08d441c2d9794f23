//! Groups: one prompt to several CLIs and models, and the choice of the best.

use serde_json::{Value, json};

use super::creation::{self, apply_project, effort_problem, limit_is_a_bad_request};
use super::error::ApiError;
use super::input::JsonBody;
use super::workers::PROJECT_PATH;
use super::{ApiCall, RouteResult, presets};
use crate::http::Response;
use crate::journal::WorkerOptions;
use crate::worker::registry::groups::{ATTEMPTS_MAX, NewGroup};
use crate::worker::{NewWorktree, WorkerError};

/// The field with the attempts of a new group.
const ATTEMPTS: &str = "attempts";

/// `GET /api/groups`
pub(super) fn list(call: &ApiCall<'_>) -> RouteResult {
    Ok(Response::json(200, &json!({"groups": call.api.registry.groups(call.reach())})).into())
}

/// `GET /api/groups/{id}`
pub(super) fn show(call: &ApiCall<'_>) -> RouteResult {
    Ok(Response::json(200, &call.api.registry.group(id(call), call.reach())?).into())
}

/// `POST /api/groups`
pub(super) fn create(call: &ApiCall<'_>) -> RouteResult {
    let registry = &call.api.registry;
    let mut body = JsonBody::parse(&call.request.body)?;
    let hash = body.hash();
    let name = body.text("name");
    let path = body.text(PROJECT_PATH);
    let prompt = body.text("prompt");
    let base = body.optional_text("base").filter(|base| !base.is_empty());
    let key = body.optional_text("idempotency_key").filter(|key| !key.is_empty());
    let attempts = attempts(call, &mut body)?;
    body.finish()?;
    if prompt.trim().is_empty() {
        return Err(ApiError::in_field("prompt", "prompt must not be empty"));
    }
    if attempts.is_empty() || attempts.len() > ATTEMPTS_MAX {
        let text = format!("a group has from 1 to {ATTEMPTS_MAX} attempts, not {}", attempts.len());
        return Err(ApiError::in_field(ATTEMPTS, text));
    }
    let mut worktree = Some(NewWorktree { branch: None, base });
    let (mut project_path, mut with_options) = (path, Vec::new());
    for (kind, mut options) in attempts {
        let kind = kind.unwrap_or_else(|| call.api.clis.default.clone());
        let adapter = call.api.clis.adapters.get(&kind);
        let adapter = adapter.map_err(|error| ApiError::in_field(ATTEMPTS, error.to_string()))?;
        effort_problem(&options, adapter.as_ref()).map_or(Ok(()), |why| Err(ApiError::in_field(ATTEMPTS, why)))?;
        let launcher = registry.launcher();
        let runner = launcher.places.runners.find(options.runner.as_deref());
        let runner = runner.map_err(|why| ApiError::in_field(ATTEMPTS, why))?;
        if let Some(runner) = runner.filter(|runner| runner.is_elsewhere()) {
            let text = format!("worktrees are made on this machine, and workers run elsewhere ({})", runner.entry);
            return Err(ApiError::in_field(PROJECT_PATH, text));
        }
        // Each runner refuses other folders.
        project_path = launcher.project(runner, &project_path).map_err(|error| error.in_field(PROJECT_PATH))?;
        apply_project(call.api, &project_path, &mut worktree, &mut options)?;
        options.runner = runner.map(|runner| runner.entry.clone());
        with_options.push((kind, options));
    }
    let request_hash = key.is_some().then_some(hash);
    let new = NewGroup {
        name,
        project_path,
        prompt,
        base: worktree.and_then(|it| it.base),
        key,
        request_hash,
        attempts: with_options,
    };
    let made = registry.make_group(new).map_err(limit_is_a_bad_request)?;
    Ok(Response::json(201, &registry.group(&made, call.reach())?).into())
}

/// `POST /api/groups/{id}/keep` with `{"worker", "force"}`
pub(super) fn keep(call: &ApiCall<'_>) -> RouteResult {
    let mut body = JsonBody::parse(&call.request.body)?;
    let worker = body.text("worker");
    let force = body.flag("force");
    body.finish()?;
    Ok(Response::json(200, &call.api.registry.keep(id(call), &worker, force)?).into())
}

/// `POST /api/groups/{id}/check` with `{"worker"}`
pub(super) fn check(call: &ApiCall<'_>) -> RouteResult {
    let mut body = JsonBody::parse_optional(&call.request.body)?;
    let only = body.optional_text("worker").filter(|worker| !worker.is_empty());
    body.finish()?;
    Ok(Response::json(200, &call.api.registry.check_group(id(call), only.as_deref())?).into())
}

/// `GET /api/groups/{id}/diff?from=WORKER&to=WORKER`
pub(super) fn diff(call: &ApiCall<'_>) -> RouteResult {
    let required = |field| {
        let missing = || ApiError::mistake("query", field, "Field required".to_owned(), "missing");
        call.head().query_value(field).filter(|id| !id.is_empty()).ok_or_else(missing)
    };
    let (from, to) = (required("from")?, required("to")?);
    for (field, worker) in [("from", &from), ("to", &to)] {
        // One out of reach is answered as one of no attempt.
        let missing = |_| WorkerError::Invalid(format!("the group has no worker {worker}")).in_field(field);
        call.visible(worker).map_err(missing)?;
    }
    let looked = call.api.registry.diff_in_group(id(call), (from, to), &|| call.request.client.has_gone())?;
    match looked.as_ref() {
        Ok(Some(changes)) => {
            let mut answer = serde_json::to_value(changes).map_err(std::io::Error::other)?;
            answer["git"] = json!(true);
            Ok(Response::json(200, &answer).into())
        }
        Ok(None) => Err(WorkerError::Conflict("the project is not under git any more".to_owned()).into()),
        Err(error) => Err(WorkerError::from(error).into()),
    }
}

fn id<'c>(call: &ApiCall<'c>) -> &'c str {
    call.params.first().copied().unwrap_or_default()
}

/// Parses CLI and options of each attempt.
fn attempts(call: &ApiCall<'_>, body: &mut JsonBody) -> Result<Vec<(Option<String>, WorkerOptions)>, ApiError> {
    let mut attempts = Vec::new();
    for attempt in body.list(ATTEMPTS) {
        let Value::Object(fields) = attempt else {
            body.mistake(ATTEMPTS, "Input should be a list of objects", "model_attributes_type");
            continue;
        };
        let mut fields = JsonBody::of(fields);
        let preset = presets::named(&fields);
        presets::apply_to_attempt(call.api, &mut fields)?;
        let kind = fields.optional_text("ai_cli_type").filter(|kind| !kind.is_empty());
        let given = creation::options(&mut fields);
        // An attempt starts a new session, and its idempotency key is that of the group.
        let options = WorkerOptions {
            resume_session: None,
            idempotency_key: None,
            mcp_servers: Vec::new(),
            mcp: false,
            preset,
            ..given
        };
        attempts.push((kind, options));
        body.take_mistakes(ATTEMPTS, fields);
    }
    Ok(attempts)
}
