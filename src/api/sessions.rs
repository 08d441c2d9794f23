//! Sessions that were started elsewhere.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::error::ApiError;
use super::input::number;
use super::{Call, Handled};
use crate::clock::Micros;
use crate::http::Response;

/// Sessions of a page when the client does not say.
const PAGE_DEFAULT: usize = 50;
/// Most sessions of a page.
const PAGE_MAX: u64 = 500;

/// `GET /api/sessions?limit&before`: newest first; `before` is the `next` of the page before.
pub(super) fn list(call: &Call<'_>) -> Handled {
    let limit = match number(call.head(), "limit")? {
        None => PAGE_DEFAULT,
        Some(limit @ 1..=PAGE_MAX) => limit as usize,
        Some(limit) => {
            let text = format!("Input should be from 1 to {PAGE_MAX}, not {limit}");
            return Err(ApiError::mistake("query", "limit", text, "value_error"));
        }
    };
    let before = number(call.head(), "before")?.map(Micros);
    let page = call.api.clis.sessions.list(before, limit);
    // Those that a worker has already are told with it: two processes on one session do each other harm.
    let workers: HashMap<String, String> = call
        .api
        .registry
        .all()
        .into_iter()
        .filter_map(|worker| Some((worker.state().session_id.clone()?, worker.id().to_owned())))
        .collect();
    let listed: Vec<Value> = page
        .sessions
        .iter()
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
