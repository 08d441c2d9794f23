//! What `attach` shows: lines, and on a terminal a message that grows while it is written.

use std::io::{self, Write};

use super::plain;

/// Where the conversation is shown.
pub(super) struct Screen<W> {
    out: W,
    /// Whether pieces are shown. A reader that is a program gets whole messages alone.
    grows: bool,
    open: Option<Growing>,
}

/// The message whose last line is not ended yet.
struct Growing {
    id: String,
    shown: String,
}

impl<W: Write> Screen<W> {
    pub(super) fn new(out: W, grows: bool) -> Self {
        Self { out, grows, open: None }
    }

    /// Shows lines of their own.
    pub(super) fn line(&mut self, text: &str) -> Result<(), String> {
        self.end_line()?;
        self.put(&format!("{text}\n"))
    }

    /// Shows one more piece of a message.
    pub(super) fn piece(&mut self, id: &str, text: &str) -> Result<(), String> {
        if !self.grows {
            return Ok(());
        }
        if self.open.as_ref().is_none_or(|open| open.id != id) {
            self.end_line()?;
        }
        let text = plain(text);
        self.put(&text)?;
        self.open.get_or_insert_with(|| Growing { id: id.to_owned(), shown: String::new() }).shown += &text;
        Ok(())
    }

    /// Shows a whole message, or what its pieces have left out. Pieces may be missing: they are live only.
    pub(super) fn message(&mut self, id: &str, text: &str) -> Result<(), String> {
        // Not every CLI gives its pieces or its messages an id.
        let is_same = |open: &&Growing| open.id == id || open.id.is_empty() || id.is_empty();
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

    /// Ends the line of a message that grows, so that something else can be written.
    pub(super) fn end_line(&mut self) -> Result<(), String> {
        if self.open.take().is_some() { self.put("\n") } else { Ok(()) }
    }

    /// A reader that has gone away is an error as any other.
    fn put(&mut self, text: &str) -> Result<(), String> {
        let written = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
        written.map_err(|error: io::Error| format!("standard output: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Steps = fn(&mut Screen<Vec<u8>>) -> Result<(), String>;

    /// What stands on the screen after these steps.
    fn shown(grows: bool, steps: Steps) -> String {
        let mut screen = Screen::new(Vec::new(), grows);
        steps(&mut screen).unwrap();
        String::from_utf8(screen.out).unwrap()
    }

    #[test]
    fn a_message_grows_by_its_pieces_and_is_shown_once() {
        let steps: Steps = |screen| {
            screen.piece("m1", "Hel")?;
            screen.piece("m1", "lo \x1b[31mwor")?;
            screen.message("m1", "Hello [31mworld")?;
            screen.line("* ls")
        };
        assert_eq!(shown(true, steps), "Hello [31mworld\n* ls\n");
        assert_eq!(shown(false, steps), "Hello [31mworld\n* ls\n");
    }

    #[test]
    fn what_comes_in_between_stands_on_a_line_of_its_own() {
        let steps: Steps = |screen| {
            screen.piece("m1", "one")?;
            screen.line("? may I")?;
            screen.piece("m1", " two")?;
            screen.piece("m2", "other")?;
            screen.message("m1", "one two")
        };
        assert_eq!(shown(true, steps), "one\n? may I\n two\nother\none two\n");
    }

    #[test]
    fn a_message_whose_pieces_were_missed_is_shown_whole() {
        let steps: Steps = |screen| {
            screen.piece("m1", "lo")?;
            screen.message("m1", "Hello")
        };
        assert_eq!(shown(true, steps), "lo\nHello\n");
    }
}
