//! The thread that takes notices and sends them. Each subscription has a separate lane, and each notice a thread for
//! the duration of its request: a push service that is slow or down delays no other.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender as Channel, bounded, select};

use super::book::{Book, SUBSCRIPTIONS_MAX};
use super::in_view::InView;
use super::lane::Lane;
use super::notice::Notice;
use super::send::{NoticeOutcome, Sender, outcome};
use super::subscription::PushSubscription;
use crate::access::Tokens;
use crate::clock::Micros;
use crate::logins::Logins;
use crate::metrics;
use crate::thread::Thread;
use crate::worker::Registry;

/// Workers whose notices are held back while somebody looks at the page.
const HELD_MAX: usize = 256;
/// Longest time without a look at what is due.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// The parts that the courier shares with the API.
pub(super) struct CourierState {
    pub(super) book: Book,
    pub(super) in_view: Arc<InView>,
    pub(super) logins: Arc<Logins>,
    pub(super) tokens: Arc<Tokens>,
    /// The key and the rules, once somebody has asked for the key.
    pub(super) sender: OnceLock<Arc<Sender>>,
    /// The workers, for the prompts that are still open.
    pub(super) registry: OnceLock<Weak<Registry>>,
}

impl CourierState {
    /// The subscriptions whose login and token have not ended; the others are removed.
    pub(super) fn subscriptions(&self) -> Vec<PushSubscription> {
        self.drop_ended();
        self.book.all()
    }

    /// Removes the subscriptions whose login or token has ended.
    pub(super) fn drop_ended(&self) {
        let now = Micros::now();
        let logins = self.logins.list(now);
        self.book.keep_only(|one| {
            one.login.as_ref().is_none_or(|login| logins.iter().any(|it| it.id == *login))
                && one.token.as_ref().is_none_or(|token| self.tokens.get(token, now).is_some())
        });
    }

    /// Returns whether a subscription may get the notices of a worker.
    fn covers(&self, one: &PushSubscription, worker: &str) -> bool {
        let Some(token) = &one.token else { return true };
        let Some(token) = self.tokens.get(token, Micros::now()) else { return false };
        let registry = self.registry.get().and_then(Weak::upgrade);
        token.reach.is_everything() || registry.is_some_and(|registry| registry.visible(worker, &token.reach).is_ok())
    }

    /// Returns whether the prompt of a notice still waits.
    fn is_open(&self, notice: &Notice) -> bool {
        let Some(registry) = self.registry.get().and_then(Weak::upgrade) else { return true };
        let Ok(worker) = registry.get(&notice.worker) else { return false };
        let prompts = worker.views().prompts(worker.id());
        match &notice.request {
            Some(request) => prompts.iter().any(|waiting| waiting.prompt.request_id == *request),
            None => !prompts.is_empty(),
        }
    }
}

/// The end of a request.
struct SendEnd {
    id: String,
    notice: Notice,
    outcome: NoticeOutcome,
}

/// The thread's state.
pub(super) struct Courier {
    shared: Arc<CourierState>,
    lanes: HashMap<String, Lane>,
    /// Prompts that somebody may have seen: they are sent if nobody has answered them when the page goes out of view.
    held: HashMap<String, Notice>,
    ended: Receiver<SendEnd>,
    ends: Channel<SendEnd>,
}

impl Courier {
    pub(super) fn new(shared: Arc<CourierState>) -> Self {
        let (ends, ended) = bounded(SUBSCRIPTIONS_MAX);
        Self { shared, lanes: HashMap::new(), held: HashMap::new(), ended, ends }
    }

    /// Delivers what comes, until `stopped` is closed.
    pub(super) fn run(mut self, notices: &Receiver<Notice>, changes: &Receiver<()>, stopped: &Receiver<()>) {
        let ended = self.ended.clone();
        loop {
            let now = Instant::now();
            self.release(now);
            self.dispatch(now);
            let wait = self.next_due(now).map_or(LONGEST_WAIT, |at| at.saturating_duration_since(now));
            select! {
                recv(notices) -> notice => match notice {
                    Ok(notice) => self.take(notice, Instant::now()),
                    Err(_) => return,
                },
                recv(ended) -> sent => if let Ok(sent) = sent { self.settle(sent, Instant::now()); },
                // A page has come into view or left it: `release` looks.
                recv(changes) -> _ => {}
                recv(stopped) -> _ => return,
                default(wait) => {}
            }
        }
    }

