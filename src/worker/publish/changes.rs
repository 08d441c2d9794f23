//! Changes of a worker that people are notified of: it waits for a person, a turn is over, it has failed.

use std::sync::Arc;

use crate::clock::Micros;
use crate::event::{Body, Event};
use crate::wire;

use crate::worker::publish::summary::Summary;

/// Size limit of an event that is part of a change, in bytes; of a larger event only type and text are included.
const EVENT_BYTES_MAX: usize = 64 * 1024;
/// Characters of such a text.
const TEXT_CHARS_MAX: usize = 4_096;

/// The kind of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    /// Asks for a permission or an answer, and waits.
    Waiting,
    /// A turn has ended, well or not.
    TurnCompleted,
    /// Could not start, or its process ended with an error.
    Failed,
    /// Most of a budget that it is under is used.
    Budget,
}

impl ChangeKind {
    /// Returns its name on the wire.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::TurnCompleted => "turn_completed",
            Self::Failed => "failed",
            Self::Budget => "budget",
        }
    }

    /// Returns the change that an event causes.
    pub(in crate::worker) fn of(event: &Event<'_>) -> Option<Self> {
        match &event.body {
            Body::PermissionRequest { .. } | Body::Question { .. } => Some(Self::Waiting),
            Body::TurnCompleted { .. } => Some(Self::TurnCompleted),
            Body::Status { status: "failed", .. } => Some(Self::Failed),
            _ => None,
        }
    }
}

/// The prompt that a worker waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AskedPrompt {
    /// Its id.
    pub request_id: String,
    /// The tool that it asks for; `None` for a question.
    pub tool_name: Option<String>,
    /// True if it is about a budget: the server itself asks.
    pub is_of_budget: bool,
}

impl AskedPrompt {
    fn of(event: &Event<'_>) -> Option<Self> {
        match &event.body {
            Body::PermissionRequest { request_id, tool_name, details, .. } => Some(Self {
                request_id: request_id.to_string(),
                tool_name: Some(tool_name.to_string()),
                is_of_budget: details.budget.is_some(),
            }),
            Body::Question { request_id, .. } => Some(Self { request_id: request_id.to_string(), ..Self::default() }),
            _ => None,
        }
    }
}

/// A change, with the worker's state after it.
#[derive(Clone, Debug)]
pub(crate) struct WorkerChange {
    /// The kind of change.
    pub kind: ChangeKind,
    /// The time of the change.
    pub time: Micros,
    /// The event's cursor.
    pub seq: Option<u64>,
    /// The event as JSON.
    pub event: Vec<u8>,
    /// The prompt that it waits for.
    pub prompt: Option<AskedPrompt>,
    /// The worker.
    pub worker: Summary,
}

impl WorkerChange {
    /// Returns the change of a worker with a budget of which most is used.
    pub(in crate::worker) fn budget_warning(text: &str, worker: Summary) -> Self {
        let time = Micros::now();
        let mut event = Vec::new();
        wire::append_event(&mut event, &Event::new(text, Body::notice("budget_warning")), &time.iso());
        Self { kind: ChangeKind::Budget, time, seq: None, event, prompt: None, worker }
    }
}

/// Receives every change, on the thread that folds the worker's records. It must not block.
pub(crate) type ChangeNotifier = Arc<dyn Fn(WorkerChange) + Send + Sync>;

/// A change that was folded and is not reported yet.
pub(in crate::worker) struct PendingChange {
    kind: ChangeKind,
    time: Micros,
    seq: Option<u64>,
    event: Vec<u8>,
    prompt: Option<AskedPrompt>,
}

impl PendingChange {
    /// Returns the change that an event causes, if any.
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

    /// Returns it as a change of this worker.
    pub(in crate::worker) fn of_worker(self, worker: Summary) -> WorkerChange {
        let Self { kind, time, seq, event, prompt } = self;
        WorkerChange { kind, time, seq, event, prompt, worker }
    }
}
