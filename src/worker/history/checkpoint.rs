//! Saved folds of one worker, each with the journal offset where it was taken, so that events can be derived from any
//! place of a long journal without folding it from its beginning.
//!
//! One text file beside the journal, append-only, in order of offsets:
//! ```text
//! rs-worker-states <fold version> <worker id>
//! <offset> <the fold as JSON>
//! ```
//! The file is a cache: when it is missing, truncated, of another version, or does not fit the journal, it is discarded
//! and computed again.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::worker::state::fold::FOLD_VERSION;

/// Journal bytes between two saved folds. Deriving events at any position folds at most about this much.
pub(crate) const SPACING_BYTES: u64 = 256 * 1024;
/// Factor between the size of a saved fold and the journal bytes until the next one, which keeps the saved folds a
/// small part of the journal's size.
const SPACING_PER_SAVED_BYTE: u64 = 16;
/// Journal bytes after which a fold is saved at the end of a turn.
pub(crate) const TURN_SPACING_BYTES: u64 = 16 * 1024;
/// Bytes read at once while searching.
const PROBE_BYTES: usize = 16 * 1024;
/// Longest saved fold that is read back.
const SAVED_BYTES_MAX: usize = 256 * 1024 * 1024;

/// The file of saved folds.
///
/// Reading needs no lock, so a thread that folds never waits for one that reads. One thread at a time appends.
pub struct Checkpoints {
    file: File,
    start: u64,
    /// The end of its last complete line.
    end: AtomicU64,
    /// The last saved fold's offset; 0 when there is none (no record has offset 0).
    last: AtomicU64,
    last_bytes: AtomicU64,
    /// The begin of its line; 0 when there is none (the header is there).
    last_line: AtomicU64,
    saving: Mutex<()>,
}

