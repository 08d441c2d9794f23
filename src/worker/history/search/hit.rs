//! A query, and the events that it finds, in their order.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use crate::clock::Micros;
use crate::worker::history::archive::Archive;

/// The parameters of a search.
pub(crate) struct Query {
    /// The text, of one character at least.
    pub text: String,
    /// Kinds of events that are wanted, of [`KINDS`](super::KINDS).
    pub kinds: Vec<&'static str>,
    /// Most of a page.
    pub limit: usize,
    /// Only what is older than this.
    pub before: Option<Key>,
}

/// A worker's history, as it was when the search began.
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

/// A place in the order of all events: by time, and at one time by worker and place in its journal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(super) time: u64,
    pub(super) worker_id: String,
    pub(super) seq: u64,
}

/// One event that has the text.
#[derive(Debug, Serialize)]
pub(crate) struct Hit {
    /// Whose it is.
    pub worker_id: String,
    /// The name of that worker.
    pub worker_name: String,
    /// Its sequence number: the place to jump to.
    pub seq: u64,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The time of the event.
    pub timestamp: Micros,
    /// Which text of it has the match: `content`, `input`, `output` or `questions`.
    pub field: &'static str,
    /// The match with a little of what stands around it.
    pub snippet: String,
    /// The place of the match in the snippet.
    #[serde(rename = "match")]
    pub matched: Matched,
    #[serde(skip)]
    pub(super) key: Key,
}

/// A range of characters (Unicode code points).
#[derive(Debug, Serialize)]
pub(crate) struct Matched {
    /// The first.
    pub start: usize,
    /// The one after the last.
    pub end: usize,
}

impl Key {
    /// The cursor that leads to what is older.
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
