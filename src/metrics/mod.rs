//! Counters of the process, for `GET /metrics`. A leaf module.
//!
//! The numbers belong to the process as a whole, like its memory and its descriptors, so they are statics. Code counts
//! an action where it happens, with a relaxed addition and without a lock; frequent ones, thousands a second, are
//! counted once per batch. Nothing is decided by them, and nothing of them outlives the process; facts that must be
//! true are in the journals.

mod counts;
mod text;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use counts::{Counter, Gauge, GaugeHold, Histogram};
pub(crate) use text::{MetricKind, MetricsText};

/// HTTP connections that are open, upgraded ones included.
pub(crate) static CONNECTIONS: Gauge = Gauge::new();
/// Bytes that came over HTTP, up to an upgrade.
pub(crate) static HTTP_RECEIVED: Counter = Counter::new();
/// Bytes that went over HTTP, up to an upgrade; event streams (SSE) are part of them.
pub(crate) static HTTP_SENT: Counter = Counter::new();
/// Clients on a WebSocket.
pub(crate) static WEBSOCKETS: Gauge = Gauge::new();
/// Clients on an event stream (SSE).
pub(crate) static EVENT_STREAMS: Gauge = Gauge::new();
/// Bytes that came over WebSockets.
pub(crate) static WEBSOCKET_RECEIVED: Counter = Counter::new();
/// Bytes that went over WebSockets.
pub(crate) static WEBSOCKET_SENT: Counter = Counter::new();
/// Number of times that a client fell behind and was served from the journal for a while.
pub(crate) static LAGS: Counter = Counter::new();
/// Time to sync a journal to disk at the end of a turn.
pub(crate) static JOURNAL_SYNC: Histogram = Histogram::new(&DISK_BOUNDS);
/// Time that prompts waited for their decision.
pub(crate) static ANSWER_TIME: Histogram = Histogram::new(&PEOPLE_BOUNDS);

/// Workers that were hibernated because nobody used them.
pub(crate) static HIBERNATED_FOR_IDLENESS: Counter = Counter::new();
/// Workers that were hibernated to free memory.
pub(crate) static HIBERNATED_FOR_MEMORY: Counter = Counter::new();
/// Workers that were hibernated so that another one could run.
pub(crate) static HIBERNATED_FOR_PLACE: Counter = Counter::new();

/// Notices that wait for the push service of the browser for which most do.
pub(crate) static PUSH_QUEUE: Gauge = Gauge::new();
/// Notices that push services have taken.
pub(crate) static PUSH_DELIVERED: Counter = Counter::new();
/// Notices that were refused or given up.
pub(crate) static PUSH_FAILED: Counter = Counter::new();
/// Notices for which there was no room.
pub(crate) static PUSH_DROPPED: Counter = Counter::new();
/// Messages that wait for the webhook's receiver.
pub(crate) static WEBHOOK_QUEUE: Gauge = Gauge::new();
/// Messages that it has taken.
pub(crate) static WEBHOOK_DELIVERED: Counter = Counter::new();
/// Messages that were given up.
pub(crate) static WEBHOOK_FAILED: Counter = Counter::new();
/// Messages for which there was no room.
pub(crate) static WEBHOOK_DROPPED: Counter = Counter::new();

/// Upper bounds of buckets for what a disk takes, in microseconds: 0.5 ms to 10 s.
static DISK_BOUNDS: [u64; 14] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000,
];
/// The same for what people take: a second to a day.
static PEOPLE_BOUNDS: [u64; 12] = [
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    300_000_000,
    900_000_000,
    3_600_000_000,
    14_400_000_000,
    43_200_000_000,
    86_400_000_000,
];
/// The same for what an answer to a request takes: 0.5 ms to 30 s, since some wait for a process to end.
pub(crate) static REQUEST_BOUNDS: [u64; 14] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000, 10_000_000,
    30_000_000,
];

/// The end of a turn.
pub(crate) const OUTCOMES: [&str; 3] = ["completed", "interrupted", "failed"];
/// Kinds of tokens.
pub(crate) const TOKENS: [&str; 4] = ["input", "output", "cache_read", "cache_write"];
/// Kinds of prompts.
pub(crate) const PROMPTS: [&str; 2] = ["permission", "question"];
/// Authors that settle a prompt: a person, or the CLI that withdraws it.
pub(crate) const RESOLVERS: [&str; 2] = ["user", "cli"];
/// A CLI's pipes.
pub(crate) const STREAMS: [&str; 3] = ["stdin", "stdout", "stderr"];

/// Counters of all workers of one CLI since the process started.
#[derive(Debug, Default)]
pub(crate) struct CliCounts {
    /// Turns that have ended, by [`OUTCOMES`].
    pub turns: [Counter; OUTCOMES.len()],
    /// Tokens of turns that have ended, by [`TOKENS`].
    pub tokens: [Counter; TOKENS.len()],
    /// Cost of turns that have ended, in billionths of a US dollar.
    pub cost_nano_usd: Counter,
    /// Prompts that were asked, by [`PROMPTS`].
    pub prompts: [Counter; PROMPTS.len()],
    /// Prompts that were settled, by [`RESOLVERS`].
    pub resolved: [Counter; RESOLVERS.len()],
    /// Records that were read from journals and shims.
    pub records: Counter,
    /// Events that records have yielded.
    pub events: Counter,
    /// Pieces of messages that were being written.
    pub deltas: Counter,
    /// Bytes of the lines on the CLI's pipes, by [`STREAMS`].
    pub bytes: [Counter; STREAMS.len()],
}

/// The counts of each adapter, and of the types of stored workers whose adapter is gone.
static CLIS: Mutex<BTreeMap<String, Arc<CliCounts>>> = Mutex::new(BTreeMap::new());

/// The counts of the CLI `kind`. Keep them: looking them up takes a lock.
pub(crate) fn of_cli(kind: &str) -> Arc<CliCounts> {
    let mut clis = CLIS.lock().unwrap_or_else(PoisonError::into_inner);
    match clis.get(kind) {
        Some(counts) => Arc::clone(counts),
        None => Arc::clone(clis.entry(kind.to_owned()).or_default()),
    }
}

/// The counts of all CLIs that workers have had, by kind.
pub(crate) fn clis() -> Vec<(String, Arc<CliCounts>)> {
    let clis = CLIS.lock().unwrap_or_else(PoisonError::into_inner);
    clis.iter().map(|(kind, counts)| (kind.clone(), Arc::clone(counts))).collect()
}
