//! Splits the bytes of a pipe into records: lines are split in place and encoded once, a read at a time.
//!
//! Pure: no I/O and no clock, so that any bytes in any pieces can be tried on it.

use super::ring::RING_BYTES;
use crate::clock::Micros;
use crate::journal::{Control, Kind, encode};
use crate::shim::protocol::VOLATILE_MARK;
use crate::shim::spec::LineKinds;

/// Bytes asked of a pipe by the first reads; doubled while reads come back full.
const READ_START: usize = 64 * 1024;
/// Most bytes asked of a pipe at once.
pub(super) const READ_MAX: usize = 256 * 1024;

/// The C library gives freed blocks of more than 32 MiB back to the system at once, and keeps smaller ones once it has
/// seen large ones come and go. So what must be larger than usual is made this large, and a shim is small again after a
/// long line.
const RETURNED_BYTES: usize = 33 * 1024 * 1024;

/// Which of the CLI's streams a pump reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PumpStream {
    /// Its stdout.
    Out,
    /// Its stderr.
    Err,
}

impl PumpStream {
    const fn whole(self) -> Kind {
        if matches!(self, Self::Out) { Kind::Out } else { Kind::Err }
    }

    const fn part(self) -> Kind {
        if matches!(self, Self::Out) { Kind::OutPart } else { Kind::ErrPart }
    }
}

/// The place of volatile lines among the records of a [`RecordBatch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct VolatileMark {
    /// The index in `records` at which ...
    pub(super) at: usize,
    /// ... the bytes of `volatile` up to this index belong, from the end of the previous mark.
    pub(super) end: usize,
}

/// Records that go to the journal in one write, and the volatile lines between them.
#[derive(Debug, Default)]
pub(super) struct RecordBatch {
    /// Whole encoded records.
    pub(super) records: Vec<u8>,
    /// Volatile lines as they go over the socket: `v <time> out <payload>\n`.
    pub(super) volatile: Vec<u8>,
    /// Their places, in order.
    pub(super) marks: Vec<VolatileMark>,
    /// A stdout line among the records finished the message of the earlier volatile lines.
    pub(super) finishes_message: bool,
    /// The index from which `volatile` belongs to the unfinished message.
    pub(super) current_from: usize,
}

impl RecordBatch {
    /// Returns whether it holds nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty() && self.volatile.is_empty()
    }

    /// Empties it and gives back the memory that an unusually long line took.
    pub(super) fn clear(&mut self) {
        for buffer in [&mut self.records, &mut self.volatile] {
            if buffer.capacity() > 4 * READ_MAX {
                *buffer = Vec::new();
            }
            buffer.clear();
        }
        self.marks.clear();
        self.finishes_message = false;
        self.current_from = 0;
    }

    /// Makes room for an `append` with a body of this length.
    pub(super) fn reserve(&mut self, body: usize) {
        reserve(&mut self.records, body + body / 8);
    }

    /// Adds a record of an event of the worker's processes.
    pub(super) fn control(&mut self, time: Micros, control: &Control) {
        encode(&mut self.records, time, Kind::Ctl, &control.to_json());
    }

    fn mark_volatile(&mut self) {
        let mark = VolatileMark { at: self.records.len(), end: self.volatile.len() };
        match self.marks.last_mut() {
            Some(last) if last.at == mark.at => last.end = mark.end,
            _ => self.marks.push(mark),
        }
    }
}

/// The properties that all lines of one read share.
struct ReadStamp<'p> {
    /// `<time> out `.
    whole: Vec<u8>,
    time: Micros,
    kinds: &'p LineKinds,
}

/// Splits one stream.
#[derive(Debug)]
pub(super) struct Pump {
    stream: PumpStream,
    /// The unfinished line, then room for the next read. All of it is initialised.
    buffer: Vec<u8>,
    /// Bytes of the unfinished line; there is no newline among them.
    len: usize,
    /// Bytes to ask for.
    ask: usize,
    /// Parts of the unfinished line are in records already.
    split: bool,
    line_max: usize,
}

impl Pump {
    /// Creates a pump that passes lines of up to `line_max` bytes in one piece.
    pub(super) fn new(stream: PumpStream, line_max: usize) -> Self {
        Self { stream, buffer: Vec::new(), len: 0, ask: READ_START, split: false, line_max }
    }

    /// Room for the next read; never empty.
    pub(super) fn space(&mut self) -> &mut [u8] {
        if self.buffer.len() - self.len < self.ask {
            let size = match self.len + self.ask {
                needed if needed <= 2 * self.ask => 2 * self.ask,
                needed if needed <= 2 * READ_MAX => 2 * READ_MAX,
                // The room for the longest line at once: zeroed memory costs nothing until it is written to, so this
                // never copies to grow.
                needed => needed.max(self.line_max + READ_MAX).max(RETURNED_BYTES),
            };
            let mut larger = vec![0; size];
            larger[..self.len].copy_from_slice(&self.buffer[..self.len]);
            self.buffer = larger;
        }
        &mut self.buffer[self.len..self.len + self.ask]
    }

