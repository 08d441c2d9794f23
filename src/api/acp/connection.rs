//! One connection: its client, its subscriptions, and its requests to the API.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use serde_json::{Map, Value};

use super::rpc::{self, INTERNAL_ERROR, META, NOT_FOUND, RpcError};
use super::shared::{Binding, Editor, SessionCursor};
use super::view::{self, SessionView, SharedParts, ViewStart, lock};
use super::{creation_body, stream};
use crate::access::{Identity, NOTHING, Reach, Scope};
use crate::api::call::Api;
use crate::api::error::mistakes_in_words;
use crate::http::{BodyLimit, Head, Method, Reply, Request, Service};
use crate::hub::{FrameKind, JournalSource, Outbox, Subscription};
use crate::percent;
use crate::websocket::CloseReason;
use crate::wire;
use crate::worker::Worker;
use crate::worker::history::cursor::Cursor;

/// Sessions that one connection may have open.
const SESSIONS_MAX: usize = 256;

/// A connection.
pub(super) struct AcpConnection {
    pub(super) api: Arc<Api>,
    /// The request that opened it: others are made in its name.
    opened_by: Request,
    pub(super) outbox: Arc<Outbox>,
    pub(super) shared: SharedParts,
    pub(super) binding: Binding,
    /// The client, once it has introduced itself.
    pub(super) editor: OnceLock<Editor>,
    subscriptions: Mutex<HashMap<String, Arc<Subscription>>>,
    /// Requests that have threads of their own.
    pub(super) under_way: AtomicUsize,
    has_ended: AtomicBool,
}

impl AcpConnection {
    /// A connection without sessions.
    pub(super) fn new(
        api: Arc<Api>,
        opened_by: Request,
        outbox: Arc<Outbox>,
        shared: SharedParts,
        binding: Binding,
    ) -> Self {
        Self {
            api,
            opened_by,
            outbox,
            shared,
            binding,
            editor: OnceLock::new(),
            subscriptions: Mutex::default(),
            under_way: AtomicUsize::new(0),
            has_ended: AtomicBool::new(false),
        }
    }

    fn head(&self) -> &Head {
        &self.opened_by.head
    }

    /// The workers that the client may see.
    pub(super) fn reach(&self) -> &Reach {
        self.head().identity().map_or(&*NOTHING, Identity::reach)
    }

    /// The scope of the client's credential.
    pub(super) fn scope(&self) -> Scope {
        self.head().identity().map_or(Scope::Read, Identity::scope)
    }

    pub(super) fn editor(&self) -> Editor {
        self.editor.get().cloned().unwrap_or_default()
    }

    /// Sends a message.
    pub(super) fn send(&self, message: &str) {
        let mut frame = Vec::new();
        view::write(message, &mut frame);
        self.outbox.reply(&frame);
    }

    /// Sends the response to a request.
    pub(super) fn respond(&self, id: &Value, result: &Result<Value, RpcError>) {
        self.send(&rpc::response(id, result));
    }

    /// Makes a request to the API in the client's name: the access rules, scopes and the audit are those of its route.
    pub(super) fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, RpcError> {
        let target = format!("{}{path}", self.api.settings.base_path);
        let head = self.head().derive(method, &target);
        let head = head.map_err(|error| RpcError::new(INTERNAL_ERROR, error.to_string()))?;
        let refused = |response| RpcError::of_response(&response, mistakes_in_words);
        let limit = self.api.body_limit(&head).map_err(refused)?;
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        if let BodyLimit::Whole(limit) = limit
            && body.len() > limit
        {
            return Err(RpcError::params(format!(
                "the request has {} bytes, and at most {limit} are taken",
                body.len()
            )));
        }
        let request = Request { head, body, client: self.opened_by.client.clone() };
        match self.api.call(&request) {
            Reply::Response(response) if response.status() < 300 => {
                Ok(serde_json::from_slice(response.content().bytes()).unwrap_or_default())
            }
            Reply::Response(response) => Err(refused(response)),
            Reply::Stream(..) | Reply::Upgrade(..) => Err(RpcError::new(INTERNAL_ERROR, "the response is a stream")),
        }
    }

    /// Makes a request about a worker.
    pub(super) fn request_of(
        &self,
        method: Method,
        worker: &str,
        rest: &str,
        body: Option<&Value>,
    ) -> Result<Value, RpcError> {
        self.request(method, &format!("/api/workers/{}{rest}", percent::encode(worker)), body)
    }

    /// Returns the worker of a session, if the client may see it and the connection is not bound to another one.
    pub(super) fn worker(&self, session: &str) -> Result<Arc<Worker>, RpcError> {
        let missing = || RpcError::new(NOT_FOUND, format!("Session not found: {session}"));
        if self.binding.worker.as_ref().is_some_and(|only| only != session) {
            return Err(missing());
        }
        self.api.registry.visible(session, self.reach()).map_err(|_| missing())
    }

    /// Returns whether the session is open on this connection.
    pub(super) fn has(&self, session: &str) -> bool {
        self.subscriptions().contains_key(session)
    }

