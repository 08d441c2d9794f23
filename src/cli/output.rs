//! The output of commands, and fields of the server's responses.

use std::io::{self, Write as _};

use serde_json::Value;

use super::terminal::plain_json;

/// Writes a text to standard output, as far as somebody reads it.
pub(crate) fn emit_stdout(text: &str) {
    let _closed = io::stdout().lock().write_all(text.as_bytes());
}

/// Writes a text to standard error, as far as somebody reads it.
pub(crate) fn emit_stderr(text: &str) {
    let _closed = io::stderr().lock().write_all(text.as_bytes());
}

/// Prints a line; a closed pipe is an error like any other.
pub(super) fn print(text: &str) -> Result<(), String> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(|error| format!("standard output: {error}"))
}

/// Prints a value as one line of JSON, safe for a terminal.
pub(super) fn print_json(value: &Value) -> Result<(), String> {
    print(&plain_json(&value.to_string()))
}

/// Returns a field's text, or an empty one.
pub(super) fn field<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// Prints a table.
pub(super) fn print_rows<const N: usize>(rows: &[[String; N]]) -> Result<(), String> {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..N).map(width).collect();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        print(cells.join("  ").trim_end())?;
    }
    Ok(())
}
/// A number with its noun, as in `1 file` and `2 files`.
pub(super) fn counted(number: &Value, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}
