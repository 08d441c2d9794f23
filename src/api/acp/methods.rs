//! The methods that a client can call.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::connection::{AcpConnection, MethodParams};
use super::rpc::{self, AcpMessage, INTERNAL_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, RpcError};
use super::shared::{AwaitedPrompt, Editor, OpenRequest, PROMPTS_MAX, SessionCursor};
use super::view::{ViewStart, lock};
use super::{content, form, options};
use crate::access::Scope;
use crate::clock::Micros;
use crate::http::Method;
use crate::percent;
use crate::thread::Thread;
use crate::worker::Worker;
use crate::worker::publish::summary::Summary;
use crate::worker::state::status::Status;

/// The version of the protocol.
const PROTOCOL_VERSION: u64 = 1;
/// Sessions in one page of their list.
const PAGE_SESSIONS: usize = 100;
/// Requests of one connection that may be under way on threads of their own.
const UNDER_WAY_MAX: usize = 16;
/// Longest wait of a new session for its CLI to list its options.
const OPTIONS_WAIT: Duration = Duration::from_secs(20);
/// Pause between two looks at that.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The result of a method; `None` when the response comes later.
type Done = Result<Option<Value>, RpcError>;
type MethodHandler = fn(&AcpConnection, &Value, &MethodParams) -> Done;

/// A method.
struct MethodEntry {
    name: &'static str,
    /// True if it may take long: it gets a thread of its own.
    is_slow: bool,
    run: MethodHandler,
}

const fn quick(name: &'static str, run: MethodHandler) -> MethodEntry {
    MethodEntry { name, is_slow: false, run }
}

const fn slow(name: &'static str, run: MethodHandler) -> MethodEntry {
    MethodEntry { name, is_slow: true, run }
}

/// All methods but `initialize`. Those that change something make requests to the API, whose routes state the scopes.
static METHODS: &[MethodEntry] = &[
    quick("authenticate", |_, _, _| Ok(Some(json!({})))),
    slow("session/new", new),
    quick("session/list", list),
    slow("session/load", load),
    slow("session/resume", resume),
    slow("session/close", close),
    slow("session/delete", delete),
    quick("session/prompt", prompt),
    quick("session/set_mode", |connection, _, params| choose(connection, params, "mode", "modeId").map(|()| empty())),
    quick("session/set_model", |connection, _, params| {
        choose(connection, params, "model", "modelId").map(|()| empty())
    }),
    quick("session/set_config_option", set_option),
];

fn empty() -> Option<Value> {
    Some(json!({}))
}

/// Takes one message of the client. Returns false when the connection is to be closed, because it did not begin with
/// `initialize`.
pub(super) fn take(connection: &Arc<AcpConnection>, text: &str) -> bool {
    let is_known = connection.editor.get().is_some();
    match rpc::parse(text) {
        Err((id, error)) => connection.respond(&id, &Err(error)),
        Ok(AcpMessage::Request { id, method, params }) if method == "initialize" => {
            connection.respond(&id, &initialize(connection, params));
        }
        Ok(_) if !is_known => return false,
        Ok(AcpMessage::Request { id, method, params }) => request(connection, id, &method, params),
        Ok(AcpMessage::Notification { method, params }) => notification(connection, &method, params),
        Ok(AcpMessage::Response { id, result }) => answered(connection, &id, result),
    }
    true
}

fn initialize(connection: &AcpConnection, params: Map<String, Value>) -> Result<Value, RpcError> {
    if params.get("protocolVersion").and_then(Value::as_u64).is_none() {
        return Err(RpcError::params("protocolVersion: a whole number is required"));
    }
    if connection.editor.set(Editor::read(&Value::Object(params))).is_err() {
        return Err(RpcError::new(INVALID_REQUEST, "the connection is initialized already"));
    }
    let mut session = json!({"list": {}, "resume": {}, "close": {}});
    if connection.scope() == Scope::Admin {
        session["delete"] = json!({});
    }
    Ok(json!({
        "protocolVersion": PROTOCOL_VERSION,
        "agentCapabilities": {
            "loadSession": true,
            "promptCapabilities": {"image": true, "audio": false, "embeddedContext": true},
            "mcpCapabilities": {"http": true, "sse": true},
            "sessionCapabilities": session,
        },
        "authMethods": [],
        "agentInfo": {"name": "rs-worker", "title": "rs-worker", "version": env!("CARGO_PKG_VERSION")},
    }))
}

