//! The messages of one worker that are being written, for subscribers that come, or catch up, in the middle of one.

use std::sync::Arc;

/// Most bytes kept of one message's text. Of a longer one the first half is dropped: who comes then gets the rest, at the
/// offset where that begins.
pub(super) const TEXT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A message that is being written, as its publisher knows it.
pub trait Message: Send + Sync {
    /// Appends the frame of a piece of its text: the one after `offset` characters, which came at `time` (microseconds
    /// since 1970).
    fn piece(&self, offset: u64, text: &str, time: u64, frames: &mut Vec<u8>);
}

/// A change of the messages that are being written, by one batch.
#[derive(Clone)]
pub enum Change {
    /// More of a message, which begins with it if it is a new one.
    Piece {
        /// The publisher's number of the message; no two messages of a topic have the same.
        serial: u64,
        /// Makes its frames.
        message: Arc<dyn Message>,
        /// Characters of the message before the text.
        offset: u64,
        /// The text.
        text: String,
        /// The time at which it came, in microseconds since 1970.
        time: u64,
    },
    /// The message with this number is whole, or never will be.
    End(u64),
}

/// The part of each message that a subscriber has: its number, and bytes of its text.
pub(super) type Had = Vec<(u64, usize)>;

/// The messages, in the order in which they began.
#[derive(Default)]
pub(super) struct Unfinished {
    messages: Vec<Written>,
}

struct Written {
    serial: u64,
    message: Arc<dyn Message>,
    /// The text from `from` on.
    text: String,
    /// Bytes of the text that were dropped, and the characters in them.
    from: (usize, u64),
    time: u64,
}

impl Unfinished {
    pub(super) fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::End(serial) => self.messages.retain(|written| written.serial != *serial),
                Change::Piece { serial, message, text, time, .. } => self.add(*serial, message, text, *time),
            }
        }
    }

    fn add(&mut self, serial: u64, message: &Arc<dyn Message>, text: &str, time: u64) {
        match self.messages.iter_mut().find(|written| written.serial == serial) {
            Some(written) => {
                written.text.push_str(text);
                written.time = time;
                written.bound();
            }
            None => {
                let message = Arc::clone(message);
                self.messages.push(Written { serial, message, text: text.to_owned(), from: (0, 0), time });
            }
        }
    }

    /// Returns the present lengths of the messages.
    pub(super) fn had(&self) -> Had {
        self.messages.iter().map(|written| (written.serial, written.from.0 + written.text.len())).collect()
    }

    /// Appends a frame for each message of which a subscriber that has this much lacks something.
    pub(super) fn append_rest(&self, had: &Had, frames: &mut Vec<u8>) {
        for written in &self.messages {
            let has = had.iter().find(|(serial, _)| *serial == written.serial).map_or(0, |&(_, bytes)| bytes);
            let at = has.saturating_sub(written.from.0);
            // Who has more than is there has it from before the text was cut, at a boundary as well.
            if let Some(text) = written.text.get(at..).filter(|text| !text.is_empty()) {
                let before = written.text.get(..at).map_or(0, |before| before.chars().count() as u64);
                written.message.piece(written.from.1 + before, text, written.time, frames);
            }
        }
    }

    pub(super) fn clear(&mut self) {
        self.messages.clear();
    }
}

impl Written {
    /// Drops the beginning of a text that is too long.
    fn bound(&mut self) {
        if self.text.len() <= TEXT_BYTES_MAX {
            return;
        }
        let half = (self.text.len() / 2..).find(|&at| self.text.is_char_boundary(at)).unwrap_or(self.text.len());
        let dropped: String = self.text.drain(..half).collect();
        self.from = (self.from.0 + half, self.from.1 + dropped.chars().count() as u64);
    }
}
