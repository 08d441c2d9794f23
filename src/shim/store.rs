//! The journal as the shim writes it: one batch at a time, to the file and then to the server, with patience for a full
//! disk.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::link::Link;
use super::pump::{Batch, VOLATILE_MARK};
use super::ring::{RING_BYTES, Ring};
use super::sync::SyncThread;
use crate::journal::{JournalError, Reader, Writer};

/// How long to wait before a write that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// A write that failed and is tried again.
#[derive(Debug)]
struct Failure {
    text: String,
    retry_at: Instant,
}

/// The journal, its disk, and what is on its way there.
#[derive(Debug)]
pub(super) struct Store {
    writer: Writer,
    /// For offsets that a server gives.
    reader: Reader,
    /// For a server that lags.
    file: File,
    pub(super) sync: SyncThread,
    /// What [`Store::commit`] writes next. When that fails it stays here.
    pub(super) batch: Batch,
    ring: Ring,
    failure: Option<Failure>,
}

impl Store {
    /// Takes over a journal that is locked by `writer` and stands at `path`.
    ///
    /// # Errors
    /// When it cannot be read, or there is no thread or file descriptor to be had.
    pub(super) fn new(path: &Path, writer: Writer) -> Result<Self, JournalError> {
        let io = |source| JournalError::Io { path: path.to_owned(), action: "read", source };
        let reader = Reader::open(path)?;
        let file = File::open(path).map_err(io)?;
        let sync = writer.syncer().and_then(|syncer| SyncThread::spawn(syncer, writer.end())).map_err(io)?;
        let (batch, ring) = (Batch::default(), Ring::new(RING_BYTES));
        Ok(Self { writer, reader, file, sync, batch, ring, failure: None })
    }

    /// The sequence number that the next record gets.
    pub(super) fn end(&self) -> u64 {
        self.writer.end()
    }

    /// Whether the last write failed: nothing that makes records may be read until it has been made up for.
    pub(super) fn is_failing(&self) -> bool {
        self.failure.is_some()
    }

    /// When a failed write is to be tried again.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.failure.as_ref().map(|failure| failure.retry_at)
    }

    /// The line that warns of a failing disk.
    pub(super) fn warning(&self) -> Option<String> {
        self.failure.as_ref().map(|failure| format!("warn journal cannot be written: {}", failure.text))
    }

    /// Writes the batch and sends it. False when it could not be written: it is kept, and the server is warned.
    pub(super) fn commit(&mut self, link: Option<&mut Link>, now: Instant) -> bool {
        if self.batch.is_empty() {
            return true;
        }
        let base = self.writer.end();
        if !self.batch.records.is_empty() {
            if let Err(err) = self.writer.append(&self.batch.records) {
                self.fail(&err, link, now);
                return false;
            }
            self.sync.written(now);
        }
        if self.batch.finishes_message {
            self.ring.clear();
        }
        self.ring.push(&self.batch.volatile[self.batch.current_from..]);
        if let Some(link) = link {
            link.deliver(&self.batch, base);
        }
        self.batch.clear();
        true
    }

    /// What the CLI was writing as it ended is never repeated whole: the lines of it that were volatile become records,
    /// as far as the ring has them.
    pub(super) fn keep_unfinished(&mut self) {
        for line in self.ring.lines().split_inclusive(|&byte| byte == b'\n') {
            self.batch.records.extend_from_slice(line.strip_prefix(VOLATILE_MARK).unwrap_or_default());
        }
        self.ring.clear();
    }

    fn fail(&mut self, err: &io::Error, link: Option<&mut Link>, now: Instant) {
        let is_new = self.failure.is_none();
        self.failure = Some(Failure { text: err.to_string(), retry_at: now + RETRY });
        if is_new && let Some(warning) = self.warning() {
            log::error!("{warning}; the CLI waits");
            if let Some(link) = link {
                link.say(&warning);
            }
        }
    }

    /// Everything that had failed is written.
    pub(super) fn recovered(&mut self, link: Option<&mut Link>) {
        if self.failure.take().is_some() {
            log::info!("the journal can be written again");
            if let Some(link) = link {
                link.say("warn");
            }
        }
    }

    /// Whether `offset` is one from which records can be sent.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn check_offset(&self, offset: u64) -> Result<(), String> {
        let (start, end) = (self.reader.start(), self.end());
        if !(start..=end).contains(&offset) {
            return Err(format!("offset {offset} is not between {start} and {end}"));
        }
        match self.reader.align(offset) {
            Ok(aligned) if aligned == offset => Ok(()),
            Ok(aligned) => Err(format!("offset {offset} is within the record at {aligned}")),
            Err(err) => Err(format!("the journal cannot be read: {err}")),
        }
    }

    /// Sends what the server has not got yet. False when the journal cannot be read.
    pub(super) fn serve(&self, link: &mut Link) -> bool {
        link.flush(&self.file, self.end(), self.ring.lines())
    }
}
