//! Makes text of agents safe for a terminal: it is untrusted, and a terminal executes some of it.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Characters that change the direction of text (Unicode Standard Annex #9, section 2): they can make the visible text
/// differ from the real one.
const fn is_direction_mark(char: char) -> bool {
    matches!(char, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Removes control characters except newlines and tabs, and shows direction marks as `U+202E`.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for char in text.chars() {
        if is_direction_mark(char) {
            // Writing into a string cannot fail.
            let _ = write!(plain, "U+{:04X}", u32::from(char));
        } else if !char.is_control() || matches!(char, '\n' | '\t') {
            plain.push(char);
        }
    }
    plain
}

/// Escapes the same characters in JSON text, which has them only within strings; its meaning stays the same.
pub(super) fn plain_json(text: &str) -> Cow<'_, str> {
    let obeyed = |char: char| is_direction_mark(char) || (char.is_control() && !matches!(char, '\n' | '\t' | '\r'));
    if !text.contains(obeyed) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    for char in text.chars() {
        if obeyed(char) {
            let _ = write!(plain, "\\u{:04x}", u32::from(char));
        } else {
            plain.push(char);
        }
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        assert_eq!(plain("a\u{9b}31mb\x08\r\x1b]0;t\x07c\n\td"), "a31mb]0;tc\n\td");
        assert_eq!(plain("x\u{202e}gpj.exe\u{2069}"), "xU+202Egpj.exeU+2069");
    }

    #[test]
    fn escaped_json_means_the_same() {
        let text = serde_json::to_string("a\u{9b}b\u{202e}c\u{7f}d\u{e9}").unwrap();
        let plain = plain_json(&text);
        assert_eq!(plain, r#""a\u009bb\u202ec\u007fdé""#);
        assert_eq!(serde_json::from_str::<String>(&plain).unwrap(), serde_json::from_str::<String>(&text).unwrap());
    }
}
