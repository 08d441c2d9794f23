//! Texts and values that events repeat, cut to a length.

use serde_json::Value;

/// Longest string that an event repeats from a tool's output or an unknown line, in bytes. The line as it came is in
/// the journal, and clients can ask for it with `raw`.
pub(in crate::adapter) const STRING_MAX: usize = 32 * 1024;
/// Most elements of a list that an event repeats.
pub(in crate::adapter) const LIST_MAX: usize = 1_000;

/// `text`, or its beginning with a note of how much was cut when it is longer than `max` bytes.
pub(in crate::adapter) fn cut(mut text: String, max: usize) -> String {
    if text.len() > max {
        let end = (0..=max).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        let rest = text.len() - end;
        text.truncate(end);
        text.push_str(&format!("… [{rest} bytes cut]"));
    }
    text
}

/// Cuts every string and list inside `value` to [`STRING_MAX`] and [`LIST_MAX`].
pub(in crate::adapter) fn bound(value: &mut Value) {
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
