//! A worker from an exported history.

use super::error::ApiError;
use super::{Call, Handled};
use crate::http::Response;
use crate::journal::Control;
use crate::worker::import::Import;
use crate::worker::project;

/// `POST /api/import?project_path` with the lines of a JSONL export.
pub(super) fn import(call: &Call<'_>) -> Handled {
    let api = call.api;
    let import = Import::parse(&call.request.body)?;
    let Control::Created { project_path, ai_cli_type, .. } = &import.created else {
        return Err(ApiError::bad_request("the first record is not the making of a worker"));
    };
    api.adapters.get(ai_cli_type).map_err(|error| ApiError::bad_request(error.to_string()))?;
    let path = call.head().query_value("project_path").unwrap_or(project_path);
    let path = project::resolve(path, &api.project_roots)?;
    let worker = api.registry.import(&import, path)?;
    Ok(Response::json(201, &worker.summary()).into())
}