impl Checkpoints {
    /// Opens or creates the file of `worker_id` at `path`, for a journal of `journal_end` bytes.
    ///
    /// # Errors
    /// Fails when the file can neither be read nor created.
    pub fn open(path: &Path, worker_id: &str, journal_end: u64) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).append(true).create(true).truncate(false).mode(0o600).open(path)?;
        let mut states = Self {
            file,
            start: 0,
            end: AtomicU64::new(0),
            last: AtomicU64::new(0),
            last_bytes: AtomicU64::new(0),
            last_line: AtomicU64::new(0),
            saving: Mutex::new(()),
        };
        let header = format!("rs-worker-states {FOLD_VERSION} {worker_id}\n");
        if !states.adopt(&header, journal_end)? {
            states.file.set_len(0)?;
            states.file.write_all(header.as_bytes())?;
            *states.end.get_mut() = header.len() as u64;
            *states.last.get_mut() = 0;
            *states.last_bytes.get_mut() = 0;
            *states.last_line.get_mut() = 0;
        }
        states.start = header.len() as u64;
        Ok(states)
    }

    /// Returns whether a fold at `offset` should be saved, estimated by the size of the last one; at the end of a turn
    /// it is due earlier.
    pub fn is_due(&self, offset: u64, turn_ended: bool) -> bool {
        let spacing = if turn_ended { TURN_SPACING_BYTES } else { SPACING_BYTES };
        let spacing = spacing.max(self.last_bytes.load(Ordering::Relaxed).saturating_mul(SPACING_PER_SAVED_BYTE));
        offset.saturating_sub(self.last.load(Ordering::Relaxed)) >= spacing
    }

    /// Returns the offset of the last saved fold.
    pub fn last(&self) -> Option<u64> {
        Some(self.last.load(Ordering::Relaxed)).filter(|&last| last > 0)
    }

    /// Appends a fold. A failure is harmless: the next saved fold replaces this one.
    pub fn save(&self, offset: u64, saved: &[u8]) {
        let _saving = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        if self.last().is_some_and(|last| offset <= last) {
            return;
        }
        let mut line = format!("{offset} ").into_bytes();
        line.extend_from_slice(saved);
        line.push(b'\n');
        match (&self.file).write_all(&line) {
            Ok(()) => {
                let begin = self.end.fetch_add(line.len() as u64, Ordering::Release);
                self.last_line.store(begin, Ordering::Release);
                self.last.store(offset, Ordering::Relaxed);
                self.last_bytes.store(saved.len() as u64, Ordering::Relaxed);
            }
            Err(error) => {
                log::warn!("a worker's state could not be saved (it will be made again from its journal): {error}");
                let _ = self.file.set_len(self.end.load(Ordering::Relaxed));
            }
        }
    }

    /// The last fold at or before the journal offset `offset`; the one before it while that is being saved.
    ///
    /// # Errors
    /// Fails when the file cannot be read.
    pub fn find(&self, offset: u64) -> io::Result<Option<(u64, Vec<u8>)>> {
        // Most ask for the last one.
        let line = self.last_line.load(Ordering::Acquire);
        if line > 0
            && let Some(found) = self.offset_at(line)?.filter(|found| *found <= offset)
        {
            return Ok(self.read_line(line)?.map(|saved| (found, saved)));
        }
        // Lines are in order of their offsets, so this is a binary search for the last one that begins at or before.
        let (mut low, mut high) = (self.start, self.end.load(Ordering::Acquire));
        let mut best = None;
        while low < high {
            let middle = low + (high - low) / 2;
            let Some(line) = self.line_from(middle, high)? else {
                // No line begins in the upper half.
                high = middle;
                continue;
            };
            match self.offset_at(line)? {
                Some(found) if found <= offset => {
                    best = Some((found, line));
                    low = line + 1;
                }
                Some(_) => high = middle,
                None => return Ok(None),
            }
        }
        match best {
            Some((found, line)) => Ok(self.read_line(line)?.map(|saved| (found, saved))),
            None => Ok(None),
        }
    }

    /// Loads the file; `false` when it is unusable.
    fn adopt(&mut self, header: &str, journal_end: u64) -> io::Result<bool> {
        let size = self.file.metadata()?.len();
        let mut found = vec![0; header.len()];
        if size < header.len() as u64 || self.file.read_exact_at(&mut found, 0).is_err() || found != header.as_bytes() {
            return Ok(false);
        }
        self.start = header.len() as u64;
        let end = self.last_newline(size)?.map_or(self.start, |at| at + 1);
        *self.end.get_mut() = end;
        if end < size {
            // A line that a crash has truncated.
            self.file.set_len(end)?;
        }
        if end > self.start {
            let line = self.last_newline(end - 1)?.map_or(self.start, |at| at + 1);
            match self.offset_at(line)? {
                Some(offset) if offset <= journal_end => {
                    *self.last.get_mut() = offset;
                    *self.last_bytes.get_mut() = end - line;
                    *self.last_line.get_mut() = line;
                }
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Returns the position of the last newline before `before`.
    fn last_newline(&self, before: u64) -> io::Result<Option<u64>> {
        let mut buffer = vec![0; PROBE_BYTES];
        let mut end = before;
        while end > 0 {
            let begin = end.saturating_sub(PROBE_BYTES as u64);
            let piece = &mut buffer[..(end - begin) as usize];
            self.file.read_exact_at(piece, begin)?;
            if let Some(at) = piece.iter().rposition(|&byte| byte == b'\n') {
                return Ok(Some(begin + at as u64));
            }
            end = begin;
        }
        Ok(None)
    }

    /// Returns the start of the first line that begins at or after `from` and before `until`.
    fn line_from(&self, from: u64, until: u64) -> io::Result<Option<u64>> {
        if from <= self.start {
            return Ok(Some(self.start));
        }
        let mut buffer = vec![0; PROBE_BYTES];
        // A line begins after a newline, which may be the byte just before `from`.
        let mut at = from - 1;
        while at + 1 < until {
            let piece = &mut buffer[..PROBE_BYTES.min((until - at) as usize)];
            let count = self.file.read_at(piece, at)?;
            if count == 0 {
                return Ok(None);
            }
            if let Some(found) = piece[..count].iter().position(|&byte| byte == b'\n') {
                let begin = at + found as u64 + 1;
                return Ok((begin < until).then_some(begin));
            }
            at += count as u64;
        }
        Ok(None)
    }

    fn offset_at(&self, line: u64) -> io::Result<Option<u64>> {
        let mut buffer = [0; 24];
        let count = self.file.read_at(&mut buffer, line)?;
        let digits = buffer[..count].split(|&byte| byte == b' ').next().unwrap_or_default();
        Ok(std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()))
    }

    /// Reads the fold on the line that begins at `line`.
    fn read_line(&self, line: u64) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        let mut buffer = vec![0; PROBE_BYTES];
        let mut at = line;
        while bytes.len() <= SAVED_BYTES_MAX {
            let count = self.file.read_at(&mut buffer, at)?;
            if count == 0 {
                return Ok(None);
            }
            let piece = &buffer[..count];
            let newline = piece.iter().position(|&byte| byte == b'\n');
            bytes.extend_from_slice(&piece[..newline.unwrap_or(count)]);
            if newline.is_some() {
                let space = bytes.iter().position(|&byte| byte == b' ');
                return Ok(space.map(|space| bytes.split_off(space + 1)));
            }
            at += count as u64;
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("rs-worker-states-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn the_last_fold_at_or_before_any_offset_is_found() {
        let folder = folder("find");
        let states = Checkpoints::open(&folder.join("states"), "w", 0).unwrap();
        assert_eq!(states.find(1_000_000).unwrap(), None);
        let offsets: Vec<u64> = (1..200).map(|n| n * n * 7).collect();
        for &offset in &offsets {
            let saved = vec![b'x'; (offset % 50_000) as usize];
            states.save(offset, &saved);
        }
        let reopened = Checkpoints::open(&folder.join("states"), "w", 10_000_000).unwrap();
        for probe in (0..300_000).step_by(501).chain(offsets.iter().copied()) {
            let expected = offsets.iter().copied().rfind(|&offset| offset <= probe);
            for states in [&states, &reopened] {
                let found = states.find(probe).unwrap();
                assert_eq!(found.as_ref().map(|found| found.0), expected, "at {probe}");
                if let Some((offset, saved)) = found {
                    assert_eq!(saved.len() as u64, offset % 50_000);
                }
            }
        }
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_file_that_does_not_fit_is_made_anew() {
        let folder = folder("fit");
        let path = folder.join("states");
        let states = Checkpoints::open(&path, "w", 0).unwrap();
        states.save(500, b"{}");
        assert_eq!(Checkpoints::open(&path, "w", 500).unwrap().last(), Some(500));
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"900 {\"torn").unwrap();
        let states = Checkpoints::open(&path, "w", 1_000).unwrap();
        assert_eq!(states.find(2_000).unwrap(), Some((500, b"{}".to_vec())), "the torn line is cut off");
        assert_eq!(Checkpoints::open(&path, "w", 499).unwrap().last(), None, "the journal is shorter");
        let states = Checkpoints::open(&path, "w", 500).unwrap();
        states.save(500, b"{}");
        assert_eq!(Checkpoints::open(&path, "other", 500).unwrap().last(), None, "another worker's");
        std::fs::write(&path, b"rubbish").unwrap();
        assert_eq!(Checkpoints::open(&path, "w", 500).unwrap().last(), None);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
