//! Sessions that were started elsewhere.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::input::{number, page_limit};
use super::{ApiCall, RouteResult};
use crate::clock::Micros;
use crate::http::Response;

/// Default number of sessions of a page.
const PAGE_DEFAULT: usize = 50;
/// Maximum number of sessions of a page.
const PAGE_MAX: u64 = 500;

/// `GET /api/sessions?limit&before`: newest first; `before` is the `next` of the page before.
pub(super) fn list(call: &ApiCall<'_>) -> RouteResult {
    let limit = page_limit(call.head(), PAGE_MAX)?.unwrap_or(PAGE_DEFAULT);
    let before = number(call.head(), "before")?.map(Micros);
    let page = call.api.clis.sessions.list(before, limit);
    // Sessions that a worker already has are listed with its id: two processes on one session damage it.
    let workers: HashMap<String, String> = call
        .api
        .registry
        .all()
        .into_iter()
        .filter(|worker| worker.is_in(call.reach()))
        .filter_map(|worker| Some((worker.state().session_id.clone()?, worker.id().to_owned())))
        .collect();
    let listed: Vec<Value> = page
        .sessions
        .iter()
        .filter(|session| {
            let is_in = |path: &str| call.reach().covers_project(path);
            workers.contains_key(&session.session_id) || is_in(session.project_path.as_deref().unwrap_or_default())
        })
        .map(|session| {
            let mut listed = json!(session);
            if let (Some(fields), Some(worker)) = (listed.as_object_mut(), workers.get(&session.session_id)) {
                fields.insert("worker_id".to_owned(), json!(worker));
            }
            listed
        })
        .collect();
    Ok(Response::json(
        200,
        &json!({
            "sessions": listed,
            "has_more": page.has_more,
            "next": page.next.map(|next| next.0),
            "agents": page.agents,
        }),
    )
    .into())
}
