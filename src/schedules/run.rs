//! One run of a schedule.

use serde::{Deserialize, Serialize};

use crate::clock::Micros;

/// Longest result of a run that is kept, in characters.
pub(crate) const RESULT_CHARS_MAX: usize = 4_000;
/// Longest reason that is kept, in characters.
const REASON_CHARS_MAX: usize = 1_000;

/// The cause of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Cause {
    /// Its instant came.
    Time,
    /// Its instant came while the server did not run.
    Missed,
    /// A person asked for it.
    Person,
}

/// The state of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RunState {
    /// Its message is to be sent.
    Begun,
    /// The worker has its message.
    Sent,
    /// The turn with its message has ended well.
    Completed,
    /// The turn was interrupted.
    Interrupted,
    /// The message could not be sent, or the turn has failed.
    Failed,
    /// Left out.
    Skipped,
    /// The message was taken back or lost, or the worker deleted, before an answer.
    Withdrawn,
}

/// A run of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ScheduleRun {
    /// Its slot, in microseconds since the Unix epoch, which is its id; the time of the request for one that a person caused.
    pub slot: u64,
    /// Its cause.
    pub cause: Cause,
    /// Its state.
    pub state: RunState,
    /// Number of slots before it that were missed, and itself if it is skipped as one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missed: usize,
    /// The time when it was begun, in microseconds since the Unix epoch.
    pub begun: u64,
    /// The time of its state, in microseconds since the Unix epoch.
    pub changed: u64,
    /// The text of its message, until it is sent: the same when it is sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// True if the worker was busy, and the message waited.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub queued: bool,
    /// The worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_id: Option<String>,
    /// The message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// The cursor of the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// The reason of its state, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The final answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl ScheduleRun {
    /// A run that begins.
    pub(crate) fn begun(slot: Micros, cause: Cause, text: String) -> Self {
        let now = Micros::now().0;
        Self {
            slot: slot.0,
            cause,
            state: RunState::Begun,
            missed: 0,
            begun: now,
            changed: now,
            text: Some(text),
            queued: false,
            worker_id: None,
            message_id: None,
            seq: None,
            reason: None,
            result: None,
        }
    }

    /// Moves it to another state.
    pub(crate) fn become_state(&mut self, state: RunState, reason: Option<&str>) {
        self.state = state;
        self.reason = reason.map(|reason| reason.chars().take(REASON_CHARS_MAX).collect());
        self.changed = Micros::now().0;
        if state != RunState::Begun {
            self.text = None;
        }
    }
}
