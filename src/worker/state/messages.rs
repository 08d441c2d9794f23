//! Messages on their way: those that wait, and those that went.

use serde::{Deserialize, Serialize};

use super::{Emit, Sent, State, push_bounded};
use crate::clock::Micros;
use crate::event::{Body, Event};
use crate::journal::{Control, Record};

/// Messages whose ids are remembered after they went to the CLI, so that the same `client_message_id` again is known.
const SETTLED_MAX: usize = 128;
/// The state of a message that went to a CLI which ended before it took it.
pub(super) const LOST: &str = "lost";

/// A message that waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Queued {
    /// Our id.
    pub message_id: String,
    /// The client's id.
    pub client_message_id: Option<String>,
    /// Its text now.
    pub content: String,
    /// How many attachments it has; they stand in the journal at `seq`.
    pub attachments: usize,
    /// The sequence number of its record.
    pub seq: u64,
    /// When it was accepted.
    pub time: u64,
    /// How often it was sent again after a usage limit, with the time to come.
    #[serde(default)]
    pub attempt: u32,
}

/// A message that has left the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// Our id.
    pub message_id: String,
    /// The client's id.
    pub client_message_id: Option<String>,
    /// The sequence number of the record that accepted it.
    pub seq: u64,
    /// `delivered`, `consumed`, `removed` or `lost`.
    pub state: String,
}

impl State {
    /// The queued or settled message of a client's id.
    pub fn message_of_client(&self, client_message_id: &str) -> Option<Settled> {
        let is_it = |id: &Option<String>| id.as_deref() == Some(client_message_id);
        let queued = self.queue.iter().find(|message| is_it(&message.client_message_id));
        // One that was lost may be sent again.
        let is_settled = |message: &&Settled| is_it(&message.client_message_id) && message.state != LOST;
        queued.map(Queued::as_settled).or_else(|| self.settled.iter().rev().find(is_settled).cloned())
    }

    /// The queued or settled message of our id.
    pub fn message(&self, message_id: &str) -> Option<Settled> {
        let queued = self.queue.iter().find(|message| message.message_id == message_id);
        queued
            .map(Queued::as_settled)
            .or_else(|| self.settled.iter().rev().find(|message| message.message_id == message_id).cloned())
    }

    pub(super) fn message_control(&mut self, control: &Control, record: &Record<'_>, emit: Emit<'_>) {
        match control {
            Control::MessageQueued { message_id, client_message_id, content, attachments, .. } => {
                self.queue.push_back(Queued {
                    message_id: message_id.clone(),
                    client_message_id: client_message_id.clone(),
                    content: content.clone(),
                    attachments: attachments.len(),
                    seq: record.seq,
                    time: record.time.0,
                    attempt: 0,
                });
                emit(message_state(message_id, client_message_id.as_deref(), "queued", Some(content)));
            }
            Control::MessageEdited { message_id, content } => {
                if let Some(message) = self.queue.iter_mut().find(|message| message.message_id == *message_id) {
                    message.content.clone_from(content);
                    emit(message_state(message_id, message.client_message_id.as_deref(), "queued", Some(content)));
                }
            }
            Control::MessageHeld { message_id, content, attachments, until, attempt } => {
                let Some(at) = self.settled.iter().position(|message| message.message_id == *message_id) else {
                    return;
                };
                let Some(Settled { client_message_id, seq, .. }) = self.settled.remove(at) else { return };
                self.hold(message_id, *until);
                let text = format!("The usage limit was reached; the message is sent again at {}", Micros(*until));
                emit(Event::new(text, Body::Notice { code: "usage_limit".into() }));
                emit(message_state(message_id, client_message_id.as_deref(), "queued", Some(content)));
                self.queue.push_front(Queued {
                    message_id: message_id.clone(),
                    client_message_id,
                    content: content.clone(),
                    attachments: *attachments,
                    seq,
                    time: record.time.0,
                    attempt: *attempt,
                });
            }
            Control::LimitOver {} if self.held.take().is_some() => {
                let text = "The usage limit should be over; messages go on";
                emit(Event::new(text, Body::Notice { code: "usage_limit_over".into() }));
            }
            Control::MessageRemoved { message_id, reason } => {
                // One that has gone to the CLI meanwhile is not taken back.
                let Some(message) = self.queue.iter().find(|message| message.message_id == *message_id) else { return };
                let client_message_id = message.client_message_id.clone();
                self.settle(message_id, "removed");
                self.release(message_id);
                if let Some(reason) = reason {
                    emit(Event::new(reason.as_str(), Body::Error { code: "message_refused".into() }));
                }
                emit(message_state(message_id, client_message_id.as_deref(), "removed", None));
            }
            Control::MessageDelivered { message_id, client_message_id, content, attachments } => {
                let queued = self.queue.iter().find(|message| message.message_id == *message_id);
                let attempt = queued.map_or(0, |message| message.attempt);
                self.settle(message_id, "delivered");
                self.release(message_id);
                self.went(Sent { message_id: message_id.clone(), seq: record.seq, attempt });
                let body = Body::User {
                    message_id: Some(message_id.as_str().into()),
                    client_message_id: client_message_id.as_deref().map(Into::into),
                    attachments: attachments.clone(),
                };
                emit(Event::new(content.as_str(), body));
                emit(message_state(message_id, client_message_id.as_deref(), "delivered", None));
            }
            _ => {}
        }
    }

    pub(super) fn settle(&mut self, message_id: &str, state: &str) {
        if let Some(at) = self.queue.iter().position(|message| message.message_id == message_id) {
            if let Some(message) = self.queue.remove(at) {
                let settled = Settled { state: state.to_owned(), ..message.as_settled() };
                push_bounded(&mut self.settled, settled, SETTLED_MAX);
            }
        } else if let Some(message) = self.settled.iter_mut().rev().find(|message| message.message_id == message_id) {
            state.clone_into(&mut message.state);
        }
    }
}

impl Queued {
    fn as_settled(&self) -> Settled {
        Settled {
            message_id: self.message_id.clone(),
            client_message_id: self.client_message_id.clone(),
            seq: self.seq,
            state: "queued".to_owned(),
        }
    }
}

pub(super) fn message_state<'a>(
    message_id: &'a str,
    client_message_id: Option<&'a str>,
    state: &'static str,
    text: Option<&'a str>,
) -> Event<'a> {
    let body = Body::MessageState {
        message_id: message_id.into(),
        client_message_id: client_message_id.map(Into::into),
        state,
        text: text.map(Into::into),
    };
    Event::new(state, body)
}
