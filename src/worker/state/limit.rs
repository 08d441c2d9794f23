//! The provider's usage limit: the known facts, the messages that failed at it, and the queue that waits for its end.

use serde::{Deserialize, Serialize};

use super::State;
use crate::clock::Micros;

/// The status of a limit that rejects everything.
const REJECTED: &str = "rejected";
/// Messages of one turn that are stored: the one that began it, and those that joined it. Beyond that, the oldest is
/// dropped.
const IN_TURN_MAX: usize = 128;

/// Longest time that a limit can still last, in microseconds: two months. Providers reset theirs monthly at the latest,
/// and a wrong time must not hold the queue forever.
const LASTS_MAX: u64 = 62 * 24 * 3_600 * 1_000_000;

/// The provider's usage limit, as the CLI reported it last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageLimit {
    /// `warning` or `rejected`.
    pub status: String,
    /// The end of the limit, in microseconds since the Unix epoch, if the CLI reports it.
    pub resets_at: Option<u64>,
}

/// A message that was sent into the running turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SteeredMessage {
    /// The server's id of it.
    pub message_id: String,
    /// The sequence number of the record with which it was sent, which has its text.
    pub seq: u64,
    /// Number of times that it was sent again before.
    pub attempt: u32,
}

/// Messages whose turn failed at the usage limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitedMessages {
    /// The messages, in the order in which they were sent.
    pub messages: Vec<SteeredMessage>,
    /// The end of the limit, in microseconds since the Unix epoch.
    pub until: u64,
}

/// The event that the queue waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitWait {
    /// The messages that will be sent again. When none of them is left, nothing is waited for.
    pub messages: Vec<String>,
    /// The end of the wait, in microseconds since the Unix epoch.
    pub until: u64,
}

impl State {
    /// Applies a limit that the CLI reports. A pause before the CLI's own retry is not a usage limit.
    pub(super) fn limit_reported(&mut self, status: &str, resets_at: Option<Micros>, time: Micros) {
        let resets_at = resets_at.filter(|end| end.0.saturating_sub(time.0) <= LASTS_MAX);
        match status {
            "retrying" => {}
            "allowed" => self.limit = None,
            _ => self.limit = Some(UsageLimit { status: status.to_owned(), resets_at: resets_at.map(|time| time.0) }),
        }
    }

    pub(super) fn add_to_turn(&mut self, sent: SteeredMessage) {
        if self.in_turn.len() == IN_TURN_MAX {
            self.in_turn.remove(0);
        }
        self.in_turn.push(sent);
    }

    /// Ends the turn that answered `message_ids`. If it failed while the limit was in force, the limit is the cause.
    pub(super) fn turn_ended(&mut self, message_ids: &[String], is_error: bool, time: Micros) {
        let answered = |sent: &SteeredMessage| message_ids.contains(&sent.message_id);
        let (messages, waiting) = std::mem::take(&mut self.in_turn).into_iter().partition(answered);
        self.in_turn = waiting;
        let in_force = self.limit.as_ref().filter(|limit| limit.status == REJECTED);
        if !is_error {
            if in_force.is_some() {
                self.limit = None;
            }
        } else if let Some(until) = in_force.and_then(|limit| limit.resets_at).filter(|until| *until > time.0)
            && !messages.is_empty()
        {
            self.limited = Some(LimitedMessages { messages, until });
        }
    }

    /// Prepares a message of the queue to be sent again.
    pub(super) fn hold(&mut self, message_id: &str, until: u64) {
        let held = self.held.get_or_insert_with(|| LimitWait { messages: Vec::new(), until });
        held.until = held.until.max(until);
        held.messages.push(message_id.to_owned());
        self.limited = None;
    }

    /// Drops a message that is no longer in the queue.
    pub(super) fn release(&mut self, message_id: &str) {
        if let Some(held) = &mut self.held {
            held.messages.retain(|id| id != message_id);
            if held.messages.is_empty() {
                self.held = None;
            }
        }
    }
}
