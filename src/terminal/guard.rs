//! The emulator's handler with limits: whatever a program prints, a cell stores few combining characters, a title is
//! short, and nothing invisible is stored.

use alacritty_terminal::event::EventListener;
use alacritty_terminal::grid::Dimensions;
use alacritty_terminal::index::{Column, Line};
use alacritty_terminal::term::Term;
use alacritty_terminal::term::cell::Flags;
use alacritty_terminal::vte::ansi::{
    Attr, CharsetIndex, ClearMode, CursorShape, CursorStyle, Handler, LineClearMode, Mode, PrivateMode, Rgb,
    StandardCharset, TabulationClearMode,
};

/// Maximum number of combining characters of one cell. A program could add them endlessly.
const COMBINING_MAX: usize = 8;
/// Longest title, in characters.
pub(super) const TITLE_MAX: usize = 256;
/// Code points from which on a character may have no width.
const FIRST_COMBINING: char = '\u{ad}';

/// A terminal whose memory is bounded.
pub(super) struct BoundedTerminal<'t, L>(pub(super) &'t mut Term<L>);

impl<L: EventListener> BoundedTerminal<'_, L> {
    /// Returns whether the cell that a combining character would be added to is full.
    fn is_full(&self) -> bool {
        let grid = self.0.grid();
        let cursor = &grid.cursor;
        let mut column = cursor.point.column.0.min(grid.columns() - 1);
        if !cursor.input_needs_wrap {
            column = column.saturating_sub(1);
        }
        let row = &grid[Line(cursor.point.line.0)];
        if row[Column(column)].flags.contains(Flags::WIDE_CHAR_SPACER) {
            column = column.saturating_sub(1);
        }
        row[Column(column)].zerowidth().is_some_and(|chars| chars.len() >= COMBINING_MAX)
    }
}

/// Forwards calls unchanged.
macro_rules! pass_on {
    ($($name:ident($($arg:ident: $kind:ty),*);)*) => {
        $(fn $name(&mut self, $($arg: $kind),*) {
            Handler::$name(self.0, $($arg),*);
        })*
    };
}

/// Not forwarded: hyperlinks (each cell could store one), the clipboard, the pointer's shape, and the keyboard
/// protocols that the page does not support.
impl<L: EventListener> Handler for BoundedTerminal<'_, L> {
    fn input(&mut self, c: char) {
        if c < FIRST_COMBINING || !self.is_full() || !is_combining(c) {
            self.0.input(c);
        }
    }

    fn set_title(&mut self, title: Option<String>) {
        self.0.set_title(title.map(|title| title.chars().filter(|char| !char.is_control()).take(TITLE_MAX).collect()));
    }

    pass_on! {
        set_cursor_style(style: Option<CursorStyle>);
        set_cursor_shape(shape: CursorShape);
        goto(line: i32, column: usize);
        goto_line(line: i32);
        goto_col(column: usize);
        insert_blank(count: usize);
        move_up(count: usize);
        move_down(count: usize);
        identify_terminal(intermediate: Option<char>);
        device_status(which: usize);
        move_forward(count: usize);
        move_backward(count: usize);
        move_down_and_cr(count: usize);
        move_up_and_cr(count: usize);
        put_tab(count: u16);
        backspace();
        carriage_return();
        linefeed();
        bell();
        substitute();
        newline();
        set_horizontal_tabstop();
        scroll_up(count: usize);
        scroll_down(count: usize);
        insert_blank_lines(count: usize);
        delete_lines(count: usize);
        erase_chars(count: usize);
        delete_chars(count: usize);
        move_backward_tabs(count: u16);
        move_forward_tabs(count: u16);
        save_cursor_position();
        restore_cursor_position();
        clear_line(mode: LineClearMode);
        clear_screen(mode: ClearMode);
        clear_tabs(mode: TabulationClearMode);
        set_tabs(interval: u16);
        reset_state();
        reverse_index();
        terminal_attribute(attribute: Attr);
        set_mode(mode: Mode);
        unset_mode(mode: Mode);
        report_mode(mode: Mode);
        set_private_mode(mode: PrivateMode);
        unset_private_mode(mode: PrivateMode);
        report_private_mode(mode: PrivateMode);
        set_scrolling_region(top: usize, bottom: Option<usize>);
        set_keypad_application_mode();
        unset_keypad_application_mode();
        set_active_charset(index: CharsetIndex);
        configure_charset(index: CharsetIndex, charset: StandardCharset);
        set_color(index: usize, color: Rgb);
        dynamic_color_sequence(prefix: String, index: usize, end: &str);
        reset_color(index: usize);
        decaln();
        push_title();
        pop_title();
        text_area_size_pixels();
        text_area_size_chars();
    }
}

