//! The history that a forked session of Codex shares with the session that it was forked from.
//!
//! A fork's file begins at the fork. Its first line names the session before (`forked_from_id`) and the number of that
//! one's first line that is not shared (`forked_from_ordinal_exclusive`); that one may be a fork too. Older versions copy
//! the history instead and name no number.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::{json, packed};

/// Most forks of forks that are looked up.
const DEPTH_MAX: usize = 16;
/// Longest first line that is read, in bytes: it holds the instructions of the agent.
const LINE_BYTES_MAX: u64 = 1024 * 1024;

/// The shared part of an earlier session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ForkBase {
    /// The id of that session.
    pub session_id: String,
    /// Its transcript; `None` when it isn't here any more.
    pub transcript: Option<PathBuf>,
    /// The number of the first line that isn't shared.
    end: u64,
}

/// A line of a shared part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ForkShare {
    /// Part of the fork's history.
    Yes,
    /// Concerns the earlier session only.
    No,
    /// Written after the fork, like all that follow.
    After,
}

#[derive(Deserialize)]
struct First {
    payload: Meta,
}

#[derive(Deserialize)]
struct Meta {
    forked_from_id: Option<String>,
    forked_from_ordinal_exclusive: Option<u64>,
}

impl ForkBase {
    /// Returns whether a line of the earlier session is shared.
    pub(crate) fn shares(&self, line: &[u8]) -> ForkShare {
        let Some(line) = json::value(line) else { return ForkShare::Yes };
        if line.get("ordinal").and_then(Value::as_u64).is_some_and(|ordinal| ordinal >= self.end) {
            return ForkShare::After;
        }
        if line.get("type").and_then(Value::as_str) == Some("session_meta") { ForkShare::No } else { ForkShare::Yes }
    }
}

/// The shared parts before a session, oldest first. `find` finds a session's transcript by its id.
pub(super) fn bases(transcript: &Path, find: &dyn Fn(&str) -> Option<PathBuf>) -> Vec<ForkBase> {
    let mut bases = Vec::new();
    let mut next = first_line(transcript).ok().and_then(|line| base(&line, find));
    while let Some(found) = next {
        let line = found.transcript.as_deref().and_then(|path| first_line(path).ok());
        bases.push(found);
        next = line.filter(|_| bases.len() < DEPTH_MAX).and_then(|line| base(&line, find));
    }
    bases.reverse();
    bases
}

fn base(line: &[u8], find: &dyn Fn(&str) -> Option<PathBuf>) -> Option<ForkBase> {
    let first: First = serde_json::from_value(json::value(line)?).ok()?;
    let (session_id, end) = first.payload.forked_from_id.zip(first.payload.forked_from_ordinal_exclusive)?;
    Some(ForkBase { transcript: find(&session_id), session_id, end })
}

fn first_line(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let reader: Box<dyn Read> = if packed::is_packed(path) { Box::new(packed::reader(file)?) } else { Box::new(file) };
    let mut line = Vec::new();
    BufReader::new(reader.take(LINE_BYTES_MAX)).read_until(b'\n', &mut line)?;
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn fork_of_a_fork_names_both_sessions_oldest_first() {
        let folder = Scratch::new();
        let path = |id: &str| folder.path().join(format!("{id}.jsonl"));
        let put = |id: &str, fork: &str| {
            let text =
                format!("{{\"ordinal\":0,\"type\":\"session_meta\",\"payload\":{{\"id\":\"{id}\"{fork}}}}}\n{{}}\n");
            std::fs::write(path(id), text).unwrap();
        };
        put("one", "");
        put("two", r#","forked_from_id":"one","forked_from_ordinal_exclusive":5"#);
        put("three", r#","forked_from_id":"two","forked_from_ordinal_exclusive":9"#);
        put("orphan", r#","forked_from_id":"gone","forked_from_ordinal_exclusive":9"#);
        put("circle", r#","forked_from_id":"circle","forked_from_ordinal_exclusive":9"#);
        put("older", r#","forked_from_id":"one""#);
        let find = |id: &str| Some(path(id)).filter(|path| path.is_file());
        let found = bases(&path("three"), &find);
        let ends: Vec<_> = found.iter().map(|base| (base.session_id.as_str(), base.end)).collect();
        assert_eq!(ends, [("one", 5), ("two", 9)]);
        assert_eq!(bases(&path("orphan"), &find)[0].transcript, None);
        assert_eq!(bases(&path("circle"), &find).len(), DEPTH_MAX);
        assert!(bases(&path("older"), &find).is_empty(), "it holds the history itself");
        assert_eq!(found[0].shares(br#"{"ordinal":4,"type":"event_msg"}"#), ForkShare::Yes);
        assert_eq!(found[0].shares(br#"{"ordinal":0,"type":"session_meta"}"#), ForkShare::No);
        assert_eq!(found[0].shares(br#"{"ordinal":5,"type":"event_msg"}"#), ForkShare::After);
    }
}
