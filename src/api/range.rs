//! Ranges of a file's bytes (RFC 9110, section 14): one range is answered, for players and interrupted downloads.
//!
//! A header with several ranges, in another unit or with mistakes in it is ignored, as a server may, and the whole is sent:
//! each range of a list would be a copy of the file at the price of some bytes.

use crate::http::{Head, Method};

/// The unit of the only ranges there are.
const UNIT: &str = "bytes";

/// The part of a file that a request is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FilePart {
    /// All of it.
    Whole,
    /// The bytes between two places, both included.
    Bytes {
        /// The place of the first byte.
        first: u64,
        /// The place of the last byte, which the file has.
        last: u64,
    },
    /// A range that the file does not have.
    Unsatisfiable,
}

/// Returns the part that a request asks for, of a file with `size` bytes and this entity tag.
pub(super) fn requested(head: &Head, size: u64, tag: &str) -> FilePart {
    // Only GET has ranges (14.2). A condition holds for the same strong tag alone (13.1.5); a date is never ours.
    let holds = head.header("if-range").is_none_or(|condition| condition.trim() == tag);
    match head.header("range") {
        Some(range) if holds && head.method() == Method::Get => part(range, size),
        _ => FilePart::Whole,
    }
}

fn part(range: &str, size: u64) -> FilePart {
    read(range, size).unwrap_or(FilePart::Whole)
}

/// `None` for a header that is ignored.
fn read(range: &str, size: u64) -> Option<FilePart> {
    let (unit, range) = range.split_once('=')?;
    let (first, last) = range.trim_matches([' ', '\t']).split_once('-')?;
    if !unit.trim().eq_ignore_ascii_case(UNIT) {
        return None;
    }
    let (first, last) = match (position(first)?, position(last)?) {
        (None, None) => return None,
        // The last bytes; of a file without any, the whole of it, which no range can name.
        (None, Some(0)) => return Some(FilePart::Unsatisfiable),
        (None, Some(_)) if size == 0 => return None,
        (None, Some(count)) => (size.saturating_sub(count), u64::MAX),
        (Some(first), last) => (first, last.unwrap_or(u64::MAX)),
    };
    if first > last {
        return None;
    }
    Some(if first < size { FilePart::Bytes { first, last: last.min(size - 1) } } else { FilePart::Unsatisfiable })
}

/// Reads a place, which may be left out; `None` where something else is there. One beyond all numbers is beyond all files.
fn position(text: &str) -> Option<Option<u64>> {
    match text {
        "" => Some(None),
        _ if text.bytes().all(|byte| byte.is_ascii_digit()) => Some(Some(text.parse().unwrap_or(u64::MAX))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_rfc_says() {
        let bytes = |first, last| FilePart::Bytes { first, last };
        for (range, size, expected) in [
            ("bytes=0-0", 10, bytes(0, 0)),
            ("bytes=0-9", 10, bytes(0, 9)),
            ("bytes=3-", 10, bytes(3, 9)),
            ("bytes=3-99", 10, bytes(3, 9)),
            ("bytes=-3", 10, bytes(7, 9)),
            ("bytes=-10", 10, bytes(0, 9)),
            ("bytes=-99", 10, bytes(0, 9)),
            ("BYTES=1-2", 10, bytes(1, 2)),
            ("bytes= 1-2 ", 10, bytes(1, 2)),
            ("bytes=0-99999999999999999999999", 10, bytes(0, 9)),
            ("bytes=10-", 10, FilePart::Unsatisfiable),
            ("bytes=10-20", 10, FilePart::Unsatisfiable),
            ("bytes=99999999999999999999999-", 10, FilePart::Unsatisfiable),
            ("bytes=-0", 10, FilePart::Unsatisfiable),
            ("bytes=0-", 0, FilePart::Unsatisfiable),
            ("bytes=-5", 0, FilePart::Whole),
            ("bytes=2-1", 10, FilePart::Whole),
            ("bytes=0-1,3-4", 10, FilePart::Whole),
            ("bytes=-", 10, FilePart::Whole),
            ("bytes=", 10, FilePart::Whole),
            ("bytes", 10, FilePart::Whole),
            ("", 10, FilePart::Whole),
            ("lines=0-1", 10, FilePart::Whole),
            ("bytes=+1-2", 10, FilePart::Whole),
            ("bytes=1 - 2", 10, FilePart::Whole),
            ("bytes=a-b", 10, FilePart::Whole),
            ("bytes=--5", 10, FilePart::Whole),
        ] {
            assert_eq!(part(range, size), expected, "{range} of {size}");
        }
    }
}
