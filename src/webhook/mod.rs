//! The webhook: a POST to an address of the operator's choice when a worker waits for somebody, has ended a turn or has
//! failed. Signed as the Standard Webhooks say (<https://www.standardwebhooks.com>), so that there are libraries for it.
//!
//! One thread delivers, behind a bounded queue: a receiver that is slow or gone costs nothing but its own messages. They
//! are sent one after another, in the order in which things happened; each is tried a few times, with growing pauses, and
//! then given up. A message may come twice (its answer was lost): its `webhook-id` is the same then.
//!
//! It speaks no TLS: that would bring a dozen crates, assembler to build and root certificates to keep up to date, for a
//! job that a proxy on the machine does better. So `https://` is refused at the start, with that advice.
//!
//! An address inside the own network is refused unless it was allowed, and looked at before each connection: whoever can
//! choose the address, or what its name resolves to, must not reach what only this machine can (`address`).

mod address;
mod post;
mod sign;
mod target;
mod tls;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, TrySendError, bounded, select};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::clock::Micros;
use crate::config::Secret;
use crate::metrics;
use crate::thread::Thread;
use crate::worker::publish::changes::{Change, ChangeKind};
use post::Failure;
use sign::Key;
use target::Target;

/// Messages that wait; what happens while so many do is not told.
pub(crate) const QUEUE_MAX: usize = 256;
/// The pause after a first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The operator's settings.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The receiver.
    pub url: Secret,
    /// The signing key.
    pub secret: Secret,
    /// The events that are sent.
    pub events: Vec<String>,
    /// True if addresses inside the own network are allowed.
    pub allow_private: bool,
    /// Number of attempts for one message.
    pub attempts: u32,
    /// Time that one attempt may take.
    pub time: Duration,
}

/// A running webhook.
pub(crate) struct Webhook {
    queue: Sender<Message>,
    kinds: Vec<ChangeKind>,
    dropped: AtomicU64,
}

/// The thread's end of it.
pub(crate) struct Delivery {
    thread: Thread,
    ended: Receiver<()>,
    /// Dropping it has the thread send what waits, once each, and end.
    hurry: Sender<()>,
}

/// A message that waits.
struct Message {
    id: String,
    body: Vec<u8>,
}

/// The body of a message.
#[derive(Serialize)]
struct Payload<'c> {
    #[serde(rename = "type")]
    kind: &'static str,
    timestamp: Micros,
    data: Data<'c>,
}

#[derive(Serialize)]
struct Data<'c> {
    worker: &'c crate::worker::publish::view::Summary,
    seq: Option<u64>,
    event: &'c RawValue,
}

impl Webhook {
    /// Starts it.
    ///
    /// # Errors
    /// What is wrong with the settings, for people, or that there is no thread for it.
    pub(crate) fn start(settings: &Settings) -> Result<(Self, Delivery), String> {
        let courier = Courier {
            target: Target::parse(settings.url.expose())?,
            key: Key::new(settings.secret.expose())?,
            allow_private: settings.allow_private,
            attempts: settings.attempts,
            time: settings.time,
        };
        courier.check_now()?;
        let all = [ChangeKind::Waiting, ChangeKind::TurnCompleted, ChangeKind::Failed];
        let kinds = all.into_iter().filter(|kind| settings.events.iter().any(|event| event == kind.as_str())).collect();
        let (queue, messages) = bounded(QUEUE_MAX);
        let (hurry, hurried) = bounded(0);
        let (ends, ended) = bounded(0);
        let thread = Thread::spawn("webhook", move || {
            let _ends: Sender<()> = ends;
            courier.run(&messages, &hurried);
        })
        .map_err(|error| format!("no thread for the webhook: {error}"))?;
        Ok((Self { queue, kinds, dropped: AtomicU64::new(0) }, Delivery { thread, ended, hurry }))
    }

