//! The screen of a terminal: it takes the program's output, and yields rows, cursor, modes and the terminal's replies
//! to the program.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use alacritty_terminal::event::{Event, EventListener, WindowSize};
use alacritty_terminal::grid::Dimensions;
use alacritty_terminal::index::Line;
use alacritty_terminal::term::{Config, Osc52, Term, TermMode};
use alacritty_terminal::vte::ansi::{CursorShape, NamedColor, Processor, Rgb};

use super::guard::{BoundedTerminal, StringCutter};
use super::rows::{CellRun, runs};

/// Lines of scrollback.
pub(super) const SCROLLBACK_LINES: usize = 10_000;
/// Maximum number of cells of scrollback: terminals wider than 200 columns have fewer lines.
const SCROLLBACK_CELLS: usize = SCROLLBACK_LINES * 200;
/// Bytes given to the emulator at once. By them it scrolls fewer lines than it can keep beyond the scrollback, so that
/// no line is dropped uncounted.
const PIECE_BYTES: usize = 2048;
/// Lines that may exist beyond those of the scrollback.
const SLACK_LINES: usize = 2 * PIECE_BYTES;
/// Maximum number of columns: with a color for every cell, two updates fit what a connection may leave unread.
const COLUMNS: (u16, u16) = (2, 300);
/// Maximum number of rows.
const ROWS: (u16, u16) = (2, 120);
/// Width and height of a cell in pixels, for programs that request them.
const CELL_PIXELS: (u16, u16) = (8, 16);
/// Size limit of replies that wait for the program, in bytes.
const ANSWERS_MAX: usize = 64 * 1024;

/// The size of a terminal, in cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    /// Columns.
    pub(crate) cols: u16,
    /// Rows.
    pub(crate) rows: u16,
}

impl Size {
    /// Returns a size within the limits.
    pub(crate) fn new(cols: u16, rows: u16) -> Self {
        Self { cols: cols.clamp(COLUMNS.0, COLUMNS.1), rows: rows.clamp(ROWS.0, ROWS.1) }
    }

    fn scrollback(self) -> usize {
        SCROLLBACK_LINES.min(SCROLLBACK_CELLS / usize::from(self.cols))
    }
}

impl Dimensions for Size {
    fn total_lines(&self) -> usize {
        self.screen_lines()
    }

    fn screen_lines(&self) -> usize {
        self.rows.into()
    }

    fn columns(&self) -> usize {
        self.cols.into()
    }
}

/// The part of the emulator's events that is used.
#[derive(Debug, Default)]
struct Heard {
    answers: Vec<u8>,
    title: String,
    bells: u64,
    size: Option<Size>,
    dark: bool,
}

#[derive(Clone, Default)]
struct Listener(Rc<RefCell<Heard>>);

impl EventListener for Listener {
    fn send_event(&self, event: Event) {
        let mut heard = self.0.borrow_mut();
        match event {
            Event::Title(title) => heard.title = title,
            Event::ResetTitle => heard.title.clear(),
            Event::Bell => heard.bells += 1,
            Event::PtyWrite(text) => heard.answer(&text),
            Event::TextAreaSizeRequest(format) => {
                if let Some(size) = heard.size {
                    let (cell_width, cell_height) = CELL_PIXELS;
                    let (num_lines, num_cols) = (size.rows, size.cols);
                    heard.answer(&format(WindowSize { num_lines, num_cols, cell_width, cell_height }));
                }
            }
            Event::ColorRequest(index, format) => {
                let dark = heard.dark;
                let grey = |level| Rgb { r: level, g: level, b: level };
                if index == NamedColor::Background as usize {
                    heard.answer(&format(grey(if dark { 0x18 } else { 0xff })));
                } else if index == NamedColor::Foreground as usize || index == NamedColor::Cursor as usize {
                    heard.answer(&format(grey(if dark { 0xdd } else { 0x22 })));
                }
            }
            _ => {}
        }
    }
}

impl Heard {
    fn answer(&mut self, text: &str) {
        if self.answers.len() + text.len() <= ANSWERS_MAX {
            self.answers.extend_from_slice(text.as_bytes());
        }
    }
}

/// The cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TerminalCursor {
    pub(crate) row: usize,
    pub(crate) col: usize,
    pub(crate) visible: bool,
    pub(crate) shape: Shape,
}

/// Its shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Block,
    Bar,
    Underline,
}

/// The emulator of one terminal.
pub(crate) struct Emulator {
    term: Term<Listener>,
    parser: Processor,
    cutter: StringCutter,
    heard: Listener,
    size: Size,
    /// Lines that have left the screen at its top since the beginning.
    scrolled: u64,
}

