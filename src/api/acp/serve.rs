//! The life cycle of one connection.

use std::sync::Arc;

use super::connection::AcpConnection;
use super::shared::Binding;
use super::stream::SessionStream;
use super::view::SharedParts;
use super::{methods, rpc};
use crate::api::call::Api;
use crate::api::socket::{ControlFrames, LINGER};
use crate::http::{Request, UpgradedConnection};
use crate::hub::Outbox;
use crate::metrics;
use crate::thread::Thread;
use crate::websocket::{CloseReason, Incoming, MessageReader, ReaderLimits, frame};

/// The close code for a connection that does not begin with `initialize`.
const PROTOCOL_BROKEN: u16 = 1002;

/// Serves a connection until it ends. Runs on the connection's thread.
pub(super) fn run(upgraded: UpgradedConnection, api: Arc<Api>, opened_by: Request, binding: Binding) {
    let UpgradedConnection { stream, early } = upgraded;
    let _counted = metrics::WEBSOCKETS.hold();
    let limits = api.settings.sockets.clone();
    if let Err(error) = stream.set_write_timeout(Some(limits.write_time)) {
        log::debug!("a WebSocket has no write time-out: {error}");
        return;
    }
    let shared = SharedParts::default();
    let translator = Box::new(SessionStream::new(Arc::clone(&shared)));
    let outbox = Arc::new(Outbox::translated(Arc::clone(&stream), limits.queue_bytes, translator));
    let writing = Arc::clone(&outbox);
    let writer = match Thread::spawn("acp-writer", move || writing.run_writer()) {
        Ok(writer) => writer,
        Err(error) => return log::error!("no thread for a WebSocket: {error}"),
    };
    // A prompt may be as long as a message.
    let message_bytes = limits.message_bytes.max(api.settings.body_bytes_max);
    let reader_limits = ReaderLimits { message_bytes, ..limits.reader() };
    let mut reader = MessageReader::new(stream, early, Box::new(ControlFrames(Arc::clone(&outbox))), reader_limits);
    let connection = Arc::new(AcpConnection::new(api, opened_by, outbox, shared, binding));
    let reason = read(&connection, &mut reader);
    connection.end(&reason);
    // It writes the queued frames, at most for the write time-out.
    drop(writer);
    if matches!(reason, CloseReason::Refused(..)) {
        reader.linger(LINGER);
    }
}

fn read(connection: &Arc<AcpConnection>, reader: &mut MessageReader) -> CloseReason {
    loop {
        match reader.next(None) {
            Incoming::Text(text) if methods::take(connection, &text) => {}
            Incoming::Text(_) => {
                let reason = "the first frame must be initialize".to_owned();
                let mut close = Vec::new();
                frame::encode_close(&mut close, PROTOCOL_BROKEN, &reason);
                connection.outbox.finish_with(&close);
                return CloseReason::Refused(PROTOCOL_BROKEN, reason);
            }
            Incoming::Binary => {
                let error = rpc::RpcError::new(rpc::INVALID_REQUEST, "send text frames");
                connection.respond(&serde_json::Value::Null, &Err(error));
            }
            Incoming::Tick => {}
            Incoming::Closed(reason) => return reason,
        }
    }
}
