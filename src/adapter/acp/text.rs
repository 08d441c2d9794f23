//! Errors of the protocol in words.

use serde_json::Value;

use crate::adapter::{common, field};

/// What a JSON-RPC error says, for people: its message, the details that some agents put beside it, and the inner
/// message where an agent passes a provider's answer on as it came.
pub(super) fn error_text(error: &Value) -> String {
    let message = field::text(error, "message").unwrap_or("no reason given");
    let inner = serde_json::from_str::<Value>(message).ok();
    let inner = inner.as_ref().map(|inner| inner.get("error").unwrap_or(inner));
    let message = inner.and_then(|inner| field::text(inner, "message")).unwrap_or(message);
    let data = error.get("data").unwrap_or(&Value::Null);
    let details = field::text(data, "details").or_else(|| data.as_str()).unwrap_or_default();
    let text = match details.lines().next().unwrap_or_default() {
        "" => message.to_owned(),
        details if message == "Internal error" => details.to_owned(),
        details => format!("{message}: {details}"),
    };
    common::cut(text, super::lines::REASON_MAX)
}

/// Whether an error says that the agent is not logged in, or that its key is not good.
pub(super) fn is_authentication(error: &Value) -> bool {
    // -32000 is the protocol's own code for it; others are HTTP's, which some agents use as they are.
    if matches!(error.get("code").and_then(Value::as_i64), Some(-32000 | 401 | 403)) {
        return true;
    }
    let text = error_text(error).to_lowercase();
    ["401", "unauthorized", "authentication", "api key", "not logged in"].iter().any(|word| text.contains(word))
}
