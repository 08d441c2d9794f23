//! The first line of a journal: what the file is, its format, and whose it is.

use std::fs::File;
use std::path::Path;

use super::{JournalError, MAGIC, VERSION, WORKER_ID_MAX, scan};

/// Bytes of a file that are searched for the end of its header line: more than any header of ours has.
const HEADER_MAX: usize = 256;

/// A header as it was read.
#[derive(Debug)]
pub(super) struct Header {
    /// The id of its worker.
    pub(super) worker_id: String,
    /// Bytes of the header line with its newline: the offset of the first record.
    pub(super) len: u64,
}

impl Header {
    /// The header line of a new journal.
    pub(super) fn line(worker_id: &str) -> Result<String, JournalError> {
        if !is_worker_id(worker_id) {
            return Err(JournalError::WorkerId { id: worker_id.to_owned() });
        }
        Ok(format!("{MAGIC} {VERSION} {worker_id}\n"))
    }

    /// Reads the header of an open file; `path` is for errors.
    pub(super) fn read(file: &File, path: &Path) -> Result<Self, JournalError> {
        let mut start = [0; HEADER_MAX];
        let len = scan::fill(file, 0, &mut start).map_err(JournalError::io(path, "read"))?;
        Self::parse(&start[..len], path)
    }

    fn parse(start: &[u8], path: &Path) -> Result<Self, JournalError> {
        let path = || path.to_owned();
        let Some(len) = memchr::memchr(b'\n', start) else {
            return Err(match start.len() {
                HEADER_MAX.. => JournalError::NotAJournal { path: path() },
                len if start == &MAGIC.as_bytes()[..len.min(MAGIC.len())] => JournalError::HalfHeader { path: path() },
                _ if start.starts_with(format!("{MAGIC} ").as_bytes()) => JournalError::HalfHeader { path: path() },
                _ => JournalError::NotAJournal { path: path() },
            });
        };
        let mut words = start[..len].splitn(3, |&byte| byte == b' ').map(|word| str::from_utf8(word).unwrap_or(""));
        if words.next() != Some(MAGIC) {
            return Err(JournalError::NotAJournal { path: path() });
        }
        match words.next().and_then(|word| word.parse().ok()) {
            Some(VERSION) => {}
            Some(found) => return Err(JournalError::Version { path: path(), found }),
            None => return Err(JournalError::BadHeader { path: path() }),
        }
        match words.next() {
            Some(id) if is_worker_id(id) => Ok(Self { worker_id: id.to_owned(), len: len as u64 + 1 }),
            _ => Err(JournalError::BadHeader { path: path() }),
        }
    }
}

fn is_worker_id(id: &str) -> bool {
    (1..=WORKER_ID_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}
