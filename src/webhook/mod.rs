//! The webhook: sends a POST to an address of the operator's choice when a worker waits for a person, has ended a turn
//! or has failed. Signed according to the Standard Webhooks (<https://www.standardwebhooks.com>), for which libraries
//! exist.
//!
//! One thread delivers, behind a bounded queue: a receiver that is slow or down costs only its own messages. They are
//! sent one after another, in the order of the events; each is tried a few times, with growing pauses, and then
//! dropped. A message may arrive twice (if its response was lost), with the same `webhook-id`.
//!
//! Notification services (ntfy, Slack and others) get messages in their own format, unsigned ([`mod@format`]).

mod failure;
mod format;
mod links;
mod sign;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, TrySendError, bounded, select};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::clock::Micros;
use crate::config::Secret;
use crate::metrics;
use crate::outbound::{self, OutboundTarget, Post};
use crate::thread::Thread;
use crate::worker::publish::changes::{ChangeKind, WorkerChange};
use failure::DeliveryFailure;
use format::{Format, Links, News};
pub(crate) use links::AnswerLinks;
use sign::SigningKey;

/// Most queued messages; changes beyond that are dropped.
pub(crate) const QUEUE_MAX: usize = 256;
/// The pause after a first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The operator's settings.
#[derive(Clone, Debug)]
pub(crate) struct WebhookSettings {
    /// The receiver.
    pub url: Secret,
    /// The signing key; our own form needs it.
    pub secret: Option<Secret>,
    /// The form of messages, as `WEBHOOK_FORMAT` names it.
    pub format: String,
    /// The token of the service.
    pub token: Option<Secret>,
    /// The address of the page, for links.
    pub page: Option<String>,
    /// True if messages have buttons that answer prompts.
    pub buttons: bool,
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
    queue: Sender<WebhookMessage>,
    kinds: Vec<ChangeKind>,
    format: Arc<Format>,
    page: Option<String>,
    answers: Option<Arc<AnswerLinks>>,
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
struct WebhookMessage {
    id: String,
    body: Vec<u8>,
}

/// The body of a message.
#[derive(Serialize)]
struct WebhookPayload<'c> {
    #[serde(rename = "type")]
    kind: &'static str,
    timestamp: Micros,
    data: Data<'c>,
}

#[derive(Serialize)]
struct Data<'c> {
    worker: &'c crate::worker::publish::summary::Summary,
    seq: Option<u64>,
    event: &'c RawValue,
}

impl Webhook {
    /// Starts it.
    ///
    /// # Errors
    /// The mistake in the settings, for people, or the lack of a thread.
    pub(crate) fn start(settings: &WebhookSettings, answers: &Arc<AnswerLinks>) -> Result<(Self, Delivery), String> {
        let in_url = |mistake: String| format!("WEBHOOK_URL {mistake}");
        let mut target = OutboundTarget::parse(settings.url.expose()).map_err(in_url)?;
        let format = Arc::new(Format::new(&settings.format, &mut target).map_err(in_url)?);
        let key = settings.secret.as_ref().filter(|_| format.is_signed());
        let token = settings.token.as_ref().and_then(|token| format.authorization(token.expose()));
        let page = settings.page.as_ref().map(|page| format!("{}/", page.trim_end_matches('/')));
        if settings.buttons && (page.is_none() || !format.has_buttons()) {
            return Err(
                "WEBHOOK_BUTTONS needs WEBHOOK_FORMAT=ntfy, and PUBLIC_URL for the buttons to lead to".to_owned()
            );
        }
        let courier = WebhookCourier {
            target,
            key: key.map(|secret| SigningKey::new(secret.expose())).transpose()?,
            token,
            allow_private: settings.allow_private,
            attempts: settings.attempts,
            time: settings.time,
        };
        courier.check_now()?;
        if format.is_signed() && courier.key.is_none() {
            return Err(
                "WEBHOOK_URL is set, and WEBHOOK_SECRET is not: messages are signed, so that their receiver can \
                        trust them (openssl rand -hex 32 makes a good one)"
                    .to_owned(),
            );
        }
        let all = [ChangeKind::Waiting, ChangeKind::TurnCompleted, ChangeKind::Failed, ChangeKind::Budget];
        let kinds = all.into_iter().filter(|kind| settings.events.iter().any(|event| event == kind.as_str())).collect();
        let (queue, messages) = bounded(QUEUE_MAX);
        let (hurry, hurried) = bounded(0);
        let (ends, ended) = bounded(0);
        let thread = Thread::spawn("webhook", move || {
            let _ends: Sender<()> = ends;
            courier.run(&messages, &hurried);
        })
        .map_err(|error| format!("no thread for the webhook: {error}"))?;
        let answers = settings.buttons.then(|| Arc::clone(answers));
        let webhook = Self { queue, kinds, format, page, answers, dropped: AtomicU64::new(0) };
        Ok((webhook, Delivery { thread, ended, hurry }))
    }

