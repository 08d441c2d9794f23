//! Short ways to look into a [`Value`] whose shape is not certain.

use serde_json::Value;

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

/// The whole number at `key`; a fraction is cut off.
pub(in crate::adapter) fn number(value: &Value, key: &str) -> Option<u64> {
    let value = value.get(key)?;
    value.as_u64().or_else(|| value.as_f64().filter(|number| *number >= 0.0).map(|number| number as u64))
}

/// Whether there is `true` at `key`.
pub(in crate::adapter) fn is_true(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool) == Some(true)
}