impl Emulator {
    /// Creates an empty screen.
    pub(crate) fn new(size: Size) -> Self {
        let heard = Listener::default();
        *heard.0.borrow_mut() = Heard { size: Some(size), dark: true, ..Heard::default() };
        let term = Term::new(config(size), &size, heard.clone());
        Self { term, parser: Processor::new(), cutter: StringCutter::default(), heard, size, scrolled: 0 }
    }

    /// Feeds output of the program to the emulator.
    pub(crate) fn feed(&mut self, output: &[u8]) {
        let mut passed = Vec::with_capacity(PIECE_BYTES);
        for piece in output.chunks(PIECE_BYTES) {
            passed.clear();
            self.cutter.pass(piece, &mut passed);
            self.count_lines(|parser, term| parser.advance(&mut BoundedTerminal(term), &passed));
        }
    }

    /// Returns the time at which the screen is shown even if the program has not ended its synchronized update.
    pub(crate) fn shown_by(&self) -> Option<Instant> {
        self.parser.sync_timeout().sync_timeout()
    }

    /// Shows an unfinished synchronized update of the program.
    pub(crate) fn show(&mut self) {
        self.count_lines(|parser, term| parser.stop_sync(&mut BoundedTerminal(term)));
    }

    fn count_lines(&mut self, parse: impl FnOnce(&mut Processor, &mut Term<Listener>)) {
        let kept = self.size.scrollback();
        if self.on_main() && self.term.grid().history_size() > kept + SLACK_LINES - PIECE_BYTES {
            self.term.grid_mut().update_history(kept);
            self.term.grid_mut().update_history(kept + SLACK_LINES);
        }
        let before = self.on_main().then(|| self.term.grid().history_size());
        parse(&mut self.parser, &mut self.term);
        let after = self.on_main().then(|| self.term.grid().history_size());
        if let (Some(before), Some(after)) = (before, after) {
            self.scrolled += after.saturating_sub(before) as u64;
        }
    }

    fn on_main(&self) -> bool {
        !self.mode().contains(TermMode::ALT_SCREEN)
    }

    /// Changes the size. Wrapped lines are wrapped again.
    pub(crate) fn resize(&mut self, size: Size) {
        if size == self.size {
            return;
        }
        self.size = size;
        self.heard.0.borrow_mut().size = Some(size);
        self.term.resize(size);
        self.term.set_options(config(size));
    }

    /// Sets whether clients show light text on a dark background.
    pub(crate) fn set_dark(&self, dark: bool) {
        self.heard.0.borrow_mut().dark = dark;
    }

    /// Takes the replies to the program.
    pub(crate) fn take_answers(&self) -> Vec<u8> {
        std::mem::take(&mut self.heard.0.borrow_mut().answers)
    }

    pub(crate) fn size(&self) -> Size {
        self.size
    }

    pub(crate) fn mode(&self) -> TermMode {
        *self.term.mode()
    }

    pub(crate) fn title(&self) -> String {
        self.heard.0.borrow().title.clone()
    }

    /// Counts the bells since the beginning.
    pub(crate) fn bells(&self) -> u64 {
        self.heard.0.borrow().bells
    }

    pub(crate) fn cursor(&self) -> TerminalCursor {
        let point = self.term.grid().cursor.point;
        let shape = match self.term.cursor_style().shape {
            CursorShape::Beam => Shape::Bar,
            CursorShape::Underline => Shape::Underline,
            _ => Shape::Block,
        };
        TerminalCursor {
            row: usize::try_from(point.line.0).unwrap_or(0),
            col: point.column.0.min(usize::from(self.size.cols) - 1),
            visible: self.mode().contains(TermMode::SHOW_CURSOR),
            shape,
        }
    }

    /// Returns the rows of the screen.
    pub(crate) fn rows(&self) -> Vec<Vec<CellRun>> {
        (0..i32::from(self.size.rows)).map(|line| self.line(line)).collect()
    }

    /// Counts the lines of the scrollback.
    pub(crate) fn history(&self) -> usize {
        self.term.grid().history_size().min(self.size.scrollback())
    }

    /// Counts the lines that have left the screen at its top since the beginning.
    pub(crate) fn scrolled(&self) -> u64 {
        self.scrolled
    }

    /// Returns at most `count` lines above the screen, the oldest first; `above` lines are between them and the screen.
    pub(crate) fn lines_above(&self, above: usize, count: usize) -> Vec<Vec<CellRun>> {
        let last = self.history().min(above);
        let first = self.history().min(above.saturating_add(count));
        (last + 1..=first).rev().filter_map(|up| i32::try_from(up).ok()).map(|up| self.line(-up)).collect()
    }

    fn line(&self, line: i32) -> Vec<CellRun> {
        runs(&self.term.grid()[Line(line)], usize::from(self.size.cols))
    }
}

fn config(size: Size) -> Config {
    Config {
        scrolling_history: size.scrollback() + SLACK_LINES,
        osc52: Osc52::Disabled,
        kitty_keyboard: false,
        ..Config::default()
    }
}
