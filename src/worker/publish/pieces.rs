//! The unfinished messages of a worker's CLI: where each of their pieces begins, and which were published before.

use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use crate::clock::Micros;
use crate::event::{Body, Event};
use crate::hub::{MissedText, PublishedMessage, UnfinishedChange};
use crate::markdown::GrowingBlocks;
use crate::wire::{self, Output};

/// Maximum number of unfinished messages; beyond that the oldest is forgotten.
const OPEN_MAX: usize = 64;

/// The properties that the pieces of one message share.
struct UnfinishedMessage {
    worker_id: String,
    message_id: Option<String>,
    of: &'static str,
    /// Its blocks, once a client has asked for them.
    blocks: Mutex<Option<GrowingBlocks>>,
}

impl UnfinishedMessage {
    fn append_frame(&self, (offset, text): (u64, &str), time: u64, more: Option<&[u8]>, frames: &mut Vec<u8>) {
        let message_id = self.message_id.as_deref().map(Into::into);
        let event = Event::new(text, Body::Delta { message_id, of: self.of, offset: Some(offset) });
        let output = Output { seq: None, time: Micros(time), event: &event, raw: None, more };
        wire::output_frame(frames, &self.worker_id, &output);
    }
}

impl PublishedMessage for UnfinishedMessage {
    fn piece(&self, offset: u64, text: &str, time: u64, frames: &mut Vec<u8>) {
        self.append_frame((offset, text), time, None, frames);
    }

    fn piece_with_blocks(&self, piece: &MissedText, seen: u64, frames: &mut Vec<u8>) -> u64 {
        // The first client's thread reads the text for all.
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        let growing = blocks.get_or_insert_default();
        growing.append(piece.bytes, &piece.text);
        let (mut more, mut version) = (Vec::new(), seen);
        if let Some(changes) = growing.changes(seen) {
            version = changes.version;
            let (from, end) = (changes.from, changes.chars);
            more.extend_from_slice(format!("\"blocks_from\":{from},\"blocks_end\":{end},\"blocks\":").as_bytes());
            changes.append_json(&mut more);
        }
        drop(blocks);
        let more = Some(more.as_slice()).filter(|more| !more.is_empty());
        self.append_frame((piece.offset, &piece.text), piece.time, more, frames);
        version
    }

    fn forget_blocks(&self) {
        match self.blocks.try_lock() {
            Ok(mut blocks) => *blocks = None,
            Err(TryLockError::Poisoned(poisoned)) => *poisoned.into_inner() = None,
            // A client that has just left may still be served; the blocks are dropped with the message.
            Err(TryLockError::WouldBlock) => {}
        }
    }
}

struct OpenMessage {
    serial: u64,
    message: Arc<UnfinishedMessage>,
    /// Characters that were published.
    chars: u64,
    /// The character at which the next piece begins, while pieces are repeated.
    again: Option<u64>,
}

/// The unfinished messages.
#[derive(Default)]
pub(in crate::worker) struct Pieces {
    open: Vec<OpenMessage>,
    next_serial: u64,
    changes: Vec<UnfinishedChange>,
}

impl Pieces {
    /// Takes a piece of a message. Returns the part that was not published before, with its offset in the message.
    pub(in crate::worker) fn add<'t>(
        &mut self,
        worker_id: &str,
        (message_id, of): (Option<&str>, &'static str),
        text: &'t str,
        time: Micros,
    ) -> Option<(u64, &'t str)> {
        let at = self.position(message_id, of).unwrap_or_else(|| self.begin(worker_id, message_id, of));
        let open = &mut self.open[at];
        let count = text.chars().count() as u64;
        let begin = open.again.unwrap_or(open.chars);
        let known = open.chars.saturating_sub(begin).min(count);
        if let Some(again) = &mut open.again {
            *again += count;
        }
        let rest = if known == 0 { text } else { after(text, known) };
        if rest.is_empty() {
            return None;
        }
        let offset = open.chars;
        open.chars += count - known;
        let (serial, message) = (open.serial, Arc::clone(&open.message));
        self.note(serial, message, (offset, rest), time);
        Some((offset, rest))
    }

    /// Ends the messages of this kind and id: the next piece is of another one.
    pub(in crate::worker) fn end(&mut self, message_id: Option<&str>, of: &str) {
        let is_it = |open: &OpenMessage| {
            let same = open.message.message_id.as_deref() == message_id;
            open.message.of == of && (same || message_id.is_none() || open.message.message_id.is_none())
        };
        if let Some(at) = self.open.iter().position(is_it) {
            self.close(at);
        }
    }

    /// Ends all unfinished messages.
    pub(in crate::worker) fn end_all(&mut self) {
        while !self.open.is_empty() {
            self.close(0);
        }
    }

    /// Begins a repetition: pieces come again, from the first of each message.
    pub(in crate::worker) fn repeat(&mut self) {
        self.open.iter_mut().for_each(|open| open.again = Some(0));
    }

