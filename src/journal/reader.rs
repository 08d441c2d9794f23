//! Readers of a journal: from any record on, backwards from any record, while the writer appends.

use std::fs::File;
use std::io;
use std::path::Path;

use memchr::{memchr, memrchr};

use super::header::Header;
use super::record::{self, RECORD_MAX, TIME_DIGITS_MAX};
use super::{JournalError, scan};
use crate::clock::Micros;

/// Least that is read at once, in bytes, however low the caller's limit is: a record is seldom longer.
const READ_MIN: usize = 4 * 1024;
/// The number of times larger than its limit a caller's buffer may stay after it had to hold one long record.
const KEPT_TIMES: usize = 4;

/// A reader of a journal. It needs no lock and keeps nothing that the file's growth makes wrong; threads may share it.
///
/// Offsets are record boundaries unless said otherwise: [`start`](Self::start), the end of a record, or what
/// [`align`](Self::align) made of any other offset.
#[derive(Debug)]
pub struct Reader {
    file: File,
    worker_id: String,
    start: u64,
}

impl Reader {
    /// Opens a journal, whether or not somebody writes it.
    ///
    /// # Errors
    /// Fails when the file cannot be read, or is not a journal that this build reads.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let file = File::open(path).map_err(JournalError::io(path, "open"))?;
        let header = Header::read(&file, path)?;
        Ok(Self { file, worker_id: header.worker_id, start: header.len })
    }

    /// The id of its worker.
    pub fn worker_id(&self) -> &str {
        &self.worker_id
    }

    /// The offset of the first record.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// The size of the file in bytes now. Its last line may be one that is being written; [`end`](Self::end) leaves
    /// that out.
    ///
    /// # Errors
    /// Fails when the system cannot read the file.
    pub fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// The offset after the last whole record now.
    ///
    /// # Errors
    /// Fails when the system cannot read the file.
    pub fn end(&self) -> io::Result<u64> {
        scan::line_start(&self.file, self.start, self.size()?)
    }

    /// Fills `buf` with the whole records from `offset` on that fit in `limit` bytes, but with one record at least,
    /// however long. Returns the offset after the last of them: `offset` itself when there is no whole record yet.
    /// [`records`](fn@super::records)`(buf, offset)` takes them apart.
    ///
    /// So `read(from, (to - from) as usize, buf)` never goes past the boundary `to`, if `from < to`. A limit above
    /// [`RECORD_MAX`] counts as that, so `buf` never grows larger.
    ///
    /// A line longer than [`RECORD_MAX`], which no writer makes, is passed over without holding it
    /// in memory: then the returned offset is past it and `buf` is empty. A caller that reads to the end continues until the
    /// returned offset is the one that was given, not until `buf` is empty.
    ///
    /// # Errors
    /// `InvalidInput` for an offset before the first record or past the end of the file; else what the system says.
    /// `buf` is empty then.
    pub fn read(&self, offset: u64, limit: usize, buf: &mut Vec<u8>) -> io::Result<u64> {
        let limit = limit.min(RECORD_MAX);
        let usual = limit.max(READ_MIN);
        if buf.capacity() > usual.saturating_mul(KEPT_TIMES) {
            buf.clear();
            buf.shrink_to(usual);
        }
        // From here on the old content is only overwritten: clearing it would mean to zero it for every read.
        let read = self.read_whole(offset, limit, buf);
        let len = read.as_ref().map_or(0, |&(_, len)| len);
        buf.truncate(len);
        read.map(|(next, _)| next)
    }

    /// The start of the record that the byte at `offset` lies in; for the end of the file, `offset` itself, or the
    /// start of the line that is being written there. Any offset in the header leads to the first record. So the
    /// sequence number of any event leads to its record.
    ///
    /// # Errors
    /// `InvalidInput` for an offset past the end of the file; else what the system says.
    pub fn align(&self, offset: u64) -> io::Result<u64> {
        if offset <= self.start {
            return Ok(self.start);
        }
        self.check_end(offset)?;
        scan::line_start(&self.file, self.start, offset)
    }

    /// The lowest boundary from which the records up to the boundary `end` fit in `limit` bytes; where the last of them
    /// alone is longer, its start; [`start`](Self::start) when no record is before `end`. As for [`read`](Self::read),
    /// a limit counts as [`RECORD_MAX`] at most.
    ///
    /// # Errors
    /// `InvalidInput` for an offset past the end of the file; else what the system says.
    pub fn chunk_before(&self, end: u64, limit: usize) -> io::Result<u64> {
        self.check_end(end)?;
        let lowest = end.saturating_sub(limit.min(RECORD_MAX) as u64);
        if lowest <= self.start {
            return Ok(self.start);
        }
        // A boundary at `lowest` shows as the newline before it; the newline before `end` would not be a step back.
        match scan::line_end(&self.file, lowest - 1, end - 1)? {
            Some(boundary) => Ok(boundary),
            None => scan::line_start(&self.file, self.start, end - 1),
        }
    }

    /// The offset after the line at the boundary `offset`; `None` when there is no whole line.
    ///
    /// # Errors
    /// Fails when the system cannot read the file.
    pub fn next(&self, offset: u64) -> io::Result<Option<u64>> {
        scan::line_end(&self.file, offset, self.size()?)
    }

    /// The time when the record at the boundary `offset` was written, of which only the first bytes are read; `None`
    /// when no
    /// record begins there.
    ///
    /// # Errors
    /// Fails when the system cannot read the file.
    pub fn time_at(&self, offset: u64) -> io::Result<Option<Micros>> {
        let mut begin = [0; TIME_DIGITS_MAX + 1];
        let len = scan::fill(&self.file, offset, &mut begin)?;
        Ok(record::time(&begin[..len]).map(|(time, _)| time))
    }

    fn check_end(&self, offset: u64) -> io::Result<u64> {
        let size = self.size()?;
        if offset > size {
            let why = format!("offset {offset} is past the end of the journal, {size}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        Ok(size)
    }

    /// The next offset, and how many bytes of `buf` are the records before it.
    fn read_whole(&self, offset: u64, limit: usize, buf: &mut Vec<u8>) -> io::Result<(u64, usize)> {
        if offset < self.start {
            let why = format!("offset {offset} is before the first record of the journal, {}", self.start);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let size = self.check_end(offset)?;
        let available = usize::try_from(size - offset).unwrap_or(usize::MAX);
        let mut want = limit.max(READ_MIN);
        let mut searched = 0;
        loop {
            let asked = want.min(available);
            // Exactly, since the steps are ours: a doubling vector would go to twice the longest record.
            buf.reserve_exact(asked.saturating_sub(buf.len()));
            buf.resize(asked, 0);
            let got = searched + scan::fill(&self.file, offset + searched as u64, &mut buf[searched..])?;
            if let Some(whole) = whole_records(&buf[..got], searched, limit) {
                return Ok((offset + whole as u64, whole));
            }
            if got == available || got < asked {
                return Ok((offset, 0));
            }
            if got >= RECORD_MAX {
                let past = scan::line_end(&self.file, offset + got as u64, size)?;
                return Ok((past.unwrap_or(offset), 0));
            }
            searched = got;
            want = (want * 4).min(RECORD_MAX);
        }
    }
}

/// Bytes of the whole records at the start of `buf` that fit in `limit`, else of the first record alone. The first
/// `searched` bytes are known to have no newline.
fn whole_records(buf: &[u8], searched: usize, limit: usize) -> Option<usize> {
    let limit = limit.min(buf.len()).max(searched);
    let newline = memrchr(b'\n', &buf[searched..limit])
        .map(|at| searched + at)
        .or_else(|| memchr(b'\n', &buf[limit..]).map(|at| limit + at))?;
    Some(newline + 1)
}
