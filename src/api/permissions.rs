//! The inbox: prompts that wait for a person, over all workers, and their decisions.

use serde_json::json;

use super::error::ApiError;
use super::input::JsonBody;
use super::{ApiCall, RouteResult, decision};
use crate::http::Response;

/// `GET /api/permissions`
pub(super) fn list(call: &ApiCall<'_>) -> RouteResult {
    Ok(Response::json(200, &json!({"permissions": call.api.registry.prompts(call.reach())})).into())
}

/// `POST /api/workers/{id}/permissions/{request_id}`: `{"option_id"}` (or `decision`) for a permission prompt,
/// `{"answers"}` for a question.
pub(super) fn answer(call: &ApiCall<'_>) -> RouteResult {
    let request_id = call.params.get(1).copied().unwrap_or_default();
    decide(call, request_id, JsonBody::parse(&call.request.body)?)
}

/// `POST /api/workers/{id}/permissions`: the same with the prompt's `request_id` in the body, for ids that cannot be
/// part of a path, such as `..` or an empty one.
pub(super) fn answer_named(call: &ApiCall<'_>) -> RouteResult {
    let mut body = JsonBody::parse(&call.request.body)?;
    let request_id = body.text("request_id");
    decide(call, &request_id, body)
}

fn decide(call: &ApiCall<'_>, request_id: &str, mut body: JsonBody) -> RouteResult {
    let worker = call.worker()?;
    let decision = decision::read(&mut body);
    body.finish()?;
    // A body without a decision has a recorded error.
    let decision = decision.ok_or_else(|| ApiError::mistake("body", "option_id", "Field required", "missing"))?;
    call.require_scope(decision::required_scope(&decision))?;
    if worker.raises_budget(request_id, &decision) && !call.manages_server() {
        return Err(decision::raise_refused());
    }
    let resolution = worker.decide(request_id, &decision)?;
    Ok(Response::json(200, &json!({"status": "answered", "answer": resolution})).into())
}
