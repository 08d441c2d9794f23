//! JSON as CLIs print it, read in one place.
//!
//! A line is parsed strictly first, so a well-formed line costs nothing more. Only a line that the strict parser
//! refuses is read again, leniently: programs cut text in the middle of a surrogate pair, print bytes that are not
//! UTF-8, numbers that JSON does not have, or two messages on one line. A request in such a line must still be asked.
//!
//! | in the line | read as |
//! | --- | --- |
//! | bytes that are not UTF-8, half a surrogate pair | U+FFFD |
//! | byte order mark, NUL and control characters, terminal sequences between tokens | nothing |
//! | control characters in a string | themselves |
//! | an unknown escape, as `\x` | the backslash and what follows it |
//! | `NaN`, `Infinity`, `1e999` | null |
//! | numbers as `01`, `.5`, `+1` | their value |
//! | a key twice | its last value |
//! | objects and lists nested deeper than [`DEPTH_MAX`](parser::DEPTH_MAX) | a string of their JSON text |
//! | several values one after another | each, up to [`VALUES_MAX`] |
//!
//! No depth of nesting costs stack. What is cut off or otherwise not JSON is not guessed: see [`MalformedJson`].

pub(crate) mod fields;
mod parser;
pub(crate) mod time;
mod token;

use serde_json::{Map, Value};

#[cfg(test)]
use parser::DEPTH_MAX;
use parser::Parser;

/// Most values that are read of one line.
pub(crate) const VALUES_MAX: usize = 1_000;

/// A line after it was read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Read {
    /// One well-formed value.
    Strict(Value),
    /// Anything else.
    Lenient(LenientLine),
}

/// A line that is not one well-formed value.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct LenientLine {
    /// The objects and lists that it begins with.
    pub values: Vec<Value>,
    /// The rest.
    pub broken: Option<MalformedJson>,
}

/// Text that is not JSON, or breaks off in the middle of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MalformedJson {
    /// The text.
    pub text: String,
    /// The members of a broken object that were complete.
    pub members: Map<String, Value>,
}

/// Reads a line.
#[must_use]
pub(crate) fn read(line: &[u8]) -> Read {
    match serde_json::from_slice(line) {
        Ok(value) => Read::Strict(value),
        Err(_) => Read::Lenient(lenient(line)),
    }
}

/// The value of a line; the first one where there are several.
#[must_use]
pub(crate) fn value(line: &[u8]) -> Option<Value> {
    match read(line) {
        Read::Strict(value) => Some(value),
        Read::Lenient(lenient) => lenient.values.into_iter().next(),
    }
}

/// Strict JSON for the first value of a line that the strict parser refused: for callers that borrow from the text.
#[must_use]
pub(crate) fn repaired(line: &[u8]) -> Option<Vec<u8>> {
    serde_json::to_vec(&value(line)?).ok()
}

fn lenient(line: &[u8]) -> LenientLine {
    let text = String::from_utf8_lossy(line);
    let mut parser = Parser::new(&text);
    let mut read = LenientLine::default();
    while let Some(next) = parser.peek_token() {
        let start = parser.offset();
        let members = match next {
            b'{' | b'[' if read.values.len() < VALUES_MAX => match parser.value() {
                Ok(value) => {
                    read.values.push(value);
                    continue;
                }
                Err(members) => members,
            },
            _ => Map::new(),
        };
        read.broken = Some(MalformedJson { text: text[start..].to_owned(), members });
        break;
    }
    read
}

#[cfg(test)]
mod tests;
