//! The connection to a server: a cursor into the journal.
//!
//! What was just written to the journal is sent from memory to a server that has everything before it. To one that
//! lags, the journal file is sent from its cursor, as fast as it reads. So nothing is queued for a slow server, and it
//! delays nobody. What is not in the journal (answers, warnings, volatile lines) goes between records.

use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};

use super::protocol::{self, HEADER_MAX};
use super::pump::{Batch, reserve};

/// Wanted size of the socket's send buffer, in bytes: a whole batch fits. The system may grant less.
const SEND_BUFFER: usize = 1024 * 1024;
/// Bytes read of the journal at once for a server that lags.
const CHUNK: usize = 256 * 1024;
/// Chunks sent to a server that lags before the CLI's pipes are looked at again.
const CHUNKS_PER_TURN: usize = 4;
/// Most bytes of answers that wait for a server which does not read; after that its commands wait too.
const SIDE_MAX: usize = 64 * 1024;
/// Bytes read of commands at once, unless one is known to be longer: most are short, and every shim keeps this much.
const READ: usize = 4 * 1024;
/// Time in which a peer must send `attach`, so that one which never does cannot keep the real server out.
const ATTACH_DEADLINE: Duration = Duration::from_secs(5);
/// Most pieces of one send.
const PIECES_MAX: usize = 512;

/// One connection.
#[derive(Debug)]
pub(super) struct Link {
    stream: UnixStream,
    /// Commands that have come and are not carried out yet.
    pub(super) input: Vec<u8>,
    /// How long the first command in `input` is, where its header is there.
    pub(super) input_needed: usize,
    /// Where the server stands in the journal; `None` until it has attached.
    cursor: Option<u64>,
    /// Whether the cursor stands within a record.
    mid_record: bool,
    /// Whole lines that are not in the journal, to be sent at the next record boundary, from `side_sent` on.
    side: Vec<u8>,
    side_sent: usize,
    /// Whether the ring of volatile lines is to be sent once the server has caught up.
    ring_due: bool,
    /// A piece of the journal that stands at `chunk_at`.
    chunk: Vec<u8>,
    chunk_at: u64,
    /// Nobody reads what is sent.
    broken: bool,
    attach_by: Instant,
}

