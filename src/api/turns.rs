//! Turns with the files before and after each.

use serde_json::json;

use super::error::ApiError;
use super::{ApiCall, RouteResult};
use crate::http::Response;

/// `GET /api/workers/{id}/turns`: recent turns, and whether their files are recorded.
pub(super) fn list(call: &ApiCall<'_>) -> RouteResult {
    Ok(Response::json(200, &call.worker()?.turns()).into())
}

/// `GET /api/workers/{id}/file-history?path=src/main.rs`: the turns that have changed a file.
pub(super) fn file_history(call: &ApiCall<'_>) -> RouteResult {
    let Some(path) = call.head().query_value("path") else {
        return Err(ApiError::mistake("query", "path", "Field required", "missing"));
    };
    let steps = call.worker()?.file_history(path, &|| call.request.client.has_gone())?;
    Ok(Response::json(200, &json!({"steps": steps})).into())
}
