//! The commands that a client can send on a WebSocket.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};

use super::connection::SocketConnection;
use crate::access::Scope;
use crate::api::error::ApiError;
use crate::api::input::JsonBody;
use crate::api::{decision, messages};
use crate::hub::FrameKind;
use crate::journal::By;
use crate::worker::Worker;
use crate::worker::history::cursor::Cursor;

/// A command of a WebSocket, with the scope that it requires.
pub(in crate::api) struct SocketCommand {
    /// The `type` of its frame.
    pub(in crate::api) kind: &'static str,
    pub(in crate::api) scope: Scope,
    /// True if the audit has it.
    pub(in crate::api) changes: bool,
    run: CommandHandler,
}

/// Does what a command says. Answers with a frame of its own, or with nothing: then an `ack` goes to who sent a `ref`.
type CommandHandler = fn(&mut SocketConnection, JsonBody) -> Result<Option<Value>, ApiError>;

const fn look(kind: &'static str, scope: Scope, run: CommandHandler) -> SocketCommand {
    SocketCommand { kind, scope, changes: false, run }
}

const fn change(kind: &'static str, scope: Scope, run: CommandHandler) -> SocketCommand {
    SocketCommand { kind, scope, changes: true, run }
}

/// All commands. A worker that one names must be in the connection's reach.
pub(in crate::api) static COMMANDS: &[SocketCommand] = &[
    look("ping", Scope::Read, |_, _| Ok(Some(json!({"type": "pong"})))),
    look("subscribe", Scope::Read, subscribe),
    look("unsubscribe", Scope::Read, unsubscribe),
    look("in_view", Scope::Read, in_view),
    look("out_of_view", Scope::Read, out_of_view),
    change("permission", Scope::Answer, decide),
    change("answer", Scope::Answer, decide),
    change("message", Scope::Send, send_message),
    change("interrupt", Scope::Send, interrupt),
    change("set_model", Scope::Admin, set_model),
    change("set_permission_mode", Scope::Admin, set_permission_mode),
    change("set_option", Scope::Admin, set_option),
];

/// Does what one frame says, if the connection's scope includes it.
pub(super) fn run(connection: &mut SocketConnection, message: Value) -> Result<Option<Value>, ApiError> {
    let Value::Object(mut fields) = message else { return Ok(None) };
    let kind = match fields.remove("type") {
        Some(Value::String(kind)) => kind,
        Some(_) => return Err(ApiError::bad_request("type must be a string")),
        None => return Err(ApiError::bad_request("a frame needs a type")),
    };
    let Some(command) = COMMANDS.iter().find(|command| command.kind == kind) else {
        return Err(ApiError::bad_request(format!("unknown type: {kind}")));
    };
    if !command.changes {
        connection.client.require(command.scope)?;
        return (command.run)(connection, JsonBody::of(fields));
    }
    let named = fields.get("worker_id").and_then(Value::as_str);
    let worker = named.or(connection.worker.as_ref().map(|worker| worker.id())).map(str::to_owned);
    let action = format!("WS {}", command.kind);
    let client = connection.client.clone();
    if let Err(error) = client.require(command.scope) {
        client.audit.refuse(&client.actor, &action, worker.as_deref(), error.response().status());
        return Err(error);
    }
    if let Some(Err(error)) = worker.as_deref().map(|id| connection.visible(id)) {
        client.audit.refuse(&client.actor, &action, worker.as_deref(), error.response().status());
        return Err(error);
    }
    let begun = client.audit.begin(&client.actor, &action, worker.as_deref());
    let done = (command.run)(connection, JsonBody::of(fields));
    let status = done.as_ref().map_or_else(|error| error.response().status(), |_| 200);
    client.audit.end(begun, status, None, None);
    done
}

fn unsubscribe(connection: &mut SocketConnection, mut body: JsonBody) -> Result<Option<Value>, ApiError> {
    let worker_id = body.text("worker_id");
    body.finish()?;
    connection.unsubscribe(&worker_id);
    Ok(None)
}

