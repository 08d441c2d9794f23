//! The parts of a transcript's line that every CLI has: its identity and its time.

use std::borrow::Cow;
use std::collections::{HashSet, VecDeque};

use serde::Deserialize;

use crate::clock::Micros;
use crate::fnv;
use crate::json;
use crate::json::time;

/// Lines of one session that are remembered so that none is reported twice; beyond that the oldest is forgotten. Of
/// each, eight bytes are kept twice.
const SEEN_MAX: usize = 1 << 20;

/// The two fields that the transcripts of all CLIs have.
#[derive(Deserialize)]
struct LineHead<'l> {
    #[serde(borrow, default)]
    uuid: Option<Cow<'l, str>>,
    #[serde(borrow, default)]
    timestamp: Option<Cow<'l, str>>,
}

/// A line, as far as it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PeekedLine {
    /// The identity of the line, equal whenever it is written again; `None` for lines that may rightly be repeated (a
    /// mode that is switched to and fro), which have neither a `uuid` nor a time.
    pub key: Option<u64>,
    /// The time at which the CLI wrote the line, as the line says.
    pub time: Option<Micros>,
}

impl PeekedLine {
    /// Looks at a line.
    pub(crate) fn of(line: &[u8]) -> Self {
        if let Ok(head) = serde_json::from_slice(line) {
            return Self::with(&head, line);
        }
        let repaired = json::repaired(line).unwrap_or_default();
        serde_json::from_slice(&repaired).map_or(Self { key: None, time: None }, |head| Self::with(&head, line))
    }

    fn with(head: &LineHead<'_>, line: &[u8]) -> Self {
        let key = match (&head.uuid, &head.timestamp) {
            (Some(uuid), _) => Some(fnv::hash(uuid.as_bytes())),
            (None, Some(_)) => Some(fnv::hash(line)),
            (None, None) => None,
        };
        Self { key, time: head.timestamp.as_deref().and_then(time::parse) }
    }
}

/// The lines of a session that were read.
#[derive(Debug, Default)]
pub(crate) struct SeenLines {
    keys: HashSet<u64>,
    order: VecDeque<u64>,
}

impl SeenLines {
    /// Notes a line by its [key](PeekedLine::key); whether it is a new one.
    pub(crate) fn note(&mut self, key: u64) -> bool {
        if !self.keys.insert(key) {
            return false;
        }
        if self.order.len() == SEEN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.keys.remove(&oldest);
        }
        self.order.push_back(key);
        true
    }

    /// Returns whether this line was read.
    pub(crate) fn has(&self, key: u64) -> bool {
        self.keys.contains(&key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_is_known_by_uuid_or_by_text_with_time() {
        let key = |line: &str| PeekedLine::of(line.as_bytes()).key;
        assert_eq!(key(r#"{"uuid":"a","n":1}"#), key(r#"{"n":2,"uuid":"a"}"#));
        assert_ne!(key(r#"{"uuid":"a"}"#), key(r#"{"uuid":"b"}"#));
        let timed = r#"{"timestamp":"2026-11-22T06:12:46.204Z","n":1}"#;
        assert_eq!(key(timed), Some(fnv::hash(timed.as_bytes())));
        for line in [r#"{"type":"mode"}"#, "", "not json", "[1]", r#"{"uuid":7}"#] {
            assert_eq!(key(line), None, "{line}");
        }
        let time = PeekedLine::of(timed.as_bytes()).time.unwrap();
        assert_eq!(time.to_string(), "2026-11-22T06:12:46.204000Z");
    }

    #[test]
    fn seen_lines_are_remembered_up_to_the_bound() {
        let mut seen = SeenLines::default();
        assert!(seen.note(1));
        assert!(!seen.note(1));
        for key in 2..=SEEN_MAX as u64 + 1 {
            assert!(seen.note(key));
        }
        assert!(!seen.has(1) && seen.has(2));
        assert_eq!((seen.keys.len(), seen.order.len()), (SEEN_MAX, SEEN_MAX));
    }
}
