//! The display of `attach`: lines, and on a terminal an unfinished message that grows.

use std::io::{self, Write};

use super::terminal::plain;

/// The display of a conversation.
pub(super) struct ConversationScreen<W> {
    out: W,
    /// True if deltas are shown. A program that reads the output gets complete messages only.
    grows: bool,
    open: Option<GrowingMessage>,
    /// Characters received of each unfinished message, by its id.
    seen: Vec<(String, u64)>,
}

/// Maximum number of unfinished messages for which repeated pieces are detected; the oldest is dropped beyond that.
const SEEN_MAX: usize = 64;

/// The message whose last line is not ended yet.
struct GrowingMessage {
    id: String,
    shown: String,
}

impl<W: Write> ConversationScreen<W> {
    pub(super) fn new(out: W, grows: bool) -> Self {
        Self { out, grows, open: None, seen: Vec::new() }
    }

    /// Shows complete lines.
    pub(super) fn line(&mut self, text: &str) -> Result<(), String> {
        self.end_line()?;
        self.put(&format!("{text}\n"))
    }

    /// Shows the new part of a piece of a message that has `offset` characters before it: after a reconnection, earlier
    /// pieces are repeated.
    pub(super) fn piece(&mut self, id: &str, offset: u64, text: &str) -> Result<(), String> {
        if !self.grows {
            return Ok(());
        }
        let text = self.unseen(id, offset, text);
        if text.is_empty() {
            return Ok(());
        }
        if self.open.as_ref().is_none_or(|open| open.id != id) {
            self.end_line()?;
        }
        let text = plain(text);
        self.put(&text)?;
        self.open.get_or_insert_with(|| GrowingMessage { id: id.to_owned(), shown: String::new() }).shown += &text;
        Ok(())
    }

    /// Returns the part of a delta that was not received before.
    fn unseen<'t>(&mut self, id: &str, offset: u64, text: &'t str) -> &'t str {
        let at = self.seen.iter().position(|(seen, _)| seen == id).unwrap_or_else(|| {
            if self.seen.len() >= SEEN_MAX {
                self.seen.remove(0);
            }
            self.seen.push((id.to_owned(), 0));
            self.seen.len() - 1
        });
        let seen = &mut self.seen[at].1;
        let known = usize::try_from(seen.saturating_sub(offset)).unwrap_or(usize::MAX);
        *seen = (*seen).max(offset.saturating_add(text.chars().count() as u64));
        text.char_indices().nth(known).map_or("", |(begin, _)| &text[begin..])
    }

    /// Shows a complete message, or the part that its pieces left out. Pieces may be missing: they are live only.
    pub(super) fn message(&mut self, id: &str, text: &str) -> Result<(), String> {
        self.seen.retain(|(seen, _)| seen != id);
        // Some CLIs give their pieces or their messages no id.
        let is_same = |open: &&GrowingMessage| open.id == id || open.id.is_empty() || id.is_empty();
        let shown = self.open.as_ref().filter(is_same).map(|open| open.shown.as_str());
        match shown.and_then(|shown| text.strip_prefix(shown)) {
            Some(rest) => {
                let rest = format!("{rest}\n");
                self.open = None;
                self.put(&rest)
            }
            None => self.line(text),
        }
    }

    /// Ends the line of a growing message, so that something else can be written.
    pub(super) fn end_line(&mut self) -> Result<(), String> {
        if self.open.take().is_some() { self.put("\n") } else { Ok(()) }
    }

    /// A closed pipe is an error like any other.
    fn put(&mut self, text: &str) -> Result<(), String> {
        let written = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
        written.map_err(|error: io::Error| format!("standard output: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Steps = fn(&mut ConversationScreen<Vec<u8>>) -> Result<(), String>;

    /// Returns the screen's contents after these steps.
    fn shown(grows: bool, steps: Steps) -> String {
        let mut screen = ConversationScreen::new(Vec::new(), grows);
        steps(&mut screen).unwrap();
        String::from_utf8(screen.out).unwrap()
    }

    #[test]
    fn a_message_grows_by_its_pieces_and_is_shown_once() {
        let steps: Steps = |screen| {
            screen.piece("m1", 0, "Hel")?;
            screen.piece("m1", 3, "lo \x1b[31mwor")?;
            screen.message("m1", "Hello [31mworld")?;
            screen.line("* ls")
        };
        assert_eq!(shown(true, steps), "Hello [31mworld\n* ls\n");
        assert_eq!(shown(false, steps), "Hello [31mworld\n* ls\n");
    }

    #[test]
    fn interleaved_output_is_on_its_own_line() {
        let steps: Steps = |screen| {
            screen.piece("m1", 0, "one")?;
            screen.line("? may I")?;
            screen.piece("m1", 3, " two")?;
            screen.piece("m2", 0, "other")?;
            screen.message("m1", "one two")
        };
        assert_eq!(shown(true, steps), "one\n? may I\n two\nother\none two\n");
    }

    #[test]
    fn a_message_whose_pieces_were_missed_is_shown_whole() {
        let steps: Steps = |screen| {
            screen.piece("m1", 3, "lo")?;
            screen.message("m1", "Hello")
        };
        assert_eq!(shown(true, steps), "lo\nHello\n");
    }

    #[test]
    fn pieces_that_come_again_are_shown_once() {
        let steps: Steps = |screen| {
            screen.piece("m1", 0, "Grüße ")?;
            screen.piece("m2", 0, "other ")?;
            screen.end_line()?;
            screen.piece("m1", 0, "Grüße 🦀 and")?;
            screen.piece("m1", 2, "üße 🦀 and")?;
            screen.piece("m1", 11, " more")?;
            screen.message("m1", "Grüße 🦀 and more")?;
            screen.piece("m1", 0, "next")
        };
        assert_eq!(shown(true, steps), "Grüße \nother \n🦀 and more\nGrüße 🦀 and more\nnext");
    }
}