/// Returns whether the emulator would add this character to the cell before it: it has no width.
fn is_combining(c: char) -> bool {
    let mut bytes = [0; 4];
    unicode_width::UnicodeWidthStr::width(&*c.encode_utf8(&mut bytes)) == 0
}

/// The longest string of a control sequence, in bytes: the parser has no limit for a string that never ends.
const STRING_MAX: usize = 4096;
const ESCAPE: u8 = 0x1b;
const CANCEL: u8 = 0x18;
const SUBSTITUTE: u8 = 0x1a;
const BELL: u8 = 0x07;

/// Truncates control strings (titles, for example) that are too long, before the parser stores them.
#[derive(Debug, Default)]
pub(super) struct StringCutter {
    place: ScanState,
}

/// The state of the scan for control strings.
#[derive(Debug, Default, PartialEq, Eq)]
enum ScanState {
    #[default]
    Outside,
    /// Behind an escape character.
    Escaped,
    /// Inside a string, of so many bytes.
    Inside(usize),
    /// Inside the rest of a truncated string.
    Cut,
}

impl StringCutter {
    /// Appends `bytes` to `passed`, without the parts that are too long.
    pub(super) fn pass(&mut self, bytes: &[u8], passed: &mut Vec<u8>) {
        for &byte in bytes {
            let keeps = self.place != ScanState::Cut;
            self.place = match (&self.place, byte) {
                (_, ESCAPE) => ScanState::Escaped,
                (ScanState::Escaped, b']' | b'P' | b'X' | b'^' | b'_') => ScanState::Inside(0),
                (ScanState::Inside(_) | ScanState::Cut, BELL | CANCEL | SUBSTITUTE) => ScanState::Outside,
                // The parser applies other controls, and still waits for what follows the escape character.
                (ScanState::Escaped, 0..=0x1f | 0x7f) if byte != CANCEL && byte != SUBSTITUTE => ScanState::Escaped,
                (ScanState::Inside(length), _) if *length >= STRING_MAX => {
                    passed.push(CANCEL);
                    ScanState::Cut
                }
                (ScanState::Inside(length), _) => ScanState::Inside(length + 1),
                (ScanState::Cut, _) => ScanState::Cut,
                _ => ScanState::Outside,
            };
            if byte == ESCAPE || (keeps && self.place != ScanState::Cut) {
                passed.push(byte);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(pieces: &[&[u8]]) -> Vec<u8> {
        let mut cutter = StringCutter::default();
        let mut passed = Vec::new();
        for piece in pieces {
            cutter.pass(piece, &mut passed);
        }
        passed
    }

    #[test]
    fn strings_of_usual_length_pass_unchanged() {
        let text = b"a\x1b]0;title\x07b\x1b[31mred\x1bPdata\x1b\\c\x1b]2;x\x1b\\d";
        assert_eq!(passed(&[text]), text);
        let pieces: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(passed(&pieces), text);
    }

    #[test]
    fn string_that_never_ends_is_cut() {
        let long = vec![b'x'; 3 * STRING_MAX];
        let out = passed(&[b"\x1b]0;", &long, b"\x07after"]);
        assert!(out.len() < STRING_MAX + 100, "{}", out.len());
        assert!(out.ends_with(b"after"));
        assert!(out.contains(&CANCEL));
    }

    #[test]
    fn controls_behind_an_escape_hide_no_string() {
        let long = vec![b'x'; 3 * STRING_MAX];
        for hidden in [&b"\x1b\r]0;"[..], b"\x1b\x7f\x00\n]0;", b"\x1b\x07P"] {
            let out = passed(&[hidden, &long]);
            assert!(out.len() < STRING_MAX + 100, "{hidden:?}: {}", out.len());
        }
        // These end the sequence, so text follows.
        let text = [&b"\x1b\x18]0;"[..], &long].concat();
        assert_eq!(passed(&[&text]), text);
    }
}