    /// Queues a change if it is one that the webhook reports. Never waits.
    pub(crate) fn report(&self, change: &WorkerChange) {
        if !self.kinds.contains(&change.kind) {
            return;
        }
        let Some(body) = self.body(change) else { return };
        let message = WebhookMessage { id: format!("msg_{}", uuid::Uuid::new_v4().simple()), body };
        match self.queue.try_send(message) {
            Ok(()) => metrics::WEBHOOK_QUEUE.set(self.queue.len()),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                metrics::WEBHOOK_DROPPED.add(1);
                // Logged at the first and then at each doubling, so a receiver that is down for long fills no log.
                let count = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
                if count.is_power_of_two() {
                    log::warn!("the webhook's queue is full: {count} messages were dropped so far");
                }
            }
        }
    }

    fn body(&self, change: &WorkerChange) -> Option<Vec<u8>> {
        let links = Links { page: self.page.as_deref(), answers: self.answers.as_deref() };
        let WorkerChange { kind, worker, prompt, .. } = change;
        let news = News { kind: *kind, worker_id: &worker.id, name: &worker.name, prompt: prompt.as_ref() };
        if let Some(body) = self.format.body(&news, &links) {
            return serde_json::to_vec(&body).ok();
        }
        payload(change)
    }
}

/// A change as JSON, in our own form.
pub(crate) fn payload(change: &WorkerChange) -> Option<Vec<u8>> {
    let event: &RawValue = serde_json::from_slice(&change.event)
        .inspect_err(|error| log::error!("a change has no JSON form: {error}"))
        .ok()?;
    let data = Data { worker: &change.worker, seq: change.seq, event };
    serde_json::to_vec(&WebhookPayload { kind: change.kind.as_str(), timestamp: change.time, data }).ok()
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
struct WebhookCourier {
    target: OutboundTarget,
    key: Option<SigningKey>,
    /// The header field with the service's token.
    token: Option<(&'static str, String)>,
    allow_private: bool,
    attempts: u32,
    time: Duration,
}

impl WebhookCourier {
    /// Refuses at the start what can be known then: an address that is written as one.
    fn check_now(&self) -> Result<(), String> {
        if self.target.tls {
            outbound::check_tls().map_err(|mistake| format!("WEBHOOK_URL: {mistake}"))?;
        }
        if self.allow_private {
            return Ok(());
        }
        outbound::check_literal(&self.target).map_err(|reason| {
            format!("WEBHOOK_URL: {reason}; WEBHOOK_ALLOW_PRIVATE=true allows addresses of the own network")
        })
    }

    fn run(&self, messages: &Receiver<WebhookMessage>, hurried: &Receiver<()>) {
        let next = || {
            select! {
                recv(messages) -> message => message.ok(),
                // Queued messages are still sent; later ones are not.
                recv(hurried) -> _ => messages.try_recv().ok(),
            }
        };
        while let Some(message) = next() {
            metrics::WEBHOOK_QUEUE.set(messages.len());
            self.deliver(&message, hurried);
        }
    }

    /// Tries to deliver a message, until it is taken or given up.
    fn deliver(&self, message: &WebhookMessage, hurried: &Receiver<()>) {
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

    fn post(&self, message: &WebhookMessage) -> Result<(), DeliveryFailure> {
        let seconds = (Micros::now().0 / 1_000_000).to_string();
        let signature = self.key.as_ref().map(|key| key.sign(&message.id, &seconds, &message.body));
        let mut headers = vec![("Content-Type", "application/json")];
        if let Some(signature) = &signature {
            headers.push(("webhook-id", &message.id));
            headers.push(("webhook-timestamp", &seconds));
            headers.push(("webhook-signature", signature));
        }
        headers.extend(self.token.as_ref().map(|(name, value)| (*name, value.as_str())));
        let answer = outbound::send(&Post {
            target: &self.target,
            headers: &headers,
            body: &message.body,
            allow_private: self.allow_private,
            wants_text: false,
            deadline: Instant::now() + self.time,
        })?;
        match answer.status {
            200..=299 => Ok(()),
            status => Err(DeliveryFailure::Status(status)),
        }
    }
}
