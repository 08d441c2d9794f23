//! `POST /api/answer/{code}`: answers a prompt by the link of a notification.
//!
//! The code is the credential: random bytes for this prompt and this answer, valid once and for an hour. A GET of the
//! address has no effect, so that a link preview answers nothing.

use std::time::Instant;

use serde_json::json;

use super::error::ApiError;
use super::{ApiCall, RouteResult};
use crate::adapter::PermissionAnswer;
use crate::http::Response;
use crate::worker::Decision;

/// `POST /api/answer/{code}`
pub(super) fn by_link(call: &ApiCall<'_>) -> RouteResult {
    let code = call.params.first().copied().unwrap_or_default();
    let Some(answer) = call.api.answers.redeem(code, Instant::now()) else {
        let text = "the link was used already or is too old; answer on the page";
        return Err(ApiError::Detail(404, text.to_owned()));
    };
    let worker = call.api.registry.get(&answer.worker_id)?;
    let option_id = answer.option.to_owned();
    let decision =
        Decision::Option(PermissionAnswer { option_id, message: None, updated_input: None, interrupt: false });
    let resolution = worker.decide(&answer.request_id, &decision)?;
    Ok(Response::json(200, &json!({"status": "answered", "answer": resolution})).into())
}
