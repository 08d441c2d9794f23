//! The journal as the shim writes it: one batch at a time, to the file and then to the server, with patience for a full
//! disk.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::link::Link;
use super::pump::RecordBatch;
use super::ring::{RING_BYTES, Ring};
use super::sync::SyncThread;
use crate::journal::{JournalError, Reader, Writer};
use crate::shim::protocol::VOLATILE_MARK;

/// Pause before a failed write is retried.
const RETRY: Duration = Duration::from_secs(1);

/// A failed write, which is retried.
#[derive(Debug)]
struct WriteFailure {
    text: String,
    retry_at: Instant,
}

/// The journal, its disk, and the records on their way there.
#[derive(Debug)]
pub(super) struct Store {
    writer: Writer,
    /// Reads from offsets that a server gives.
    reader: Reader,
    /// Serves a server that lags.
    file: File,
    pub(super) sync: SyncThread,
    /// The records that [`Store::commit`] writes next. They stay here when that fails.
    pub(super) batch: RecordBatch,
    ring: Ring,
    failure: Option<WriteFailure>,
}

impl Store {
    /// Takes over the journal at `path`, which `writer` has locked.
    ///
    /// # Errors
    /// Fails when it cannot be read, or there is no thread or file descriptor to be had.
    pub(super) fn new(path: &Path, writer: Writer) -> Result<Self, JournalError> {
        let io = |source| JournalError::Io { path: path.to_owned(), action: "read", source };
        let reader = Reader::open(path)?;
        let file = File::open(path).map_err(io)?;
        let no_thread = |source| JournalError::Io { path: path.to_owned(), action: "start a thread for", source };
        let syncer = writer.syncer().map_err(io)?;
        let sync = SyncThread::spawn(syncer, writer.end()).map_err(no_thread)?;
        let (batch, ring) = (RecordBatch::default(), Ring::new(RING_BYTES));
        Ok(Self { writer, reader, file, sync, batch, ring, failure: None })
    }

    /// The sequence number that the next record gets.
    pub(super) fn end(&self) -> u64 {
        self.writer.end()
    }

    /// Returns whether the last write failed: no source of records may be read until the retry has succeeded.
    pub(super) fn is_failing(&self) -> bool {
        self.failure.is_some()
    }

    /// The time of the retry of a failed write.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.failure.as_ref().map(|failure| failure.retry_at)
    }

    /// The line that warns of a failing disk.
    pub(super) fn warning(&self) -> Option<String> {
        self.failure.as_ref().map(|failure| format!("warn journal cannot be written: {}", failure.text))
    }

    /// Writes the batch and sends it. False when it could not be written: it is kept, and the server is warned.
    pub(super) fn commit(&mut self, mut link: Option<&mut Link>, now: Instant) -> bool {
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
        let ring_end = self.ring.end();
        self.ring.push(&self.batch.volatile, self.batch.finishes_message.then_some(self.batch.current_from));
        if let Some(link) = &mut link {
            link.deliver(&self.batch, base, ring_end);
        }
        self.batch.clear();
        let Some(excess) = self.ring.take_excess() else { return true };
        // The beginning of a long message: the journal keeps what the ring cannot.
        self.keep(&excess);
        self.commit(link, now)
    }

    /// Makes records of volatile lines.
    fn keep(&mut self, lines: &[u8]) {
        for line in lines.split_inclusive(|&byte| byte == b'\n') {
            self.batch.records.extend_from_slice(line.strip_prefix(VOLATILE_MARK).unwrap_or_default());
        }
    }

    /// Makes records of the volatile lines of an unfinished message, which no later line repeats as a whole.
    pub(super) fn keep_unfinished(&mut self) {
        let lines = self.ring.lines().to_vec();
        self.keep(&lines);
        self.ring.clear();
    }

    fn fail(&mut self, err: &io::Error, link: Option<&mut Link>, now: Instant) {
        let is_new = self.failure.is_none();
        self.failure = Some(WriteFailure { text: err.to_string(), retry_at: now + RETRY });
        if is_new && let Some(warning) = self.warning() {
            log::error!("{warning}; the CLI waits");
            if let Some(link) = link {
                link.queue_line(&warning);
            }
        }
    }

    /// Ends the failure: everything is written.
    pub(super) fn recovered(&mut self, link: Option<&mut Link>) {
        if self.failure.take().is_some() {
            log::info!("the journal can be written again");
            if let Some(link) = link {
                link.queue_line("warn");
            }
        }
    }

    /// Checks that records can be sent from `offset`.
    ///
    /// # Errors
    /// The reason why not.
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

    /// Sends the records that the server lacks. False when the journal cannot be read.
    pub(super) fn serve(&self, link: &mut Link) -> bool {
        link.flush(&self.file, self.end(), &self.ring)
    }

    /// Returns whether there is something to send to a server that reads.
    pub(super) fn is_due(&self, link: &Link) -> bool {
        link.wants_output(self.end(), self.ring.end())
    }
}