    /// Ends a repetition: the next pieces are new.
    pub(in crate::worker) fn repeated(&mut self) {
        self.open.iter_mut().for_each(|open| open.again = None);
    }

    /// Returns the changes since the last call.
    pub(in crate::worker) fn take_changes(&mut self) -> Vec<UnfinishedChange> {
        std::mem::take(&mut self.changes)
    }

    fn position(&self, message_id: Option<&str>, of: &str) -> Option<usize> {
        self.open.iter().position(|open| open.message.message_id.as_deref() == message_id && open.message.of == of)
    }

    fn begin(&mut self, worker_id: &str, message_id: Option<&str>, of: &'static str) -> usize {
        if self.open.len() >= OPEN_MAX {
            self.close(0);
        }
        let message_id = message_id.map(str::to_owned);
        let message =
            Arc::new(UnfinishedMessage { worker_id: worker_id.to_owned(), message_id, of, blocks: Mutex::new(None) });
        self.open.push(OpenMessage { serial: self.next_serial, message, chars: 0, again: None });
        self.next_serial += 1;
        self.open.len() - 1
    }

    fn close(&mut self, at: usize) {
        let ended = self.open.remove(at).serial;
        // Pieces of a complete message are useless for subscribers that have not received them.
        self.changes.retain(|change| !matches!(change, UnfinishedChange::Piece { serial, .. } if *serial == ended));
        self.changes.push(UnfinishedChange::End(ended));
    }

    fn note(&mut self, serial: u64, message: Arc<UnfinishedMessage>, (offset, text): (u64, &str), now: Micros) {
        if let Some(UnfinishedChange::Piece { serial: last, text: before, time, .. }) = self.changes.last_mut()
            && *last == serial
        {
            before.push_str(text);
            *time = now.0;
            return;
        }
        self.changes.push(UnfinishedChange::Piece { serial, message, offset, text: text.to_owned(), time: now.0 });
    }
}

/// Returns the text after the first `chars` characters of `text`.
fn after(text: &str, chars: u64) -> &str {
    let at = usize::try_from(chars).ok().and_then(|chars| text.char_indices().nth(chars));
    at.map_or("", |(at, _)| &text[at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add<'t>(pieces: &mut Pieces, id: Option<&str>, text: &'t str) -> Option<(u64, &'t str)> {
        pieces.add("w", (id, "assistant"), text, Micros(1))
    }

    #[test]
    fn offsets_count_the_characters_before_a_piece() {
        let mut pieces = Pieces::default();
        assert_eq!(add(&mut pieces, Some("a"), "é🦀"), Some((0, "é🦀")));
        assert_eq!(add(&mut pieces, Some("b"), "other"), Some((0, "other")));
        assert_eq!(add(&mut pieces, Some("a"), "c"), Some((2, "c")));
        assert_eq!(pieces.add("w", (Some("a"), "thinking"), "hm", Micros(1)), Some((0, "hm")));
        pieces.end(Some("a"), "assistant");
        assert_eq!(add(&mut pieces, Some("a"), "next block"), Some((0, "next block")));
        assert_eq!(add(&mut pieces, Some("b"), "!"), Some((5, "!")));
        pieces.end_all();
        assert_eq!(add(&mut pieces, Some("b"), "again"), Some((0, "again")));
    }

    #[test]
    fn repeated_pieces_are_published_once() {
        let mut pieces = Pieces::default();
        for text in ["one ", "twö ", "thr"] {
            add(&mut pieces, Some("a"), text);
        }
        pieces.repeat();
        assert_eq!(add(&mut pieces, Some("a"), "one twö"), None);
        assert_eq!(add(&mut pieces, Some("a"), " three "), Some((11, "ee ")));
        assert_eq!(add(&mut pieces, Some("a"), "four "), Some((14, "four ")));
        assert_eq!(add(&mut pieces, Some("new"), "n"), Some((0, "n")));
        pieces.repeated();
        assert_eq!(add(&mut pieces, Some("a"), "five"), Some((19, "five")));
    }

    #[test]
    fn a_message_that_is_whole_leaves_no_pieces() {
        let mut pieces = Pieces::default();
        add(&mut pieces, Some("a"), "gone");
        add(&mut pieces, None, "kept ");
        add(&mut pieces, None, "too");
        pieces.end(Some("a"), "assistant");
        let changes = pieces.take_changes();
        assert!(matches!(&changes[0], UnfinishedChange::Piece { serial: 1, text, .. } if text == "kept too"));
        assert!(matches!(changes[1..], [UnfinishedChange::End(0)]));
        assert!(pieces.take_changes().is_empty());
    }

    #[test]
    fn too_many_messages_forget_the_oldest() {
        let mut pieces = Pieces::default();
        for number in 0..=OPEN_MAX {
            add(&mut pieces, Some(&number.to_string()), "x");
        }
        assert_eq!(add(&mut pieces, Some("0"), "y"), Some((0, "y")));
        assert_eq!(pieces.open.len(), OPEN_MAX);
    }
}
