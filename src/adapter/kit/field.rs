//! Short ways to look into a [`Value`] whose shape is not certain.

use serde_json::Value;

use crate::event::Usage;
pub(in crate::adapter) use crate::json::time::number;

/// The string at `key`.
pub(in crate::adapter) fn text<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value.get(key).and_then(Value::as_str)
}

/// The string at `key`, or an empty one.
pub(in crate::adapter) fn text_or_empty<'v>(value: &'v Value, key: &str) -> &'v str {
    text(value, key).unwrap_or_default()
}

/// Moves what is at `key` out; null when there is nothing.
pub(in crate::adapter) fn take(value: &mut Value, key: &str) -> Value {
    value.get_mut(key).map(Value::take).unwrap_or_default()
}

/// Moves the string at `key` out.
pub(in crate::adapter) fn take_text(value: &mut Value, key: &str) -> Option<String> {
    match take(value, key) {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// The list at `key`, or an empty one.
pub(in crate::adapter) fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    elements(value.get(key).unwrap_or(&Value::Null))
}

/// The elements of a list; none of anything else.
pub(in crate::adapter) fn elements(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Token counts at the keys of input, output, and what was read from the cache and written to it. `cached_in_input`: the
/// input's count includes both of the cache.
pub(in crate::adapter) fn usage(counts: &Value, keys: [&str; 4], cached_in_input: bool) -> Usage {
    let [input, output, read, written] = keys.map(|key| number(counts, key).unwrap_or(0));
    let cached = if cached_in_input { read.saturating_add(written) } else { 0 };
    Usage {
        input_tokens: input.saturating_sub(cached),
        output_tokens: output,
        cache_read_tokens: read,
        cache_write_tokens: written,
    }
}

/// Returns true if there is `true` at `key`.
pub(in crate::adapter) fn is_true(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool) == Some(true)
}
