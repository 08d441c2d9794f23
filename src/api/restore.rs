//! Restores of files to what they were before a turn, and discarded changes.

use serde_json::Value;

use super::error::ApiError;
use super::input::JsonBody;
use super::{ApiCall, RouteResult};
use crate::http::Response;
use crate::worker::run::restore::{DiscardTo, SeenHunk};

/// `GET /api/workers/{id}/restore?turn=ID&file=src`: a dry run. Changes nothing.
pub(super) fn preview(call: &ApiCall<'_>) -> RouteResult {
    let Some(turn) = call.head().query_value("turn") else {
        return Err(ApiError::mistake("query", "turn", "Field required", "missing"));
    };
    let files: Vec<String> = call.head().query_value("file").map(str::to_owned).into_iter().collect();
    let shown = call.worker()?.preview_restore(turn, &files, &|| call.request.client.has_gone())?;
    Ok(Response::json(200, &shown).into())
}

/// `POST /api/workers/{id}/restore` with `{"turn", "files"}`
pub(super) fn restore(call: &ApiCall<'_>) -> RouteResult {
    let worker = call.worker()?;
    let mut body = JsonBody::parse(&call.request.body)?;
    let (turn, files) = (body.text("turn"), body.texts("files"));
    body.finish()?;
    Ok(Response::json(200, &worker.restore(&turn, &files)?).into())
}

/// `POST /api/workers/{id}/discard` with `{"file", "scope", "hunk": {"header", "hash"}}`
pub(super) fn discard(call: &ApiCall<'_>) -> RouteResult {
    let worker = call.worker()?;
    let mut body = JsonBody::parse(&call.request.body)?;
    let (file, scope, hunk) = (body.text("file"), body.optional_text("scope"), body.value("hunk"));
    let to = match scope.as_deref() {
        None | Some("head" | "uncommitted") => DiscardTo::Head,
        Some("base") => DiscardTo::Base,
        Some(_) => {
            body.mistake("scope", "Input should be 'head', 'uncommitted' or 'base'", "literal_error");
            DiscardTo::Head
        }
    };
    let hunk = match hunk {
        None | Some(Value::Null) => None,
        Some(Value::Object(fields)) => {
            let mut hunk = JsonBody::of(fields);
            let found = SeenHunk { header: hunk.text("header"), hash: hunk.optional_text("hash") };
            body.take_mistakes("hunk", hunk);
            Some(found)
        }
        Some(_) => {
            body.mistake("hunk", "Input should be an object", "model_attributes_type");
            None
        }
    };
    body.finish()?;
    Ok(Response::json(200, &worker.discard(&file, to, hunk.as_ref())?).into())
}
