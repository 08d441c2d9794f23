//! Web Push: notifies browsers that do not show the page when a worker waits for a person, has ended a turn or has
//! failed.
//!
//! A browser subscribes at its own push service and gives the page an address there; [`send`] posts an encrypted notice
//! to it. The service learns neither the worker nor its name. While a page is in view ([`InView`]), nothing is sent for
//! the workers that it shows. A prompt that is unanswered when the page goes out of view is sent then.
//!
//! The key pair is created when the first page asks for it. The key and the subscriptions are kept in private files.

mod book;
mod courier;
mod encrypt;
mod in_view;
mod lane;
mod notice;
#[cfg(test)]
mod sample;
mod send;
mod subscription;
mod vapid;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender as Channel, bounded};

pub(crate) use book::SUBSCRIPTIONS_MAX;
use book::{Book, BookError};
use courier::{Courier, CourierState, forget};
pub(crate) use in_view::{InView, PageInView};
pub(crate) use lane::LANE_MAX;
use notice::Notice;
use send::{NoticeOutcome, Sender, outcome};
pub(crate) use subscription::{NewSubscription, PushSubscription, SubscriptionMistake};
use vapid::Vapid;

use crate::access::Tokens;
use crate::clock::Micros;
use crate::logins::Logins;
use crate::metrics;
use crate::outbound;
use crate::thread::Thread;
use crate::worker::Registry;
use crate::worker::publish::changes::WorkerChange;

/// Notices that wait for the courier.
const QUEUE_MAX: usize = 256;

/// The operator's settings.
#[derive(Clone, Debug)]
pub(crate) struct PushSettings {
    /// The folder of the key and of the subscriptions.
    pub data: PathBuf,
    /// The address of the operator, for push services: `mailto:` or `https:`.
    pub contact: String,
    /// True if push services inside the own network are allowed.
    pub allow_private: bool,
}

/// Web Push.
pub(crate) struct Push {
    shared: Arc<CourierState>,
    settings: PushSettings,
    queue: Channel<Notice>,
    /// Held while the key is read or made.
    opening: Mutex<()>,
    /// Held while a test is on its way: there is one at a time.
    testing: Mutex<()>,
}

/// The courier's end of it.
pub(crate) struct PushDelivery {
    thread: Thread,
    ended: Receiver<()>,
    /// Dropping it ends the thread.
    stop: Channel<()>,
}

/// The reason that a request is not done.
#[derive(Debug)]
pub(crate) enum PushError {
    /// The subscription has a mistake.
    Mistake(SubscriptionMistake),
    /// The limit is reached.
    Full,
    /// The address belongs to another subscription.
    Taken,
    /// The subscription does not exist.
    Unknown,
    /// Another test is on its way.
    Busy,
    /// The system refuses: no key, no curl, no file.
    Unavailable(String),
}

