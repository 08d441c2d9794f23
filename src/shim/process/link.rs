//! The connection to a server: a cursor into the journal.
//!
//! Records that were just written to the journal are sent from memory to a server that has everything before them. To one
//! that lags, the journal file is sent from its cursor, as fast as it reads. So nothing is queued for a slow server, and it
//! delays nobody. Lines that are not in the journal (acks, warnings, volatile lines) go between records.

use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};

use super::pump::{RecordBatch, reserve};
use super::ring::Ring;
use crate::shim::protocol::{self, HEADER_MAX};

/// Wanted size of the socket's send buffer, in bytes: a whole batch fits. The system may grant less.
const SEND_BUFFER: usize = 1024 * 1024;
/// Bytes read of the journal at once for a server that lags.
const CHUNK: usize = 256 * 1024;
/// Chunks sent to a server that lags before the CLI's pipes are looked at again.
const CHUNKS_PER_TURN: usize = 4;
/// Most bytes of acks that wait for a server which does not read; after that its commands wait too.
const SIDE_MAX: usize = 64 * 1024;
/// Bytes of the ring that wait to be sent at once: few enough that commands are read meanwhile.
const RING_PIECE: usize = SIDE_MAX / 2;
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
    /// Commands that have come and are not executed yet.
    pub(super) input: Vec<u8>,
    /// Length of the first command in `input`, once its header is complete.
    pub(super) input_needed: usize,
    /// The server's position in the journal; `None` until it has attached.
    cursor: Option<u64>,
    /// The cursor is within a record.
    mid_record: bool,
    /// Whole lines that are not in the journal, to be sent at the next record boundary, from `side_sent` on.
    side: Vec<u8>,
    side_sent: usize,
    /// The protocol's version on this connection.
    version: u32,
    /// The position up to which the ring's volatile lines were sent; `None` when they are to be sent from the first, once
    /// the server has caught up.
    ring_at: Option<u64>,
    /// A piece of the journal, from `chunk_at` on.
    chunk: Vec<u8>,
    chunk_at: u64,
    /// The peer no longer reads.
    broken: bool,
    attach_by: Instant,
}

impl Link {
    /// Takes a new connection and greets it.
    ///
    /// # Errors
    /// Fails when the system does not let it be configured.
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
            version: protocol::OLDEST,
            ring_at: None,
            chunk: Vec::new(),
            chunk_at: 0,
            broken: false,
            attach_by: now + ATTACH_DEADLINE,
        })
    }

    /// Sends everything from `offset` on, a record boundary.
    pub(super) fn attach(&mut self, version: u32, offset: u64) {
        (self.version, self.cursor, self.ring_at) = (version, Some(offset), None);
    }

    /// Returns whether `attach` has come.
    pub(super) fn is_attached(&self) -> bool {
        self.cursor.is_some()
    }

    /// The deadline for `attach`, until it has come.
    pub(super) fn attach_by(&self) -> Option<Instant> {
        self.cursor.is_none().then_some(self.attach_by)
    }

    /// Adds a line (without its newline) that is not in the journal. Acks may carry a file name or a system's text,
    /// so newlines are taken out.
    pub(super) fn queue_line(&mut self, line: &str) {
        if !self.broken {
            self.side.extend(line.bytes().map(|byte| if byte == b'\n' { b' ' } else { byte }));
            self.side.push(b'\n');
        }
    }

    /// Returns whether more commands may be read.
    pub(super) fn wants_input(&self) -> bool {
        self.broken || self.side.len() - self.side_sent < SIDE_MAX
    }

    /// Returns whether there is something to send to a server that reads, of a journal and a ring that end there.
    pub(super) fn wants_output(&self, end: u64, ring_end: u64) -> bool {
        let lags = |cursor| cursor < end || self.ring_at != Some(ring_end);
        !self.broken && (!self.side.is_empty() || self.cursor.is_some_and(lags))
    }

    /// The socket.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// Reads commands into `input`. False when the peer has closed and nothing more will come.
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

    /// Drops executed commands: so many bytes at the beginning of `input`.
    pub(super) fn forget_input(&mut self, used: usize) {
        self.input.drain(..used);
        if self.input.is_empty() && self.input.capacity() > 2 * (READ + HEADER_MAX) {
            self.input = Vec::new();
        }
    }

    /// Sends a batch from memory if the server has everything before it. It was written to the journal at `base`, and its
    /// volatile lines to the ring at `ring_end`.
    pub(super) fn deliver(&mut self, batch: &RecordBatch, base: u64, ring_end: u64) {
        let has_all = self.cursor == Some(base) && !self.mid_record && self.ring_at == Some(ring_end) && !self.broken;
        // Acks that wait go first: they are older than these records.
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
    /// records comes from the file, the rest of a volatile line that was begun from memory, other volatile lines from the
    /// ring.
    fn send_pieces(&mut self, pieces: &[(&[u8], bool)]) -> bool {
        let slices: Vec<IoSlice<'_>> = pieces.iter().map(|(bytes, _)| IoSlice::new(bytes)).collect();
        let sent = (&self.stream).write_vectored(&slices);
        let mut left = self.sent(sent);
        for &(bytes, is_volatile) in pieces {
            let count = left.min(bytes.len());
            left -= count;
            if is_volatile {
                self.advance_ring(bytes, count);
            } else {
                self.advance(&bytes[..count]);
            }
            if count < bytes.len() {
                return false;
            }
        }
        true
    }

    /// Counts `count` sent bytes of these volatile lines; the rest of an unfinished line goes before anything else.
    fn advance_ring(&mut self, lines: &[u8], count: usize) {
        let mut end = count;
        if count > 0 && count < lines.len() && lines[count - 1] != b'\n' {
            end = memchr::memchr(b'\n', &lines[count..]).map_or(lines.len(), |at| count + at + 1);
            self.side.extend_from_slice(&lines[count..end]);
        }
        self.ring_at = self.ring_at.map(|at| at + end as u64);
    }

    /// Queues the next volatile lines of the ring that the server lacks: all of them, with notice, when some that it lacks
    /// have been dropped.
    fn queue_ring(&mut self, ring: &Ring) {
        let left = self.ring_at.and_then(|at| ring.from(at));
        if left.is_none() {
            self.ring_at = Some(ring.start());
            if self.version >= protocol::REPEATS {
                self.queue_line(&format!("repeats {}", memchr::memchr_iter(b'\n', ring.lines()).count()));
            }
        }
        let lines = left.unwrap_or_else(|| ring.lines());
        let end = match lines.get(RING_PIECE..) {
            Some(rest) => memchr::memchr(b'\n', rest).map_or(lines.len(), |at| RING_PIECE + at + 1),
            None => lines.len(),
        };
        self.side.extend_from_slice(&lines[..end]);
        self.ring_at = self.ring_at.map(|at| at + end as u64);
    }

    /// Sends as much as fits, up to the journal's `end`; `ring` holds the volatile lines of the current message. False when
    /// the journal could not be read.
    pub(super) fn flush(&mut self, journal: &File, end: u64, ring: &Ring) -> bool {
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
                Some(_) if self.ring_at != Some(ring.end()) => self.queue_ring(ring),
                _ => {
                    // Caught up: the next records come from memory.
                    self.chunk = Vec::new();
                    return true;
                }
            }
        }
        true
    }

    /// Sends the lines that are not in the journal; returns true when none is left.
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
    /// Returns whether the socket took all of it.
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

    /// Returns the number of sent bytes. An error other than a full buffer means that the peer has closed: its earlier
    /// commands are still read, nothing more is written.
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
