//! Creates a worker from an exported history.

use std::io::Read;

use super::{ApiCall, RouteResult};
use crate::http::Response;
use crate::worker::WorkerError;
use crate::worker::place::project;

/// `POST /api/import?project_path` with the lines of a JSONL export.
pub(super) fn import(call: &ApiCall<'_>, lines: &mut dyn Read) -> RouteResult {
    let api = call.api;
    let resolve = |ai_cli_type: &str, path: &str| {
        api.clis.adapters.get(ai_cli_type).map_err(|error| WorkerError::Invalid(error.to_string()))?;
        project::resolve(path, &api.settings.project_roots)
    };
    let worker = api.registry.import(lines, call.head().query_value("project_path"), &resolve)?;
    Ok(Response::json(201, &call.summary(&worker)).into())
}
