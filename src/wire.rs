//! The frames that the server sends, as bytes that are ready for a WebSocket.
//!
//! A frame is encoded once, header and all, and shared by every client that gets it.

use std::io::Write as _;

use serde::Serialize;
use serde_json::Value;

use crate::clock::{Iso, Micros};
use crate::event::{Body, Event};
use crate::websocket::frame::{begin_text, end_text};

/// Appends one text frame whose payload `fill` writes.
pub(crate) fn text_frame(buffer: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    let mark = begin_text(buffer);
    fill(buffer);
    end_text(buffer, mark);
}

/// Appends one text frame that holds `value` as JSON.
pub(crate) fn json_frame(buffer: &mut Vec<u8>, value: &impl Serialize) {
    text_frame(buffer, |payload| append_json(payload, value));
}

/// Appends `value` as JSON.
pub(crate) fn append_json(buffer: &mut Vec<u8>, value: &impl Serialize) {
    // Writing plain data into memory cannot fail: all our maps have string keys.
    if let Err(error) = serde_json::to_writer(&mut *buffer, value) {
        log::error!("a value has no JSON form: {error}");
    }
}

/// Appends the `output` frame of one event.
pub(crate) fn output_frame(buffer: &mut Vec<u8>, worker_id: &str, output: &Output<'_, '_>) {
    text_frame(buffer, |payload| append_output(payload, worker_id, output));
}

/// Appends the frame of one event for a client of the reference, which shows the content of each `output` frame as a block
/// and passes over types that it does not know: what the agent says, does and asks is an `output` frame, any other event
/// an `event` frame of the same shape. A piece of a message has no frame.
pub(crate) fn simple_frame(buffer: &mut Vec<u8>, worker_id: &str, output: &Output<'_, '_>) {
    let body = &output.event.body;
    if matches!(body, Body::Delta { .. }) {
        return;
    }
    let kind = if body.is_of_agent() { "output" } else { "event" };
    text_frame(buffer, |payload| append_frame(payload, kind, worker_id, output));
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
    /// More members of the event, as JSON without braces, for clients that ask for them.
    pub more: Option<&'e [u8]>,
}

/// Most bytes of a CLI's line that are repeated with the events which the line yields. One line can yield a million
/// events, and would take a million times its size with each of them.
const RAW_REPEATED_BYTES: usize = 256 * 1024;

/// The CLI's own lines beside their events: each with its first event, and with the others as long as they are not too
/// much together.
#[derive(Default)]
pub struct RawLines {
    seq: u64,
    reported: usize,
}

impl RawLines {
    /// Returns the line that the next event of the record at `seq` carries; `line` is its payload.
    pub fn next<'l>(&mut self, seq: u64, line: &'l [u8]) -> Option<&'l [u8]> {
        if self.seq != seq {
            *self = Self { seq, reported: 0 };
        }
        let is_first = self.reported == 0;
        self.reported = self.reported.saturating_add(line.len());
        (is_first || self.reported <= RAW_REPEATED_BYTES).then_some(line)
    }
}

/// Appends the JSON of an `output` frame: what a WebSocket carries in a frame and an event stream in its `data`.
pub fn append_output(buffer: &mut Vec<u8>, worker_id: &str, output: &Output<'_, '_>) {
    append_frame(buffer, "output", worker_id, output);
}

fn append_frame(buffer: &mut Vec<u8>, kind: &str, worker_id: &str, output: &Output<'_, '_>) {
    buffer.extend_from_slice(b"{\"type\":\"");
    buffer.extend_from_slice(kind.as_bytes());
    buffer.extend_from_slice(b"\",\"worker_id\":\"");
    buffer.extend_from_slice(worker_id.as_bytes());
    buffer.push(b'"');
    if let Some(seq) = output.seq {
        buffer.extend_from_slice(b",\"seq\":");
        append_json(buffer, &seq);
    }
    let time = output.time.iso();
    buffer.extend_from_slice(b",\"timestamp\":\"");
    buffer.extend_from_slice(time.as_bytes());
    buffer.extend_from_slice(b"\",\"content\":");
    append_event(buffer, output.event, &time);
    append_members(buffer, output.more);
    if let Some(raw) = output.raw {
        buffer.extend_from_slice(b",\"raw\":");
        append_json(buffer, &raw_value(raw));
    }
    buffer.push(b'}');
}

/// Appends an event as the wire and the history carry it: one object with `type`, the fields of its body, `content` and
/// `timestamp`. It is the events' common form written straight, because every event passes here.
pub(crate) fn append_event(buffer: &mut Vec<u8>, event: &Event<'_>, time: &Iso) {
    append_json(buffer, &event.body);
    // The object is not over yet.
    buffer.pop();
    buffer.extend_from_slice(b",\"content\":");
    append_string(buffer, &event.content);
    buffer.extend_from_slice(b",\"timestamp\":\"");
    buffer.extend_from_slice(time.as_bytes());
    buffer.extend_from_slice(b"\"}");
}

