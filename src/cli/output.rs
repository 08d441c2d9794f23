//! The output of commands, and fields of the server's answers.

use std::io::{self, Write as _};

use serde_json::Value;

use super::terminal::plain_json;

/// Prints a line; a reader that has gone away is an error as any other.
pub(super) fn print(text: &str) -> Result<(), String> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(|error| format!("standard output: {error}"))
}

/// Prints a value as one line of JSON, harmless for a terminal.
pub(super) fn print_json(value: &Value) -> Result<(), String> {
    print(&plain_json(&value.to_string()))
}

/// A field's text, or nothing.
pub(super) fn field<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}
