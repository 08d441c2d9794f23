//! JSON-RPC messages of the Agent Client Protocol: one message in each text frame.

use serde_json::{Map, Value, json};

use crate::http::Response;

/// The text is not JSON.
pub(super) const PARSE_ERROR: i64 = -32700;
/// The message is not a request, a notification or a response.
pub(super) const INVALID_REQUEST: i64 = -32600;
/// The method is unknown.
pub(super) const METHOD_NOT_FOUND: i64 = -32601;
/// The parameters of a method are wrong.
pub(super) const INVALID_PARAMS: i64 = -32602;
/// The request was understood and failed.
pub(super) const INTERNAL_ERROR: i64 = -32603;
/// A credential is missing or has expired.
const AUTH_REQUIRED: i64 = -32000;
/// The session does not exist, or is out of reach.
pub(super) const NOT_FOUND: i64 = -32002;
/// The scope of the credential does not include the request.
const FORBIDDEN: i64 = -32003;
/// The state of the worker does not allow the request.
const CONFLICT: i64 = -32004;

/// The beginning of every message that the server writes itself. Frames of the hub begin otherwise.
pub(super) const PREFIX: &str = "{\"jsonrpc\":\"2.0\",";
/// The key of the project's own additions to messages.
pub(super) const META: &str = "rs-worker";

/// The error of a request.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RpcError {
    pub(super) code: i64,
    pub(super) message: String,
    pub(super) data: Value,
}

impl RpcError {
    /// An error with a text for people.
    pub(super) fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: Value::Null }
    }

    /// A parameter that is missing or has the wrong type.
    pub(super) fn params(message: impl Into<String>) -> Self {
        Self::new(INVALID_PARAMS, message)
    }

    /// The error of a response of the REST API. Its body goes along as data.
    pub(super) fn of_response(response: &Response, words: impl FnOnce(&Value) -> String) -> Self {
        let body: Value = serde_json::from_slice(response.content().bytes()).unwrap_or_default();
        let code = match response.status() {
            400 | 413 | 422 => INVALID_PARAMS,
            401 => AUTH_REQUIRED,
            403 => FORBIDDEN,
            404 => NOT_FOUND,
            409 => CONFLICT,
            _ => INTERNAL_ERROR,
        };
        let message = match body.get("detail") {
            Some(Value::String(detail)) => detail.clone(),
            Some(mistakes @ Value::Array(_)) => words(mistakes),
            _ => format!("the server answered with status {}", response.status()),
        };
        Self { code, message, data: json!({"status": response.status(), "code": body.get("code")}) }
    }
}

/// A message from the client.
#[derive(Debug, PartialEq)]
pub(super) enum AcpMessage {
    Request { id: Value, method: String, params: Map<String, Value> },
    Notification { method: String, params: Map<String, Value> },
    Response { id: Value, result: Result<Value, Value> },
}

/// Parses a message. The error goes with the id to which it belongs.
pub(super) fn parse(text: &str) -> Result<AcpMessage, (Value, RpcError)> {
    let value: Value = serde_json::from_str(text)
        .map_err(|error| (Value::Null, RpcError::new(PARSE_ERROR, format!("the frame is not JSON: {error}"))))?;
    let Value::Object(mut fields) = value else {
        let text = "a frame must hold one JSON object; batches are not supported";
        return Err((Value::Null, RpcError::new(INVALID_REQUEST, text)));
    };
    let id = fields.remove("id");
    let is_id = |id: &Value| id.is_string() || id.is_i64() || id.is_u64();
    let known = id.clone().filter(is_id).unwrap_or_default();
    let invalid = |text: &str| (known.clone(), RpcError::new(INVALID_REQUEST, text));
    if fields.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Err(invalid("jsonrpc must be \"2.0\""));
    }
    let Some(method) = fields.remove("method") else {
        return match (id.filter(is_id), fields.remove("result"), fields.remove("error")) {
            (Some(id), Some(result), None) => Ok(AcpMessage::Response { id, result: Ok(result) }),
            (Some(id), None, Some(error)) => Ok(AcpMessage::Response { id, result: Err(error) }),
            _ => Err(invalid("a message needs a method, or an id with a result or an error")),
        };
    };
    let Value::String(method) = method else { return Err(invalid("method must be a string")) };
    let params = match fields.remove("params") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(params)) => params,
        Some(_) => return Err((known, RpcError::params("params must be an object"))),
    };
    match id {
        None => Ok(AcpMessage::Notification { method, params }),
        Some(id) if is_id(&id) => Ok(AcpMessage::Request { id, method, params }),
        Some(_) => Err(invalid("id must be a string or a whole number")),
    }
}

/// The response to a request.
pub(super) fn response(id: &Value, result: &Result<Value, RpcError>) -> String {
    match result {
        Ok(result) => format!("{PREFIX}\"id\":{id},\"result\":{result}}}"),
        Err(RpcError { code, message, data }) => {
            let mut error = json!({"code": code, "message": message});
            if !data.is_null() {
                error["data"] = data.clone();
            }
            format!("{PREFIX}\"id\":{id},\"error\":{error}}}")
        }
    }
}

/// A request to the client.
pub(super) fn request(id: &Value, method: &str, params: &Value) -> String {
    format!("{PREFIX}\"id\":{id},\"method\":\"{method}\",\"params\":{params}}}")
}

/// A notification to the client.
pub(super) fn notification(method: &str, params: &Value) -> String {
    format!("{PREFIX}\"method\":\"{method}\",\"params\":{params}}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> (Value, i64) {
        let (id, error) = parse(text).unwrap_err();
        (id, error.code)
    }

    #[test]
    fn malformed_messages_are_refused_with_their_code() {
        assert_eq!(code("{"), (Value::Null, PARSE_ERROR));
        assert_eq!(code("[]"), (Value::Null, INVALID_REQUEST));
        assert_eq!(code("7"), (Value::Null, INVALID_REQUEST));
        assert_eq!(code(r#"{"id":1,"method":"a"}"#), (json!(1), INVALID_REQUEST));
        assert_eq!(code(r#"{"jsonrpc":"2.0","id":{},"method":"a"}"#), (Value::Null, INVALID_REQUEST));
        assert_eq!(code(r#"{"jsonrpc":"2.0","id":"x","method":7}"#), (json!("x"), INVALID_REQUEST));
        assert_eq!(code(r#"{"jsonrpc":"2.0","id":"x","method":"a","params":[1]}"#), (json!("x"), INVALID_PARAMS));
        assert_eq!(code(r#"{"jsonrpc":"2.0","id":1}"#), (json!(1), INVALID_REQUEST));
    }

    #[test]
    fn requests_notifications_and_responses_are_distinguished() {
        let read = |text: &str| parse(text).unwrap();
        assert!(matches!(read(r#"{"jsonrpc":"2.0","id":0,"method":"a"}"#), AcpMessage::Request { id, .. } if id == 0));
        assert!(matches!(read(r#"{"jsonrpc":"2.0","method":"a"}"#), AcpMessage::Notification { .. }));
        let answer = read(r#"{"jsonrpc":"2.0","id":"q","result":null}"#);
        assert_eq!(answer, AcpMessage::Response { id: json!("q"), result: Ok(Value::Null) });
    }
}
