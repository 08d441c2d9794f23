//! The screen as bytes for a terminal: `rs-worker shell` writes them unchanged.
//!
//! They are generated here from the rows, and are never the program's own bytes. So a client that lags gets the newest
//! screen, and a program can send the user's terminal only text, colors and a few modes.

use std::fmt::Write as _;

use alacritty_terminal::term::TermMode;

use super::emulator::{Emulator, Shape, Size};
use super::rows::{CellRun, Style, Tint, hash};

/// Maximum number of lines above the screen that one update sends, so that the terminal can scroll back to them.
const SCROLLED_MAX: usize = 1000;
/// Modes that are set on the client's terminal, with their numbers.
const MODES: [(TermMode, u16); 6] = [
    (TermMode::APP_CURSOR, 1),
    (TermMode::MOUSE_REPORT_CLICK, 1000),
    (TermMode::MOUSE_DRAG, 1002),
    (TermMode::MOUSE_MOTION, 1003),
    (TermMode::SGR_MOUSE, 1006),
    (TermMode::BRACKETED_PASTE, 2004),
];

/// The state of a client's terminal.
#[derive(Debug)]
pub(super) struct Painter {
    /// Hashes of the rows that it shows.
    rows: Vec<u64>,
    mode: TermMode,
    title: String,
    bells: u64,
    scrolled: u64,
    shape: Option<Shape>,
    has_begun: bool,
}

impl Painter {
    pub(super) const fn new() -> Self {
        Self {
            rows: Vec::new(),
            mode: TermMode::NONE,
            title: String::new(),
            bells: 0,
            scrolled: 0,
            shape: None,
            has_begun: false,
        }
    }

    /// Makes the next update draw everything.
    pub(super) fn forget(&mut self) {
        self.rows.clear();
    }

    /// Returns the bytes that bring a terminal of size `own` up to date.
    pub(super) fn paint(&mut self, screen: &Emulator, rows: &[Vec<CellRun>], own: Size) -> String {
        let mut out = String::from("\x1b[?2026h\x1b[?25l\x1b[?7l");
        if !self.has_begun {
            // The present contents of the terminal go to its own scrollback.
            out += &"\n".repeat(own.rows.into());
            (self.scrolled, self.bells, self.has_begun) = (screen.scrolled(), screen.bells(), true);
        }
        let mode = screen.mode();
        let alternate = mode.contains(TermMode::ALT_SCREEN);
        if alternate != self.mode.contains(TermMode::ALT_SCREEN) {
            out += if alternate { "\x1b[?1049h" } else { "\x1b[?1049l" };
            self.rows.clear();
        }
        self.scroll(&mut out, screen, own, alternate);
        if self.rows.is_empty() {
            out += "\x1b[0m\x1b[H\x1b[2J";
        }
        self.rows.resize(own.rows.into(), 0);
        for (at, drawn) in self.rows.iter_mut().enumerate() {
            let row = rows.get(at).map_or(&[][..], Vec::as_slice);
            let hash = hash(row);
            if *drawn != hash {
                *drawn = hash;
                // Writing into a string cannot fail.
                let _ = write!(out, "\x1b[{};1H", at + 1);
                line(&mut out, row, own.cols.into());
            }
        }
        self.modes(&mut out, mode);
        self.notices(&mut out, screen);
        let cursor = screen.cursor();
        if self.shape != Some(cursor.shape) {
            self.shape = Some(cursor.shape);
            out += match cursor.shape {
                Shape::Block => "\x1b[2 q",
                Shape::Underline => "\x1b[4 q",
                Shape::Bar => "\x1b[6 q",
            };
        }
        let (row, col) = (cursor.row.min(own.rows as usize - 1), cursor.col.min(own.cols as usize - 1));
        let _ = write!(out, "\x1b[{};{}H", row + 1, col + 1);
        if cursor.visible {
            out += "\x1b[?25h";
        }
        out + "\x1b[?7h\x1b[?2026l"
    }

    /// Scrolls the terminal by the lines that left the screen, which moves them into its scrollback.
    fn scroll(&mut self, out: &mut String, screen: &Emulator, own: Size, alternate: bool) {
        let left = screen.scrolled().saturating_sub(self.scrolled);
        self.scrolled = screen.scrolled();
        if left == 0 || alternate {
            return;
        }
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(SCROLLED_MAX);
        let lines = screen.lines_above(0, count);
        for page in lines.chunks(own.rows.into()) {
            for (at, row) in page.iter().enumerate() {
                let _ = write!(out, "\x1b[{};1H", at + 1);
                line(out, row, own.cols.into());
            }
            let _ = write!(out, "\x1b[{};1H{}", own.rows, "\n".repeat(page.len()));
        }
        self.rows.clear();
    }

