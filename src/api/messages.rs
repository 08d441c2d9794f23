//! Messages: history, new ones, and those that wait.

use serde_json::json;

use super::error::ApiError;
use super::input::{Body, number};
use super::{Call, Handled};
use crate::clock::Micros;
use crate::http::Response;
use crate::worker::NewMessage;
use crate::worker::history;

/// Events of a page when the client does not say.
const PAGE_DEFAULT: usize = 50;
/// Most events of a page.
const PAGE_MAX: u64 = 1_000;

/// `GET /api/workers/{id}/messages?since&before&limit&types`
pub(super) fn list(call: &Call<'_>) -> Handled {
    let worker = call.worker()?;
    let since = number(call.head(), "since")?;
    let before = number(call.head(), "before")?;
    let limit = match number(call.head(), "limit")? {
        None => PAGE_DEFAULT,
        Some(limit @ 1..=PAGE_MAX) => limit as usize,
        Some(limit) => {
            let text = format!("Input should be from 1 to {PAGE_MAX}, not {limit}");
            return Err(ApiError::mistake("query", "limit", text, "value_error"));
        }
    };
    let types: Option<Vec<&str>> = call.head().query_value("types").map(|types| types.split(',').collect());
    let filter = |name: &str| match &types {
        None => history::is_message(name),
        Some(types) => types.contains(&"all") || types.contains(&name),
    };
    let end = worker.views().end();
    let page = match since {
        Some(since) => worker.archive().page_after(
            since.saturating_add(1).min(end),
            before.unwrap_or(end).min(end),
            limit,
            &filter,
        )?,
        None => worker.archive().page_before(before.unwrap_or(end).min(end), limit, &filter)?,
    };
    Ok(Response::with_content(200, "application/json", history::page_json(&page, worker.views().end())).into())
}

/// `POST /api/workers/{id}/messages`
pub(super) fn post(call: &Call<'_>) -> Handled {
    let worker = call.worker()?;
    let mut body = Body::parse(&call.request.body)?;
    let message = NewMessage {
        content: body.text("content"),
        attachments: body.attachments(),
        client_message_id: body.optional_text("client_message_id"),
        steer: body.flag("steer"),
    };
    body.finish()?;
    let settled = call.api.registry.post_message(&worker, message)?;
    let answer = json!({
        "message_id": settled.message_id,
        "client_message_id": settled.client_message_id,
        "seq": settled.seq,
        "state": settled.state,
    });
    Ok(Response::json(202, &answer).into())
}

/// `GET /api/workers/{id}/queue`
pub(super) fn queue(call: &Call<'_>) -> Handled {
    let state = call.worker()?.state();
    let queue: Vec<_> = state
        .queue
        .iter()
        .map(|message| {
            json!({
                "message_id": message.message_id,
                "client_message_id": message.client_message_id,
                "content": message.content,
                "attachments": message.attachments,
                "seq": message.seq,
                "timestamp": Micros(message.time),
                "state": "queued",
            })
        })
        .collect();
    Ok(Response::json(200, &json!({"queue": queue})).into())
}

/// `DELETE /api/workers/{id}/queue`
pub(super) fn empty_queue(call: &Call<'_>) -> Handled {
    let worker = call.worker()?;
    let mut removed = 0;
    for message in &worker.state().queue {
        // One that has just gone to the CLI is not taken back.
        if worker.remove_message(&message.message_id).is_ok() {
            removed += 1;
        }
    }
    Ok(Response::json(200, &json!({"status": "emptied", "removed": removed})).into())
}

/// `PATCH /api/workers/{id}/queue/{message_id}`
pub(super) fn edit(call: &Call<'_>) -> Handled {
    let worker = call.worker()?;
    let mut body = Body::parse(&call.request.body)?;
    let content = body.text("content");
    body.finish()?;
    worker.edit_message(call.params.get(1).copied().unwrap_or_default(), &content)?;
    Ok(Response::json(200, &json!({"status": "edited"})).into())
}

/// `DELETE /api/workers/{id}/queue/{message_id}`
pub(super) fn remove(call: &Call<'_>) -> Handled {
    call.worker()?.remove_message(call.params.get(1).copied().unwrap_or_default())?;
    Ok(Response::json(200, &json!({"status": "removed"})).into())
}
