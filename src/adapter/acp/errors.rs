//! Errors of the protocol in words.

use serde_json::Value;

use crate::adapter::kit::{field, text};
use crate::json;

/// Longest reason that the readable text of a failed turn repeats, in bytes.
pub(super) const REASON_MAX: usize = 1_000;

/// Returns the text of a JSON-RPC error for people: its message, the details that some agents put beside it, and the
/// inner message where an agent passes a provider's answer on as it came.
pub(super) fn error_text(error: &Value) -> String {
    let message = field::text(error, "message").unwrap_or("no reason given");
    let inner = json::value(message.as_bytes());
    let inner = inner.as_ref().map(|inner| inner.get("error").unwrap_or(inner));
    let message = inner.and_then(|inner| field::text(inner, "message")).unwrap_or(message);
    let data = error.get("data").unwrap_or(&Value::Null);
    let details = field::text(data, "details").or_else(|| data.as_str()).unwrap_or_default();
    let text = match details.lines().next().unwrap_or_default() {
        "" => message.to_owned(),
        details if message == "Internal error" => details.to_owned(),
        details => format!("{message}: {details}"),
    };
    text::cut(text, REASON_MAX)
}

/// Returns true for an error that means that the agent is not logged in, or that its key is not valid.
pub(super) fn is_authentication(error: &Value) -> bool {
    // -32000 is the protocol's own code for it; others are HTTP's, which some agents use as they are.
    if matches!(error.get("code").and_then(Value::as_i64), Some(-32000 | 401 | 403)) {
        return true;
    }
    let text = error_text(error).to_lowercase();
    ["401", "unauthorized", "authentication", "api key", "not logged in"].iter().any(|word| text.contains(word))
}
