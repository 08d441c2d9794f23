//! A worker's stream as Server-Sent Events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>), with the
//! same cursor guarantee as the WebSocket.
//!
//! The thread of the connection reads the journal whenever the worker's topic has news: its state is a cursor, and a
//! slow client delays only itself.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use super::error::ApiError;
use super::input::{blocks, cursor};
use super::{ApiCall, RouteResult};
use crate::http::{Reply, Response};
use crate::metrics;
use crate::wire::{self, Output};
use crate::worker::Worker;
use crate::worker::history::blocks::{BlockScope, Blocks};
use crate::worker::history::cursor::Cursor;
use crate::worker::history::walk::Walk;

/// Interval of the comments that keep the connection alive.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// `GET /api/workers/{id}/events?since&at&blocks`; honors `Last-Event-ID`
pub(super) fn stream(call: &ApiCall<'_>) -> RouteResult {
    let worker = call.worker()?;
    let asked = cursor(call.head(), "since")?;
    let since = match call.head().header("last-event-id") {
        Some(id) => Some(Cursor::parse_id(id.trim()).ok_or_else(|| {
            let text = format!("Input should be the id of an event, not {id:?}");
            ApiError::mistake("header", "last-event-id", text, "int_parsing")
        })?),
        None => asked,
    };
    let scope = blocks(call.head())?;
    let response = Response::new(200)
        .with_header("Content-Type", "text/event-stream")
        .with_header("Cache-Control", "no-store")
        // Makes nginx forward each event at once.
        .with_header("X-Accel-Buffering", "no");
    Ok(Reply::Stream(response, Box::new(move |out| write_events(&worker, since, scope, out))))
}

fn write_events(worker: &Arc<Worker>, since: Option<Cursor>, scope: BlockScope, out: &mut dyn Write) -> io::Result<()> {
    let _counted = metrics::EVENT_STREAMS.hold();
    let end = worker.topic().end();
    let mut from = match since {
        Some(since) if worker.archive().holds(since, end)? => since.seq.saturating_add(1),
        Some(_) => resync(worker, out)?,
        None => end,
    };
    out.flush()?;
    let mut walk = worker.archive().walk_after(from)?;
    let blocks = worker.archive().blocks();
    while let Some(until) = worker.topic().wait_past(from, KEEP_ALIVE) {
        if until <= from {
            out.write_all(b": keep-alive\n\n")?;
            out.flush()?;
            continue;
        }
        write_up_to(worker, &mut walk, until, (&blocks, scope), out)?;
        from = until;
    }
    Ok(())
}

/// Reports an invalid cursor; returns the offset at which the stream restarts.
fn resync(worker: &Worker, out: &mut dyn Write) -> io::Result<u64> {
    let earliest = worker.archive().start()?;
    let data = serde_json::json!({"type": "resync_required", "worker_id": worker.id(), "earliest_seq": earliest});
    write!(out, "event: resync_required\ndata: {data}\n\n")?;
    Ok(earliest)
}

/// Writes the events before the offset `until` that were not written yet.
fn write_up_to(
    worker: &Worker,
    walk: &mut Walk,
    until: u64,
    (blocks, scope): (&Blocks, BlockScope),
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut before = None;
    loop {
        let mut bytes = Vec::new();
        let reached = walk.step(until, &mut |walked| {
            bytes.extend_from_slice(format!("id: {}.{}\ndata: ", walked.seq, walked.output.time.0).as_bytes());
            let blocks = blocks.of(walked, scope);
            wire::append_output(&mut bytes, worker.id(), &Output { more: blocks.as_deref(), ..walked.output });
            bytes.extend_from_slice(b"\n\n");
        })?;
        out.write_all(&bytes)?;
        if walk.is_lost() {
            *walk = worker.archive().walk(resync(worker, out)?)?;
        }
        out.flush()?;
        if reached >= until {
            return Ok(());
        }
        if before.replace(reached) == Some(reached) {
            return Err(io::Error::other("the journal is shorter than it was"));
        }
    }
}
