//! One record of a journal: its text form and how it is read back.

use crate::clock::Micros;

/// The kind of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A whole line of the CLI's stdout, without its newline.
    Out,
    /// A piece of a stdout line that its newline does not follow: the stream ended there, or the line went past the
    /// length limit and continues in the next record of that stream.
    OutPart,
    /// A whole line of the CLI's stderr, without its newline.
    Err,
    /// A piece of a stderr line, as [`Kind::OutPart`].
    ErrPart,
    /// A line that was written to the CLI's stdin, without its newline.
    In,
    /// One JSON object: something that happened to the worker ([`Control`](crate::journal::Control)).
    Ctl,
}

impl Kind {
    /// The kind as the journal writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::OutPart => "out+",
            Self::Err => "err",
            Self::ErrPart => "err+",
            Self::In => "in",
            Self::Ctl => "ctl",
        }
    }

    /// The kind that the journal writes as `word`.
    pub fn parse(word: &[u8]) -> Option<Self> {
        [Self::Out, Self::OutPart, Self::Err, Self::ErrPart, Self::In, Self::Ctl]
            .into_iter()
            .find(|kind| kind.as_str().as_bytes() == word)
    }
}

/// One record, borrowed from the bytes it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its sequence number: the byte offset of its line in the journal. Volatile lines, which are not in the file,
    /// carry the offset that the next record will have.
    pub seq: u64,
    /// The time when it was written.
    pub time: Micros,
    /// Its payload.
    pub kind: Kind,
    /// The bytes as they came, without the newline. Never contains `\n`.
    pub payload: &'a [u8],
    /// Bytes of its whole line, with the newline.
    pub len: u64,
}

impl<'a> Record<'a> {
    /// The offset of the record after this one.
    pub fn end(&self) -> u64 {
        self.seq + self.len
    }

    /// Reads the line at offset `seq`, given without its newline. `None` when it is not a record.
    pub fn parse(line: &'a [u8], seq: u64) -> Option<Self> {
        let (time, rest) = time(line)?;
        let space = rest.iter().take(KIND_BYTES_MAX + 1).position(|&byte| byte == b' ')?;
        let kind = Kind::parse(&rest[..space])?;
        let payload = &rest[space + 1..];
        Some(Self { seq, time, kind, payload, len: line.len() as u64 + 1 })
    }
}

/// The time that a line begins with, and what follows the space after it.
pub(super) fn time(line: &[u8]) -> Option<(Micros, &[u8])> {
    let space = line.iter().take(TIME_DIGITS_MAX + 1).position(|&byte| byte == b' ')?;
    let (digits, rest) = (&line[..space], &line[space + 1..]);
    if digits.is_empty() {
        return None;
    }
    let mut time = 0_u64;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        time = time.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
    }
    Some((Micros(time), rest))
}

/// Longest payload of a record in bytes: the length at which a line of the CLI is split into parts.
pub(crate) const LINE_MAX: usize = 64 * 1024 * 1024;
/// Longest line of a journal in bytes, with the newline: time, kind and payload at their longest, with a space after
/// each of the first two.
pub(crate) const RECORD_MAX: usize = TIME_DIGITS_MAX + 1 + KIND_BYTES_MAX + 1 + LINE_MAX + 1;
/// Digits of the longest time: `u64::MAX`.
pub(super) const TIME_DIGITS_MAX: usize = 20;
/// Bytes of the longest kind.
const KIND_BYTES_MAX: usize = 4;

/// Appends the line of a record to `buffer`. `payload` must not contain a newline.
pub fn encode(buffer: &mut Vec<u8>, time: Micros, kind: Kind, payload: &[u8]) {
    debug_assert!(!payload.contains(&b'\n'), "a record is one line");
    let mut digits = [0_u8; TIME_DIGITS_MAX];
    let mut at = digits.len();
    let mut rest = time.0;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    buffer.reserve(payload.len() + digits.len() - at + kind.as_str().len() + 3);
    buffer.extend_from_slice(&digits[at..]);
    buffer.push(b' ');
    buffer.extend_from_slice(kind.as_str().as_bytes());
    buffer.push(b' ');
    buffer.extend_from_slice(payload);
    buffer.push(b'\n');
}