    /// Takes a notice: for all subscriptions, or held back while somebody looks.
    fn take(&mut self, notice: Notice, now: Instant) {
        self.held.remove(&notice.worker);
        if self.shared.in_view.covers(&notice.worker, now) {
            if notice.is_of_prompt() && self.held.len() < HELD_MAX {
                self.held.insert(notice.worker.clone(), notice);
            }
            return;
        }
        self.enqueue(&notice);
    }

    /// Sends the prompts that nobody looks at any more and nobody has answered.
    fn release(&mut self, now: Instant) {
        let in_view = &self.shared.in_view;
        let released: Vec<Notice> =
            self.held.extract_if(|worker, _| !in_view.covers(worker, now)).map(|(_, it)| it).collect();
        for notice in released {
            if self.shared.is_open(&notice) {
                self.enqueue(&notice);
            }
        }
    }

    fn enqueue(&mut self, notice: &Notice) {
        let subscriptions = self.shared.subscriptions();
        self.lanes.retain(|id, lane| lane.is_sending() || subscriptions.iter().any(|one| one.id == *id));
        for one in subscriptions {
            if !self.shared.covers(&one, &notice.worker) {
                continue;
            }
            if self.lanes.entry(one.id).or_default().add(notice.clone()) {
                metrics::PUSH_DROPPED.add(1);
            }
        }
    }

    /// Has everything sent that is due.
    fn dispatch(&mut self, now: Instant) {
        let Some(sender) = self.shared.sender.get() else { return };
        for (id, lane) in &mut self.lanes {
            while let Some(notice) = lane.take(now) {
                let Some(subscription) = self.shared.book.get(id) else { break };
                if notice.tries > 0 && notice.is_of_prompt() && !self.shared.is_open(&notice) {
                    lane.accepted();
                    continue;
                }
                let (sender, ends, id) = (Arc::clone(sender), self.ends.clone(), id.clone());
                let kept = notice.clone();
                let spawned = Thread::spawn("push", move || {
                    let answer = sender.send(&notice, &subscription);
                    let outcome = outcome(&answer);
                    if outcome != NoticeOutcome::Accepted {
                        let said = answer.map_or_else(|error| error.to_string(), |answer| answer.status.to_string());
                        log::info!("push to {}: {said}", subscription.service());
                    }
                    let _ = ends.send(SendEnd { id, notice, outcome });
                });
                match spawned {
                    // It ends with its request, and reports to the channel.
                    Ok(thread) => thread.detach(),
                    Err(error) => {
                        log::warn!("no thread to push with: {error}");
                        lane.failed(kept, None, now);
                    }
                }
                break;
            }
        }
        metrics::PUSH_QUEUE.set(self.lanes.values().map(Lane::len).max().unwrap_or_default());
    }

    /// Notes the end of a request.
    fn settle(&mut self, sent: SendEnd, now: Instant) {
        let Some(lane) = self.lanes.get_mut(&sent.id) else { return };
        match sent.outcome {
            NoticeOutcome::Accepted => {
                metrics::PUSH_DELIVERED.add(1);
                lane.accepted();
            }
            NoticeOutcome::Refused => {
                metrics::PUSH_FAILED.add(1);
                lane.accepted();
            }
            NoticeOutcome::Later(wish) => {
                if lane.failed(sent.notice, wish, now) {
                    metrics::PUSH_FAILED.add(1);
                }
            }
            NoticeOutcome::Gone => {
                metrics::PUSH_FAILED.add(1);
                self.lanes.remove(&sent.id);
                forget(&self.shared.book, &sent.id);
            }
        }
    }

    /// The next time at which there is something to do.
    fn next_due(&self, now: Instant) -> Option<Instant> {
        let view = if self.held.is_empty() { None } else { self.shared.in_view.next_end(now) };
        self.lanes.values().filter_map(|lane| lane.due(now)).chain(view).min()
    }
}

/// Removes a subscription that its push service does not know any more.
pub(super) fn forget(book: &Book, id: &str) {
    match book.remove(id) {
        Ok(_) => log::info!("a push subscription has ended"),
        Err(error) => log::warn!("a push subscription has ended, but only until the server starts again: {error}"),
    }
}
