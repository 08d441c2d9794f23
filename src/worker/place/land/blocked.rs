//! The errors of a command that the current state of the repository does not allow.

use serde_json::{Map, Value, json};

use super::{Conflict, FILES_MAX, named};
use crate::worker::error::WorkerError;

/// An error with a code and one more field.
pub(in crate::worker) fn blocked(code: &'static str, text: String, field: Option<(&str, Value)>) -> WorkerError {
    let mut fields = Map::new();
    if let Some((name, value)) = field {
        fields.insert(name.to_owned(), value);
    }
    WorkerError::Blocked { code, text, fields: Box::new(fields) }
}

/// An error that names files.
pub(super) fn files(code: &'static str, text: &str, files: &[String]) -> WorkerError {
    let shown: Vec<&String> = files.iter().take(FILES_MAX).collect();
    blocked(code, format!("{text} ({})", named(files)), Some(("files", json!(shown))))
}

/// The error for two sides that git cannot combine, with a message that asks the agent to do it.
pub(super) fn conflicts(text: &str, found: &[Conflict], ask: &str) -> WorkerError {
    let names: Vec<String> = found.iter().map(|conflict| conflict.path.clone()).collect();
    let shown: Vec<&Conflict> = found.iter().take(FILES_MAX).collect();
    let mut fields = Map::new();
    fields.insert("conflicts".to_owned(), json!(shown));
    fields.insert("ask".to_owned(), json!(ask));
    WorkerError::Blocked { code: "conflicts", text: format!("{text} ({})", named(&names)), fields: Box::new(fields) }
}
