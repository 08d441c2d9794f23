//! The messages of one worker that are being written, for subscribers that come, or catch up, in the middle of one.

use std::sync::Arc;

/// Most bytes kept of one message's text. Of a longer one the first half is dropped: a later subscriber gets the rest, at the
/// offset where that begins.
pub(super) const TEXT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A message that is being written, as its publisher knows it.
pub trait PublishedMessage: Send + Sync {
    /// Appends the frame of a piece of its text: the one after `offset` characters, which came at `time` (microseconds
    /// since 1970).
    fn piece(&self, offset: u64, text: &str, time: u64, frames: &mut Vec<u8>);

    /// Appends the same frame with the changes of the message's blocks since the version `seen`. Returns the version
    /// that its subscriber has then. May take time: it is called without any lock of the hub.
    fn piece_with_blocks(&self, piece: &MissedText, seen: u64, frames: &mut Vec<u8>) -> u64;

    /// Drops what it keeps for [`piece_with_blocks`](Self::piece_with_blocks), which nobody asks for any more. Never
    /// blocks.
    fn forget_blocks(&self);
}

/// Text of a message that a subscriber has not got.
pub struct MissedText {
    /// The publisher's number of the message.
    pub serial: u64,
    /// Makes its frames.
    pub message: Arc<dyn PublishedMessage>,
    /// Bytes of the message before the text.
    pub bytes: usize,
    /// Characters of the message before the text.
    pub offset: u64,
    /// The text.
    pub text: String,
    /// The time of its last piece, in microseconds since 1970.
    pub time: u64,
}

/// A change of the messages that are being written, by one batch.
#[derive(Clone)]
pub enum UnfinishedChange {
    /// More of a message, which begins with it if it is a new one.
    Piece {
        /// The publisher's number of the message; no two messages of a topic have the same.
        serial: u64,
        /// Makes its frames.
        message: Arc<dyn PublishedMessage>,
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
pub(super) struct UnfinishedMessages {
    messages: Vec<UnfinishedText>,
}

struct UnfinishedText {
    serial: u64,
    message: Arc<dyn PublishedMessage>,
    /// The text from `from` on.
    text: String,
    /// Bytes of the text that were dropped, and the characters in them.
    from: (usize, u64),
    time: u64,
}

impl UnfinishedMessages {
    pub(super) fn apply(&mut self, changes: &[UnfinishedChange]) {
        for change in changes {
            match change {
                UnfinishedChange::End(serial) => self.messages.retain(|written| written.serial != *serial),
                UnfinishedChange::Piece { serial, message, text, time, .. } => self.add(*serial, message, text, *time),
            }
        }
    }

    fn add(&mut self, serial: u64, message: &Arc<dyn PublishedMessage>, text: &str, time: u64) {
        match self.messages.iter_mut().find(|written| written.serial == serial) {
            Some(written) => {
                written.text.push_str(text);
                written.time = time;
                written.bound();
            }
            None => {
                let message = Arc::clone(message);
                self.messages.push(UnfinishedText { serial, message, text: text.to_owned(), from: (0, 0), time });
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
            if let Some((_, offset, text)) = written.rest(had) {
                written.message.piece(offset, text, written.time, frames);
            }
        }
    }

    /// Returns a copy of what a subscriber that has this much lacks.
    pub(super) fn missed(&self, had: &Had) -> Vec<MissedText> {
        let missed = self.messages.iter().filter_map(|written| {
            let (bytes, offset, text) = written.rest(had)?;
            let (serial, message, time) = (written.serial, Arc::clone(&written.message), written.time);
            Some(MissedText { serial, message, bytes, offset, text: text.to_owned(), time })
        });
        missed.collect()
    }

    /// Returns whether the message is being written.
    pub(super) fn has(&self, serial: u64) -> bool {
        self.messages.iter().any(|written| written.serial == serial)
    }

    /// Drops the blocks of all messages.
    pub(super) fn forget_blocks(&self) {
        self.messages.iter().for_each(|written| written.message.forget_blocks());
    }

    pub(super) fn clear(&mut self) {
        self.messages.clear();
    }
}

impl UnfinishedText {
    /// Returns the text that a subscriber who has this much lacks, if there is any, after the bytes and characters
    /// before it.
    fn rest(&self, had: &Had) -> Option<(usize, u64, &str)> {
        let has = had.iter().find(|(serial, _)| *serial == self.serial).map_or(0, |&(_, bytes)| bytes);
        let at = has.saturating_sub(self.from.0);
        // A subscriber can have more than the kept text, from before it was cut at a boundary.
        let text = self.text.get(at..).filter(|text| !text.is_empty())?;
        let before = self.text.get(..at).map_or(0, |before| before.chars().count() as u64);
        Some((self.from.0 + at, self.from.1 + before, text))
    }

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
