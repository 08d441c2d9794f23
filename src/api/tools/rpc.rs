//! JSON-RPC 2.0 as MCP uses it: one message at a time, no batches.

use serde_json::{Map, Value, json};

/// The revisions of MCP that are spoken, the newest first.
pub(super) const REVISIONS: [&str; 2] = ["2025-11-25", "2025-06-18"];
/// The revision of a client that names none in its header: it has the same requests.
pub(super) const UNNAMED_REVISION: &str = "2025-03-26";
/// Longest id of a request, in bytes: responses repeat it.
const ID_BYTES_MAX: usize = 256;

/// The codes of JSON-RPC. A message that is malformed is a bad request of HTTP.
const METHOD_NOT_FOUND: i64 = -32_601;
const INVALID_PARAMS: i64 = -32_602;
const INTERNAL_ERROR: i64 = -32_603;

/// A message of a client.
#[derive(Debug, PartialEq)]
pub(super) enum RpcMessage {
    /// Waits for an answer.
    Request {
        /// Its id: a string or a number.
        id: Value,
        /// Its method.
        method: String,
        /// Its parameters.
        params: Map<String, Value>,
    },
    /// A notification or a response, which has no answer.
    Silent,
}

/// An error on the level of the protocol.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ToolRpcError {
    code: i64,
    text: String,
}

impl ToolRpcError {
    fn new(code: i64, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    pub(super) fn unknown_method(method: &str) -> Self {
        Self::new(METHOD_NOT_FOUND, format!("unknown method: {method}"))
    }

    pub(super) fn invalid_params(text: impl Into<String>) -> Self {
        Self::new(INVALID_PARAMS, text)
    }

    pub(super) fn internal(text: impl Into<String>) -> Self {
        Self::new(INTERNAL_ERROR, text)
    }

    /// The response to the request of this id.
    pub(super) fn response(&self, id: &Value) -> Value {
        json!({"jsonrpc": "2.0", "id": id, "error": {"code": self.code, "message": self.text}})
    }
}

/// The response to a request.
pub(super) fn response(id: &Value, result: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": result})
}

impl RpcMessage {
    /// Parses a body.
    ///
    /// # Errors
    /// Fails when it is not one message of JSON-RPC 2.0.
    pub(super) fn parse(body: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(body).map_err(|error| format!("not JSON: {error}"))?;
        let mut fields = match value {
            Value::Object(fields) => fields,
            Value::Array(_) => return Err("batches are not supported: send one message".to_owned()),
            _ => return Err("a message is an object".to_owned()),
        };
        if fields.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return Err("jsonrpc should be \"2.0\"".to_owned());
        }
        let method = match fields.remove("method") {
            Some(Value::String(method)) => method,
            Some(_) => return Err("method should be a string".to_owned()),
            None if fields.contains_key("result") || fields.contains_key("error") => return Ok(Self::Silent),
            None => return Err("method is missing".to_owned()),
        };
        let id = match fields.remove("id") {
            None => return Ok(Self::Silent),
            Some(id) => checked_id(id)?,
        };
        let params = match fields.remove("params") {
            None => Map::new(),
            Some(Value::Object(params)) => params,
            Some(_) => return Err("params should be an object".to_owned()),
        };
        Ok(Self::Request { id, method, params })
    }
}

fn checked_id(id: Value) -> Result<Value, String> {
    match &id {
        Value::String(text) if text.len() <= ID_BYTES_MAX => Ok(id),
        Value::Number(_) => Ok(id),
        _ => Err(format!("id should be a number, or a string of at most {ID_BYTES_MAX} bytes")),
    }
}

/// Returns the revision for a client that asks for one: that, or the newest.
pub(super) fn negotiated(asked: Option<&str>) -> &'static str {
    REVISIONS.into_iter().find(|known| Some(*known) == asked).unwrap_or(REVISIONS[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_ids_and_notifications_have_none() {
        let parsed = RpcMessage::parse(br#"{"jsonrpc":"2.0","id":"a","method":"ping","params":{"x":1}}"#).unwrap();
        let RpcMessage::Request { id, method, params } = parsed else { panic!("not a request") };
        assert_eq!((id, method.as_str(), params["x"].clone()), (json!("a"), "ping", json!(1)));
        for silent in [
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"x"}}"#,
        ] {
            assert_eq!(RpcMessage::parse(silent.as_bytes()), Ok(RpcMessage::Silent), "{silent}");
        }
    }

    #[test]
    fn malformed_messages_are_refused_with_the_reason() {
        let long = format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"ping"}}"#, "x".repeat(ID_BYTES_MAX + 1));
        for (body, said) in [
            ("", "not JSON"),
            ("{", "not JSON"),
            ("[]", "batches"),
            (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, "batches"),
            ("1", "an object"),
            ("{}", "jsonrpc"),
            (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, "jsonrpc"),
            (r#"{"jsonrpc":"2.0","id":1}"#, "method"),
            (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, "id"),
            (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, "id"),
            (r#"{"jsonrpc":"2.0","id":1,"method":5}"#, "method"),
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[1]}"#, "params"),
            (&long, "id"),
        ] {
            let text = RpcMessage::parse(body.as_bytes()).unwrap_err();
            assert!(text.contains(said), "{body}: {text}");
        }
    }

    #[test]
    fn unknown_revisions_are_answered_with_the_newest() {
        assert_eq!(negotiated(Some("2025-06-18")), "2025-06-18");
        assert_eq!(negotiated(Some("2025-11-25")), "2025-11-25");
        assert_eq!(negotiated(Some("1900-01-01")), "2025-11-25");
        assert_eq!(negotiated(None), "2025-11-25");
    }
}
