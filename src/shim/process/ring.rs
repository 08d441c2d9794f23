//! The volatile lines of the message that the CLI is writing right now: for a server that attaches in mid-message or lags,
//! and for the journal when the CLI ends before the message is whole.
//!
//! Lines have positions, which only grow: bytes of all volatile lines so far. So a connection knows which it has sent.

/// Bytes kept: the pieces of all but the longest messages. Of a longer one the oldest lines go to the journal.
pub(super) const RING_BYTES: usize = 4 * 1024 * 1024;

/// Whole lines, as they go over the socket.
#[derive(Debug)]
pub(super) struct Ring {
    lines: Vec<u8>,
    /// The position of the first line.
    start: u64,
    bytes_max: usize,
}

impl Ring {
    /// Creates an empty ring for `bytes_max` bytes.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { lines: Vec::new(), start: 0, bytes_max }
    }

    /// The position of the first line.
    pub(super) fn start(&self) -> u64 {
        self.start
    }

    /// The position after the last line.
    pub(super) fn end(&self) -> u64 {
        self.start + self.lines.len() as u64
    }

    /// Empties the ring at the end of a message.
    pub(super) fn clear(&mut self) {
        self.start = self.end();
        if self.lines.capacity() > KEPT_BYTES {
            self.lines = Vec::new();
        }
        self.lines.clear();
    }

    /// Adds whole lines, each with its newline. Those before `current_from` are of messages that are finished since.
    pub(super) fn push(&mut self, lines: &[u8], current_from: Option<usize>) {
        if let Some(from) = current_from {
            self.clear();
            self.start += from as u64;
        }
        self.lines.extend_from_slice(&lines[current_from.unwrap_or(0)..]);
    }

    /// The lines, oldest first.
    pub(super) fn lines(&self) -> &[u8] {
        &self.lines
    }

    /// The lines from a position on, which is that of a line; `None` when it has been dropped.
    pub(super) fn from(&self, at: u64) -> Option<&[u8]> {
        self.lines.get(usize::try_from(at.checked_sub(self.start)?).ok()?..)
    }

    /// Takes out the oldest lines when there are too many: so many that half the room is free again.
    pub(super) fn take_excess(&mut self) -> Option<Vec<u8>> {
        if self.lines.len() <= self.bytes_max {
            return None;
        }
        let from = self.lines.len() - self.bytes_max / 2 - 1;
        let end = memchr::memchr(b'\n', &self.lines[from..]).map_or(self.lines.len(), |at| from + at + 1);
        self.start += end as u64;
        Some(self.lines.drain(..end).collect())
    }
}

/// Bytes of room that an empty ring keeps.
const KEPT_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Ring;

    proptest! {
        #[test]
        fn every_line_is_in_the_ring_or_drained_in_order(
            lines in prop::collection::vec("[a-z]{0,12}\n", 0..60), together in 1_usize..4
        ) {
            let mut ring = Ring::new(40);
            let mut taken = String::new();
            for some in lines.chunks(together) {
                ring.push(some.concat().as_bytes(), None);
                if let Some(excess) = ring.take_excess() {
                    taken.push_str(std::str::from_utf8(&excess).unwrap());
                    prop_assert!(taken.ends_with('\n') && ring.lines().len() <= 20);
                }
                prop_assert!(ring.lines().len() <= 40);
                prop_assert_eq!(ring.start(), taken.len() as u64);
            }
            let kept = std::str::from_utf8(ring.lines()).unwrap();
            let all = lines.concat();
            prop_assert_eq!(&(taken.clone() + kept), &all);
            prop_assert_eq!(ring.from(ring.start()), Some(ring.lines()));
            prop_assert_eq!(ring.from(ring.end()), Some(&b""[..]));
            prop_assert_eq!(ring.from(ring.end() + 1), None);
            prop_assert!(ring.start() == 0 || ring.from(ring.start() - 1).is_none());
            ring.clear();
            prop_assert_eq!((ring.start(), ring.end()), (all.len() as u64, all.len() as u64));
        }
    }

    #[test]
    fn lines_of_a_finished_message_leave_their_positions() {
        let mut ring = Ring::new(40);
        ring.push(b"one\ntwo\n", None);
        ring.push(b"three\nfour\n", Some(6));
        assert_eq!((ring.start(), ring.lines()), (14, &b"four\n"[..]));
        assert_eq!(ring.from(8), None, "they cannot be sent any more");
    }
}
