//! What the folds of all adapters do the same way. Pure functions over one record.

use serde_json::Value;

use crate::event::{Body, Event, Sink};
use crate::journal::Record;

/// Longest string that an event repeats from a tool's output or an unknown line, in bytes. The line as it came is in
/// the journal, and clients can ask for it with `raw`.
pub const STRING_MAX: usize = 32 * 1024;
/// Most elements of a list that an event repeats.
pub const LIST_MAX: usize = 1_000;

/// Tells a line of the CLI's stderr. Lines of spaces only tell nothing.
pub fn stderr(record: &Record<'_>, sink: &mut dyn Sink) {
    let line = String::from_utf8_lossy(record.payload);
    if !line.trim().is_empty() {
        sink.event(Event::new(line, Body::Stderr {}));
    }
}

/// Tells a line of stdout that is not of the CLI's protocol. Lines of spaces only tell nothing.
pub fn plain_line(record: &Record<'_>, sink: &mut dyn Sink) {
    let line = cut(String::from_utf8_lossy(record.payload).into_owned(), STRING_MAX);
    if !line.trim().is_empty() {
        sink.event(Event::new(line.clone(), Body::Unknown { raw: Value::String(line) }));
    }
}

/// `text`, or its beginning with a note of how much was cut when it is longer than `max` bytes.
pub fn cut(mut text: String, max: usize) -> String {
    if text.len() > max {
        let end = (0..=max).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        let rest = text.len() - end;
        text.truncate(end);
        text.push_str(&format!("… [{rest} bytes cut]"));
    }
    text
}

/// Cuts every string and list inside `value` to [`STRING_MAX`] and [`LIST_MAX`].
pub fn bound(value: &mut Value) {
    match value {
        Value::String(text) if text.len() > STRING_MAX => *text = cut(std::mem::take(text), STRING_MAX),
        Value::Array(items) => {
            items.truncate(LIST_MAX);
            items.iter_mut().for_each(bound);
        }
        Value::Object(fields) => fields.values_mut().for_each(bound),
        _ => {}
    }
}
