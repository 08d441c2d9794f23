//! Encodes keys, wheel, clicks and pasted text as the bytes that a program expects, depending on the modes that it has
//! set.

use alacritty_terminal::term::TermMode;
use serde::Deserialize;

/// Modifier keys that are held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Modifiers {
    /// Shift.
    pub(super) shift: bool,
    /// Alt, which is Meta for programs.
    pub(super) alt: bool,
    /// Control.
    pub(super) ctrl: bool,
}

impl Modifiers {
    /// Returns the number of the modifiers in xterm's sequences.
    fn code(self) -> u8 {
        1 + u8::from(self.shift) + 2 * u8::from(self.alt) + 4 * u8::from(self.ctrl)
    }
}

/// Maximum number of lines of one wheel event.
const WHEEL_LINES_MAX: u32 = 20;
const ESC: char = '\u{1b}';

/// Returns the bytes of a key by its name in `KeyboardEvent.key`; none for an unknown key.
pub(super) fn key(name: &str, held: Modifiers, mode: TermMode) -> Vec<u8> {
    let cursor = |letter: char| match held.code() {
        1 if mode.contains(TermMode::APP_CURSOR) => format!("{ESC}O{letter}"),
        1 => format!("{ESC}[{letter}"),
        code => format!("{ESC}[1;{code}{letter}"),
    };
    let function = |letter: char| match held.code() {
        1 => format!("{ESC}O{letter}"),
        code => format!("{ESC}[1;{code}{letter}"),
    };
    let numbered = |number: u8| match held.code() {
        1 => format!("{ESC}[{number}~"),
        code => format!("{ESC}[{number};{code}~"),
    };
    let alt = |text: &str| if held.alt { format!("{ESC}{text}") } else { text.to_owned() };
    let text = match name {
        "ArrowUp" => cursor('A'),
        "ArrowDown" => cursor('B'),
        "ArrowRight" => cursor('C'),
        "ArrowLeft" => cursor('D'),
        "Home" => cursor('H'),
        "End" => cursor('F'),
        "F1" => function('P'),
        "F2" => function('Q'),
        "F3" => function('R'),
        "F4" => function('S'),
        "Insert" => numbered(2),
        "Delete" => numbered(3),
        "PageUp" => numbered(5),
        "PageDown" => numbered(6),
        "F5" => numbered(15),
        "F6" => numbered(17),
        "F7" => numbered(18),
        "F8" => numbered(19),
        "F9" => numbered(20),
        "F10" => numbered(21),
        "F11" => numbered(23),
        "F12" => numbered(24),
        // Claude Code and others accept Shift+Enter, sent as Alt+Enter, for a new line.
        "Enter" if held.shift => format!("{ESC}\r"),
        "Enter" => alt("\r"),
        "Tab" if held.shift => format!("{ESC}[Z"),
        "Tab" => alt("\t"),
        "Escape" => alt("\u{1b}"),
        "Backspace" if held.ctrl => alt("\u{8}"),
        "Backspace" => alt("\u{7f}"),
        name => {
            let mut chars = name.chars();
            match (chars.next(), chars.next()) {
                (Some(char), None) => alt(&typed(char, held)),
                _ => String::new(),
            }
        }
    };
    text.into_bytes()
}

/// Encodes a character; with Control, as the corresponding control character.
fn typed(char: char, held: Modifiers) -> String {
    if !held.ctrl {
        return char.to_string();
    }
    let control = match char {
        '@' | ' ' | '2' => Some(0),
        'a'..='z' => Some(char as u8 - b'a' + 1),
        'A'..='Z' => Some(char as u8 - b'A' + 1),
        '[' | '3' => Some(0x1b),
        '\\' | '4' => Some(0x1c),
        ']' | '5' => Some(0x1d),
        '^' | '6' => Some(0x1e),
        '_' | '/' | '7' => Some(0x1f),
        '?' | '8' => Some(0x7f),
        _ => None,
    };
    control.map_or_else(|| char.to_string(), |byte| char::from(byte).to_string())
}

/// Encodes pasted text. A program that requested bracketed paste gets it in brackets, which the text itself cannot
/// close.
pub(super) fn pasted(text: &str, mode: TermMode) -> Vec<u8> {
    let clean: String = text
        .replace("\r\n", "\r")
        .replace('\n', "\r")
        .chars()
        .filter(|char| !char.is_control() || matches!(char, '\r' | '\t'))
        .collect();
    if mode.contains(TermMode::BRACKETED_PASTE) {
        format!("{ESC}[200~{clean}{ESC}[201~").into_bytes()
    } else {
        clean.into_bytes()
    }
}

/// Encodes a wheel event, down when positive: for a program that uses the mouse, or for one on the alternate screen (as
/// arrows); `None` if the client scrolls back instead.
pub(super) fn wheel(lines: i32, place: (usize, usize), held: Modifiers, mode: TermMode) -> Option<Vec<u8>> {
    let count = lines.unsigned_abs().min(WHEEL_LINES_MAX) as usize;
    if mode.intersects(TermMode::MOUSE_MODE) {
        let button = if lines < 0 { 64 } else { 65 };
        return Some(report(button, true, place, held, mode).repeat(count));
    }
    if mode.contains(TermMode::ALT_SCREEN | TermMode::ALTERNATE_SCROLL) {
        let name = if lines < 0 { "ArrowUp" } else { "ArrowDown" };
        return Some(key(name, Modifiers::default(), mode).repeat(count));
    }
    None
}

