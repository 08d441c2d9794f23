//! Full text over the journals of many workers, newest first, a page at a time.
//!
//! Nothing is indexed: the journals are read backwards in blocks, always the block of the worker whose unread part is the
//! newest, so that what is found comes in order of time over all of them. Raw bytes are looked at first (`needle`),
//! and only records that may match are folded, from the saved fold before them (`scan`). Where the texts of a CLI lie
//! in pieces over several records ([`Texts::InPieces`](crate::adapter::Texts)) everything is folded.
//!
//! A request reads for [`TIME_MAX`] at most; then its page ends where it got to, full or not, and the cursor goes on from
//! there. A cursor is a time and a place in one journal: what is older. So pages repeat and leave out nothing while
//! workers go on writing; only where a machine's clock was set back does another worker's part around that time come
//! in another order, and perhaps not at all.

mod needle;
mod scan;

use std::collections::BinaryHeap;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::Worker;
use crate::clock::Micros;
use needle::Needle;
use scan::Backwards;

/// How long a request reads journals.
pub const TIME_MAX: Duration = Duration::from_millis(400);

/// The kinds of events that are searched.
pub const KINDS: [&str; 10] = [
    "user",
    "assistant",
    "thinking",
    "tool_call",
    "tool_result",
    "plan",
    "permission_request",
    "question",
    "error",
    "notice",
];

/// What is searched for.
pub struct Query {
    /// The text, of one character at least.
    pub text: String,
    /// Kinds of events that are wanted, of [`KINDS`].
    pub kinds: Vec<&'static str>,
    /// Most of a page.
    pub limit: usize,
    /// Only what is older than this.
    pub before: Option<Key>,
}

/// A place in the order of all events: by time, and at one time by worker and place in its journal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    time: u64,
    worker_id: String,
    seq: u64,
}

/// One event that has the text.
#[derive(Debug, Serialize)]
pub struct Hit {
    /// Whose it is.
    pub worker_id: String,
    /// What people call that worker.
    pub worker_name: String,
    /// Its sequence number: the place to jump to.
    pub seq: u64,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// When it was.
    pub timestamp: Micros,
    /// Which text of it has the match: `content`, `input`, `output` or `questions`.
    pub field: &'static str,
    /// The match with a little of what stands around it.
    pub snippet: String,
    /// Where in the snippet the match is.
    #[serde(rename = "match")]
    pub matched: Matched,
    #[serde(skip)]
    key: Key,
}

/// A range of characters (Unicode code points).
#[derive(Debug, Serialize)]
pub struct Matched {
    /// The first.
    pub start: usize,
    /// The one after the last.
    pub end: usize,
}

/// What a request found.
#[derive(Debug, Serialize)]
pub struct Found {
    /// Newest first.
    pub results: Vec<Hit>,
    /// Where to go on; absent at the end.
    pub next: Option<String>,
    /// Everything from this time on has been searched; absent when all has.
    pub searched_until: Option<Micros>,
    /// Bytes of journals that were read.
    pub bytes: u64,
}

impl Key {
    /// The cursor that leads to what is older.
    fn cursor(&self) -> String {
        format!("{}-{}-{}", self.time, self.seq, self.worker_id)
    }

    /// Reads a cursor.
    #[must_use]
    pub fn parse(cursor: &str) -> Option<Self> {
        let mut parts = cursor.splitn(3, '-');
        let (time, seq) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let worker_id = parts.next().filter(|id| !id.is_empty())?.to_owned();
        Some(Self { time, worker_id, seq })
    }
}

/// Searches the journals of `workers`.
#[must_use]
pub fn search(workers: &[Arc<Worker>], query: &Query) -> Found {
    let deadline = Instant::now() + TIME_MAX;
    let needle = Needle::new(&query.text);
    let opened = workers.iter().filter_map(|worker| Backwards::open(worker, query.before.as_ref()).transpose());
    let mut unread: BinaryHeap<ByKey<Backwards>> = opened.filter_map(readable).map(ByKey::of_scan).collect();
    let mut waiting: BinaryHeap<ByKey<Hit>> = BinaryHeap::new();
    let mut buffer = Vec::new();
    let mut found = Found { results: Vec::new(), next: None, searched_until: None, bytes: 0 };
    let end = loop {
        // What is found comes once nothing unread can be newer.
        while found.results.len() < query.limit
            && waiting.peek().is_some_and(|hit| unread.peek().is_none_or(|unread| hit.key >= unread.key))
        {
            found.results.extend(waiting.pop().map(|hit| hit.it));
        }
        if found.results.len() >= query.limit {
            let more = !waiting.is_empty() || !unread.is_empty();
            break found.results.last().filter(|_| more).map(|last| last.key.clone());
        }
        let Some(mut newest) = unread.pop() else { break None };
        if found.bytes > 0 && Instant::now() >= deadline {
            break Some(newest.key);
        }
        let step = newest
            .it
            .step(&needle, query, &mut buffer, &mut |hit| waiting.push(ByKey { key: hit.key.clone(), it: hit }));
        if let Some((bytes, more)) = readable(step) {
            found.bytes += bytes as u64;
            if more == ControlFlow::Continue(()) {
                unread.push(ByKey::of_scan(newest.it));
            }
        }
    };
    found.searched_until = end.as_ref().map(|key| Micros(key.time));
    found.next = end.as_ref().map(Key::cursor);
    found
}

/// A journal that cannot be read (its worker may have just been deleted) takes nothing from the others.
fn readable<T>(read: io::Result<T>) -> Option<T> {
    read.inspect_err(|error| log::warn!("a journal is left out of a search: {error}")).ok()
}

/// Something in the order of its key.
struct ByKey<T> {
    key: Key,
    it: T,
}

impl ByKey<Backwards> {
    fn of_scan(it: Backwards) -> Self {
        Self { key: it.key(), it }
    }
}

impl<T> PartialEq for ByKey<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl<T> Eq for ByKey<T> {}

impl<T> PartialOrd for ByKey<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for ByKey<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}
