//! The tokens of JSON, leniently: blanks, strings, numbers and words.

use serde_json::{Number, Value};

use super::parser::Parser;

/// Replaces text that cannot be read as a character.
const REPLACEMENT: char = '\u{fffd}';
const ESCAPE: u8 = 0x1b;
const BELL: u8 = 0x07;

impl Parser<'_> {
    /// Skips what is between tokens: white space, control characters, byte order marks, characters that were not UTF-8,
    /// terminal sequences.
    pub(super) fn skip_blank(&mut self) {
        while let Some(byte) = self.byte() {
            match byte {
                ESCAPE => self.skip_sequence(),
                0..=b' ' | 0x7f => self.at += 1,
                _ => match self.text[self.at..].chars().next() {
                    Some(skipped @ ('\u{feff}' | REPLACEMENT)) => self.at += skipped.len_utf8(),
                    _ => return,
                },
            }
        }
    }

    /// Skips a terminal's control sequence (`ESC [ ... letter`) or command (`ESC ] ... BEL`), else the escape alone.
    fn skip_sequence(&mut self) {
        let rest = &self.text.as_bytes()[self.at + 1..];
        let length = match rest.first() {
            Some(b'[') => rest[1..].iter().position(|byte| (0x40..0x7f).contains(byte)).map(|at| at + 2),
            Some(b']') => rest.iter().position(|&byte| byte == BELL || byte == ESCAPE).map(|at| at + 1),
            _ => None,
        };
        self.at += 1 + length.unwrap_or(0);
    }

    /// Takes a string, at its opening quote.
    pub(super) fn string(&mut self) -> Option<String> {
        let mut string = String::new();
        self.at += 1;
        loop {
            let length = memchr::memchr2(b'"', b'\\', &self.text.as_bytes()[self.at..])?;
            string.push_str(&self.text[self.at..self.at + length]);
            self.at += length + 1;
            if self.text.as_bytes()[self.at - 1] == b'"' {
                return Some(string);
            }
            self.escape(&mut string)?;
        }
    }

    /// Takes an escape, after its backslash. One that JSON does not have is text.
    fn escape(&mut self, string: &mut String) -> Option<()> {
        let escaped = match self.byte()? {
            byte @ (b'"' | b'\\' | b'/') => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' if self.unit(1).is_some() => self.unicode(),
            _ => {
                string.push('\\');
                return Some(());
            }
        };
        self.at += 1;
        string.push(escaped);
        Some(())
    }

    /// The character of `\uXXXX`, or of two of them that are a pair; stops before the last byte.
    fn unicode(&mut self) -> char {
        let first = self.unit(1).unwrap_or_default();
        self.at += 4;
        let low = match self.text.as_bytes().get(self.at + 1..self.at + 3) {
            Some(br"\u") if (0xd800..0xdc00).contains(&first) => self.unit(3),
            _ => None,
        };
        match low.filter(|low| (0xdc00..0xe000).contains(low)) {
            Some(low) => {
                self.at += 6;
                char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (low - 0xdc00)).unwrap_or(REPLACEMENT)
            }
            None => char::from_u32(first).unwrap_or(REPLACEMENT),
        }
    }

    /// The number that four hexadecimal digits make, `ahead` bytes from here.
    fn unit(&self, ahead: usize) -> Option<u32> {
        let digits = self.text.as_bytes().get(self.at + ahead..self.at + ahead + 4)?;
        digits.iter().try_fold(0, |unit, &digit| Some(unit << 4 | char::from(digit).to_digit(16)?))
    }

    /// Takes a number or a word.
    pub(super) fn scalar(&mut self) -> Option<Value> {
        let rest = &self.text[self.at..];
        let length = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "+-._".contains(c))).unwrap_or(rest.len());
        let token = &rest[..length];
        self.at += length;
        match token {
            "true" => Some(true.into()),
            "false" => Some(false.into()),
            "null" => Some(Value::Null),
            _ => number(token),
        }
    }
}

/// A number; null where it has no value that JSON can carry.
fn number(token: &str) -> Option<Value> {
    if let Ok(number) = serde_json::from_str::<Number>(token) {
        return Some(Value::Number(number));
    }
    // Rust reads what JSON does not: `01`, `.5`, `+1`, `NaN`, `Infinity`, and what is out of range as infinite.
    let number = token.parse::<f64>().ok()?;
    Some(Number::from_f64(number).map_or(Value::Null, Value::Number))
}