impl Link {
    /// Takes a new connection and greets it.
    ///
    /// # Errors
    /// When the system does not let it be configured.
    pub(super) fn new(stream: UnixStream, now: Instant, journal_end: u64) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let _ = setsockopt(&stream, sockopt::SndBuf, &SEND_BUFFER);
        let greeting = format!("{} {} {} {journal_end}\n", protocol::GREETING, protocol::VERSION, std::process::id());
        Ok(Self {
            stream,
            input: Vec::new(),
            input_needed: 0,
            cursor: None,
            mid_record: false,
            side: greeting.into_bytes(),
            side_sent: 0,
            ring_due: false,
            chunk: Vec::new(),
            chunk_at: 0,
            broken: false,
            attach_by: now + ATTACH_DEADLINE,
        })
    }

    /// The server wants everything from `offset` on, a record boundary.
    pub(super) fn attach(&mut self, offset: u64) {
        (self.cursor, self.ring_due) = (Some(offset), true);
    }

    /// Whether `attach` has come.
    pub(super) fn is_attached(&self) -> bool {
        self.cursor.is_some()
    }

    /// When the peer is late with `attach`.
    pub(super) fn attach_by(&self) -> Option<Instant> {
        self.cursor.is_none().then_some(self.attach_by)
    }

    /// Adds a line (without its newline) that is not in the journal. Answers may carry a file name or a system's text,
    /// so newlines are taken out.
    pub(super) fn say(&mut self, line: &str) {
        if !self.broken {
            self.side.extend(line.bytes().map(|byte| if byte == b'\n' { b' ' } else { byte }));
            self.side.push(b'\n');
        }
    }

    /// Whether more commands may be read.
    pub(super) fn wants_input(&self) -> bool {
        self.broken || self.side.len() - self.side_sent < SIDE_MAX
    }

    /// Whether there is something to send to a server that reads.
    pub(super) fn wants_output(&self, end: u64) -> bool {
        !self.broken && (!self.side.is_empty() || self.cursor.is_some_and(|cursor| cursor < end || self.ring_due))
    }

    /// The socket.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// Reads commands into `input`. False when the peer is gone and nothing more will come.
    pub(super) fn read(&mut self) -> bool {
        let len = self.input.len();
        let wanted = READ.max(self.input_needed.saturating_sub(len));
        reserve(&mut self.input, wanted);
        self.input.resize(len + wanted.min(READ.max(CHUNK)), 0);
        let read = self.stream.read(&mut self.input[len..]);
        self.input.truncate(len + read.as_ref().copied().unwrap_or(0));
        match read {
            Ok(0) => false,
            Ok(_) => true,
            Err(err) => matches!(err.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        }
    }

    /// Drops commands that were carried out, given as their bytes at the beginning of `input`.
    pub(super) fn forget_input(&mut self, used: usize) {
        self.input.drain(..used);
        if self.input.is_empty() && self.input.capacity() > 2 * (READ + HEADER_MAX) {
            self.input = Vec::new();
        }
    }

    /// `batch` was written to the journal at `base`: sends it from memory if the server has all before it.
    pub(super) fn deliver(&mut self, batch: &Batch, base: u64) {
        let has_all = self.cursor == Some(base) && !self.mid_record && !self.ring_due && !self.broken;
        // Answers that wait go first: they were given before these records.
        let is_live = has_all && self.flush_side() && !self.broken;
        if !is_live {
            return;
        }
        if batch.marks.is_empty() {
            self.send_records(&batch.records);
            return;
        }
        let (mut record_from, mut volatile_from) = (0, 0);
        let mut pieces = Vec::with_capacity(2 * batch.marks.len() + 1);
        for mark in &batch.marks {
            pieces.push((&batch.records[record_from..mark.at], false));
            pieces.push((&batch.volatile[volatile_from..mark.end], true));
            (record_from, volatile_from) = (mark.at, mark.end);
        }
        pieces.push((&batch.records[record_from..], false));
        for some in pieces.chunks(PIECES_MAX) {
            if !self.send_pieces(some) {
                return;
            }
        }
    }

    /// Sends records and volatile lines (marked true). False when the socket took less than all: the rest of the
    /// records comes from the file, the rest of a volatile line that was begun from memory, other volatile lines not
    /// at all.
    fn send_pieces(&mut self, pieces: &[(&[u8], bool)]) -> bool {
        let slices: Vec<IoSlice<'_>> = pieces.iter().map(|(bytes, _)| IoSlice::new(bytes)).collect();
        let sent = (&self.stream).write_vectored(&slices);
        let mut left = self.sent(sent);
        for &(bytes, is_volatile) in pieces {
            let count = left.min(bytes.len());
            left -= count;
            if !is_volatile {
                self.advance(&bytes[..count]);
            } else if count > 0 && count < bytes.len() && bytes[count - 1] != b'\n' {
                let line_end = memchr::memchr(b'\n', &bytes[count..]).map_or(bytes.len(), |at| count + at + 1);
                self.side.extend_from_slice(&bytes[count..line_end]);
            }
            if count < bytes.len() {
                return false;
            }
        }
        true
    }

    /// Sends what is due and fits, up to the journal's `end`; `ring` are the volatile lines of the current message.
    /// False when the journal could not be read.
    pub(super) fn flush(&mut self, journal: &File, end: u64, ring: &[u8]) -> bool {
        for _ in 0..=CHUNKS_PER_TURN {
            if self.broken || (!self.mid_record && !self.flush_side()) {
                return true;
            }
            match self.cursor {
                Some(cursor) if cursor < end => match self.flush_chunk(journal, cursor, end) {
                    Ok(true) => {}
                    Ok(false) => return true,
                    Err(err) => {
                        log::error!("the journal cannot be read at {cursor}: {err}");
                        return false;
                    }
                },
                Some(_) if self.ring_due => {
                    self.ring_due = false;
                    self.side.extend_from_slice(ring);
                }
                _ => {
                    // Caught up: the next records come from memory.
                    self.chunk = Vec::new();
                    return true;
                }
            }
        }
        true
    }

    /// True when nothing is left of the lines that are not in the journal.
    fn flush_side(&mut self) -> bool {
        while self.side_sent < self.side.len() {
            let sent = (&self.stream).write(&self.side[self.side_sent..]);
            let count = self.sent(sent);
            if count == 0 {
                return self.broken;
            }
            self.side_sent += count;
        }
        (self.side, self.side_sent) = (Vec::new(), 0);
        true
    }

    /// Sends one piece of the journal from `cursor` on; up to the next record boundary when other lines wait for one.
    /// Whether the socket took all of it.
    fn flush_chunk(&mut self, journal: &File, cursor: u64, end: u64) -> io::Result<bool> {
        let chunk_end = self.chunk_at + self.chunk.len() as u64;
        if !(self.chunk_at..chunk_end).contains(&cursor) {
            let wanted = usize::try_from(end - cursor).unwrap_or(usize::MAX).min(CHUNK);
            self.chunk.resize(wanted, 0);
            self.chunk_at = cursor;
            journal.read_exact_at(&mut self.chunk, cursor).inspect_err(|_| self.chunk.clear())?;
        }
        let chunk = std::mem::take(&mut self.chunk);
        let mut piece = &chunk[(cursor - self.chunk_at) as usize..];
        if !self.side.is_empty()
            && let Some(newline) = memchr::memchr(b'\n', piece)
        {
            piece = &piece[..=newline];
        }
        let all = self.send_records(piece);
        self.chunk = chunk;
        Ok(all)
    }

    fn send_records(&mut self, bytes: &[u8]) -> bool {
        let sent = (&self.stream).write(bytes);
        let count = self.sent(sent);
        self.advance(&bytes[..count]);
        count == bytes.len()
    }

    fn advance(&mut self, sent: &[u8]) {
        if let (Some(last), Some(cursor)) = (sent.last(), &mut self.cursor) {
            *cursor += sent.len() as u64;
            self.mid_record = *last != b'\n';
        }
    }

    /// How many bytes went. An error other than a full buffer means that the peer is gone: what it sent before is still
    /// read, nothing more is written.
    fn sent(&mut self, result: io::Result<usize>) -> usize {
        match result {
            Ok(count) => count,
            Err(err) if err.kind() == ErrorKind::WouldBlock || err.kind() == ErrorKind::Interrupted => 0,
            Err(err) => {
                if err.raw_os_error() != Some(Errno::EPIPE as i32) {
                    log::warn!("the server's connection failed: {err}");
                }
                self.broken = true;
                (self.side, self.side_sent, self.chunk) = (Vec::new(), 0, Vec::new());
                0
            }
        }
    }
}
