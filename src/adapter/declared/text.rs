//! The `text` family: every line of stdout is text of the agent. Pure; its `record` is the hot path of plain programs.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;

use super::family::Family;
use super::file::AdapterFile;
use super::saved;
use super::turns::{TurnOutcome, Turns};
use crate::adapter::kit::Emitter;
use crate::adapter::{Action, Activity, Command, Refusal, Session};
use crate::event::{Body, Event};
use crate::journal::{Control, Kind, Record};

/// The fold of one worker.
pub(super) struct TextSession {
    file: Arc<AdapterFile>,
    turns: Turns,
}

impl TextSession {
    /// A fold at the beginning of a journal.
    pub(super) fn open(file: Arc<AdapterFile>) -> Self {
        Self { file, turns: Turns::default() }
    }

    /// A fold in a saved state; `None` when another version, or another file, made it.
    pub(super) fn restore(file: Arc<AdapterFile>, saved: &Value) -> Option<Self> {
        let turns = saved::restore(&file, saved)?;
        Some(Self { file, turns })
    }

    /// A line, or a piece of one, of stdout.
    fn output<'r>(
        file: &AdapterFile,
        turns: &mut Turns,
        record: &Record<'r>,
        goes_on: bool,
        out: &mut Emitter<'_, 'r>,
    ) {
        let whole = !turns.continues(goes_on) && !goes_on;
        if whole {
            if turns.awaits_ready()
                && let Some(rule) = &file.ready
                && rule.matches(record.payload, None)
            {
                turns.set_ready();
            }
            if let Family::Text { turn_end: Some(rule) } = &file.family {
                turns.consumed(out);
                if rule.matches(record.payload, None) {
                    turns.end_turn(record, TurnOutcome::default(), out);
                    return;
                }
            }
        }
        let text = plain(record.payload);
        // A blank line carries nothing; a blank piece of a longer line does.
        if !whole || !text.trim().is_empty() {
            turns.said_text(&text);
            out.emit(text, SAID);
        }
    }
}

/// Emits a line of stderr, unless it is blank.
pub(super) fn stderr<'r>(record: &Record<'r>, out: &mut Emitter<'_, 'r>) {
    let text = plain(record.payload);
    if !text.trim().is_empty() {
        out.emit(text, Body::Stderr {});
    }
}

/// Text of the agent that no message id goes with.
const SAID: Body<'static> = Body::Assistant { message_id: None, parent_tool_call_id: None };

impl Session for TextSession {
    fn record<'r>(&mut self, record: &Record<'r>, control: Option<&Control>, out: &mut Vec<Event<'r>>) {
        let Self { file, turns } = self;
        let out = &mut Emitter::new(&file.cli.name, out);
        match record.kind {
            Kind::Out => Self::output(file, turns, record, false, out),
            Kind::OutPart => Self::output(file, turns, record, true, out),
            Kind::Err | Kind::ErrPart => stderr(record, out),
            Kind::In => {}
            Kind::Ctl => {
                if let Some(control) = control {
                    turns.control(file, record, control, out);
                }
            }
        }
    }

    fn volatile<'e>(&'e mut self, record: &Record<'e>, out: &mut Vec<Event<'e>>) {
        out.push(Event::piece(None, "assistant", plain(record.payload)));
    }

    fn awaits(&self) -> Option<String> {
        self.turns.awaits_ready().then(|| "it printed no line that means ready".to_owned())
    }

    fn activity(&self) -> Activity {
        self.turns.activity(&self.file)
    }

    fn encode(&self, command: &Command<'_>) -> Result<Action, Refusal> {
        self.turns.encode(&self.file, command)
    }

    fn save(&self) -> Value {
        saved::save(&self.file, &self.turns)
    }
}

/// The readable text of a line: UTF-8 with every wrong byte replaced, less a final carriage return and the escape
/// sequences of terminals. Borrowed where nothing is to be changed.
pub(super) fn plain(line: &[u8]) -> Cow<'_, str> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if memchr::memchr(ESC, line).is_some() {
        return Cow::Owned(String::from_utf8_lossy(&without_escapes(line)).into_owned());
    }
    // The check alone is several times faster than the search for what is to be replaced.
    std::str::from_utf8(line).map_or_else(|_| String::from_utf8_lossy(line), Cow::Borrowed)
}

const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;

/// The bytes without escape sequences (ECMA-48): control sequences such as colours, strings such as window titles and
/// links, and the short ones. An escape that begins no whole sequence is dropped alone, so that no text goes with it.
fn without_escapes(line: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.iter().position(|&byte| byte == ESC) {
        kept.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        rest = &rest[sequence_len(rest).unwrap_or(0)..];
    }
    kept.extend_from_slice(rest);
    kept
}

/// Bytes of the escape sequence whose ESC precedes `rest`; `None` when it is not whole.
fn sequence_len(rest: &[u8]) -> Option<usize> {
    let past = |from: usize, range: std::ops::RangeInclusive<u8>| {
        rest[from..].iter().position(|byte| !range.contains(byte)).map(|len| from + len)
    };
    let ends = |at: usize, range: std::ops::RangeInclusive<u8>| range.contains(&rest[at]).then_some(at + 1);
    match rest.first()? {
        b'[' => ends(past(past(1, 0x30..=0x3f)?, 0x20..=0x2f)?, 0x40..=0x7e),
        b']' | b'P' | b'X' | b'^' | b'_' => {
            let end = rest.iter().position(|&byte| byte == BEL || byte == ESC)?;
            if rest[end] == BEL { Some(end + 1) } else { (rest.get(end + 1) == Some(&b'\\')).then_some(end + 2) }
        }
        _ => ends(past(0, 0x20..=0x2f)?, 0x30..=0x7e),
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;

    use super::plain;

    #[test]
    fn a_plain_line_is_borrowed_and_not_copied() {
        assert!(matches!(plain("héllo [31m".as_bytes()), Cow::Borrowed("héllo [31m")));
        assert!(matches!(plain(b"dos line\r"), Cow::Borrowed("dos line")));
    }

    #[test]
    fn escape_sequences_are_dropped_and_the_surrounding_text_stays() {
        for (line, text) in [
            ("\x1b[1;31mred\x1b[0m and \x1b[38;5;9mmore\x1b[m", "red and more"),
            ("\x1b]0;a title\x07text", "text"),
            ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\.", "link."),
            ("\x1b(Bcharset\x1b7saved\x1b8", "charsetsaved"),
            ("\x1b[?25lhidden\x1b[2K\x1b[1G", "hidden"),
            ("\x1bPdevice\x1b\\x", "x"),
            ("unended \x1b]0;title", "unended ]0;title"),
            ("unended \x1b[31", "unended [31"),
            ("last \x1b", "last "),
            ("a\x1b[3\x00b", "a[3\x00b"),
        ] {
            assert_eq!(plain(line.as_bytes()), text, "{line:?}");
        }
    }

    #[test]
    fn wrong_utf8_is_replaced_and_the_rest_stays() {
        assert_eq!(plain(b"a\xff\xfeb\0c"), "a\u{fffd}\u{fffd}b\0c");
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_text_without_escapes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = plain(&bytes);
            prop_assert!(!plain(&bytes).contains('\x1b'));
        }

        #[test]
        fn text_without_escapes_stays_as_it_is(text in "[^\x1b\r]{0,60}") {
            prop_assert_eq!(plain(text.as_bytes()), &*text);
        }
    }
}
