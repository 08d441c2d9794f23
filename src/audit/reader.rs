//! Reads the files of the audit from their ends.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use serde::Serialize;

use super::line::{AuditEntry, AuditLine};
use crate::logging::numbered;

/// Longest file, in bytes; a longer one is set aside.
pub(super) const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Files that are kept beside the current one.
pub(super) const FILES_KEPT: u32 = 4;
/// Bytes at the end of a file in which its last id is looked for.
const TAIL_BYTES: u64 = 64 * 1024;
/// Most outcomes without a beginning that are remembered: those of actions that began before the page.
const OUTCOMES_MAX: usize = 100_000;

/// The wanted entries.
#[derive(Clone, Debug, Default)]
pub(crate) struct AuditQuery {
    /// Selects entries with a smaller id.
    pub before: Option<u64>,
    /// Selects entries of a worker.
    pub worker: Option<String>,
    /// Selects entries of a token, a user or a kind of credential.
    pub who: Option<String>,
    /// Most entries.
    pub limit: usize,
}

/// Some entries, newest first.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct AuditPage {
    /// The entries.
    pub entries: Vec<AuditEntry>,
    /// The id before which there are more.
    pub next: Option<u64>,
}

/// Reads a page of the files beside `path`.
pub(super) fn page(path: &Path, query: &AuditQuery) -> io::Result<AuditPage> {
    let mut page = AuditPage::default();
    let mut outcomes: HashMap<u64, AuditLine> = HashMap::new();
    let files = std::iter::once(path.to_owned()).chain((1..=FILES_KEPT).map(|number| numbered(path, number)));
    for file in files {
        let Some(text) = read_tail(&file, FILE_BYTES_MAX * 2)? else { continue };
        for line in text.split(|byte| *byte == b'\n').rev() {
            // A line that was cut off by a full disk, and the note of lost ones.
            let Ok(line) = serde_json::from_slice::<AuditLine>(line) else { continue };
            if let Some(begun) = line.outcome_of {
                if outcomes.len() < OUTCOMES_MAX {
                    outcomes.insert(begun, line);
                }
                continue;
            }
            let outcome = line.id.and_then(|id| outcomes.remove(&id));
            let Some(entry) = AuditEntry::of(line, outcome).filter(|entry| is_wanted(entry, query)) else { continue };
            if page.entries.len() >= query.limit {
                page.next = page.entries.last().map(|last| last.id);
                return Ok(page);
            }
            page.entries.push(entry);
        }
    }
    Ok(page)
}

fn is_wanted(entry: &AuditEntry, query: &AuditQuery) -> bool {
    let is = |field: &Option<String>, wanted: &Option<String>| wanted.is_none() || field == wanted;
    query.before.is_none_or(|before| entry.id < before)
        && is(&entry.worker, &query.worker)
        && (is(&entry.name, &query.who) || is(&entry.by, &query.who))
}

/// The greatest id in the newest lines.
pub(super) fn last_id(path: &Path) -> u64 {
    let ids = |file: &Path| {
        let text = read_tail(file, TAIL_BYTES).ok().flatten().unwrap_or_default();
        let lines = text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
        lines.filter_map(|line: AuditLine| line.id).max()
    };
    ids(path).or_else(|| ids(&numbered(path, 1))).unwrap_or_default()
}

/// The last bytes of a file; `None` when it is not there.
fn read_tail(path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(most)))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}
