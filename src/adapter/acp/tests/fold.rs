//! Promises that no recording shows, or that are worth saying in words.

use serde_json::{Value, json};

/// What an able agent answers to `initialize`.
pub(super) fn able() -> Value {
    json!({"protocolVersion": 1, "agentCapabilities": {"loadSession": true,
        "promptCapabilities": {"image": true, "embeddedContext": true}, "sessionCapabilities": {"resume": {}, "fork": {}}},
        "authMethods": [{"id": "login", "name": "Login", "description": "Run `agent login`"}]})
}