fn request(connection: &Arc<AcpConnection>, id: Value, method: &str, fields: Map<String, Value>) {
    let Some(entry) = METHODS.iter().find(|entry| entry.name == method) else {
        let error = RpcError::new(METHOD_NOT_FOUND, format!("Method not found: {method}"));
        return connection.respond(&id, &Err(error));
    };
    let (run, params) = (entry.run, MethodParams { fields });
    if !entry.is_slow {
        return finish(connection, run, &id, &params);
    }
    if connection.under_way.fetch_add(1, Ordering::Relaxed) >= UNDER_WAY_MAX {
        connection.is_done();
        let text = format!("{UNDER_WAY_MAX} requests are under way already: wait for one of them");
        return connection.respond(&id, &Err(RpcError::new(INTERNAL_ERROR, text)));
    }
    let (own, own_id) = (Arc::clone(connection), id.clone());
    let started = Thread::spawn("acp-request", move || {
        finish(&own, run, &own_id, &params);
        own.is_done();
    });
    match started {
        // It ends with its request; their number is bounded.
        Ok(thread) => thread.detach(),
        Err(error) => {
            connection.is_done();
            let text = format!("no thread for the request: {error}");
            connection.respond(&id, &Err(RpcError::new(INTERNAL_ERROR, text)));
        }
    }
}

fn finish(connection: &AcpConnection, run: MethodHandler, id: &Value, params: &MethodParams) {
    if let Some(result) = run(connection, id, params).transpose() {
        connection.respond(id, &result);
    }
}

fn opened(connection: &AcpConnection, worker: &Worker) -> Value {
    let listed = worker.options().ok().flatten().unwrap_or_default();
    options::opened(&listed, connection.editor().takes_booleans)
}

/// Makes a worker, or takes the one to which the connection is bound. The response comes before the first update: the
/// client does not know the session before.
fn new(connection: &AcpConnection, id: &Value, params: &MethodParams) -> Done {
    let worker = match &connection.binding.worker {
        Some(only) => connection.worker(only)?,
        None => {
            // Refused before anything is made.
            connection.may_attach("")?;
            let worker = connection.create(params)?;
            wait_for_options(&worker)?;
            worker
        }
    };
    let mut result = opened(connection, &worker);
    result["sessionId"] = worker.id().into();
    connection.may_attach(worker.id())?;
    connection.attach_new(&worker, id, result);
    Ok(None)
}

/// Waits until the CLI of a new worker has listed its options, or is ready without.
fn wait_for_options(worker: &Worker) -> Result<(), RpcError> {
    let deadline = Instant::now() + OPTIONS_WAIT;
    loop {
        let end = worker.topic().end();
        let state = worker.state();
        if state.status == Status::Failed {
            let reason = state.reason.as_deref().unwrap_or("its CLI could not be started");
            let text = format!("the worker {} has failed: {reason}", state.name);
            return Err(RpcError::new(INTERNAL_ERROR, text));
        }
        let is_ready = state.options_listed_at.is_some() || state.status != Status::Starting;
        if is_ready || Instant::now() >= deadline || worker.topic().wait_past(end, LOOK_EVERY).is_none() {
            return Ok(());
        }
    }
}

