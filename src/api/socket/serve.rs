//! The life cycle of one WebSocket connection: greeting, commands of the client, and the end.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::commands;
use super::connection::{SocketClient, SocketConnection};
use crate::api::error::{ApiError, mistakes_in_words};
use crate::api::settings::SocketLimits;
use crate::http::UpgradedConnection;
use crate::hub::{FrameKind, Outbox};
use crate::metrics;
use crate::push::PageInView;
use crate::thread::Thread;
use crate::websocket::{CloseReason, ControlOut, Incoming, MessageReader, frame};
use crate::worker::Registry;
use crate::worker::history::cursor::Cursor;
use crate::worker::registry::listed::WorkerSelection;

/// Time that the end of a connection waits for the client to read the reason.
pub(in crate::api) const LINGER: Duration = Duration::from_secs(2);

/// The subject of a connection.
pub(super) enum ConnectionPurpose {
    /// `/ws`
    All {
        /// The workers of its list.
        selection: WorkerSelection,
    },
    /// `/ws/{id}`
    Worker {
        /// The worker's id.
        id: String,
        /// The last event that the client has.
        since: Option<Cursor>,
        /// The kind of frames that it requests.
        kind: FrameKind,
    },
}

/// The protocol's own replies, such as pongs, sent through the outbox of a connection.
pub(in crate::api) struct ControlFrames(pub(in crate::api) Arc<Outbox>);

impl ControlOut for ControlFrames {
    fn frame(&self, bytes: &[u8]) {
        self.0.reply(bytes);
    }

    fn close(&self, bytes: &[u8]) {
        self.0.finish_with(bytes);
    }
}

/// Serves a connection until it ends. Runs on the connection's thread.
pub(super) fn run(
    upgraded: UpgradedConnection,
    wanted: ConnectionPurpose,
    client: SocketClient,
    (registry, page): (Arc<Registry>, PageInView),
    limits: &SocketLimits,
) {
    let UpgradedConnection { stream, early } = upgraded;
    let _counted = metrics::WEBSOCKETS.hold();
    if let Err(error) = stream.set_write_timeout(Some(limits.write_time)) {
        log::debug!("a WebSocket has no write time-out: {error}");
        return;
    }
    let outbox = Arc::new(Outbox::new(Arc::clone(&stream), limits.queue_bytes));
    let writing = Arc::clone(&outbox);
    let writer = match Thread::spawn("ws-writer", move || writing.run_writer()) {
        Ok(writer) => writer,
        Err(error) => return log::error!("no thread for a WebSocket: {error}"),
    };
    let mut reader = MessageReader::new(stream, early, Box::new(ControlFrames(Arc::clone(&outbox))), limits.reader());
    let mut connection = SocketConnection::new(outbox, client, registry, page);
    let stays = begin(&mut connection, wanted);
    let reason = if stays { read(&mut connection, &mut reader) } else { CloseReason::Refused(1000, String::new()) };
    connection.end(&reason);
    // It writes the queued frames, at most for the write time-out.
    drop(writer);
    if matches!(reason, CloseReason::Refused(..)) {
        reader.linger(LINGER);
    }
}

/// Greets the client; returns whether the connection stays open.
fn begin(connection: &mut SocketConnection, wanted: ConnectionPurpose) -> bool {
    let (id, since, kind) = match wanted {
        ConnectionPurpose::All { selection } => {
            connection.join_feed(selection);
            return true;
        }
        ConnectionPurpose::Worker { id, since, kind } => (id, since, kind),
    };
    let worker = match connection.visible(&id) {
        Ok(worker) => worker,
        Err(_) => {
            connection.send(&json!({"type": "error", "content": format!("Worker not found: {id}")}));
            let mut close = Vec::new();
            frame::encode_close(&mut close, 1000, "");
            connection.outbox.finish_with(&close);
            return false;
        }
    };
    let state = worker.state();
    connection.send(&json!({
        "type": "connected",
        "worker_id": id,
        "worker_name": state.name,
        "ai_cli_type": state.ai_cli_type,
    }));
    if let Err(error) = connection.subscribe(&worker, since, kind, since.is_some()) {
        connection.send(&error_frame(&error));
    }
    connection.worker = Some(worker);
    true
}

fn read(connection: &mut SocketConnection, reader: &mut MessageReader) -> CloseReason {
    loop {
        match reader.next(None) {
            Incoming::Text(text) => take(connection, &text),
            Incoming::Binary => connection.send(&json!({"type": "error", "content": "send text frames with JSON"})),
            Incoming::Tick => {}
            Incoming::Closed(reason) => return reason,
        }
    }
}

fn take(connection: &mut SocketConnection, text: &str) {
    let message: Value = match serde_json::from_str(text) {
        Ok(message @ Value::Object(_)) => message,
        Ok(_) => return connection.send(&json!({"type": "error", "content": "a frame must be a JSON object"})),
        Err(error) => {
            return connection.send(&json!({"type": "error", "content": format!("a frame must be JSON: {error}")}));
        }
    };
    let reference = message.get("ref").filter(|reference| !reference.is_null()).cloned();
    match commands::run(connection, message) {
        Ok(Some(answer)) => connection.send(&with_reference(answer, reference)),
        Ok(None) => {
            if let Some(reference) = reference {
                connection.send(&json!({"type": "ack", "ref": reference}));
            }
        }
        Err(error) => connection.send(&with_reference(error_frame(&error), reference)),
    }
}

fn with_reference(mut answer: Value, reference: Option<Value>) -> Value {
    if let (Some(fields), Some(reference)) = (answer.as_object_mut(), reference) {
        fields.insert("ref".to_owned(), reference);
    }
    answer
}

/// An `error` frame: `content` for people, `status` and `code` as in REST, and `answer` if there is more to say.
fn error_frame(error: &ApiError) -> Value {
    let response = error.response();
    let body: Value = serde_json::from_slice(response.content().bytes()).unwrap_or_default();
    let detail = body.get("detail").cloned().unwrap_or_default();
    let content = match &detail {
        Value::String(text) => text.clone(),
        mistakes => mistakes_in_words(mistakes),
    };
    let code = body.get("code").cloned().unwrap_or_default();
    let mut frame = json!({"type": "error", "content": content, "status": response.status(), "code": code});
    if let (Some(fields), Some(answer)) = (frame.as_object_mut(), body.get("answer")) {
        fields.insert("answer".to_owned(), answer.clone());
    }
    frame
}
