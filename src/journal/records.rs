//! Lines of a journal, as records.

use memchr::memchr;

use super::record::{RECORD_MAX, Record};

/// One line of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// A record.
    Record(Record<'a>),
    /// A line that is not a record: damage, or an edit by hand. Readers skip it.
    Garbage {
        /// The byte offset of the line in the journal.
        seq: u64,
        /// Bytes of the line, with its newline.
        len: u64,
    },
}

impl Entry<'_> {
    /// The byte offset of its line.
    pub fn seq(&self) -> u64 {
        match self {
            Self::Record(record) => record.seq,
            Self::Garbage { seq, .. } => *seq,
        }
    }

    /// The offset of the line after this one.
    pub fn end(&self) -> u64 {
        match self {
            Self::Record(record) => record.end(),
            Self::Garbage { seq, len } => seq + len,
        }
    }
}

/// The lines of `buf`, whose first byte is at offset `base` of the journal. Every byte up to the last newline belongs
/// to one entry; the start of an incomplete line after it is left alone.
pub fn records(buf: &[u8], base: u64) -> Records<'_> {
    Records { rest: buf, offset: base }
}

/// Iterator of [`records`]. It allocates nothing.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    rest: &'a [u8],
    offset: u64,
}

impl Records<'_> {
    /// The offset of the line that comes next: the end of all entries so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        let newline = memchr(b'\n', self.rest)?;
        let (line, seq, len) = (&self.rest[..newline], self.offset, newline as u64 + 1);
        self.rest = &self.rest[newline + 1..];
        self.offset += len;
        let record = if newline < RECORD_MAX { Record::parse(line, seq) } else { None };
        Some(record.map_or(Entry::Garbage { seq, len }, Entry::Record))
    }
}

impl std::iter::FusedIterator for Records<'_> {}
