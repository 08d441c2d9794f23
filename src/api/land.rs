//! Commits, updates and landings of a worker's work, with a dry run.

use serde_json::{Map, Value, json};

use super::input::JsonBody;
use super::{ApiCall, RouteResult, remote};
use crate::http::Response;
use crate::worker::place::land::{Landing, Strategy};
use crate::worker::run::landing::MovedBranch;

/// Longest message of a commit, in bytes.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// `GET /api/workers/{id}/land?into=main`: a dry run, which changes nothing.
pub(super) fn look(call: &ApiCall<'_>) -> RouteResult {
    let worker = call.worker()?;
    let into = call.head().query_value("into").filter(|into| !into.is_empty());
    let dry = worker.look_at_landing(into, &|| call.request.client.has_gone())?;
    let mut answer = serde_json::to_value(&dry).map_err(std::io::Error::other)?;
    answer["pending"] = worker
        .state()
        .moving
        .as_ref()
        .map_or(Value::Null, |step| json!({"operation": step.operation, "about": step.about}));
    remote::add_to(&mut answer, call)?;
    Ok(Response::json(200, &answer).into())
}

/// `POST /api/workers/{id}/commit`
pub(super) fn commit(call: &ApiCall<'_>) -> RouteResult {
    let worker = call.worker()?;
    let mut body = JsonBody::parse(&call.request.body)?;
    let message = body.text("message");
    let files = body.has("files").then(|| body.texts("files"));
    check_message(&mut body, Some(&message));
    if files.as_ref().is_some_and(Vec::is_empty) {
        body.mistake("files", "Input should name files, or be left out for all", "value_error");
    }
    body.finish()?;
    let (moved, files) = worker.commit_changes(&message, files.as_deref())?;
    let mut answer = shown(&moved);
    answer["files"] = json!(files);
    Ok(Response::json(200, &answer).into())
}

/// `POST /api/workers/{id}/update`
pub(super) fn update(call: &ApiCall<'_>) -> RouteResult {
    let worker = call.worker()?;
    let mut body = JsonBody::parse_optional(&call.request.body)?;
    let from = body.optional_words("from");
    let strategy = strategy(&mut body, &[Strategy::Merge, Strategy::Rebase]);
    body.finish()?;
    let (moved, commits) = worker.update_branch(strategy, from.as_deref())?;
    let mut answer = shown(&moved);
    answer["commits"] = json!(commits);
    Ok(Response::json(200, &answer).into())
}

/// `POST /api/workers/{id}/land`: lands, then keeps or deletes the worker. If the deletion is refused, the work stays
/// landed.
pub(super) fn land(call: &ApiCall<'_>) -> RouteResult {
    let worker = call.worker()?;
    let mut body = JsonBody::parse(&call.request.body)?;
    let wanted = Landing {
        into: body.optional_words("into"),
        message: body.optional_words("message"),
        leave_uncommitted: body.flag("leave_uncommitted"),
        expected: expected(&mut body),
        strategy: strategy(&mut body, &Strategy::ALL),
    };
    check_message(&mut body, wanted.message.as_deref());
    let delete = match body.optional_text("then").as_deref() {
        None | Some("keep") => false,
        Some("delete") => true,
        Some(_) => {
            body.mistake("then", "Input should be 'keep' or 'delete'", "enum");
            false
        }
    };
    body.finish()?;
    let (moved, commits) = worker.land(&wanted)?;
    let mut answer = shown(&moved);
    (answer["commits"], answer["deleted"]) = (json!(commits), json!(false));
    if delete {
        let covered = call.api.registry.refuse_hidden_sharers(&worker, call.reach());
        match covered.and_then(|()| call.api.registry.delete(&worker, false)) {
            Ok(left) => (answer["deleted"], answer["left"]) = (json!(true), json!(left)),
            Err(error) => answer["left"] = json!(format!("the worker is kept: {error}")),
        }
    }
    Ok(Response::json(200, &answer).into())
}

fn shown(moved: &MovedBranch) -> Value {
    let branch = moved.branch.strip_prefix("refs/heads/").unwrap_or(&moved.branch);
    json!({"branch": branch, "old": moved.old, "commit": moved.new})
}

fn strategy(body: &mut JsonBody, allowed: &[Strategy]) -> Strategy {
    let named = body.optional_text("strategy");
    let found = match &named {
        Some(name) => allowed.iter().find(|strategy| strategy.name() == name),
        None => allowed.first(),
    };
    if found.is_none() {
        let names: Vec<&str> = allowed.iter().map(|strategy| strategy.name()).collect();
        body.mistake("strategy", &format!("Input should be one of {}", names.join(", ")), "enum");
    }
    found.copied().unwrap_or(Strategy::Merge)
}

/// Parses the commits of both sides that the client has seen in a dry run.
fn expected(body: &mut JsonBody) -> (Option<String>, Option<String>) {
    let fields: Map<String, Value> = match body.value("expected") {
        None | Some(Value::Null) => return (None, None),
        Some(Value::Object(fields)) => fields,
        Some(_) => {
            body.mistake("expected", "Input should be an object", "model_attributes_type");
            return (None, None);
        }
    };
    let mut inner = JsonBody::of(fields);
    let sides = (inner.optional_words("branch"), inner.optional_words("into"));
    body.take_mistakes("expected", inner);
    sides
}

fn check_message(body: &mut JsonBody, message: Option<&str>) {
    let Some(message) = message else { return };
    if message.trim().is_empty() {
        body.mistake("message", "Input should not be blank", "value_error");
    } else if message.len() > MESSAGE_BYTES_MAX {
        body.mistake("message", &format!("Input should have at most {MESSAGE_BYTES_MAX} bytes"), "too_long");
    }
}
