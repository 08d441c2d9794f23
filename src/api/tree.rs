//! The folders of a worker's project, read-only.

use super::{ApiCall, RouteResult};
use crate::http::Response;

/// `GET /api/workers/{id}/tree?path=src`: the entries of a folder of the project.
pub(super) fn list(call: &ApiCall<'_>) -> RouteResult {
    let path = call.head().query_value("path").unwrap_or_default();
    let listed = call.worker()?.list_folder(path)?;
    Ok(Response::json(200, &listed).into())
}
