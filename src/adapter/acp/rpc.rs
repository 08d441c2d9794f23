//! JSON-RPC messages to the agent. Every line is made by the serialiser.

use crate::adapter::kit::field;
use serde_json::{Value, json};

/// The version of the Agent Client Protocol that the fold reads.
pub(super) const PROTOCOL_VERSION: u64 = 1;
/// The method of a request that could not be read.
pub(super) const UNREADABLE: &str = "";
/// The key under which a prompt carries our id of its message, in the protocol's own place for such additions.
const META: &str = "rs-worker";

/// One message as a line.
pub(super) fn line(message: &Value) -> Vec<u8> {
    message.to_string().into_bytes()
}

/// A request. `written` is the count of requests written to the process before: ids are unique within it.
pub(super) fn request(written: u64, method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": written.saturating_add(1), "method": method, "params": params})
}

/// A message that takes no answer.
pub(super) fn notification(method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "method": method, "params": params})
}

/// Our name and version, for the agent.
pub(super) fn client_info() -> Value {
    json!({"name": "rs-worker", "title": "rs-worker", "version": env!("CARGO_PKG_VERSION")})
}

/// The answer to a request of the agent.
pub(super) fn response(id: &Value, result: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": result})
}

/// The refusal of an agent's request: the method does not exist.
pub(super) fn no_method(id: &Value, method: &str) -> Value {
    let message = match method {
        UNREADABLE => "rs-worker could not read this request".to_owned(),
        "session/request_permission" => "too many permission prompts are open".to_owned(),
        "elicitation/create" => "rs-worker shows forms of plain fields only, and not too many at once".to_owned(),
        method if method.starts_with("fs/") => {
            format!("rs-worker offers no {method}; use the files of this machine themselves")
        }
        method => format!("rs-worker offers no {method}"),
    };
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": message}})
}

/// The addition to a prompt that names our message.
pub(super) fn meta(message_id: &str) -> Value {
    json!({META: {"message_id": message_id}})
}

/// Our id of the message that a prompt carries.
pub(super) fn message_id(prompt: &Value) -> Option<&str> {
    field::text(prompt.get("params")?.get("_meta")?.get(META)?, "message_id")
}
