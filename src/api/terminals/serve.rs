//! One WebSocket of a terminal: forwards lines of JSON between the client and the terminal's process.
//!
//! The process sends an update when the client has acknowledged the previous ones, so nothing is queued here.

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::api::settings::SocketLimits;
use crate::api::socket::{ControlFrames, LINGER};
use crate::http::UpgradedConnection;
use crate::hub::Outbox;
use crate::metrics;
use crate::terminal::REQUEST_BYTES_MAX;
use crate::thread::Thread;
use crate::websocket::{CloseReason, Incoming, MessageReader, ReaderLimits, frame};
use crate::wire;

/// Time for which a terminal may accept no input, because its program does not read.
const INPUT_TIME: Duration = Duration::from_secs(10);
/// Longest line of a terminal's process, in bytes: more than the largest screen with a color for every cell.
const LINE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// The beginning of the last line of a terminal.
const ENDED: &[u8] = b"{\"type\":\"ended\"";

/// Serves a connection until it ends. Runs on the connection's thread.
pub(super) fn run(upgraded: UpgradedConnection, terminal: UnixStream, limits: &SocketLimits) {
    let UpgradedConnection { stream, early } = upgraded;
    let _counted = metrics::WEBSOCKETS.hold();
    let prepared = stream
        .set_write_timeout(Some(limits.write_time))
        .and_then(|()| terminal.set_write_timeout(Some(INPUT_TIME)))
        .and_then(|()| terminal.try_clone());
    let answers = match prepared {
        Ok(answers) => answers,
        Err(error) => return log::debug!("a WebSocket of a terminal cannot be served: {error}"),
    };
    let outbox = Arc::new(Outbox::new(Arc::clone(&stream), limits.queue_bytes));
    let (writing, forwarding) = (Arc::clone(&outbox), Arc::clone(&outbox));
    let threads = Thread::spawn("ws-writer", move || writing.run_writer()).and_then(|writer| {
        let forwarder = Thread::spawn("terminal-out", move || forward(answers, &forwarding));
        forwarder.inspect_err(|_| outbox.abort()).map(|forwarder| (writer, forwarder))
    });
    let threads = match threads {
        Ok(threads) => threads,
        Err(error) => return log::error!("no thread for a WebSocket: {error}"),
    };
    let reader_limits = ReaderLimits { message_bytes: limits.message_bytes.min(REQUEST_BYTES_MAX), ..limits.reader() };
    let mut reader = MessageReader::new(stream, early, Box::new(ControlFrames(Arc::clone(&outbox))), reader_limits);
    let reason = read(&mut reader, &terminal, &outbox);
    // The forwarding thread ends with it.
    let _ = terminal.shutdown(Shutdown::Both);
    match reason {
        CloseReason::Lost | CloseReason::Silent => outbox.abort(),
        CloseReason::Peer(_) | CloseReason::Refused(..) => outbox.finish(),
    }
    drop(threads);
    if matches!(reason, CloseReason::Refused(..)) {
        reader.linger(LINGER);
    }
}

/// Forwards the client's requests.
fn read(reader: &mut MessageReader, mut terminal: &UnixStream, outbox: &Outbox) -> CloseReason {
    let mut has_ended = false;
    loop {
        match reader.next(None) {
            Incoming::Text(_) if has_ended => {}
            Incoming::Text(text) => match line(&text).map(|line| terminal.write_all(&line)) {
                Ok(Ok(())) => {}
                Ok(Err(error)) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    send_message(outbox, &json!({"type": "error", "content": "the program does not read its input"}));
                    // A part of the line may be written: anything after it would be garbage.
                    outbox.finish();
                    return CloseReason::Peer(1011);
                }
                // The process has ended. Its last responses are still forwarded, and close the connection.
                Ok(Err(_)) => has_ended = true,
                Err(why) => send_message(outbox, &json!({"type": "error", "content": why})),
            },
            Incoming::Binary => {
                send_message(outbox, &json!({"type": "error", "content": "send text frames with JSON"}))
            }
            Incoming::Tick => {}
            Incoming::Closed(reason) => return reason,
        }
    }
}

/// Returns a client's message as one line. It cannot end a terminal: that has its own request.
fn line(text: &str) -> Result<Vec<u8>, String> {
    let message: Value = serde_json::from_str(text).map_err(|error| format!("a frame must be JSON: {error}"))?;
    match message.get("type").and_then(Value::as_str) {
        None => Err("a frame must be an object with a type".to_owned()),
        Some("end") => Err("a terminal is ended with DELETE".to_owned()),
        Some(_) => {
            let mut line = message.to_string().into_bytes();
            line.push(b'\n');
            Ok(line)
        }
    }
}

/// Forwards the output of the terminal's process, and its end.
fn forward(answers: UnixStream, outbox: &Outbox) {
    let mut answers = BufReader::new(answers);
    let mut line = Vec::new();
    let mut has_ended = false;
    loop {
        line.clear();
        match answers.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
            Ok(1..) if line.ends_with(b"\n") => {
                line.pop();
                has_ended |= line.starts_with(ENDED);
                let mut frame = Vec::with_capacity(line.len() + 16);
                wire::text_frame(&mut frame, |payload| payload.extend_from_slice(&line));
                outbox.reply(&frame);
            }
            _ => break,
        }
    }
    if !has_ended {
        let text = "the connection to the terminal was lost: its process has ended";
        send_message(outbox, &json!({"type": "ended", "error": text}));
    }
    let mut close = Vec::new();
    frame::encode_close(&mut close, 1000, "");
    outbox.finish_with(&close);
}

fn send_message(outbox: &Outbox, message: &Value) {
    let mut frame = Vec::new();
    wire::json_frame(&mut frame, message);
    outbox.reply(&frame);
}