    /// Refuses more sessions than a connection may have.
    pub(super) fn may_attach(&self, session: &str) -> Result<(), RpcError> {
        let subscriptions = self.subscriptions();
        if subscriptions.len() >= SESSIONS_MAX && !subscriptions.contains_key(session) {
            return Err(RpcError::params(format!("a connection can have {SESSIONS_MAX} sessions at most")));
        }
        Ok(())
    }

    /// Opens a session: the client gets its stream, and the response to `reply` when its replay is over.
    pub(super) fn attach(&self, worker: &Arc<Worker>, start: ViewStart, reply: Option<Value>) -> Result<(), RpcError> {
        self.may_attach(worker.id())?;
        self.attach_to(&mut self.subscriptions(), worker, start, reply)
    }

    /// Opens the session of a new worker: the client gets the response first. The next request finds the session open.
    pub(super) fn attach_new(&self, worker: &Arc<Worker>, id: &Value, result: Value) {
        let mut subscriptions = self.subscriptions();
        self.respond(id, &Ok(result));
        if let Err(error) = self.attach_to(&mut subscriptions, worker, ViewStart::Beginning, None) {
            log::warn!("worker {}: a client that has made it gets no updates: {}", worker.id(), error.message);
        }
    }

    fn attach_to(
        &self,
        subscriptions: &mut HashMap<String, Arc<Subscription>>,
        worker: &Arc<Worker>,
        start: ViewStart,
        reply: Option<Value>,
    ) -> Result<(), RpcError> {
        if self.has_ended.load(Ordering::Relaxed) {
            return Err(RpcError::new(INTERNAL_ERROR, "the connection has ended"));
        }
        let end = worker.topic().end();
        let from = match &start {
            ViewStart::Beginning => 0,
            ViewStart::Live => end,
            ViewStart::After(SessionCursor { seq, .. }) => {
                let cursor = Cursor { seq: *seq, at: None };
                if !worker.archive().holds(cursor, end).unwrap_or(true) {
                    return Err(RpcError::params("the cursor is not one of this session: load it again"));
                }
                seq.saturating_add(1)
            }
        };
        if let Some(last) = subscriptions.remove(worker.id()) {
            last.cancel();
        }
        let may = (self.editor(), self.scope() >= Scope::Answer);
        let view = SessionView::new(worker, &self.shared, may, (start, end.saturating_sub(1)), reply);
        lock(&self.shared).arriving.entry(worker.id().to_owned()).or_default().push_back(view);
        self.mark(&stream::attach(worker.id()));
        let source: Arc<dyn JournalSource> = Arc::new(Arc::clone(worker.archive()));
        let subscription = worker.topic().subscribe(&self.outbox, source, from, FrameKind::default(), true);
        subscriptions.insert(worker.id().to_owned(), subscription);
        Ok(())
    }

    /// Closes a session on this connection.
    pub(super) fn detach(&self, session: &str) {
        if let Some(subscription) = self.subscriptions().remove(session) {
            subscription.cancel();
        }
        self.mark(&stream::detach(session));
        lock(&self.shared).requests.retain(|_, request| request.worker != session);
    }

    fn mark(&self, mark: &Value) {
        let mut frame = Vec::new();
        wire::json_frame(&mut frame, mark);
        self.outbox.reply(&frame);
    }

    fn subscriptions(&self) -> MutexGuard<'_, HashMap<String, Arc<Subscription>>> {
        self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the subscriptions and the output: at once when the client is gone, else after the queued frames.
    pub(super) fn end(&self, reason: &CloseReason) {
        let mut subscriptions = self.subscriptions();
        // A request that is still under way opens no session any more.
        self.has_ended.store(true, Ordering::Relaxed);
        for (_, subscription) in subscriptions.drain() {
            subscription.cancel();
        }
        drop(subscriptions);
        // They hold the shared parts, which hold them.
        lock(&self.shared).arriving.clear();
        match reason {
            CloseReason::Lost | CloseReason::Silent => self.outbox.abort(),
            CloseReason::Peer(_) | CloseReason::Refused(..) => self.outbox.finish(),
        }
    }

    /// Creates a worker, and returns it.
    pub(super) fn create(&self, params: &MethodParams) -> Result<Arc<Worker>, RpcError> {
        let cwd = params.text("cwd")?;
        let body = creation_body::of(&self.api, &self.binding, &self.editor(), &cwd, &params.fields, params.meta());
        let made = self.request(Method::Post, "/api/workers", Some(&body))?;
        self.worker(made.get("id").and_then(Value::as_str).unwrap_or_default())
    }

    /// Marks the end of a request that has a thread of its own.
    pub(super) fn is_done(&self) {
        self.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The parameters of a method.
pub(super) struct MethodParams {
    pub(super) fields: Map<String, Value>,
}

impl MethodParams {
    /// A required text.
    pub(super) fn text(&self, name: &str) -> Result<String, RpcError> {
        match self.fields.get(name) {
            Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
            _ => Err(RpcError::params(format!("{name}: a text is required"))),
        }
    }

    /// The project's own additions.
    pub(super) fn meta(&self) -> &Value {
        self.fields.get("_meta").and_then(|meta| meta.get(META)).unwrap_or(&Value::Null)
    }
}