/// Lists workers as sessions, the latest first.
fn list(connection: &AcpConnection, _: &Value, params: &MethodParams) -> Done {
    let text = |name: &str| params.fields.get(name).and_then(Value::as_str);
    let cwd = text("cwd");
    let after = text("cursor").map(|cursor| {
        let (time, id) = cursor.split_once(':')?;
        Some((time.parse::<u64>().ok()?, id))
    });
    let after = match after {
        None => None,
        Some(Some(after)) => Some(after),
        Some(None) => return Err(RpcError::params("cursor: not one of this list")),
    };
    let is_bound = |worker: &Arc<Worker>| connection.binding.worker.as_ref().is_none_or(|only| only == worker.id());
    let mut workers = connection.api.registry.all();
    workers.retain(|worker| worker.is_in(connection.reach()) && is_bound(worker));
    let mut found: Vec<Summary> = workers.iter().map(|worker| worker.summary()).collect();
    found.retain(|it| !it.archived && cwd.is_none_or(|cwd| cwd == it.project_path));
    found.sort_by(|a, b| (b.last_activity.0, &b.id).cmp(&(a.last_activity.0, &a.id)));
    let is_after = |it: &Summary| after.is_none_or(|(time, id)| (it.last_activity.0, it.id.as_str()) < (time, id));
    let mut left = found.iter().filter(|it| is_after(it));
    let page: Vec<&Summary> = left.by_ref().take(PAGE_SESSIONS).collect();
    let session = |it: &&Summary| {
        json!({
            "sessionId": it.id,
            "cwd": it.project_path,
            "title": it.name,
            "updatedAt": Micros(it.last_activity.0),
        })
    };
    let mut result = json!({"sessions": page.iter().map(session).collect::<Vec<_>>()});
    if let (Some(last), Some(_)) = (page.last(), left.next()) {
        result["nextCursor"] = format!("{}:{}", last.last_activity.0, last.id).into();
    }
    Ok(Some(result))
}

fn load(connection: &AcpConnection, id: &Value, params: &MethodParams) -> Done {
    open(connection, id, params, ViewStart::Beginning)
}

fn resume(connection: &AcpConnection, id: &Value, params: &MethodParams) -> Done {
    open(connection, id, params, ViewStart::Live)
}

/// Opens a session: from `usual`, or from the cursor that a client sends which has lost its connection.
fn open(connection: &AcpConnection, id: &Value, params: &MethodParams, usual: ViewStart) -> Done {
    let worker = connection.worker(&params.text("sessionId")?)?;
    let meta = params.meta();
    let prompts = meta.get("prompts").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for prompt in prompts.iter().take(PROMPTS_MAX) {
        take_up(connection, &worker, prompt);
    }
    let start = meta.get("cursor").and_then(SessionCursor::read).map_or(usual, ViewStart::After);
    connection.attach(&worker, start, Some(id.clone()))?;
    Ok(None)
}

/// Takes up a prompt that was sent on an earlier connection and has no response yet.
fn take_up(connection: &AcpConnection, worker: &Worker, prompt: &Value) {
    let (Some(id), Some(client_message_id)) = (prompt.get("id"), prompt["client_message_id"].as_str()) else { return };
    let known = worker.state().message_of_client(client_message_id);
    let mut shared = lock(&connection.shared);
    if shared.prompt(client_message_id).is_none() && shared.prompts.len() < PROMPTS_MAX {
        shared.prompts.push(AwaitedPrompt {
            id: id.clone(),
            worker: worker.id().to_owned(),
            client_message_id: client_message_id.to_owned(),
            accepted: known.as_ref().map_or(0, |known| known.seq),
            message_id: known.map(|known| known.message_id),
            is_consumed: false,
        });
    }
}

