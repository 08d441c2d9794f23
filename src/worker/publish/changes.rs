//! Changes of a worker that people are notified of: it waits for somebody, a turn is over, it has failed.

use std::sync::Arc;

use crate::clock::Micros;
use crate::event::{Body, Event};
use crate::wire;

use crate::worker::publish::view::Summary;

/// Most bytes of an event that goes along with a change; of a larger one only its type and text do.
const EVENT_BYTES_MAX: usize = 64 * 1024;
/// Characters of such a text.
const TEXT_CHARS_MAX: usize = 4_096;

/// The kind of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    /// It asks for a permission or an answer, and waits.
    Waiting,
    /// A turn has ended, well or not.
    TurnCompleted,
    /// It could not start, or has ended by itself with an error.
    Failed,
}

impl ChangeKind {
    /// The change as the wire names it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::TurnCompleted => "turn_completed",
            Self::Failed => "failed",
        }
    }

    /// The change that an event is.
    pub(in crate::worker) fn of(event: &Event<'_>) -> Option<Self> {
        match &event.body {
            Body::PermissionRequest { .. } | Body::Question { .. } => Some(Self::Waiting),
            Body::TurnCompleted { .. } => Some(Self::TurnCompleted),
            Body::Status { status: "failed", .. } => Some(Self::Failed),
            _ => None,
        }
    }
}

/// The prompt that a worker waits with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AskedPrompt {
    /// Its id.
    pub request_id: String,
    /// The tool that it asks for; `None` for a question.
    pub tool_name: Option<String>,
}

impl AskedPrompt {
    fn of(event: &Event<'_>) -> Option<Self> {
        match &event.body {
            Body::PermissionRequest { request_id, tool_name, .. } => {
                Some(Self { request_id: request_id.to_string(), tool_name: Some(tool_name.to_string()) })
            }
            Body::Question { request_id, .. } => Some(Self { request_id: request_id.to_string(), tool_name: None }),
            _ => None,
        }
    }
}

/// A change, with the worker as it is after it.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// The kind of change.
    pub kind: ChangeKind,
    /// The time of the change.
    pub time: Micros,
    /// The event's cursor.
    pub seq: Option<u64>,
    /// The event as JSON.
    pub event: Vec<u8>,
    /// The prompt that it waits with.
    pub prompt: Option<AskedPrompt>,
    /// The worker.
    pub worker: Summary,
}

/// Is told every change, on the thread that folds the worker's records: it must not wait for anything.
pub(crate) type Tell = Arc<dyn Fn(Change) + Send + Sync>;

/// A change that was folded and is not told yet.
pub(in crate::worker) struct Noted {
    kind: ChangeKind,
    time: Micros,
    seq: Option<u64>,
    event: Vec<u8>,
    prompt: Option<AskedPrompt>,
}

impl Noted {
    /// The change that an event is, if it is one.
    pub(in crate::worker) fn of(seq: Option<u64>, time: Micros, event: &Event<'_>) -> Option<Self> {
        let kind = ChangeKind::of(event)?;
        let mut json = Vec::new();
        wire::append_event(&mut json, event, &time.iso());
        if json.len() > EVENT_BYTES_MAX {
            let content: String = event.content.chars().take(TEXT_CHARS_MAX).collect();
            let short =
                serde_json::json!({"type": event.body.name(), "content": content, "timestamp": time, "cut": true});
            json = short.to_string().into_bytes();
        }
        Some(Self { kind, time, seq, event: json, prompt: AskedPrompt::of(event) })
    }

    /// Itself, of this worker.
    pub(in crate::worker) fn of_worker(self, worker: Summary) -> Change {
        let Self { kind, time, seq, event, prompt } = self;
        Change { kind, time, seq, event, prompt, worker }
    }
}