/// The kind of a mouse event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum MouseAction {
    /// A button was pressed.
    Press,
    /// A button was released.
    Release,
    /// The pointer moved with a button pressed.
    Drag,
}

/// Encodes a mouse event for a program that uses the mouse; nothing for others.
pub(super) fn mouse(
    action: MouseAction,
    button: u8,
    place: (usize, usize),
    held: Modifiers,
    mode: TermMode,
) -> Vec<u8> {
    let button = button.min(2);
    match action {
        _ if !mode.intersects(TermMode::MOUSE_MODE) => Vec::new(),
        MouseAction::Press => report(button, true, place, held, mode),
        MouseAction::Release => report(button, false, place, held, mode),
        MouseAction::Drag if mode.intersects(TermMode::MOUSE_DRAG | TermMode::MOUSE_MOTION) => {
            report(button + 32, true, place, held, mode)
        }
        MouseAction::Drag => Vec::new(),
    }
}

fn report(button: u8, down: bool, (row, column): (usize, usize), held: Modifiers, mode: TermMode) -> Vec<u8> {
    let modifiers = 4 * u8::from(held.shift) + 8 * u8::from(held.alt) + 16 * u8::from(held.ctrl);
    let code = button + modifiers;
    if mode.contains(TermMode::SGR_MOUSE) {
        let end = if down { 'M' } else { 'm' };
        return format!("{ESC}[<{code};{};{}{end}", column + 1, row + 1).into_bytes();
    }
    let code = if down { code } else { 3 + modifiers };
    let coordinate = |at: usize| u8::try_from(at + 33).unwrap_or(u8::MAX);
    [b"\x1b[M".as_slice(), &[code + 32, coordinate(column), coordinate(row)]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Modifiers = Modifiers { shift: false, alt: false, ctrl: false };
    const CTRL: Modifiers = Modifiers { ctrl: true, ..NONE };
    const ALT: Modifiers = Modifiers { alt: true, ..NONE };
    const SHIFT: Modifiers = Modifiers { shift: true, ..NONE };

    fn sent(name: &str, held: Modifiers, mode: TermMode) -> String {
        String::from_utf8(key(name, held, mode)).unwrap().replace('\u{1b}', "^[")
    }

    #[test]
    fn keys_are_the_ones_of_xterm() {
        for (name, held, mode, bytes) in [
            ("ArrowUp", NONE, TermMode::NONE, "^[[A"),
            ("ArrowUp", NONE, TermMode::APP_CURSOR, "^[OA"),
            ("ArrowUp", CTRL, TermMode::APP_CURSOR, "^[[1;5A"),
            ("F1", NONE, TermMode::NONE, "^[OP"),
            ("F5", SHIFT, TermMode::NONE, "^[[15;2~"),
            ("Delete", NONE, TermMode::NONE, "^[[3~"),
            ("Tab", SHIFT, TermMode::NONE, "^[[Z"),
            ("Enter", NONE, TermMode::NONE, "\r"),
            ("c", CTRL, TermMode::NONE, "\u{3}"),
            ("x", ALT, TermMode::NONE, "^[x"),
            ("é", NONE, TermMode::NONE, "é"),
            ("Dead", NONE, TermMode::NONE, ""),
        ] {
            assert_eq!(sent(name, held, mode), bytes, "{name} {held:?}");
        }
    }

    #[test]
    fn pasted_text_cannot_end_its_brackets() {
        let text = "a\nb\u{1b}[201~rm -rf\r\nc\u{9b}";
        assert_eq!(pasted(text, TermMode::BRACKETED_PASTE), b"\x1b[200~a\rb[201~rm -rf\rc\x1b[201~");
        assert_eq!(pasted("a\nb", TermMode::NONE), b"a\rb");
    }

    #[test]
    fn wheel_goes_where_the_program_wants_it() {
        let mouse = TermMode::MOUSE_REPORT_CLICK | TermMode::SGR_MOUSE;
        assert_eq!(wheel(-1, (4, 9), NONE, mouse), Some(b"\x1b[<64;10;5M".to_vec()));
        let alternate = TermMode::ALT_SCREEN | TermMode::ALTERNATE_SCROLL;
        assert_eq!(wheel(2, (0, 0), NONE, alternate), Some(b"\x1b[B\x1b[B".to_vec()));
        assert_eq!(wheel(2, (0, 0), NONE, TermMode::NONE), None);
        assert_eq!(super::mouse(MouseAction::Press, 0, (1, 2), NONE, mouse), b"\x1b[<0;3;2M");
        assert_eq!(super::mouse(MouseAction::Press, 0, (1, 2), NONE, TermMode::NONE), b"");
    }
}
