//! The inbox: what waits for a person, over all workers.

use serde_json::json;

use super::error::ApiError;
use super::input::Body;
use super::{Call, Handled};
use crate::adapter::PermissionAnswer;
use crate::http::Response;

/// `GET /api/permissions`
pub(super) fn list(call: &Call<'_>) -> Handled {
    Ok(Response::json(200, &json!({"permissions": call.api.registry.prompts()})).into())
}

/// `POST /api/workers/{id}/permissions/{request_id}`: `{"option_id"}` (or `decision`) for a permission prompt,
/// `{"answers"}` for a question.
pub(super) fn answer(call: &Call<'_>) -> Handled {
    let worker = call.worker()?;
    let request_id = call.params.get(1).copied().unwrap_or_default();
    let mut body = Body::parse(&call.request.body)?;
    let answers = body.value("answers");
    if answers.as_ref().is_some_and(|answers| !answers.is_object() && !answers.is_array()) {
        body.mistake("answers", "Input should be an object or a list", "value_error");
    }
    let option = ["option_id", "decision", "option"].into_iter().find_map(|name| body.optional_text(name));
    let message = body.optional_text("message");
    let updated_input = body.value("updated_input").filter(|input| !input.is_null());
    let interrupt = body.flag("interrupt");
    body.finish()?;
    let answered = match (option, answers) {
        (_, Some(answers)) => worker.answer_question(request_id, &answers)?,
        (Some(option_id), None) => {
            let answer = PermissionAnswer { option_id, message, updated_input, interrupt };
            worker.answer_permission(request_id, &answer)?
        }
        (None, None) => return Err(ApiError::mistake("body", "option_id", "Field required", "missing")),
    };
    Ok(Response::json(200, &json!({"status": "answered", "answer": answered})).into())
}
