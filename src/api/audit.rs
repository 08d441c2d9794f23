//! The record of who has changed what.

use super::input::{number, page_limit};
use super::{ApiCall, RouteResult};
use crate::audit::AuditQuery;
use crate::http::Response;

/// Entries of a page when the client does not say.
const PAGE_DEFAULT: usize = 100;
/// Most entries of a page.
const PAGE_MAX: u64 = 1_000;

/// `GET /api/audit?limit&before&worker&who`: newest first; `before` is the `next` of the page before.
pub(super) fn list(call: &ApiCall<'_>) -> RouteResult {
    let head = call.head();
    let limit = page_limit(head, PAGE_MAX)?.unwrap_or(PAGE_DEFAULT);
    let text = |name| head.query_value(name).filter(|text| !text.is_empty()).map(str::to_owned);
    let query = AuditQuery { before: number(head, "before")?, worker: text("worker"), who: text("who"), limit };
    Ok(Response::json(200, &call.api.audit.page(&query)?).into())
}
