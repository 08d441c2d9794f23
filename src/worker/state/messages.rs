//! Messages on their way to the CLI: queued ones, and sent ones.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{State, SteeredMessage, push_bounded};
use crate::clock::Micros;
use crate::event::{Body, Event};
use crate::fnv;
use crate::journal::{Control, OPENING_MESSAGE, Record};

/// Sent messages whose ids are stored, so that a repeated `client_message_id` is recognized.
const SETTLED_MAX: usize = 128;
/// The state of a message that was sent to a CLI which ended before it read the message.
pub(super) const LOST: &str = "lost";

/// A queued message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QueuedMessage {
    /// The server's id.
    pub message_id: String,
    /// The client's id.
    pub client_message_id: Option<String>,
    /// Its present text.
    pub content: String,
    /// Number of its attachments; they are in the journal at `seq`.
    pub attachments: usize,
    /// The hash of the client's message, which an edit does not change.
    #[serde(default)]
    pub content_hash: Option<u64>,
    /// The sequence number of its record.
    pub seq: u64,
    /// The time at which it was accepted.
    pub time: u64,
    /// Number of times that it was sent again after a usage limit, including the planned time.
    #[serde(default)]
    pub attempt: u32,
    /// The hash of the text that the history already has, for a message that came back from a CLI without its session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<u64>,
}

/// A message that has left the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettledMessage {
    /// The server's id.
    pub message_id: String,
    /// The client's id.
    pub client_message_id: Option<String>,
    /// The sequence number of the record that accepted it.
    pub seq: u64,
    /// `delivered`, `consumed`, `removed` or `lost`.
    pub state: String,
    /// The hash of the client's message.
    #[serde(default)]
    pub content_hash: Option<u64>,
}

/// A message that was sent and is queued again.
struct Back<'a> {
    message_id: &'a str,
    content: &'a str,
    attachments: usize,
    attempt: u32,
    /// The same as [`QueuedMessage::shown`].
    shown: Option<u64>,
}

/// The hash of a message's text and attachments, which distinguishes a repeated message from another one with the same id.
pub(crate) fn content_hash(content: &str, attachments: &[Value]) -> u64 {
    fnv::hash_json(&(content, attachments))
}

impl State {
    /// Returns the queued or settled message with a client's id.
    pub fn message_of_client(&self, client_message_id: &str) -> Option<SettledMessage> {
        let is_it = |id: &Option<String>| id.as_deref() == Some(client_message_id);
        let queued = self.queue.iter().find(|message| is_it(&message.client_message_id));
        // A lost message may be sent again.
        let is_settled = |message: &&SettledMessage| is_it(&message.client_message_id) && message.state != LOST;
        queued.map(QueuedMessage::as_settled).or_else(|| self.settled.iter().rev().find(is_settled).cloned())
    }

    /// Returns the queued or settled message with the server's id.
    pub fn message(&self, message_id: &str) -> Option<SettledMessage> {
        let queued = self.queue.iter().find(|message| message.message_id == message_id);
        queued
            .map(QueuedMessage::as_settled)
            .or_else(|| self.settled.iter().rev().find(|message| message.message_id == message_id).cloned())
    }

    pub(super) fn message_control(&mut self, control: &Control, record: &Record<'_>, out: &mut Vec<Event<'_>>) {
        match control {
            Control::MessageQueued {
                message_id, client_message_id, content, attachments, sent_hash, review, ..
            } => {
                self.opened |= client_message_id.as_deref() == Some(OPENING_MESSAGE);
                self.queue.push_back(QueuedMessage {
                    message_id: message_id.clone(),
                    client_message_id: client_message_id.clone(),
                    content: content.clone(),
                    attachments: attachments.len(),
                    content_hash: sent_hash.or_else(|| Some(content_hash(content, attachments))),
                    seq: record.seq,
                    time: record.time.0,
                    attempt: 0,
                    shown: None,
                });
                self.review.sent(review, message_id);
                let mut event = message_state(message_id, client_message_id.as_deref(), "queued", Some(content));
                if let Body::MessageState { attachments: count, .. } = &mut event.body {
                    *count = Some(attachments.len()).filter(|count| *count > 0);
                }
                out.push(event);
            }
            Control::MessageEdited { message_id, content } => {
                if let Some(message) = self.queue.iter_mut().find(|message| message.message_id == *message_id) {
                    message.content.clone_from(content);
                    out.push(message_state(message_id, message.client_message_id.as_deref(), "queued", Some(content)));
                }
            }
            Control::MessageHeld { message_id, content, attachments, until, attempt } => {
                let back = Back { message_id, content, attachments: *attachments, attempt: *attempt, shown: None };
                let Some(state) = self.put_back(back, record.time) else { return };
                self.hold(message_id, *until);
                let text = format!("The usage limit was reached; the message is sent again at {}", Micros(*until));
                out.push(Event::new(text, Body::notice("usage_limit")));
                out.push(state);
            }
            Control::MessageReturned { message_id, content, attachments } => {
                self.returned.retain(|sent| sent.message_id != *message_id);
                let shown = Some(fnv::hash(content.as_bytes()));
                let back = Back { message_id, content, attachments: *attachments, attempt: 0, shown };
                out.extend(self.put_back(back, record.time));
            }
            Control::LimitOver {} if self.held.take().is_some() => {
                let text = "The usage limit should be over; messages go on";
                out.push(Event::new(text, Body::notice("usage_limit_over")));
            }
            Control::MessageRemoved { message_id, reason } => self.remove(message_id, reason.as_deref(), out),
            Control::MessageDelivered { message_id, client_message_id, content, attachments } => {
                let is_shown = self.deliver(message_id, content, record.seq);
                if !is_shown {
                    let body = Body::User {
                        message_id: Some(message_id.clone().into()),
                        client_message_id: client_message_id.clone().map(Into::into),
                        attachments: attachments.clone(),
                    };
                    out.push(Event::new(content.clone(), body));
                }
                out.push(message_state(message_id, client_message_id.as_deref(), "delivered", None));
            }
            _ => {}
        }
    }

