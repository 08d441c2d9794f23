//! Full text over all workers.

use super::error::ApiError;
use super::input::{page_cursor, page_limit};
use super::{ApiCall, RouteResult};
use crate::http::Response;
use crate::worker::history::search::{HitKey, KINDS, Query, search as search_journals};

/// Longest query, in characters.
const QUERY_CHARS_MAX: usize = 500;
/// Default number of results of a page.
const PAGE_DEFAULT: usize = 20;
/// Maximum number of results of a page.
const PAGE_MAX: u64 = 100;

/// `GET /api/search?q&worker_id&kind&limit&cursor`
pub(super) fn search(call: &ApiCall<'_>) -> RouteResult {
    let query = read(call)?;
    let workers = match call.head().query_value("worker_id") {
        Some(id) => vec![call.visible(id)?],
        None => call.workers(),
    };
    let _running = call.api.searches.begin()?;
    Ok(Response::json(
        200,
        &search_journals(&workers.iter().map(|worker| worker.searched()).collect::<Vec<_>>(), &query),
    )
    .into())
}

fn read(call: &ApiCall<'_>) -> Result<Query, ApiError> {
    let head = call.head();
    let mistake = |name: &str, text: String, kind| ApiError::mistake("query", name, text, kind);
    let text = head.query_value("q").ok_or_else(|| mistake("q", "Field required".to_owned(), "missing"))?;
    if !(1..=QUERY_CHARS_MAX).contains(&text.chars().count()) {
        let reported = format!("Input should have from 1 to {QUERY_CHARS_MAX} characters");
        return Err(mistake("q", reported, "value_error"));
    }
    let kinds = match head.query_value("kind") {
        None => KINDS.to_vec(),
        Some(kinds) => kinds.split(',').map(kind).collect::<Result<_, _>>()?,
    };
    let limit = page_limit(head, PAGE_MAX)?.unwrap_or(PAGE_DEFAULT);
    let before = page_cursor(head, HitKey::parse)?;
    Ok(Query { text: text.to_owned(), kinds, limit, before })
}

fn kind(name: &str) -> Result<&'static str, ApiError> {
    KINDS.into_iter().find(|kind| *kind == name).ok_or_else(|| {
        let reported = format!("Input should be of {}, not {name:?}", KINDS.join(", "));
        ApiError::mistake("query", "kind", reported, "enum")
    })
}
