//! One WebSocket connection: who it is for, what it is subscribed to, and its end.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use super::SocketLimits;
use super::commands;
use crate::api::error::ApiError;
use crate::http::Upgraded;
use crate::hub::{FeedMember, Outbox, Snapshot, Source, Subscription};
use crate::thread::Thread;
use crate::websocket::{CloseReason, ControlOut, Incoming, Reader, frame};
use crate::wire;
use crate::worker::{Registry, Worker, history};

/// Messages of the short history that a client gets who names no cursor.
const HISTORY_SHOWN: usize = 20;
/// Workers that one connection may be subscribed to.
const SUBSCRIPTIONS_MAX: usize = 1_000;
/// How long the end of a connection waits for the client to have read why.
const LINGER: Duration = Duration::from_secs(2);

/// What a client came for.
pub(super) enum Wanted {
    /// `/ws`
    All,
    /// `/ws/{id}`
    Worker {
        /// The worker's id.
        id: String,
        /// The last event that the client has.
        since: Option<u64>,
        /// Whether it wants the CLI's own lines.
        raw: bool,
    },
}

/// A connection, as the thread that reads it sees it.
pub(super) struct Connection {
    pub(super) outbox: Arc<Outbox>,
    pub(super) registry: Arc<Registry>,
    /// The worker of `/ws/{id}`.
    pub(super) worker: Option<Arc<Worker>>,
    subscriptions: HashMap<String, Arc<Subscription>>,
    feed: Option<Arc<FeedMember>>,
}

struct Control(Arc<Outbox>);

impl ControlOut for Control {
    fn frame(&self, bytes: &[u8]) {
        self.0.reply(bytes);
    }

    fn close(&self, bytes: &[u8]) {
        self.0.finish_with(bytes);
    }
}

impl Connection {
    /// Serves a connection until it ends. Runs on the connection's thread.
    pub(super) fn run(upgraded: Upgraded, wanted: Wanted, registry: Arc<Registry>, limits: &SocketLimits) {
        let Upgraded { stream, early } = upgraded;
        if let Err(error) = stream.set_write_timeout(Some(limits.write_time)) {
            log::debug!("a WebSocket has no write time-out: {error}");
            return;
        }
        let outbox = Arc::new(Outbox::new(Arc::clone(&stream), limits.queue_bytes));
        let writing = Arc::clone(&outbox);
        let writer = match Thread::spawn("ws-writer", move || writing.run_writer()) {
            Ok(writer) => writer,
            Err(error) => return log::error!("no thread for a WebSocket: {error}"),
        };
        let mut reader = Reader::new(stream, early, Box::new(Control(Arc::clone(&outbox))), limits.reader());
        let mut connection = Self { outbox, registry, worker: None, subscriptions: HashMap::new(), feed: None };
        let stays = connection.begin(wanted);
        let reason = if stays { connection.read(&mut reader) } else { CloseReason::Refused(1000, String::new()) };
        connection.end(&reason);
        // It writes what is queued, at most for the write time-out.
        drop(writer);
        if matches!(reason, CloseReason::Refused(..)) {
            reader.linger(LINGER);
        }
    }

    /// Greets the client; whether the connection stays open.
    fn begin(&mut self, wanted: Wanted) -> bool {
        let (id, since, raw) = match wanted {
            Wanted::All => {
                let source = Arc::clone(&self.registry) as Arc<dyn Snapshot>;
                self.feed = Some(self.registry.feed().join(&self.outbox, source));
                return true;
            }
            Wanted::Worker { id, since, raw } => (id, since, raw),
        };
        let worker = match self.registry.get(&id) {
            Ok(worker) => worker,
            Err(error) => {
                self.send(&json!({"type": "error", "content": error.to_string()}));
                let mut close = Vec::new();
                frame::encode_close(&mut close, 1000, "");
                self.outbox.finish_with(&close);
                return false;
            }
        };
        let state = worker.state();
        self.send(&json!({
            "type": "connected",
            "worker_id": id,
            "worker_name": state.name,
            "ai_cli_type": state.ai_cli_type,
        }));
        self.subscribe(&worker, since, raw, since.is_some());
        self.worker = Some(worker);
        true
    }

    fn read(&mut self, reader: &mut Reader) -> CloseReason {
        loop {
            match reader.next(None) {
                Incoming::Text(text) => self.take(&text),
                Incoming::Binary => self.send(&json!({"type": "error", "content": "send text frames with JSON"})),
                Incoming::Tick => {}
                Incoming::Closed(reason) => return reason,
            }
        }
    }