/// Stops the worker and keeps its session, unless it works for somebody else: the next message starts it again.
fn close(connection: &AcpConnection, _: &Value, params: &MethodParams) -> Done {
    let worker = connection.worker(&params.text("sessionId")?)?;
    let is_busy = matches!(worker.state().status, Status::Busy | Status::Waiting | Status::Stalled);
    let is_own = lock(&connection.shared).prompts.iter().any(|prompt| prompt.worker == worker.id());
    if !is_busy || is_own {
        connection.request_of(Method::Post, worker.id(), "/stop", None)?;
    }
    let cancelled = Ok(json!({"stopReason": "cancelled"}));
    let left = lock(&connection.shared).answer(worker.id(), &cancelled, |_| true);
    left.iter().for_each(|response| connection.send(response));
    connection.detach(worker.id());
    Ok(empty())
}

fn delete(connection: &AcpConnection, _: &Value, params: &MethodParams) -> Done {
    let worker = connection.worker(&params.text("sessionId")?)?;
    connection.request_of(Method::Delete, worker.id(), "", None)?;
    connection.detach(worker.id());
    Ok(empty())
}

/// Sends a message. The response comes at the end of its turn, from the stream.
fn prompt(connection: &AcpConnection, id: &Value, params: &MethodParams) -> Done {
    let worker = connection.worker(&params.text("sessionId")?)?;
    if !connection.has(worker.id()) {
        return Err(RpcError::params("the session is not open on this connection: load or resume it first"));
    }
    let blocks = params.fields.get("prompt").and_then(Value::as_array);
    let message = content::message(blocks.ok_or_else(|| RpcError::params("prompt: a list is required"))?)?;
    let given = params.meta().get("client_message_id").and_then(Value::as_str).map(str::to_owned);
    let client_message_id = given.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    {
        let mut shared = lock(&connection.shared);
        let is_repeated = shared.is_repeated((id, worker.id()), &client_message_id)?;
        if is_repeated && shared.prompt(&client_message_id).is_none() {
            return Ok(None);
        }
        if !is_repeated {
            if shared.prompts.len() >= PROMPTS_MAX {
                let text = format!("{PROMPTS_MAX} prompts wait for the ends of their turns already");
                return Err(RpcError::new(INTERNAL_ERROR, text));
            }
            shared.prompts.push(AwaitedPrompt {
                id: id.clone(),
                worker: worker.id().to_owned(),
                client_message_id: client_message_id.clone(),
                message_id: None,
                accepted: 0,
                is_consumed: false,
            });
        }
    }
    let mut body = json!({"content": message.text, "client_message_id": client_message_id});
    if !message.attachments.is_empty() {
        body["attachments"] = message.attachments.into();
    }
    let taken = connection.request_of(Method::Post, worker.id(), "/messages", Some(&body));
    let mut shared = lock(&connection.shared);
    match taken {
        Ok(taken) => {
            if let Some(prompt) = shared.prompt(&client_message_id).filter(|prompt| prompt.message_id.is_none()) {
                prompt.message_id = taken.get("message_id").and_then(Value::as_str).map(str::to_owned);
                prompt.accepted = taken.get("seq").and_then(Value::as_u64).unwrap_or_default();
            }
            Ok(None)
        }
        Err(error) => {
            shared.prompts.retain(|prompt| prompt.client_message_id != client_message_id);
            Err(error)
        }
    }
}

/// Sets the mode or the model: by the CLI's own list where it has given one.
fn choose(connection: &AcpConnection, params: &MethodParams, option: &str, field: &str) -> Result<(), RpcError> {
    let worker = connection.worker(&params.text("sessionId")?)?;
    let value = params.text(field)?;
    let is_listed = worker.options().is_ok_and(|listed| listed.is_some());
    let done = if is_listed {
        connection.request_of(Method::Put, worker.id(), &format!("/options/{option}"), Some(&json!({"value": value})))
    } else {
        let name = if option == "mode" { "permission_mode" } else { option };
        connection.request_of(Method::Patch, worker.id(), "", Some(&json!({name: value})))
    };
    done.map(drop)
}

