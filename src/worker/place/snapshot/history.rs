//! One file across the trees of turns.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use serde::Serialize;

use super::{LIST_BYTES_MAX, is_plain};
use crate::clock::Micros;
use crate::worker::place::git::{Git, GitError};

/// A change of a file by a turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct FileStep {
    /// The turn.
    pub turn_id: String,
    /// The time of its end.
    pub at: Micros,
    /// The hash of its content afterwards; of its old content if it was removed.
    pub hash: String,
    /// `added`, `modified` or `deleted`.
    pub change: &'static str,
}

/// Returns those of the turns that have changed a file: their ids, ends, and trees before and after.
pub(in crate::worker) fn of_file(
    git: &Git<'_>,
    folder: &Path,
    path: &str,
    turns: &[(&str, u64, &str, &str)],
) -> Result<Vec<FileStep>, GitError> {
    if !is_plain(Path::new(path)) || path.contains(['\n', '\0']) {
        return Ok(Vec::new());
    }
    let prefix = folder.strip_prefix(&git.repository().top).unwrap_or(Path::new(""));
    let place = prefix.join(path);
    let ask = |tree: &str| [tree.as_bytes(), b":", place.as_os_str().as_bytes(), b"\n"].concat();
    let asked: Vec<Vec<u8>> = turns.iter().flat_map(|(_, _, before, after)| [ask(before), ask(after)]).collect();
    let check = ["cat-file", "--batch-check=%(objectname) %(objecttype)"];
    let answer = git.with_input(&check, asked.iter().map(Vec::as_slice), LIST_BYTES_MAX)?;
    let answer = String::from_utf8_lossy(&answer.output).into_owned();
    let blobs: Vec<Option<&str>> = answer.lines().map(|line| line.strip_suffix(" blob")).collect();
    let steps = turns.iter().zip(blobs.chunks_exact(2)).filter_map(|((turn_id, at, ..), blobs)| {
        let (hash, change) = match (blobs[0], blobs[1]) {
            (before, after) if before == after => return None,
            (Some(_), Some(after)) => (after, "modified"),
            (None, Some(after)) => (after, "added"),
            (Some(before), None) => (before, "deleted"),
            (None, None) => return None,
        };
        Some(FileStep { turn_id: (*turn_id).to_owned(), at: Micros(*at), hash: hash.to_owned(), change })
    });
    Ok(steps.collect())
}