    fn take(&mut self, text: &str) {
        let message: Value = match serde_json::from_str(text) {
            Ok(message @ Value::Object(_)) => message,
            Ok(_) => return self.send(&json!({"type": "error", "content": "a frame must be a JSON object"})),
            Err(error) => {
                return self.send(&json!({"type": "error", "content": format!("a frame must be JSON: {error}")}));
            }
        };
        let reference = message.get("ref").filter(|reference| !reference.is_null()).cloned();
        match commands::run(self, message) {
            Ok(Some(answer)) => self.send(&with_reference(answer, reference)),
            Ok(None) => {
                if let Some(reference) = reference {
                    self.send(&json!({"type": "ack", "ref": reference}));
                }
            }
            Err(error) => self.send(&with_reference(error_frame(&error), reference)),
        }
    }

    /// Subscribes to a worker: from the cursor `since`, or with a short history and then live.
    pub(super) fn subscribe(&mut self, worker: &Arc<Worker>, since: Option<u64>, raw: bool, announce: bool) {
        self.unsubscribe(worker.id());
        let end = worker.topic().end();
        let from = match since {
            Some(since) if since >= end => {
                // A cursor from another journal, or from a file that was restored to an earlier time.
                let earliest = worker.archive().start().unwrap_or_default();
                self.send(&json!({"type": "resync_required", "worker_id": worker.id(), "earliest_seq": earliest}));
                0
            }
            Some(since) => since + 1,
            None => {
                self.send_history(worker, end);
                end
            }
        };
        let source: Arc<dyn Source> = Arc::new(Arc::clone(worker.archive()));
        let subscription = worker.topic().subscribe(&self.outbox, source, from, raw, announce);
        self.subscriptions.insert(worker.id().to_owned(), subscription);
    }

    /// Ends a subscription; whether there was one.
    pub(super) fn unsubscribe(&mut self, worker_id: &str) -> bool {
        let subscription = self.subscriptions.remove(worker_id);
        subscription.inspect(|subscription| subscription.cancel()).is_some()
    }

    /// Whether another subscription is within the bound.
    pub(super) fn may_subscribe(&self) -> Result<(), ApiError> {
        if self.subscriptions.len() < SUBSCRIPTIONS_MAX {
            return Ok(());
        }
        Err(ApiError::bad_request(format!("a connection can be subscribed to {SUBSCRIPTIONS_MAX} workers at most")))
    }

    fn send_history(&self, worker: &Worker, end: u64) {
        let page = match worker.archive().page_before(end, HISTORY_SHOWN, &history::is_message) {
            Ok(page) => page,
            Err(error) => return log::error!("worker {}: its history cannot be read: {error}", worker.id()),
        };
        if page.events.is_empty() {
            return;
        }
        let mut bytes = Vec::new();
        wire::text_frame(&mut bytes, |payload| {
            payload.extend_from_slice(b"{\"type\":\"history\",\"worker_id\":\"");
            payload.extend_from_slice(worker.id().as_bytes());
            payload.extend_from_slice(format!("\",\"has_more\":{},\"messages\":", page.has_more).as_bytes());
            payload.extend(history::list_json(&page));
            payload.push(b'}');
        });
        self.outbox.reply(&bytes);
    }

    /// Sends one frame of the server's own.
    pub(super) fn send(&self, value: &impl Serialize) {
        let mut bytes = Vec::new();
        wire::json_frame(&mut bytes, value);
        self.outbox.reply(&bytes);
    }

    fn end(&mut self, reason: &CloseReason) {
        if let Some(feed) = self.feed.take() {
            self.registry.feed().leave(&feed);
        }
        for (_, subscription) in self.subscriptions.drain() {
            subscription.cancel();
        }
        match reason {
            CloseReason::Lost | CloseReason::Silent => self.outbox.abort(),
            CloseReason::Peer(_) | CloseReason::Refused(..) => self.outbox.finish(),
        }
    }
}

fn with_reference(mut answer: Value, reference: Option<Value>) -> Value {
    if let (Some(fields), Some(reference)) = (answer.as_object_mut(), reference) {
        fields.insert("ref".to_owned(), reference);
    }
    answer
}

/// An `error` frame: `content` for people, `status` as REST would answer, `detail` where that says more.
fn error_frame(error: &ApiError) -> Value {
    let response = error.response();
    let body: Value = serde_json::from_slice(response.content().bytes()).unwrap_or_default();
    let detail = body.get("detail").cloned().unwrap_or_default();
    let content = match &detail {
        Value::String(text) => text.clone(),
        mistakes => commands::mistakes_in_words(mistakes),
    };
    let mut frame = json!({"type": "error", "content": content, "status": response.status()});
    if let (Some(fields), Some(answer)) = (frame.as_object_mut(), body.get("answer")) {
        fields.insert("answer".to_owned(), answer.clone());
    }
    frame
}
