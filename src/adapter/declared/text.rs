//! The `text` family: every line of stdout is text of the agent. Pure; its `record` is the hot path of plain programs.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::course::{Course, End};
use super::file::{Family, File};
use crate::adapter::{Action, Activity, Command, Refusal, Session};
use crate::event::{Body, Event, Sink};
use crate::journal::{Control, Kind, Record};

/// The version of what [`Session::save`] gives.
const STATE_VERSION: u32 = 1;

/// The fold of one worker.
pub(super) struct TextSession {
    file: Arc<File>,
    course: Course,
}

/// What [`Session::save`] gives.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved<C> {
    /// [`STATE_VERSION`].
    v: u32,
    /// The fingerprint of the adapter's file.
    file: u64,
    course: C,
}

impl TextSession {
    /// A fold at the beginning of a journal.
    pub(super) fn open(file: Arc<File>) -> Self {
        Self { file, course: Course::default() }
    }

    /// A fold in a saved state; `None` when another version, or another file, made it.
    pub(super) fn restore(file: Arc<File>, saved: &Value) -> Option<Self> {
        let saved = Saved::<Course>::deserialize(saved).ok()?;
        (saved.v == STATE_VERSION && saved.file == file.fingerprint).then_some(Self { file, course: saved.course })
    }

    /// A line, or a piece of one, of stdout.
    fn output(&mut self, record: &Record<'_>, goes_on: bool, sink: &mut dyn Sink) {
        let whole = !self.course.continues(goes_on) && !goes_on;
        if whole {
            if self.course.awaits_ready()
                && let Some(rule) = &self.file.ready
                && rule.matches(record.payload, None)
            {
                self.course.set_ready();
            }
            if let Family::Text { turn_end: Some(rule) } = &self.file.family {
                self.course.consumed(sink);
                if rule.matches(record.payload, None) {
                    self.course.end_turn(record, End::default(), sink);
                    return;
                }
            }
        }
        sink.event(Event::new(plain(record.payload), SAID));
    }
}

/// Text of the agent that no message id goes with.
const SAID: Body<'static> = Body::Assistant { message_id: None, parent_tool_call_id: None };

impl Session for TextSession {
    fn record(&mut self, record: &Record<'_>, control: Option<&Control>, sink: &mut dyn Sink) {
        match record.kind {
            Kind::Out => self.output(record, false, sink),
            Kind::OutPart => self.output(record, true, sink),
            Kind::Err | Kind::ErrPart => sink.event(Event::new(plain(record.payload), Body::Stderr {})),
            Kind::In => {}
            Kind::Ctl => {
                if let Some(control) = control {
                    self.course.control(&self.file, record, control, sink);
                }
            }
        }
    }

    fn volatile(&mut self, record: &Record<'_>, sink: &mut dyn Sink) {
        let text = plain(record.payload);
        let body = Body::Delta { message_id: None, of: "assistant", text: Cow::Borrowed(&text) };
        sink.event(Event::new(Cow::Borrowed(&*text), body));
    }

    fn activity(&self) -> Activity {
        self.course.activity(&self.file)
    }

    fn encode(&self, command: &Command<'_>) -> Result<Action, Refusal> {
        self.course.encode(&self.file, command)
    }

    fn save(&self) -> Value {
        let saved = Saved { v: STATE_VERSION, file: self.file.fingerprint, course: &self.course };
        serde_json::to_value(saved).unwrap_or_default()
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

/// Bytes of the escape sequence whose ESC stands before `rest`; `None` when it is not whole.
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
    fn escape_sequences_are_left_out_and_the_text_around_them_stays() {
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
