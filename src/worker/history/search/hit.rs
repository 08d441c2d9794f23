//! A query, and the events that match it, in their order.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use crate::clock::Micros;
use crate::worker::history::archive::Archive;

/// The parameters of a search.
pub(crate) struct Query {
    /// The text, of at least one character.
    pub text: String,
    /// Requested event types, of [`KINDS`](super::KINDS).
    pub kinds: Vec<&'static str>,
    /// Maximum number of results on a page.
    pub limit: usize,
    /// Selects events older than this.
    pub before: Option<HitKey>,
}

/// A worker's history at the time when the search began.
#[derive(Clone)]
pub(crate) struct SearchedWorker {
    /// The worker's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its folder.
    pub dir: PathBuf,
    /// The journal's end, as far as it is folded.
    pub end: u64,
    /// Its events.
    pub archive: Arc<Archive>,
}

/// A position in the order of all events: by time, then by worker and position in its journal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HitKey {
    pub(super) time: u64,
    pub(super) worker_id: String,
    pub(super) seq: u64,
}

/// One event that matches.
#[derive(Debug, Serialize)]
pub(crate) struct Hit {
    /// The worker's id.
    pub worker_id: String,
    /// The worker's name.
    pub worker_name: String,
    /// Its sequence number: the position to jump to.
    pub seq: u64,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The time of the event.
    pub timestamp: Micros,
    /// The text that matches: `content`, `input`, `output` or `questions`.
    pub field: &'static str,
    /// The match with some of the text around it.
    pub snippet: String,
    /// The position of the match in the snippet.
    #[serde(rename = "match")]
    pub matched: MatchedRange,
    #[serde(skip)]
    pub(super) key: HitKey,
}

/// A range of characters (Unicode code points).
#[derive(Debug, Serialize)]
pub(crate) struct MatchedRange {
    /// The first.
    pub start: usize,
    /// The one after the last.
    pub end: usize,
}

impl HitKey {
    /// Returns the cursor for older results.
    pub(super) fn cursor(&self) -> String {
        format!("{}-{}-{}", self.time, self.seq, self.worker_id)
    }

    /// Reads a cursor.
    #[must_use]
    pub(crate) fn parse(cursor: &str) -> Option<Self> {
        let mut parts = cursor.splitn(3, '-');
        let (time, seq) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let worker_id = parts.next().filter(|id| !id.is_empty())?.to_owned();
        Some(Self { time, worker_id, seq })
    }
}
