//! One WebSocket connection: its client, its subscriptions, and its output.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use serde::Serialize;

use crate::access::{Reach, Scope};
use crate::api::error::{ApiError, beyond_scope};
use crate::audit::{Actor, Audit};
use crate::hub::{FeedMember, FrameKind, JournalSource, Outbox, Snapshot, Subscription};
use crate::push::PageInView;
use crate::websocket::CloseReason;
use crate::wire;
use crate::worker::history::archive::{Page, Selection};
use crate::worker::history::blocks::BlockScope;
use crate::worker::history::cursor::Cursor;
use crate::worker::history::page;
use crate::worker::registry::listed::{SelectedWorkers, WorkerSelection};
use crate::worker::{Registry, Worker};

/// Number of messages of the short history for a client without a cursor.
const HISTORY_SHOWN: usize = 20;
/// Longest short history with blocks, in bytes: the outbox closes connections that leave much more unread.
const HISTORY_BLOCKS_BYTES_MAX: usize = 1024 * 1024;
/// Maximum number of workers that one connection may subscribe to.
const SUBSCRIPTIONS_MAX: usize = 1_000;

/// Maximum number of workers with blocks on one connection: their journals stay open for it.
const WITH_BLOCKS_MAX: usize = 16;

/// The client of a connection, and what it may do.
#[derive(Clone)]
pub(super) struct SocketClient {
    pub(super) scope: Scope,
    pub(super) reach: Reach,
    /// The same for the audit.
    pub(super) actor: Actor,
    pub(super) audit: Arc<Audit>,
}

impl SocketClient {
    /// Returns whether it may do everything with the server itself.
    pub(super) fn manages_server(&self) -> bool {
        self.scope == Scope::Admin && self.reach.is_everything()
    }

    /// Refuses what its scope does not include.
    pub(super) fn require(&self, scope: Scope) -> Result<(), ApiError> {
        if self.scope >= scope { Ok(()) } else { Err(beyond_scope(self.scope, scope)) }
    }
}

/// A connection, as the thread that reads it sees it.
pub(super) struct SocketConnection {
    pub(super) outbox: Arc<Outbox>,
    pub(super) client: SocketClient,
    pub(super) registry: Arc<Registry>,
    /// The worker of `/ws/{id}`.
    pub(super) worker: Option<Arc<Worker>>,
    /// The page that it belongs to, which may be in view.
    pub(super) page: PageInView,
    subscriptions: HashMap<String, (FrameKind, Arc<Subscription>)>,
    feed: Option<Arc<FeedMember>>,
}

impl SocketConnection {
    /// A connection that is subscribed to nothing.
    pub(super) fn new(outbox: Arc<Outbox>, client: SocketClient, registry: Arc<Registry>, page: PageInView) -> Self {
        Self { outbox, client, registry, worker: None, page, subscriptions: HashMap::new(), feed: None }
    }

    /// Sends the list of these workers, and every change of any worker from now on.
    pub(super) fn join_feed(&mut self, selection: WorkerSelection) {
        let source: Arc<dyn Snapshot> = Arc::new(SelectedWorkers { registry: Arc::clone(&self.registry), selection });
        self.feed = Some(self.registry.feed().join(&self.outbox, source, self.client.reach.clone()));
    }

    /// A worker in reach. One out of it is answered as one that is not there.
    pub(super) fn visible(&self, id: &str) -> Result<Arc<Worker>, ApiError> {
        Ok(self.registry.visible(id, &self.client.reach)?)
    }

    /// Subscribes to a worker: from the cursor `since`, or live after a short history.
    pub(super) fn subscribe(
        &mut self,
        worker: &Arc<Worker>,
        since: Option<Cursor>,
        kind: FrameKind,
        announce: bool,
    ) -> Result<(), ApiError> {
        self.may_subscribe(worker.id(), kind)?;
        self.unsubscribe(worker.id());
        let end = worker.topic().end();
        let from = match since {
            // The writer thread reports a journal that cannot be read.
            Some(since) if worker.archive().holds(since, end).unwrap_or(true) => since.seq.saturating_add(1),
            Some(_) => {
                let mut frame = Vec::new();
                worker.archive().resync_frame(&mut frame);
                self.outbox.reply(&frame);
                0
            }
            None => {
                self.send_history(worker, end, kind);
                end
            }
        };
        let source: Arc<dyn JournalSource> = Arc::new(Arc::clone(worker.archive()));
        let subscription = worker.topic().subscribe(&self.outbox, source, from, kind, announce);
        self.subscriptions.insert(worker.id().to_owned(), (kind, subscription));
        Ok(())
    }

    /// Ends a subscription; returns whether there was one.
    pub(super) fn unsubscribe(&mut self, worker_id: &str) -> bool {
        let subscription = self.subscriptions.remove(worker_id);
        subscription.inspect(|(_, subscription)| subscription.cancel()).is_some()
    }

    /// Returns whether a subscription is within the limits; one to the same worker replaces the last.
    fn may_subscribe(&self, worker_id: &str, kind: FrameKind) -> Result<(), ApiError> {
        let others = || self.subscriptions.iter().filter(|(id, _)| *id != worker_id);
        if others().count() >= SUBSCRIPTIONS_MAX {
            let text = format!("a connection can be subscribed to {SUBSCRIPTIONS_MAX} workers at most");
            return Err(ApiError::bad_request(text));
        }
        if kind.blocks && others().filter(|(_, (kind, _))| kind.blocks).count() >= WITH_BLOCKS_MAX {
            let text = format!("a connection can get the blocks of {WITH_BLOCKS_MAX} workers at most");
            return Err(ApiError::bad_request(text));
        }
        Ok(())
    }

    fn send_history(&self, worker: &Worker, end: u64, kind: FrameKind) {
        let page = match history(worker, end, kind) {
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
            payload.extend(page::list_json(&page));
            payload.push(b'}');
        });
        self.outbox.reply(&bytes);
    }

    /// Sends one frame of the server itself.
    pub(super) fn send(&self, value: &impl Serialize) {
        let mut bytes = Vec::new();
        wire::json_frame(&mut bytes, value);
        self.outbox.reply(&bytes);
    }

    /// Ends the subscriptions and the output: at once when the client is gone, else after the queued frames.
    pub(super) fn end(&mut self, reason: &CloseReason) {
        self.page.mark_left();
        if let Some(feed) = self.feed.take() {
            self.registry.feed().leave(&feed);
        }
        for (_, (_, subscription)) in self.subscriptions.drain() {
            subscription.cancel();
        }
        match reason {
            CloseReason::Lost | CloseReason::Silent => self.outbox.abort(),
            CloseReason::Peer(_) | CloseReason::Refused(..) => self.outbox.finish(),
        }
    }
}

/// Returns the short history before `end`. If it would be too long with blocks, it has none.
fn history(worker: &Worker, end: u64, kind: FrameKind) -> io::Result<Page> {
    let selection = page::messages(HISTORY_SHOWN);
    if kind.blocks {
        let with_blocks = Selection { blocks: BlockScope::Messages, ..selection };
        let page = worker.archive().page_before(end, &with_blocks)?;
        if page.events.iter().map(|event| event.json.len()).sum::<usize>() <= HISTORY_BLOCKS_BYTES_MAX {
            return Ok(page);
        }
    }
    worker.archive().page_before(end, &selection)
}
