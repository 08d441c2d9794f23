//! Reading the lines of a CLI as JSON, whole or damaged.

use serde_json::Value;

use super::field;
use super::session::is_damaged;
use crate::json::{self, MalformedJson, Read};

/// A fold over lines of JSON.
pub(in crate::adapter) trait LineFold {
    /// Takes a value that is neither a list nor a text.
    fn value(&mut self, value: Value);

    /// Takes text that is not JSON, with the members of an object that breaks off in it.
    fn broken(&mut self, broken: MalformedJson);

    /// Learns that the line is not well-formed: what is read of it may differ from what the CLI meant.
    fn is_repaired(&mut self) {}

    /// Takes a whole line.
    fn output(&mut self, line: &[u8]) {
        match json::read(line) {
            Read::Strict(value) => self.any(value),
            Read::Lenient(read) => {
                self.is_repaired();
                read.values.into_iter().for_each(|value| self.any(value));
                if let Some(broken) = read.broken {
                    self.broken(broken);
                }
            }
        }
    }

    /// Takes any value: of a list, each of its elements.
    fn any(&mut self, value: Value) {
        match value {
            Value::Array(batch) => batch.into_iter().for_each(|value| self.any(value)),
            Value::String(text) => self.broken(MalformedJson { text, members: serde_json::Map::new() }),
            value => self.value(value),
        }
    }
}

/// Returns the id of a JSON-RPC request that breaks off, so that it can be declined.
pub(in crate::adapter) fn id_of_broken_request(broken: &mut MalformedJson) -> Option<Value> {
    broken.members.contains_key("method").then(|| broken.members.remove("id"))?
}

/// Returns the text of a JSON-RPC request whose id was not well-formed: nobody can answer it.
pub(in crate::adapter) fn damaged_request(line: &Value) -> Option<String> {
    let is_damaged = field::text(line, "id").is_some_and(is_damaged) && line.get("method").is_some();
    is_damaged.then(|| line.to_string())
}