/// Adds members to the JSON object that `buffer` ends with, which has some already.
pub(crate) fn append_members(buffer: &mut Vec<u8>, members: Option<&[u8]>) {
    if let Some(members) = members
        && buffer.pop().is_some()
    {
        buffer.push(b',');
        buffer.extend_from_slice(members);
        buffer.push(b'}');
    }
}

/// Bytes that are looked at together while text is searched for what JSON escapes: the compiler makes a few instructions
/// of them, where one byte at a time would take most of the time that an event takes.
const LOOK_BYTES: usize = 32;

/// Appends `text` as a JSON string.
fn append_string(buffer: &mut Vec<u8>, text: &str) {
    buffer.reserve(text.len() + 2);
    buffer.push(b'"');
    let (chunks, rest) = text.as_bytes().as_chunks::<LOOK_BYTES>();
    for chunk in chunks {
        if chunk.iter().fold(false, |found, &byte| found | is_escaped(byte)) {
            append_escaped(buffer, chunk);
        } else {
            buffer.extend_from_slice(chunk);
        }
    }
    append_escaped(buffer, rest);
    buffer.push(b'"');
}

/// Returns whether a byte must be escaped in a JSON string.
const fn is_escaped(byte: u8) -> bool {
    (byte < b' ') | (byte == b'"') | (byte == b'\\')
}

fn append_escaped(buffer: &mut Vec<u8>, bytes: &[u8]) {
    let mut from = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if !is_escaped(byte) {
            continue;
        }
        buffer.extend_from_slice(&bytes[from..at]);
        from = at + 1;
        let short = match byte {
            b'\n' => b'n',
            b'\t' => b't',
            b'\r' => b'r',
            0x08 => b'b',
            0x0c => b'f',
            0..b' ' => {
                // Writing to memory cannot fail.
                let _ = write!(buffer, "\\u{byte:04x}");
                continue;
            }
            sign => sign,
        };
        buffer.extend_from_slice(&[b'\\', short]);
    }
    buffer.extend_from_slice(&bytes[from..]);
}

/// A line as JSON: its object where it is one, else a string, with what is not UTF-8 replaced.
pub(crate) fn raw_value(line: &[u8]) -> Value {
    serde_json::from_slice(line).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(line).into_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::event::EventContent;

    fn event_json(event: &Event<'_>, time: Micros) -> Vec<u8> {
        let mut written = Vec::new();
        append_event(&mut written, event, &time.iso());
        written
    }

    #[test]
    fn an_event_is_written_as_its_content_is_serialised() {
        let time = Micros(1_704_067_199_999_999);
        let bodies = [
            Body::Stderr {},
            Body::Assistant { message_id: None, parent_tool_call_id: None },
            Body::Assistant { message_id: Some("m\"1".into()), parent_tool_call_id: Some("t".into()) },
            Body::Unknown { raw: json!({"a": ["}", {}]}) },
            Body::Plan { entries: Vec::new() },
        ];
        for body in bodies {
            let event = Event::new("said \"so\"\n", body);
            let content = EventContent { body: &event.body, content: &event.content, timestamp: time };
            assert_eq!(event_json(&event, time), serde_json::to_vec(&content).unwrap());
        }
    }

    #[test]
    fn line_of_many_events_reports_a_bounded_number() {
        let mut lines = RawLines::default();
        let long = vec![b'x'; RAW_REPEATED_BYTES + 1];
        let reported =
            |lines: &mut RawLines, seq, line: &[u8]| (0..9).map(|_| lines.next(seq, line).is_some()).collect();
        let of_long: Vec<bool> = reported(&mut lines, 100, &long);
        assert_eq!(of_long.iter().position(|reported| !reported), Some(1));
        assert!(of_long[1..].iter().all(|reported| !reported));
        let of_third: Vec<bool> = reported(&mut lines, 200, &long[..RAW_REPEATED_BYTES / 3]);
        assert_eq!(of_third.iter().filter(|reported| **reported).count(), 3);
        let of_short: Vec<bool> = reported(&mut lines, 300, b"short");
        assert_eq!(of_short, [true; 9]);
    }

    proptest! {
        #[test]
        fn any_text_is_written_as_serde_json_writes_it(
            text in "[ -~\u{0}-\u{20}\u{7f}\"\\\\é\u{1f600}]{0,100}", before in "[a-z]{0,70}", after in "[a-z]{0,70}"
        ) {
            let text = format!("{before}{text}{after}");
            let mut written = Vec::new();
            append_string(&mut written, &text);
            prop_assert_eq!(&written, &serde_json::to_vec(&text).unwrap());
            prop_assert_eq!(serde_json::from_slice::<Value>(&written).unwrap(), Value::String(text));
        }
    }
}
