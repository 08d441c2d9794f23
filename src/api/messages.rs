//! Messages: history, new ones, and the queue.

use serde_json::{Value, json};

use super::error::ApiError;
use super::input::{JsonBody, blocks, cursor, page_limit};
use super::{ApiCall, RouteResult, recall};
use crate::clock::Micros;
use crate::http::Response;
use crate::worker::history::archive::Selection;
use crate::worker::history::page;
use crate::worker::state::SettledMessage;
use crate::worker::{NewMessage, Worker};

/// Default number of events of a page.
const PAGE_DEFAULT: usize = 50;
/// Maximum number of events of a page.
const PAGE_MAX: u64 = 1_000;

/// `GET /api/workers/{id}/messages?since&before&at&limit&types&blocks`
pub(super) fn list(call: &ApiCall<'_>) -> RouteResult {
    let worker = call.worker()?;
    let since = cursor(call.head(), "since")?;
    let before = cursor(call.head(), "before")?;
    let limit = page_limit(call.head(), PAGE_MAX)?.unwrap_or(PAGE_DEFAULT);
    let types: Option<Vec<&str>> = call.head().query_value("types").map(|types| types.split(',').collect());
    let filter = |name: &str| match &types {
        None => page::is_message(name),
        Some(types) => types.contains(&"all") || types.contains(&name),
    };
    let selection = Selection { limit, filter: &filter, blocks: blocks(call.head())? };
    // Read once, so that every event that is not in the page comes after its cursor.
    let place = worker.views().place();
    let (archive, end) = (worker.archive(), place.end);
    let until = before.map_or(end, |before| before.seq.min(end));
    let (page, is_lost) = match since {
        Some(since) => {
            let after = |from| archive.page_after(from, until, &selection);
            let found = archive.holds(since, end)?.then(|| after(since.seq.saturating_add(1))).transpose()?;
            match found.filter(|page| !page.is_lost) {
                Some(page) => (page, false),
                None => (after(0)?, true),
            }
        }
        None => match before.filter(|before| before.seq < end) {
            Some(before) if !archive.holds(before, end)? => (archive.page_before(end, &selection)?, true),
            _ => (archive.page_before(until, &selection)?, false),
        },
    };
    Ok(Response::with_content(200, "application/json", page::page_json(&page, place, is_lost)).into())
}

/// `POST /api/workers/{id}/messages`
pub(super) fn post(call: &ApiCall<'_>) -> RouteResult {
    let worker = call.worker()?;
    let mut body = JsonBody::parse(&call.request.body)?;
    let message = read(&mut body);
    body.finish()?;
    let message = with_history(&worker, message)?;
    let settled = call.api.registry.post_message(&worker, message)?;
    Ok(Response::json(202, &taken(&worker, &settled)).into())
}

/// The response to an accepted message.
pub(super) fn taken(worker: &Worker, settled: &SettledMessage) -> Value {
    let mut answer = json!({
        "message_id": settled.message_id,
        "client_message_id": settled.client_message_id,
        "seq": settled.seq,
        "state": settled.state,
    });
    if settled.state == "queued"
        && let Some(budget) = worker.held_by_budget()
    {
        answer["held_by_budget"] = json!(budget);
    }
    answer
}

/// Parses a message from REST or a WebSocket.
pub(super) fn read(body: &mut JsonBody) -> NewMessage {
    NewMessage {
        content: body.text("content"),
        attachments: body.attachments(),
        client_message_id: body.optional_text("client_message_id").filter(|id| !id.is_empty()),
        steer: body.flag("steer"),
        with_history: body.flag("with_history"),
        ..NewMessage::default()
    }
}

/// Puts the conversation so far before a message that requests it.
pub(super) fn with_history(worker: &Worker, message: NewMessage) -> Result<NewMessage, ApiError> {
    if !message.with_history || message.content.trim().is_empty() {
        return Ok(message);
    }
    let content = recall::with_history(worker, &message.content)?;
    Ok(message.extended(content))
}

/// `GET /api/workers/{id}/queue`
pub(super) fn queue(call: &ApiCall<'_>) -> RouteResult {
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
pub(super) fn empty_queue(call: &ApiCall<'_>) -> RouteResult {
    let worker = call.worker()?;
    let mut removed = 0;
    for message in &worker.state().queue {
        // A message that was just delivered is not removed.
        if worker.remove_message(&message.message_id).is_ok() {
            removed += 1;
        }
    }
    Ok(Response::json(200, &json!({"status": "emptied", "removed": removed})).into())
}

/// `PATCH /api/workers/{id}/queue/{message_id}`
pub(super) fn edit(call: &ApiCall<'_>) -> RouteResult {
    let worker = call.worker()?;
    let mut body = JsonBody::parse(&call.request.body)?;
    let content = body.text("content");
    body.finish()?;
    worker.edit_message(call.params.get(1).copied().unwrap_or_default(), &content)?;
    Ok(Response::json(200, &json!({"status": "edited"})).into())
}

/// `DELETE /api/workers/{id}/queue/{message_id}`
pub(super) fn remove(call: &ApiCall<'_>) -> RouteResult {
    call.worker()?.remove_message(call.params.get(1).copied().unwrap_or_default())?;
    Ok(Response::json(200, &json!({"status": "removed"})).into())
}
