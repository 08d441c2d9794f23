//! The bytes that come from a shim, taken apart into lines.

use crate::journal::{RECORD_MAX, Record};
use crate::shim::protocol::{self, VOLATILE_MARK};

/// Most bytes to read from a shim at once.
const READ_MAX: usize = 256 * 1024;
/// Bytes asked of a shim by the first reads; doubled while reads come back full. A worker that says little costs little.
const READ_START: usize = 8 * 1024;

/// One line of a shim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FromShim<'a> {
    /// Its first line.
    Greeting {
        /// The protocol that it speaks.
        version: u32,
        /// Its process id.
        pid: i32,
        /// The journal's end when the connection began.
        end: u64,
    },
    /// The next record of the journal.
    Record(Record<'a>),
    /// A line of the journal that is not a record.
    Garbage {
        /// Its offset.
        seq: u64,
        /// Its length with the newline.
        len: u64,
    },
    /// A volatile line; its `seq` is the offset that the next record will have, its `len` means nothing.
    Volatile(Record<'a>),
    /// All volatile lines of the message that is being written follow, in their order, this many; some may have come
    /// before.
    Repeats(u64),
    /// A command was done.
    Ok {
        /// The command's id.
        id: u64,
        /// The journal's end then.
        offset: u64,
    },
    /// A command was not done. With id 0 it was `attach`, or one that could not be read, and the connection ends.
    No {
        /// The command's id.
        id: u64,
        /// The reason, for people.
        reason: &'a str,
    },
    /// The journal cannot be written and the CLI waits; empty when that is over.
    Warn(&'a str),
}

/// The bytes from a shim, and how far into the journal they have come.
///
/// ```text
/// loop { n = stream.read(incoming.space())?; incoming.filled(n); while let Some(item) = incoming.next_item() { ... } }
/// ```
#[derive(Debug)]
pub struct IncomingBytes {
    /// `start..end` are the read bytes; the first `searched` of them are known to have no newline.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    searched: usize,
    seq: u64,
    /// Bytes to ask for.
    ask: usize,
}

impl IncomingBytes {
    /// Creates an empty buffer for a connection that attaches at the journal's offset `seq`.
    pub fn new(seq: u64) -> Self {
        Self { buffer: Vec::new(), start: 0, end: 0, searched: 0, seq, ask: READ_START }
    }

    /// The offset after the last record that came: where to attach next.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Room for the next read; never empty.
    ///
    /// Invalidates the lines returned before: read all of them with [`next_item`](Self::next_item) first.
    pub fn space(&mut self) -> &mut [u8] {
        let len = self.end - self.start;
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, len);
        }
        let usual = 2 * self.ask;
        if self.buffer.len() > 2 * usual && len <= self.ask {
            self.resize(usual);
        } else if self.buffer.len() - len < self.ask {
            // Doubling keeps the copying of a long line in proportion to its length.
            self.resize((2 * len).max(usual));
        }
        &mut self.buffer[len..]
    }

    /// Accepts `count` bytes that were read into [`space`](Self::space).
    pub fn filled(&mut self, count: usize) {
        self.end += count;
        if count >= self.ask {
            self.ask = (self.ask * 2).min(READ_MAX);
        }
    }

    /// Replaces the buffer by one of this size with the same unread bytes. A new one, because zeroed memory takes no room
    /// until it is written to, and zeroing by hand would write to all of it.
    fn resize(&mut self, size: usize) {
        let mut buffer = vec![0; size];
        buffer[..self.end].copy_from_slice(&self.buffer[..self.end]);
        self.buffer = buffer;
    }

    /// Returns whether a line is longer than any that a shim sends: the connection must be closed.
    pub fn is_overlong(&self) -> bool {
        self.searched > RECORD_MAX + VOLATILE_MARK.len()
    }

    /// Returns the next complete line.
    pub fn next_item(&mut self) -> Option<FromShim<'_>> {
        let Some(at) = memchr::memchr(b'\n', &self.buffer[self.start + self.searched..self.end]) else {
            self.searched = self.end - self.start;
            return None;
        };
        let (from, newline) = (self.start, self.start + self.searched + at);
        (self.start, self.searched) = (newline + 1, 0);
        let line = &self.buffer[from..newline];
        let item = if line.first().is_some_and(u8::is_ascii_alphabetic) { parse(line, self.seq) } else { None };
        if item.is_some() {
            return item;
        }
        let (seq, len) = (self.seq, line.len() as u64 + 1);
        self.seq += len;
        Some(Record::parse(line, seq).map_or(FromShim::Garbage { seq, len }, FromShim::Record))
    }
}

/// Parses a line that is not of the journal.
fn parse(line: &[u8], seq: u64) -> Option<FromShim<'_>> {
    if let Some(line) = line.strip_prefix(VOLATILE_MARK) {
        return Record::parse(line, seq).map(FromShim::Volatile);
    }
    // The shim makes reasons and warnings as text.
    let line = std::str::from_utf8(line).ok()?;
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    match verb {
        "ok" => {
            let (id, offset) = rest.split_once(' ')?;
            Some(FromShim::Ok { id: id.parse().ok()?, offset: offset.parse().ok()? })
        }
        "no" => {
            let (id, reason) = rest.split_once(' ').unwrap_or((rest, ""));
            Some(FromShim::No { id: id.parse().ok()?, reason })
        }
        "warn" => Some(FromShim::Warn(rest)),
        "repeats" => rest.parse().ok().map(FromShim::Repeats),
        protocol::GREETING => {
            let mut words = rest.split(' ');
            let mut next = || words.next().and_then(|word| word.parse::<u64>().ok());
            let (version, pid, end) = (next()?, next()?, next()?);
            Some(FromShim::Greeting { version: u32::try_from(version).ok()?, pid: i32::try_from(pid).ok()?, end })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{FromShim, IncomingBytes};

    const SENT: &[u8] = b"rs-worker-shim 1 42 100\n7 out hello\nv 8 out {\"d\"}\nok 3 112\n\n9 err \xff\nno 0 go away\nwarn full\nwarn\nrepeats 2\n";

    fn shown(item: FromShim<'_>) -> String {
        match item {
            FromShim::Record(record) => format!("{} {:?} at {}", record.kind.as_str(), record.payload, record.seq),
            FromShim::Volatile(record) => format!("v {:?} at {}", record.payload, record.seq),
            other => format!("{other:?}"),
        }
    }

    proptest! {
        #[test]
        fn lines_are_the_same_however_reads_cut_them(size in 1_usize..SENT.len()) {
            let mut incoming = IncomingBytes::new(100);
            let mut items = Vec::new();
            for piece in SENT.chunks(size) {
                incoming.space()[..piece.len()].copy_from_slice(piece);
                incoming.filled(piece.len());
                while let Some(item) = incoming.next_item() {
                    items.push(shown(item));
                }
            }
            prop_assert_eq!(items, [
                "Greeting { version: 1, pid: 42, end: 100 }",
                "out [104, 101, 108, 108, 111] at 100",
                "v [123, 34, 100, 34, 125] at 112",
                "Ok { id: 3, offset: 112 }",
                "Garbage { seq: 112, len: 1 }",
                "err [255] at 113",
                "No { id: 0, reason: \"go away\" }",
                "Warn(\"full\")",
                "Warn(\"\")",
                "Repeats(2)",
            ]);
            prop_assert_eq!(incoming.seq(), 121);
        }
    }
}