fn in_view(connection: &mut SocketConnection, mut body: JsonBody) -> Result<Option<Value>, ApiError> {
    let worker_id = body.optional_text("worker_id");
    body.finish()?;
    // Only one that there is, so that what is kept of a page is short.
    let worker_id = worker_id.map(|id| connection.visible(&id).map(|worker| worker.id().to_owned())).transpose()?;
    // A client that sees a prompt and can't answer it must not keep it from other devices.
    if connection.client.scope >= Scope::Answer && (worker_id.is_some() || connection.client.reach.is_everything()) {
        connection.page.mark_seen(worker_id, Instant::now());
    }
    Ok(None)
}

fn out_of_view(connection: &mut SocketConnection, body: JsonBody) -> Result<Option<Value>, ApiError> {
    body.finish()?;
    connection.page.mark_left();
    Ok(None)
}

fn interrupt(connection: &mut SocketConnection, mut body: JsonBody) -> Result<Option<Value>, ApiError> {
    let worker = target(connection, &mut body)?;
    body.finish()?;
    worker.interrupt(By::User)?;
    Ok(None)
}

fn set_model(connection: &mut SocketConnection, mut body: JsonBody) -> Result<Option<Value>, ApiError> {
    let worker = target(connection, &mut body)?;
    let model = body.text("model");
    body.finish()?;
    worker.configure(Some(&model), None)?;
    Ok(None)
}

fn set_permission_mode(connection: &mut SocketConnection, mut body: JsonBody) -> Result<Option<Value>, ApiError> {
    let worker = target(connection, &mut body)?;
    let mode = body.optional_text("permission_mode").or_else(|| body.optional_text("mode"));
    body.finish()?;
    let mode = mode.ok_or_else(|| ApiError::mistake("body", "permission_mode", "Field required", "missing"))?;
    worker.configure(None, Some(&mode))?;
    Ok(None)
}

fn set_option(connection: &mut SocketConnection, mut body: JsonBody) -> Result<Option<Value>, ApiError> {
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

/// Takes a message for a worker. A sender of a `ref` gets the id of the message and its place in the queue.
fn send_message(connection: &mut SocketConnection, mut body: JsonBody) -> Result<Option<Value>, ApiError> {
    let worker = target(connection, &mut body)?;
    let message = messages::read(&mut body);
    let wants_answer = body.has("ref");
    body.finish()?;
    let message = messages::with_history(&worker, message)?;
    let settled = connection.registry.post_message(&worker, message)?;
    Ok(wants_answer.then(|| {
        let mut answer = messages::taken(&worker, &settled);
        answer["type"] = json!("ack");
        answer
    }))
}

fn subscribe(connection: &mut SocketConnection, mut body: JsonBody) -> Result<Option<Value>, ApiError> {
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
    let worker = connection.visible(&worker_id)?;
    connection.subscribe(&worker, since, kind, true).map(|()| None)
}

fn decide(connection: &mut SocketConnection, mut body: JsonBody) -> Result<Option<Value>, ApiError> {
    let worker = target(connection, &mut body)?;
    let request_id = body.text("request_id");
    let decision = decision::read(&mut body);
    body.finish()?;
    if let Some(decision) = decision {
        connection.client.require(decision::required_scope(&decision))?;
        if worker.raises_budget(&request_id, &decision) && !connection.client.manages_server() {
            return Err(decision::raise_refused());
        }
        worker.decide(&request_id, &decision)?;
    }
    Ok(None)
}

/// Returns the worker of a command: the one that it names, else the connection's own.
fn target(connection: &SocketConnection, body: &mut JsonBody) -> Result<Arc<Worker>, ApiError> {
    match (body.optional_text("worker_id"), &connection.worker) {
        (Some(id), _) => connection.visible(&id),
        // It may have left the reach since.
        (None, Some(worker)) => connection.visible(worker.id()),
        (None, None) => Err(ApiError::mistake("body", "worker_id", "Field required", "missing")),
    }
}
