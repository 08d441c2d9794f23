//! The lines of JSON between clients and the process of a terminal. The server forwards them.

use serde::{Deserialize, Serialize};

use super::keys::{Modifiers, MouseAction};
use super::rows::CellRun;

/// Longest line of a client, in bytes: a pasted text.
pub(crate) const REQUEST_BYTES_MAX: usize = 1024 * 1024;

/// A line from a client.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum HostRequest {
    /// The first line: the client's size, and the format in which it receives the screen.
    Hello {
        /// True for bytes for a terminal, instead of rows.
        #[serde(default)]
        bytes: bool,
        cols: u16,
        rows: u16,
        /// True if it shows light text on a dark background.
        #[serde(default = "yes")]
        dark: bool,
    },
    /// Acknowledges an update as drawn.
    Ready,
    /// A key, by its name in `KeyboardEvent.key`.
    Key {
        key: String,
        #[serde(flatten)]
        held: Modifiers,
    },
    /// Typed text.
    Text { text: String },
    /// Bytes of a terminal, in Base64.
    Input { data: String },
    /// Pasted text.
    Paste { text: String },
    /// A wheel event, down when positive.
    Wheel {
        lines: i32,
        row: u16,
        col: u16,
        #[serde(flatten)]
        held: Modifiers,
    },
    /// A mouse event.
    Mouse {
        action: MouseAction,
        button: u8,
        row: u16,
        col: u16,
        #[serde(flatten)]
        held: Modifiers,
    },
    /// A new size.
    Resize { cols: u16, rows: u16 },
    /// Requests scrollback lines.
    History { above: usize, count: usize },
    /// Ends the terminal with its whole process tree.
    End,
}

const fn yes() -> bool {
    true
}

/// A line to a client.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum HostReply<'a> {
    /// The changed rows of the screen.
    Screen(ScreenUpdate<'a>),
    /// The same as bytes for a terminal, in Base64.
    Bytes { data: String },
    /// Scrollback lines, the oldest first; `above` lines are between them and the screen.
    History { above: usize, lines: Vec<Vec<CellRun>> },
    /// The program has ended.
    Ended {
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<i32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        signal: Option<String>,
    },
}

/// An update.
#[derive(Debug, Serialize)]
pub(super) struct ScreenUpdate<'a> {
    pub(super) cols: u16,
    pub(super) rows: u16,
    pub(super) cursor: CursorPlace,
    pub(super) title: &'a str,
    pub(super) modes: Modes,
    /// Number of scrollback lines.
    pub(super) history: usize,
    /// Number of lines that have left the screen at its top since the beginning.
    pub(super) scrolled: u64,
    /// Number of bells since the beginning.
    pub(super) bells: u64,
    /// The rows that have changed since the last update, with their numbers.
    pub(super) lines: Vec<(usize, &'a [CellRun])>,
}

#[derive(Debug, Serialize)]
pub(super) struct CursorPlace {
    pub(super) row: usize,
    pub(super) col: usize,
    pub(super) visible: bool,
    pub(super) shape: &'static str,
}

/// The modes that a page needs; the terminal's process handles the others.
#[derive(Debug, Serialize)]
pub(super) struct Modes {
    /// The program uses the mouse.
    pub(super) mouse: bool,
    /// The program is on the alternate screen, which has no scrollback.
    pub(super) alternate: bool,
    /// The program requested bracketed paste.
    pub(super) bracketed_paste: bool,
    /// Arrow keys are in application mode.
    pub(super) application_cursor: bool,
}
