//! What a client can say on a WebSocket.

use std::sync::Arc;

use serde_json::{Value, json};

use super::connection::Connection;
use crate::adapter::PermissionAnswer;
use crate::api::error::ApiError;
use crate::api::input::Body;
use crate::worker::{NewMessage, Worker};

/// Does what one frame says. Answers with a frame of its own, or with nothing: then an `ack` goes to who sent a `ref`.
pub(super) fn run(connection: &mut Connection, message: Value) -> Result<Option<Value>, ApiError> {
    let Value::Object(mut fields) = message else { return Ok(None) };
    let kind = match fields.remove("type") {
        Some(Value::String(kind)) => kind,
        Some(_) => return Err(ApiError::bad_request("type must be a string")),
        None => return Err(ApiError::bad_request("a frame needs a type")),
    };
    let mut body = Body::of(fields);
    match kind.as_str() {
        "ping" => Ok(Some(json!({"type": "pong"}))),
        "subscribe" => subscribe(connection, body).map(|()| None),
        "unsubscribe" => {
            let worker_id = body.text("worker_id");
            body.finish()?;
            connection.unsubscribe(&worker_id);
            Ok(None)
        }
        "message" => send_message(connection, body),
        "interrupt" => {
            let worker = target(connection, &mut body)?;
            body.finish()?;
            worker.interrupt("user")?;
            Ok(None)
        }
        "permission" => permission(connection, body).map(|()| None),
        "answer" => {
            let worker = target(connection, &mut body)?;
            let request_id = body.text("request_id");
            let answers = body.value("answers").unwrap_or_default();
            body.finish()?;
            worker.answer_question(&request_id, &answers)?;
            Ok(None)
        }
        "set_model" => {
            let worker = target(connection, &mut body)?;
            let model = body.text("model");
            body.finish()?;
            worker.configure(Some(&model), None)?;
            Ok(None)
        }
        "set_permission_mode" => {
            let worker = target(connection, &mut body)?;
            let mode = body.optional_text("permission_mode").or_else(|| body.optional_text("mode"));
            body.finish()?;
            let mode = mode.ok_or_else(|| ApiError::mistake("body", "permission_mode", "Field required", "missing"))?;
            worker.configure(None, Some(&mode))?;
            Ok(None)
        }
        other => Err(ApiError::bad_request(format!("unknown type: {other}"))),
    }
}

/// Takes a message for a worker. Who sent a `ref` is told which message it is, and where it stands.
fn send_message(connection: &Connection, mut body: Body) -> Result<Option<Value>, ApiError> {
    let worker = target(connection, &mut body)?;
    let message = NewMessage {
        content: body.text("content"),
        attachments: body.attachments(),
        client_message_id: body.optional_text("client_message_id"),
        steer: body.flag("steer"),
    };
    let wants_answer = body.has("ref");
    body.finish()?;
    let settled = connection.registry.post_message(&worker, message)?;
    Ok(wants_answer.then(|| {
        json!({
            "type": "ack",
            "message_id": settled.message_id,
            "client_message_id": settled.client_message_id,
            "seq": settled.seq,
            "state": settled.state,
        })
    }))
}

fn subscribe(connection: &mut Connection, mut body: Body) -> Result<(), ApiError> {
    let worker_id = body.text("worker_id");
    let since = match body.value("since") {
        None | Some(Value::Null) => None,
        Some(since) => match since.as_u64() {
            Some(since) => Some(since),
            None => {
                body.mistake("since", "Input should be a sequence number or null", "int_type");
                None
            }
        },
    };
    let raw = body.flag("raw");
    body.finish()?;
    connection.may_subscribe()?;
    let worker = connection.registry.get(&worker_id)?;
    connection.subscribe(&worker, since, raw, true);
    Ok(())
}

fn permission(connection: &Connection, mut body: Body) -> Result<(), ApiError> {
    let worker = target(connection, &mut body)?;
    let request_id = body.text("request_id");
    let option = ["option_id", "decision", "option"].into_iter().find_map(|name| body.optional_text(name));
    let answer = PermissionAnswer {
        option_id: option.unwrap_or_default(),
        message: body.optional_text("message"),
        updated_input: body.value("updated_input").filter(|input| !input.is_null()),
        interrupt: body.flag("interrupt"),
    };
    if answer.option_id.is_empty() {
        body.mistake("option_id", "Field required", "missing");
    }
    body.finish()?;
    worker.answer_permission(&request_id, &answer)?;
    Ok(())
}

/// The worker that a command is for: the one it names, else the connection's own.
fn target(connection: &Connection, body: &mut Body) -> Result<Arc<Worker>, ApiError> {
    match (body.optional_text("worker_id"), &connection.worker) {
        (Some(id), _) => Ok(connection.registry.get(&id)?),
        (None, Some(worker)) => Ok(Arc::clone(worker)),
        (None, None) => Err(ApiError::mistake("body", "worker_id", "Field required", "missing")),
    }
}
