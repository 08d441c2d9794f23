//! The commands that a client can send on a WebSocket.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};

use super::connection::Connection;
use crate::api::error::ApiError;
use crate::api::input::Body;
use crate::api::{decision, messages};
use crate::hub::FrameKind;
use crate::journal::By;
use crate::worker::Worker;
use crate::worker::history::cursor::Cursor;

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
        "in_view" => {
            let worker_id = body.optional_text("worker_id");
            body.finish()?;
            // Only one that there is, so that what is kept of a page is short.
            let worker_id =
                worker_id.map(|id| connection.registry.get(&id).map(|worker| worker.id().to_owned())).transpose()?;
            connection.page.seen(worker_id, Instant::now());
            Ok(None)
        }
        "out_of_view" => {
            body.finish()?;
            connection.page.left();
            Ok(None)
        }
        "message" => send_message(connection, body),
        "interrupt" => {
            let worker = target(connection, &mut body)?;
            body.finish()?;
            worker.interrupt(By::User)?;
            Ok(None)
        }
        "permission" | "answer" => decide(connection, body).map(|()| None),
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
        "set_option" => {
            let worker = target(connection, &mut body)?;
            let option = body.text("option");
            let value = body.value("value").filter(|value| !value.is_null());
            if value.is_none() {
                body.mistake("value", "Field required", "missing");
            }
            body.finish()?;
            worker.choose(&option, &value.unwrap_or_default())?;
            Ok(None)
        }
        other => Err(ApiError::bad_request(format!("unknown type: {other}"))),
    }
}

/// Takes a message for a worker. Who sent a `ref` is told which message it is, and where it stands.
fn send_message(connection: &Connection, mut body: Body) -> Result<Option<Value>, ApiError> {
    let worker = target(connection, &mut body)?;
    let message = messages::read(&mut body);
    let wants_answer = body.has("ref");
    body.finish()?;
    let message = messages::with_history(&worker, message)?;
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
    let at = body.optional_text("at").filter(|at| !at.is_empty());
    let at = at.and_then(|at| {
        let time = Cursor::parse_time(&at);
        if time.is_none() {
            body.mistake("at", "Input should be the timestamp of an event", "datetime_parsing");
        }
        time
    });
    let kind = FrameKind { raw: body.flag("raw"), blocks: body.flag("blocks"), simple: false };
    body.finish()?;
    let since = since.map(|seq| Cursor { seq, at });
    let worker = connection.registry.get(&worker_id)?;
    connection.subscribe(&worker, since, kind, true)
}

fn decide(connection: &Connection, mut body: Body) -> Result<(), ApiError> {
    let worker = target(connection, &mut body)?;
    let request_id = body.text("request_id");
    let decision = decision::read(&mut body);
    body.finish()?;
    if let Some(decision) = decision {
        worker.decide(&request_id, &decision)?;
    }
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