    /// Puts a message that was sent before back at the head of the queue. Returns its event, or `None` if there is no
    /// such message.
    fn put_back(&mut self, back: Back<'_>, time: Micros) -> Option<Event<'static>> {
        let Back { message_id, content, attachments, attempt, shown } = back;
        let at = self.settled.iter().position(|message| message.message_id == message_id)?;
        let SettledMessage { client_message_id, seq, content_hash, .. } = self.settled.remove(at)?;
        let event = message_state(message_id, client_message_id.as_deref(), "queued", Some(content));
        let (message_id, content, time) = (message_id.to_owned(), content.to_owned(), time.0);
        let queued = QueuedMessage {
            message_id,
            client_message_id,
            content,
            attachments,
            content_hash,
            seq,
            time,
            attempt,
            shown,
        };
        self.queue.push_front(queued);
        Some(event)
    }

    /// Removes a queued message. A message that was sent meanwhile is not removed.
    fn remove(&mut self, message_id: &str, reason: Option<&str>, out: &mut Vec<Event<'_>>) {
        let Some(message) = self.queue.iter().find(|message| message.message_id == message_id) else { return };
        let client_message_id = message.client_message_id.clone();
        self.settle(message_id, "removed");
        self.release(message_id);
        if let Some(reason) = reason {
            out.push(Event::new(reason.to_owned(), Body::Error { code: "message_refused".into() }));
        }
        out.push(message_state(message_id, client_message_id.as_deref(), "removed", None));
    }

    /// Takes a message out of the queue, since the CLI has it. Returns whether the history already has this text of it.
    fn deliver(&mut self, message_id: &str, content: &str, seq: u64) -> bool {
        let queued = self.queue.iter().find(|message| message.message_id == message_id);
        let attempt = queued.map_or(0, |message| message.attempt);
        let is_shown = queued.and_then(|message| message.shown) == Some(fnv::hash(content.as_bytes()));
        self.settle(message_id, "delivered");
        self.review.delivered(message_id);
        self.release(message_id);
        self.note_sent(SteeredMessage { message_id: message_id.to_owned(), seq, attempt });
        self.add_to_turn(SteeredMessage { message_id: message_id.to_owned(), seq, attempt });
        is_shown
    }

    pub(super) fn settle(&mut self, message_id: &str, state: &str) {
        if matches!(state, "removed" | LOST) {
            self.review.returned(message_id);
        }
        if let Some(at) = self.queue.iter().position(|message| message.message_id == message_id) {
            if let Some(message) = self.queue.remove(at) {
                let settled = SettledMessage { state: state.to_owned(), ..message.as_settled() };
                push_bounded(&mut self.settled, settled, SETTLED_MAX);
            }
        } else if let Some(message) = self.settled.iter_mut().rev().find(|message| message.message_id == message_id) {
            state.clone_into(&mut message.state);
        }
    }
}

impl QueuedMessage {
    fn as_settled(&self) -> SettledMessage {
        SettledMessage {
            message_id: self.message_id.clone(),
            client_message_id: self.client_message_id.clone(),
            seq: self.seq,
            state: "queued".to_owned(),
            content_hash: self.content_hash,
        }
    }
}

pub(super) fn message_state(
    message_id: &str,
    client_message_id: Option<&str>,
    state: &'static str,
    text: Option<&str>,
) -> Event<'static> {
    let body = Body::MessageState {
        message_id: message_id.to_owned().into(),
        client_message_id: client_message_id.map(|id| id.to_owned().into()),
        state,
        text: text.map(|text| text.to_owned().into()),
        attachments: None,
    };
    Event::new(state, body)
}