    /// Takes a change, if it is one of those that are told. Never waits.
    pub(crate) fn report(&self, change: &Change) {
        if !self.kinds.contains(&change.kind) {
            return;
        }
        let Some(body) = body(change) else { return };
        let message = Message { id: format!("msg_{}", uuid::Uuid::new_v4().simple()), body };
        match self.queue.try_send(message) {
            Ok(()) => metrics::WEBHOOK_QUEUE.set(self.queue.len()),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                metrics::WEBHOOK_DROPPED.add(1);
                // Once at the first, then at each doubling: a receiver that is gone for long is told of a few times.
                let count = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
                if count.is_power_of_two() {
                    log::warn!("the webhook's queue is full: {count} messages were dropped so far");
                }
            }
        }
    }
}

fn body(change: &Change) -> Option<Vec<u8>> {
    let event: &RawValue = serde_json::from_slice(&change.event)
        .inspect_err(|error| log::error!("a change has no JSON form: {error}"))
        .ok()?;
    let data = Data { worker: &change.worker, seq: change.seq, event };
    serde_json::to_vec(&Payload { kind: change.kind.as_str(), timestamp: change.time, data }).ok()
}

impl Delivery {
    /// Waits until what waits was sent, at most for `grace`; what comes later is not sent.
    pub(crate) fn finish(self, grace: Duration) {
        let Self { thread, ended, hurry } = self;
        drop(hurry);
        if ended.recv_timeout(grace) == Err(RecvTimeoutError::Timeout) {
            log::warn!("the webhook's receiver does not answer: what waits for it is not sent");
            // It may be in a name's resolution, which nothing can break off. The process ends, and with it the thread.
            thread.detach();
        }
    }
}

/// The delivering thread.
struct Courier {
    target: Target,
    key: Key,
    allow_private: bool,
    attempts: u32,
    time: Duration,
}

impl Courier {
    /// Refuses at the start what can be known then: an address that is written as one.
    fn check_now(&self) -> Result<(), String> {
        if self.target.tls {
            tls::check()?;
        }
        match self.target.literal_address() {
            Some(ip) if !self.allow_private => address::check(ip).map_err(|reason| {
                format!("WEBHOOK_URL: {reason}; WEBHOOK_ALLOW_PRIVATE=true allows addresses of the own network")
            }),
            _ => Ok(()),
        }
    }

    fn run(&self, messages: &Receiver<Message>, hurried: &Receiver<()>) {
        let next = || {
            select! {
                recv(messages) -> message => message.ok(),
                // What waits is still sent; what comes later is not.
                recv(hurried) -> _ => messages.try_recv().ok(),
            }
        };
        while let Some(message) = next() {
            metrics::WEBHOOK_QUEUE.set(messages.len());
            self.deliver(&message, hurried);
        }
    }

    /// Tries to deliver a message, until it is taken or given up.
    fn deliver(&self, message: &Message, hurried: &Receiver<()>) {
        let mut pause = FIRST_PAUSE;
        for attempt in 1..=self.attempts {
            let failure = match self.post(message) {
                Ok(()) => return metrics::WEBHOOK_DELIVERED.add(1),
                Err(failure) => failure,
            };
            log::info!("webhook: try {attempt} of {}: {failure}", self.attempts);
            let hurries = matches!(hurried.try_recv(), Err(TryRecvError::Disconnected));
            if !failure.is_passing() || attempt == self.attempts || hurries {
                break;
            }
            // A stop ends the pause, and leaves one more try.
            let _ = hurried.recv_timeout(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        metrics::WEBHOOK_FAILED.add(1);
        log::warn!("webhook: message {} was not delivered and is given up", message.id);
    }

    fn post(&self, message: &Message) -> Result<(), Failure> {
        let deadline = Instant::now() + self.time;
        let seconds = Micros::now().0 / 1_000_000;
        let signature = self.key.sign(&message.id, seconds, &message.body);
        let headers = [
            ("webhook-id", message.id.as_str()),
            ("webhook-timestamp", &seconds.to_string()),
            ("webhook-signature", &signature),
        ];
        let addresses = post::resolve(&self.target, self.allow_private)?;
        if self.target.tls {
            return tls::post(&self.target, &addresses, &headers, &message.body, deadline);
        }
        let socket = post::connect(&addresses, deadline)?;
        post::post(socket, &self.target, &headers, &message.body, deadline)
    }
}
