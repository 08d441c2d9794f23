//! The frames that the server sends, as bytes that are ready for a WebSocket.
//!
//! A frame is encoded once, header and all, and shared by every client that gets it.

use std::io::Write as _;

use serde::Serialize;
use serde_json::Value;

use crate::clock::Micros;
use crate::event::{Content, Event};
use crate::websocket::frame::{begin_text, end_text};

/// Appends one text frame whose payload `fill` writes.
pub fn text_frame(buffer: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    let mark = begin_text(buffer);
    fill(buffer);
    end_text(buffer, mark);
}

/// Appends one text frame that holds `value` as JSON.
pub fn json_frame(buffer: &mut Vec<u8>, value: &impl Serialize) {
    text_frame(buffer, |payload| append_json(payload, value));
}

/// Appends `value` as JSON.
pub fn append_json(buffer: &mut Vec<u8>, value: &impl Serialize) {
    // Writing plain data into memory cannot fail: all our maps have string keys.
    if let Err(error) = serde_json::to_writer(&mut *buffer, value) {
        log::error!("a value has no JSON form: {error}");
    }
}

/// Appends the `output` frame of one event.
pub fn output_frame(buffer: &mut Vec<u8>, worker_id: &str, output: &Output<'_, '_>) {
    text_frame(buffer, |payload| append_output(payload, worker_id, output));
}

/// An event with its place in the journal.
#[derive(Clone, Copy)]
pub struct Output<'e, 'a> {
    /// Its sequence number; `None` for a delta.
    pub seq: Option<u64>,
    /// The time of its record.
    pub time: Micros,
    /// The event.
    pub event: &'e Event<'a>,
    /// The CLI's own line, for clients that ask for it.
    pub raw: Option<&'e [u8]>,
}

impl<'e, 'a> Output<'e, 'a> {
    /// The event as one object with `type`, `content`, `timestamp` and its fields.
    pub fn content(&self) -> Content<'e, 'a> {
        Content { body: &self.event.body, content: &self.event.content, timestamp: self.time }
    }
}

/// Appends the JSON of an `output` frame: what a WebSocket carries in a frame and an event stream in its `data`.
pub fn append_output(buffer: &mut Vec<u8>, worker_id: &str, output: &Output<'_, '_>) {
    buffer.extend_from_slice(b"{\"type\":\"output\",\"worker_id\":\"");
    buffer.extend_from_slice(worker_id.as_bytes());
    buffer.push(b'"');
    if let Some(seq) = output.seq {
        // Writing to memory cannot fail, here and below.
        let _ = write!(buffer, ",\"seq\":{seq}");
    }
    let _ = write!(buffer, ",\"timestamp\":\"{}\",\"content\":", output.time);
    append_json(buffer, &output.content());
    if let Some(raw) = output.raw {
        buffer.extend_from_slice(b",\"raw\":");
        append_json(buffer, &raw_value(raw));
    }
    buffer.push(b'}');
}

/// A line as JSON: its object where it is one, else a string, with what is not UTF-8 replaced.
pub fn raw_value(line: &[u8]) -> Value {
    serde_json::from_slice(line).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(line).into_owned()))
}