    /// Takes `count` bytes that were read into [`Pump::space`]: every line that they finish becomes a record stamped
    /// `time`, or a volatile line when `kinds` says so.
    pub(super) fn filled(&mut self, count: usize, time: Micros, kinds: &LineKinds, batch: &mut RecordBatch) {
        let buffer = std::mem::take(&mut self.buffer);
        let stamp = ReadStamp { whole: prefix(time, self.stream.whole()), time, kinds };
        let end = self.len + count;
        let mut start = 0;
        for at in memchr::memchr_iter(b'\n', &buffer[self.len..end]) {
            let newline = self.len + at;
            self.line(&buffer[start..newline], &stamp, batch);
            start = newline + 1;
        }
        start = end - self.split_off(&buffer[start..end], time, batch).len();
        self.ask = if count >= self.ask { (self.ask * 2).min(READ_MAX) } else { self.ask };
        self.len = end - start;
        self.buffer = buffer;
        self.settle(start);
    }

    /// Ends the stream: the rest of a line becomes a part. The pump is then as new.
    pub(super) fn finish(&mut self, time: Micros, batch: &mut RecordBatch) {
        if self.len > 0 {
            push_line(&mut batch.records, &prefix(time, self.stream.part()), &self.buffer[..self.len]);
        }
        *self = Self::new(self.stream, self.line_max);
    }

    /// Moves the unfinished line to the front, into a smaller buffer when the large one is no longer needed.
    fn settle(&mut self, start: usize) {
        if self.buffer.len() > 2 * READ_MAX && self.len + self.ask <= 2 * READ_MAX {
            let mut smaller = vec![0; 2 * READ_MAX];
            smaller[..self.len].copy_from_slice(&self.buffer[start..start + self.len]);
            self.buffer = smaller;
        } else if start > 0 {
            self.buffer.copy_within(start..start + self.len, 0);
        }
    }

    fn line(&mut self, line: &[u8], stamp: &ReadStamp<'_>, batch: &mut RecordBatch) {
        let is_volatile = matches!(self.stream, PumpStream::Out)
            && !self.split
            && line.len() <= VOLATILE_LINE_MAX
            && stamp.kinds.is_volatile(line);
        if is_volatile {
            batch.volatile.extend_from_slice(VOLATILE_MARK);
            push_line(&mut batch.volatile, &stamp.whole, line);
            batch.mark_volatile();
            return;
        }
        // The beginning of a line that was split is in a record already.
        let ends_message = matches!(self.stream, PumpStream::Out) && (self.split || stamp.kinds.ends_message(line));
        let rest = self.split_off(line, stamp.time, batch);
        push_line(&mut batch.records, &stamp.whole, rest);
        self.split = false;
        if ends_message {
            batch.finishes_message = true;
            batch.current_from = batch.volatile.len();
        }
    }

    /// Records parts of a line as long as it is past the limit, and returns the rest of it.
    fn split_off<'l>(&mut self, mut line: &'l [u8], time: Micros, batch: &mut RecordBatch) -> &'l [u8] {
        while line.len() > self.line_max {
            if !self.split {
                self.split = true;
                let stream = self.stream.whole().as_str().to_owned();
                batch.control(time, &Control::LineSplit { stream, limit: self.line_max as u64 });
            }
            let (part, rest) = line.split_at(self.line_max);
            push_line(&mut batch.records, &prefix(time, self.stream.part()), part);
            line = rest;
        }
        line
    }
}

/// A volatile line that is longer than this is recorded like any other, so that no bound is needed but the ring's.
const VOLATILE_LINE_MAX: usize = RING_BYTES / 32;

fn prefix(time: Micros, kind: Kind) -> Vec<u8> {
    let mut prefix = Vec::new();
    encode(&mut prefix, time, kind, b"");
    prefix.pop();
    prefix
}

fn push_line(buffer: &mut Vec<u8>, prefix: &[u8], line: &[u8]) {
    reserve(buffer, prefix.len() + line.len() + 1);
    buffer.extend_from_slice(prefix);
    buffer.extend_from_slice(line);
    buffer.push(b'\n');
}

/// Makes room for `more` bytes, in a way that gives a lot of it back later ([`RETURNED_BYTES`]).
pub(super) fn reserve(buffer: &mut Vec<u8>, more: usize) {
    if more > 2 * READ_MAX && buffer.capacity() - buffer.len() < more {
        buffer.reserve(more.max(RETURNED_BYTES));
    }
}

#[cfg(test)]
mod tests;
