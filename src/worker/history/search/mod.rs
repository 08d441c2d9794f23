//! Full text over the journals of many workers, newest first, a page at a time.
//!
//! There is no index: the journals are read backwards in blocks, always from the worker whose unread part is the
//! newest, so that results come in order of time over all workers. Raw bytes are filtered first (`needle`), and only
//! records that may match are folded, from the saved fold before them (`scan`). For CLIs whose texts are split over
//! several records ([`Texts::InPieces`](crate::adapter::Texts)) everything is folded.
//!
//! A request reads for at most [`TIME_MAX`]; then its page ends, full or not, and the cursor continues from there. A
//! cursor is a time and a position in one journal; it selects everything older. So pages neither repeat nor omit
//! anything while workers keep writing. The one exception: where a machine's clock was set back, events of other
//! workers around that time come in another order, and may be missed.

mod hit;
mod needle;
mod scan;

use std::collections::BinaryHeap;
use std::io;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::clock::Micros;
pub(crate) use hit::{Hit, HitKey, Query, SearchedWorker};
use needle::Needle;
use scan::Backwards;

/// Time for which a request reads journals.
pub(crate) const TIME_MAX: Duration = Duration::from_millis(400);

/// The event types that are searched.
pub(crate) const KINDS: [&str; 10] = [
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

/// The results of a request.
#[derive(Debug, Serialize)]
pub(crate) struct SearchResults {
    /// Newest first.
    pub results: Vec<Hit>,
    /// The cursor of the next page; absent at the end.
    pub next: Option<String>,
    /// Everything from this time on has been searched; absent when the search is complete.
    pub searched_until: Option<Micros>,
    /// Bytes of journals that were read.
    pub bytes: u64,
}

/// Searches the journals of `workers`.
#[must_use]
pub(crate) fn search(workers: &[SearchedWorker], query: &Query) -> SearchResults {
    let deadline = Instant::now() + TIME_MAX;
    let needle = Needle::new(&query.text);
    let opened = workers.iter().filter_map(|worker| Backwards::open(worker, query.before.as_ref()).transpose());
    let mut unread: BinaryHeap<ByKey<Backwards>> = opened.filter_map(readable).map(ByKey::of_scan).collect();
    let mut waiting: BinaryHeap<ByKey<Hit>> = BinaryHeap::new();
    let mut buffer = Vec::new();
    let mut found = SearchResults { results: Vec::new(), next: None, searched_until: None, bytes: 0 };
    let end = loop {
        // A result is returned once nothing unread can be newer.
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
    found.next = end.as_ref().map(HitKey::cursor);
    found
}

/// A journal that cannot be read (its worker may have just been deleted) does not affect the others.
fn readable<T>(read: io::Result<T>) -> Option<T> {
    read.inspect_err(|error| log::warn!("a journal is left out of a search: {error}")).ok()
}

/// A value ordered by its key.
struct ByKey<T> {
    key: HitKey,
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
