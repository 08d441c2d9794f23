//! The whole text of one event of a worker's history.

use super::error::ApiError;
use super::{ApiCall, RouteResult};
use crate::http::Response;
use crate::worker::WorkerError;
use crate::worker::history::whole::{LINE_BYTES_MAX, Whole};

/// `GET /api/workers/{id}/messages/{seq}/text`
pub(super) fn text(call: &ApiCall<'_>) -> RouteResult {
    let worker = call.worker()?;
    let given = call.params.get(1).copied().unwrap_or_default();
    let Ok(seq) = given.parse::<u64>() else {
        let text = format!("Input should be the seq of an event, not {given:?}");
        return Err(ApiError::mistake("path", "seq", text, "int_parsing"));
    };
    // It needs as much memory and time as a search.
    let _running = call.api.searches.begin()?;
    match worker.archive().whole_text(seq, worker.views().end())? {
        Whole::Text(text) => Ok(Response::with_content(200, "text/plain; charset=utf-8", text.into_bytes()).into()),
        Whole::NoEvent => Err(WorkerError::NotFound(format!("no event {seq}")).into()),
        Whole::NotKept => {
            let text = format!("the rest of the text of event {seq} was not kept; raw has the line that it came from");
            Err(WorkerError::NotFound(text).into())
        }
        Whole::TooLong(bytes) => {
            let text = format!("event {seq} comes from a line of {bytes} bytes; at most {LINE_BYTES_MAX} are read");
            Err(WorkerError::TooLarge(text).into())
        }
    }
}
