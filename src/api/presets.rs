//! The presets of new workers.

use std::collections::BTreeMap;

use serde_json::json;

use super::error::ApiError;
use super::input::JsonBody;
use super::{Api, ApiCall, RouteResult};
use crate::cgroup::WorkerLimits;
use crate::http::Response;
use crate::presets::PresetError;

/// The field that names a preset.
const PRESET: &str = "preset";

/// `GET /api/presets`
pub(super) fn list(call: &ApiCall<'_>) -> RouteResult {
    let presets = call.api.presets.list()?;
    Ok(Response::json(200, &json!({"presets": presets})).into())
}

/// `GET /api/presets/{name}`
pub(super) fn show(call: &ApiCall<'_>) -> RouteResult {
    Ok(Response::json(200, &call.api.presets.get(name(call))?.shown()).into())
}

/// `PUT /api/presets/{name}?from=OTHER`
pub(super) fn put(call: &ApiCall<'_>) -> RouteResult {
    let fields = JsonBody::parse(&call.request.body)?.into_fields()?;
    let from = call.head().query_value("from");
    Ok(Response::json(200, &call.api.presets.put(name(call), fields, from)?.shown()).into())
}

/// `DELETE /api/presets/{name}`
pub(super) fn remove(call: &ApiCall<'_>) -> RouteResult {
    call.api.presets.remove(name(call))?;
    Ok(Response::json(200, &json!({"status": "removed"})).into())
}

/// Returns the preset that a request names.
pub(super) fn named(body: &JsonBody) -> Option<String> {
    body.peek_text(PRESET).filter(|name| !name.is_empty())
}

/// Adds the fields of the preset that a request names, where the request omits them. A model or an argument of one CLI
/// has another meaning for another CLI, so the request must not name another one.
pub(super) fn apply(api: &Api, body: &mut JsonBody) -> Result<(), ApiError> {
    apply_but(api, body, &[])
}

/// Does the same for an attempt of a group, which already has a worktree and a first message.
pub(super) fn apply_to_attempt(api: &Api, body: &mut JsonBody) -> Result<(), ApiError> {
    apply_but(api, body, &["worktree", "initial_message"])
}

fn apply_but(api: &Api, body: &mut JsonBody, left_out: &[&str]) -> Result<(), ApiError> {
    let values: BTreeMap<String, String> = body.text_map("placeholders").into_iter().collect();
    let Some(name) = body.optional_text(PRESET).filter(|name| !name.is_empty()) else {
        if values.is_empty() {
            return Ok(());
        }
        return Err(ApiError::in_field("placeholders", "placeholders need a preset that has them"));
    };
    let preset = api.presets.get(&name).map_err(|error| ApiError::in_field(PRESET, error.to_string()))?;
    if let (Some(cli), Some(asked)) = (preset.cli(), body.peek_text("ai_cli_type"))
        && cli != asked
    {
        return Err(ApiError::in_field(PRESET, format!("the preset {name} is for {cli}, not for {asked}")));
    }
    let is_given = |field: &str| match field {
        // Variables are filled in one by one.
        "env" => false,
        // A null removes the preset's limit, as it does a worker's own.
        field if WorkerLimits::FIELDS.contains(&field) => body.has(field),
        field => body.has_value(field),
    };
    let filled = preset.fill(&values, |field| left_out.contains(&field) || is_given(field));
    body.fill_in(filled.map_err(|why| ApiError::in_field("placeholders", why))?);
    Ok(())
}

fn name<'c>(call: &ApiCall<'c>) -> &'c str {
    call.params.first().copied().unwrap_or_default()
}

impl From<PresetError> for ApiError {
    fn from(error: PresetError) -> Self {
        let text = error.to_string();
        match error {
            PresetError::Missing(_) => Self::Detail(404, text),
            PresetError::Invalid(_) => Self::bad_request(text),
            PresetError::File(_) => Self::Detail(409, text),
        }
    }
}