fn set_option(connection: &AcpConnection, _: &Value, params: &MethodParams) -> Done {
    let worker = connection.worker(&params.text("sessionId")?)?;
    let option = percent::encode(&params.text("configId")?);
    let value = params.fields.get("value").ok_or_else(|| RpcError::params("value: required"))?;
    connection.request_of(Method::Put, worker.id(), &format!("/options/{option}"), Some(&json!({"value": value})))?;
    let listed = worker.options().ok().flatten().unwrap_or_default();
    let config = options::config(&listed, connection.editor().takes_booleans);
    Ok(Some(json!({"configOptions": config})))
}

fn notification(connection: &AcpConnection, method: &str, fields: Map<String, Value>) {
    let params = MethodParams { fields };
    let done = match method {
        "session/cancel" => params.text("sessionId").and_then(|session| cancel(connection, &session, None)),
        "$/cancel_request" => cancel_request(connection, params.fields.get("requestId").unwrap_or(&Value::Null)),
        // The protocol wants unknown notifications to be ignored.
        _ => Ok(()),
    };
    if let Err(error) = done {
        log::info!("a notification {method} of a client has no effect: {}", error.message);
    }
}

fn cancel_request(connection: &AcpConnection, id: &Value) -> Result<(), RpcError> {
    let prompt = lock(&connection.shared).prompts.iter().find(|prompt| prompt.id == *id).cloned();
    prompt.map_or(Ok(()), |prompt| cancel(connection, &prompt.worker, Some(id)))
}

/// Takes back the client's queued prompts, and ends the running turn unless it is only somebody else's.
fn cancel(connection: &AcpConnection, session: &str, only: Option<&Value>) -> Result<(), RpcError> {
    let worker = connection.worker(session)?;
    let is_meant = |prompt: &&AwaitedPrompt| prompt.worker == session && only.is_none_or(|id| prompt.id == *id);
    let meant: Vec<AwaitedPrompt> = lock(&connection.shared).prompts.iter().filter(is_meant).cloned().collect();
    let mut removed = 0;
    for message_id in meant.iter().filter_map(|prompt| prompt.message_id.as_deref()) {
        let is_queued = worker.state().queue.iter().any(|queued| queued.message_id == message_id);
        let path = format!("/queue/{}", percent::encode(message_id));
        // One that has just been delivered is not removed.
        removed += usize::from(is_queued && connection.request_of(Method::Delete, session, &path, None).is_ok());
    }
    if removed < meant.len() || meant.is_empty() {
        connection.request_of(Method::Post, session, "/interrupt", None)?;
    }
    Ok(())
}

/// Takes the client's response to a request about a prompt.
fn answered(connection: &AcpConnection, id: &Value, result: Result<Value, Value>) {
    let Some(request) = id.as_str().and_then(|id| lock(&connection.shared).requests.remove(id)) else { return };
    let decision = match result {
        Ok(result) => decision(&request, &result),
        Err(error) => {
            log::info!("a client has not answered a prompt: {error}");
            None
        }
    };
    // Nothing was decided: the prompt waits for somebody else.
    let Some(decision) = decision else { return };
    let path = format!("/permissions/{}", percent::encode(&request.request_id));
    if let Err(error) = connection.request_of(Method::Post, &request.worker, &path, Some(&decision)) {
        log::info!("worker {}: the answer of a client has no effect: {}", request.worker, error.message);
    }
}

fn decision(request: &OpenRequest, result: &Value) -> Option<Value> {
    let of = |pointer: &str| result.pointer(pointer).and_then(Value::as_str);
    match (request.questions, of("/outcome/outcome"), of("/action")) {
        (None, Some("selected"), _) => Some(json!({"option_id": of("/outcome/optionId")?})),
        (Some(count), _, Some("accept")) => Some(json!({"answers": form::answers(count, &result["content"])})),
        (Some(_), _, Some("decline")) => Some(json!({"option_id": "decline"})),
        _ => None,
    }
}