    fn modes(&mut self, out: &mut String, mode: TermMode) {
        for (flag, number) in MODES {
            if mode.contains(flag) != self.mode.contains(flag) {
                let letter = if mode.contains(flag) { 'h' } else { 'l' };
                let _ = write!(out, "\x1b[?{number}{letter}");
            }
        }
        if mode.contains(TermMode::APP_KEYPAD) != self.mode.contains(TermMode::APP_KEYPAD) {
            out.push_str(if mode.contains(TermMode::APP_KEYPAD) { "\x1b=" } else { "\x1b>" });
        }
        self.mode = mode;
    }

    fn notices(&mut self, out: &mut String, screen: &Emulator) {
        let title = screen.title();
        if self.title != title {
            let _ = write!(out, "\x1b]2;{title}\x1b\\");
            self.title = title;
        }
        if std::mem::replace(&mut self.bells, screen.bells()) != screen.bells() {
            out.push('\u{7}');
        }
    }
}

/// Draws one row, cut at `columns`, and clears the rest of the terminal's line.
fn line(out: &mut String, row: &[CellRun], columns: usize) {
    let mut left = columns;
    for run in row {
        sgr(out, &run.style);
        for char in run.text.chars() {
            let width = unicode_width::UnicodeWidthChar::width(char).unwrap_or(0);
            if width > left {
                left = 0;
                break;
            }
            left -= width;
            out.push(char);
        }
    }
    out.push_str("\x1b[0m");
    if left > 0 {
        out.push_str("\x1b[K");
    }
}

fn sgr(out: &mut String, style: &Style) {
    out.push_str("\x1b[0");
    for letter in style.attributes.chars() {
        out.push_str(match letter {
            'b' => ";1",
            'd' => ";2",
            'i' => ";3",
            'u' => ";4",
            'r' => ";7",
            'h' => ";8",
            _ => ";9",
        });
    }
    for (tint, base) in [(style.fg, 30_u16), (style.bg, 40)] {
        let _ = match tint {
            None => Ok(()),
            Some(Tint::Palette(index @ 0..8)) => write!(out, ";{}", base + u16::from(index)),
            Some(Tint::Palette(index @ 8..16)) => write!(out, ";{}", base + 60 + u16::from(index) - 8),
            Some(Tint::Palette(index)) => write!(out, ";{};5;{index}", base + 8),
            Some(Tint::Rgb(red, green, blue)) => write!(out, ";{};2;{red};{green};{blue}", base + 8),
        };
    }
    out.push('m');
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { cols: 40, rows: 6 };

    fn text(screen: &Emulator) -> Vec<Vec<CellRun>> {
        screen.rows()
    }

    /// Feeds a screen and paints it on a second one after each piece; both must look the same.
    fn painted(pieces: &[&str]) -> (Emulator, Emulator) {
        let (mut screen, mut copy, mut painter) = (Emulator::new(SIZE), Emulator::new(SIZE), Painter::new());
        for piece in pieces {
            screen.feed(piece.as_bytes());
            copy.feed(painter.paint(&screen, &screen.rows(), SIZE).as_bytes());
            assert_eq!(text(&copy), text(&screen), "after {piece:?}");
            assert_eq!(copy.cursor(), screen.cursor(), "after {piece:?}");
        }
        (screen, copy)
    }

    #[test]
    fn painted_terminal_shows_the_same_screen() {
        painted(&[
            "plain \x1b[1;31mred\x1b[0m \x1b[38;5;200mpink\x1b[48;2;1;2;3m on dark\x1b[0m\r\n",
            "wide \u{6f22}\u{5b57} and e\u{301}\r\n\x1b[7mreversed to the end\x1b[K\x1b[0m",
            "\x1b[?1049h\x1b[H\x1b[2Jwhole screen\x1b[6;40Hx",
            "\x1b[?1049l back",
            "\x1b[?25l\x1b[?1h\x1b[?2004h\x1b[2;3H",
            "\x1b[5 q\x1b[?25h",
        ]);
    }

    #[test]
    fn lines_that_leave_the_screen_reach_the_terminal_scrollback() {
        let lines: Vec<String> = (0..50).map(|number| format!("line {number}\r\n")).collect();
        let (screen, copy) = painted(&[&lines[..3].concat(), &lines[3..20].concat(), &lines[20..].concat()]);
        let above = |it: &Emulator| it.lines_above(0, 45).iter().map(|row| row[0].text.clone()).collect::<Vec<_>>();
        assert_eq!(above(&copy), above(&screen));
        assert_eq!(above(&screen).len(), 45);
    }

    #[test]
    fn only_text_and_known_sequences_reach_the_terminal() {
        let mut screen = Emulator::new(SIZE);
        screen.feed(
            b"\x1b]52;c;c2VjcmV0\x07\x1b]8;;http://x\x07link\x1b]8;;\x07\x1b[21t\x1b]2;a\x07b\x1b[5n\x1bP1$r\x1b\\",
        );
        let bytes = Painter::new().paint(&screen, &screen.rows(), SIZE);
        assert!(!bytes.contains("]52") && !bytes.contains("]8") && !bytes.contains("[21t") && !bytes.contains("[5n"));
        assert!(bytes.contains("link"));
    }
}