impl fmt::Display for PushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mistake(mistake) => write!(f, "{} {}", mistake.field, mistake.text),
            Self::Full => {
                write!(f, "{SUBSCRIPTIONS_MAX} browsers, or too many with this token, are subscribed: remove one first")
            }
            Self::Taken => f.write_str("another browser is subscribed with this endpoint: subscribe anew"),
            Self::Unknown => f.write_str("Subscription not found"),
            Self::Busy => f.write_str("another test is on its way: try again in a moment"),
            Self::Unavailable(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for PushError {}

/// The result of a test.
#[derive(Debug)]
pub(crate) struct PushTestResult {
    /// True if the push service has taken the notice.
    pub accepted: bool,
    /// The status that it has answered with.
    pub status: Option<u16>,
    /// The text of its answer, or the reason why it has none.
    pub said: String,
    /// Time until the answer.
    pub time: Duration,
}

impl Push {
    /// Starts it.
    ///
    /// # Errors
    /// Fails when a setting is wrong, or its thread cannot be started.
    pub(crate) fn start(
        settings: PushSettings,
        logins: Arc<Logins>,
        tokens: Arc<Tokens>,
    ) -> Result<(Arc<Self>, PushDelivery), String> {
        if !["mailto:", "https://"].iter().any(|start| settings.contact.starts_with(start)) {
            return Err("PUSH_CONTACT must begin with mailto: or https://".to_owned());
        }
        let (in_view, changes) = InView::new();
        let book = Book::open(&settings.data);
        let (sender, registry) = (OnceLock::new(), OnceLock::new());
        let shared = Arc::new(CourierState { book, in_view, logins, tokens, sender, registry });
        let (queue, notices) = bounded(QUEUE_MAX);
        let push =
            Self { shared: Arc::clone(&shared), settings, queue, opening: Mutex::default(), testing: Mutex::default() };
        if !push.shared.book.is_empty()
            && let Err(error) = push.sender()
        {
            log::warn!("nothing can be pushed: {error}");
        }
        let (stop, stopped) = bounded(0);
        let (ends, ended) = bounded(0);
        let thread = Thread::spawn("push", move || {
            let _ends: Channel<()> = ends;
            Courier::new(shared).run(&notices, &changes, &stopped);
        })
        .map_err(|error| format!("no thread for Web Push: {error}"))?;
        Ok((Arc::new(push), PushDelivery { thread, ended, stop }))
    }

    /// Says where the workers are, whose prompts may have been answered.
    pub(crate) fn attach(&self, registry: &Arc<Registry>) {
        let _ = self.shared.registry.set(Arc::downgrade(registry));
    }

    /// The pages that are in view.
    pub(crate) fn in_view(&self) -> &Arc<InView> {
        &self.shared.in_view
    }

    /// Takes a change. Never waits.
    pub(crate) fn report(&self, change: &WorkerChange) {
        if self.shared.book.is_empty() {
            return;
        }
        if self.queue.try_send(Notice::of(change, Instant::now())).is_err() {
            metrics::PUSH_DROPPED.add(1);
        }
    }

    /// The public key that browsers subscribe with; it is made when there is none.
    ///
    /// # Errors
    /// Fails when the key can't be read or made, or the program curl is missing.
    pub(crate) fn public_key(&self) -> Result<String, PushError> {
        Ok(self.sender()?.vapid.public.clone())
    }

    /// Removes the subscriptions whose login or token has ended.
    pub(crate) fn drop_ended(&self) {
        self.shared.drop_ended();
    }

    /// All subscriptions, oldest first.
    pub(crate) fn subscriptions(&self) -> Vec<PushSubscription> {
        self.shared.subscriptions()
    }

    /// Adds a subscription, or renews the one of the same address.
    ///
    /// # Errors
    /// Fails when it has a mistake, there are too many, or it can't be kept.
    pub(crate) fn subscribe(&self, new: NewSubscription) -> Result<PushSubscription, PushError> {
        let subscription =
            PushSubscription::new(new, self.settings.allow_private, Micros::now().0).map_err(PushError::Mistake)?;
        self.sender()?;
        match self.shared.book.put(subscription.clone()) {
            Ok(()) => Ok(self.shared.book.get(&subscription.id).unwrap_or(subscription)),
            Err(BookError::Full) => Err(PushError::Full),
            Err(BookError::Taken) => Err(PushError::Taken),
            Err(BookError::Io(error)) => Err(unavailable(&error)),
        }
    }

    /// Removes a subscription.
    ///
    /// # Errors
    /// Fails when no subscription has this name, or the file can't be written.
    pub(crate) fn remove(&self, id: &str) -> Result<(), PushError> {
        match self.shared.book.remove(id) {
            Ok(true) => Ok(()),
            Ok(false) => Err(PushError::Unknown),
            Err(error) => Err(unavailable(&error)),
        }
    }

    /// Sends a notice to one subscription and waits for the push service's answer, also while the page is in view.
    ///
    /// # Errors
    /// Fails when the subscription does not exist, another test is on its way, or the key is missing.
    pub(crate) fn test(&self, id: &str) -> Result<PushTestResult, PushError> {
        let _testing = match self.testing.try_lock() {
            Ok(held) => held,
            Err(TryLockError::Poisoned(held)) => held.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(PushError::Busy),
        };
        let subscription = self.subscriptions().into_iter().find(|one| one.id == id).ok_or(PushError::Unknown)?;
        let begin = Instant::now();
        let answer = self.sender()?.send(&Notice::test(begin), &subscription);
        let outcome = outcome(&answer);
        if outcome == NoticeOutcome::Gone {
            forget(&self.shared.book, id);
        }
        let (status, said) = match answer {
            Ok(answer) => (Some(answer.status), answer.text),
            Err(failure) => (None, failure.to_string()),
        };
        Ok(PushTestResult { accepted: outcome == NoticeOutcome::Accepted, status, said, time: begin.elapsed() })
    }

    fn sender(&self) -> Result<Arc<Sender>, PushError> {
        let _opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = self.shared.sender.get() {
            return Ok(Arc::clone(sender));
        }
        if !self.settings.allow_private {
            outbound::check_tls().map_err(PushError::Unavailable)?;
        }
        let vapid = Vapid::open(&self.settings.data).map_err(|error| unavailable(&error))?;
        let PushSettings { contact, allow_private, .. } = self.settings.clone();
        Ok(Arc::clone(self.shared.sender.get_or_init(|| Arc::new(Sender { vapid, contact, allow_private }))))
    }
}

fn unavailable(error: &io::Error) -> PushError {
    PushError::Unavailable(error.to_string())
}

impl PushDelivery {
    /// Ends the courier. Requests that are on their way are left to themselves: their prompts still wait for somebody.
    pub(crate) fn finish(self, grace: Duration) {
        let Self { thread, ended, stop } = self;
        drop(stop);
        if ended.recv_timeout(grace) == Err(RecvTimeoutError::Timeout) {
            thread.detach();
        }
    }
}
