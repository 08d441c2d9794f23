//! Comments on an agent's changes, the message that sends them, and marks of viewed files.

use serde_json::json;

use super::input::JsonBody;
use super::{ApiCall, RouteResult, messages};
use crate::http::Response;
use crate::journal::ReviewSide;
use crate::worker::place::look::DiffScope;
use crate::worker::run::review::{CLIENT_ID_CHARS_MAX, CommentChange, FILE_CHARS_MAX, NewComment, TEXT_CHARS_MAX};

/// Shortest and longest hash of a file's content, in hex.
const HASH_CHARS: [usize; 2] = [40, 64];

/// `GET /api/workers/{id}/review`
pub(super) fn list(call: &ApiCall<'_>) -> RouteResult {
    let review = call.worker()?.review(&|| call.request.client.has_gone());
    Ok(Response::json(200, &review).into())
}

/// `POST /api/workers/{id}/review`: adds a comment, which stays a draft until it is sent.
pub(super) fn add(call: &ApiCall<'_>) -> RouteResult {
    let worker = call.worker()?;
    let mut body = JsonBody::parse(&call.request.body)?;
    let file = body.optional_text("file");
    bounded(&mut body, "file", file.as_deref(), FILE_CHARS_MAX);
    let side = match body.optional_text("side").as_deref() {
        None | Some("new") => ReviewSide::New,
        Some("old") => ReviewSide::Old,
        Some(_) => {
            body.mistake("side", "Input should be old or new", "enum");
            ReviewSide::New
        }
    };
    let (start, end) = (body.optional_count("start"), body.optional_count("end"));
    let lines = match (start, end.or(start)) {
        (Some(start), Some(end)) if start <= end && file.is_some() => Some((start, end)),
        (Some(_), _) if file.is_none() => {
            body.mistake("file", "Field required with start", "missing");
            None
        }
        (Some(_), _) => {
            body.mistake("end", "Input should not be less than start", "value_error");
            None
        }
        (None, Some(_)) => {
            body.mistake("start", "Field required with end", "missing");
            None
        }
        (None, None) => None,
    };
    let text = words(&mut body);
    let suggestion = body.optional_text("suggestion").filter(|lines| !lines.is_empty());
    bounded(&mut body, "suggestion", suggestion.as_deref(), TEXT_CHARS_MAX);
    let client_comment_id = body.optional_text("client_comment_id").filter(|id| !id.is_empty());
    bounded(&mut body, "client_comment_id", client_comment_id.as_deref(), CLIENT_ID_CHARS_MAX);
    let quoted = body.texts("quoted");
    let (name, commit, turn) = (body.optional_text("scope"), body.optional_text("commit"), body.optional_text("turn"));
    let scope =
        DiffScope::parse(name.as_deref(), commit.as_deref(), turn.as_deref()).unwrap_or_else(|(field, text)| {
            body.mistake(field, &text, "value_error");
            DiffScope::Base
        });
    body.finish()?;
    let new = NewComment { file, side, lines, quoted, text, suggestion, scope, client_comment_id };
    let comment = worker.add_comment(new, &|| call.request.client.has_gone())?;
    Ok(Response::json(201, &comment).into())
}

/// `PATCH /api/workers/{id}/review/{comment}`: changes its text, suggestion or state.
pub(super) fn edit(call: &ApiCall<'_>) -> RouteResult {
    let worker = call.worker()?;
    let mut body = JsonBody::parse(&call.request.body)?;
    let text = body.has("text").then(|| words(&mut body));
    let suggestion = body.has("suggestion").then(|| body.optional_text("suggestion").unwrap_or_default());
    bounded(&mut body, "suggestion", suggestion.as_deref(), TEXT_CHARS_MAX);
    let resolved = match body.optional_text("state").as_deref() {
        None => None,
        Some("resolved") => Some(true),
        Some("draft") => Some(false),
        Some(_) => {
            body.mistake("state", "Input should be resolved or draft", "enum");
            None
        }
    };
    body.finish()?;
    let change = CommentChange { text, suggestion, resolved };
    let comment = worker.edit_comment(comment_id(call), change, &|| call.request.client.has_gone())?;
    Ok(Response::json(200, &comment).into())
}

/// `DELETE /api/workers/{id}/review/{comment}`
pub(super) fn delete(call: &ApiCall<'_>) -> RouteResult {
    call.worker()?.delete_comment(comment_id(call))?;
    Ok(Response::json(200, &json!({"status": "deleted"})).into())
}

/// `POST /api/workers/{id}/review/send`: sends all drafts, or the named ones, as one message.
pub(super) fn send(call: &ApiCall<'_>) -> RouteResult {
    let worker = call.worker()?;
    let mut body = JsonBody::parse_optional(&call.request.body)?;
    let comments = body.has("comments").then(|| body.texts("comments")).filter(|comments| !comments.is_empty());
    let text = body.optional_text("text").filter(|text| !text.trim().is_empty());
    bounded(&mut body, "text", text.as_deref(), TEXT_CHARS_MAX);
    let client_message_id = body.optional_text("client_message_id").filter(|id| !id.is_empty());
    body.finish()?;
    let gone = || call.request.client.has_gone();
    let registry = &call.api.registry;
    let settled = registry.send_review(&worker, comments.as_deref(), text.as_deref(), client_message_id, &gone)?;
    Ok(Response::json(202, &messages::taken(&worker, &settled)).into())
}

/// `PUT /api/workers/{id}/review/viewed`: marks a file's content as viewed, or removes the mark.
pub(super) fn mark_viewed(call: &ApiCall<'_>) -> RouteResult {
    let worker = call.worker()?;
    let mut body = JsonBody::parse(&call.request.body)?;
    let file = body.text("file");
    bounded(&mut body, "file", Some(&file), FILE_CHARS_MAX);
    let hash = body.text("hash");
    let is_hash = HASH_CHARS.contains(&hash.len()) && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hash && !body.has_mistakes() {
        body.mistake("hash", "Input should be a file's new_hash, or its old_hash if it was deleted", "value_error");
    }
    let viewed = body.optional_flag("viewed").unwrap_or(true);
    body.finish()?;
    worker.mark_viewed(file, hash.to_ascii_lowercase(), viewed)?;
    Ok(Response::json(200, &json!({"status": if viewed { "viewed" } else { "not viewed" }})).into())
}

fn comment_id<'c>(call: &'c ApiCall<'_>) -> &'c str {
    call.params.get(1).copied().unwrap_or_default()
}

/// Parses the text of a comment, which must not be blank.
fn words(body: &mut JsonBody) -> String {
    let text = body.text("text");
    if text.trim().is_empty() && !body.has_mistakes() {
        body.mistake("text", "Input should not be blank", "value_error");
    }
    bounded(body, "text", Some(&text), TEXT_CHARS_MAX);
    text
}

fn bounded(body: &mut JsonBody, name: &str, text: Option<&str>, most: usize) {
    if text.is_some_and(|text| text.chars().count() > most) {
        body.mistake(name, &format!("Input should have at most {most} characters"), "string_too_long");
    }
}
