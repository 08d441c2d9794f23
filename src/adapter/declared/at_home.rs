//! The home directory in a declaration: `~/` in its command lines and variables, and what of it a sandbox shows.

use serde_json::Value;

use super::decode::{Invalid, Object};
use crate::home::{self, HomeEntry};

/// Fields whose texts are words of a command line or values of variables.
const WORDS: [&str; 4] = ["command", "resume_command", "version_args", "env"];

/// `top` with the home directory where its command lines and variables begin with `~/` or `$HOME/`.
pub(super) fn expanded(mut top: Value) -> Value {
    let home = home::directory();
    for field in WORDS {
        if let Some(value) = top.get_mut(field) {
            expand_texts(value, home.as_deref());
        }
    }
    top
}

fn expand_texts(value: &mut Value, home: Option<&str>) {
    match value {
        Value::String(text) => *text = home::expand_word(text, home),
        Value::Array(items) => items.iter_mut().for_each(|item| expand_texts(item, home)),
        Value::Object(fields) => fields.values_mut().for_each(|field| expand_texts(field, home)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The field `home`: what the CLI keeps in the home directory.
pub(super) fn entries(top: &mut Object<'_>) -> Result<Option<Vec<HomeEntry>>, Invalid> {
    if top.get("home").is_none() {
        return Ok(None);
    }
    let entries = top.strings("home")?;
    let read =
        |(at, text): (usize, &String)| HomeEntry::parse(text).map_err(|why| Invalid::new(format!("home[{at}]"), why));
    entries.iter().enumerate().map(read).collect::<Result<_, _>>().map(Some)
}
