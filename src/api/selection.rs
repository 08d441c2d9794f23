//! The workers of a list, as a query says.

use super::error::ApiError;
use super::input::{page_cursor, page_limit};
use crate::http::Head;
use crate::worker::registry::listed::{ListPlace, WorkerSelection};
use crate::worker::state::status::Status;

/// Most workers of one page.
const LIMIT_MAX: u64 = 1_000;

/// Reads `limit`, `cursor`, `status` and `project`.
pub(super) fn selection(head: &Head) -> Result<WorkerSelection, ApiError> {
    let mistake = |name: &str, text: String, kind| ApiError::mistake("query", name, text, kind);
    let limit = page_limit(head, LIMIT_MAX)?;
    let after = page_cursor(head, ListPlace::parse)?;
    let statuses = match head.query_value("status") {
        None => Vec::new(),
        Some(names) => names.split(',').map(status).collect::<Result<_, _>>()?,
    };
    let project = match head.query_value("project") {
        None => None,
        Some(path) if path.starts_with('/') => Some(path.into()),
        Some(path) => {
            let reported = format!("Input should be an absolute path, not {path:?}");
            return Err(mistake("project", reported, "value_error"));
        }
    };
    Ok(WorkerSelection { statuses, project, after, limit })
}

fn status(name: &str) -> Result<Status, ApiError> {
    Status::ALL.into_iter().find(|status| status.as_str() == name).ok_or_else(|| {
        let names = Status::ALL.map(Status::as_str).join(", ");
        ApiError::mistake("query", "status", format!("Input should be of {names}, not {name:?}"), "enum")
    })
}
