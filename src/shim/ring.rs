//! The volatile lines of the message that the CLI is writing right now: for a server that attaches in mid-message, and
//! for the journal when the CLI ends before the message is whole.

/// Bytes kept: some thousand pieces of a message. The oldest lines go first; the finished message repeats what they said.
pub(super) const RING_BYTES: usize = 1024 * 1024;

/// Whole lines, as they go over the socket, within a fixed number of bytes.
#[derive(Debug)]
pub(super) struct Ring {
    /// Lines from `head` on; what stands before it has been dropped.
    lines: Vec<u8>,
    head: usize,
    bytes_max: usize,
}

impl Ring {
    /// An empty ring for `bytes_max` bytes.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { lines: Vec::new(), head: 0, bytes_max }
    }

    /// The message is finished.
    pub(super) fn clear(&mut self) {
        self.lines.clear();
        self.head = 0;
    }

    /// Adds whole lines, each with its newline.
    pub(super) fn push(&mut self, lines: &[u8]) {
        if lines.is_empty() {
            return;
        }
        if self.head > self.bytes_max {
            self.lines.drain(..self.head);
            self.head = 0;
        }
        self.lines.extend_from_slice(lines);
        let excess = (self.lines.len() - self.head).saturating_sub(self.bytes_max);
        if excess > 0 {
            // The cut goes after the first newline that makes it fit.
            let from = self.head + excess - 1;
            self.head = memchr::memchr(b'\n', &self.lines[from..]).map_or(self.lines.len(), |at| from + at + 1);
        }
    }

    /// The lines, oldest first.
    pub(super) fn lines(&self) -> &[u8] {
        &self.lines[self.head..]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Ring;

    proptest! {
        #[test]
        fn a_ring_holds_the_longest_end_of_whole_lines_that_fits(
            lines in prop::collection::vec("[a-z]{0,12}\n", 0..60), together in 1_usize..4
        ) {
            let mut ring = Ring::new(40);
            for some in lines.chunks(together) {
                ring.push(some.concat().as_bytes());
            }
            let mut kept = 0;
            let mut expected: Vec<&str> = lines.iter().rev().map(String::as_str).take_while(|line| {
                kept += line.len();
                kept <= 40
            }).collect();
            expected.reverse();
            let expected = expected.concat();
            prop_assert_eq!(ring.lines(), expected.as_bytes());
            ring.clear();
            prop_assert!(ring.lines().is_empty());
        }
    }
}
