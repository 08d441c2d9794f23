//! The names and one-line texts of tool calls. The protocol has a title for people only, so a name is what the agent adds
//! to it, else a title that looks like one, else the kind of the tool.

use serde_json::Value;

use crate::adapter::acp::Dialect;
use crate::adapter::acp::state::{Call, NameSource};
use crate::adapter::kit::{field, text};

/// Longest tool name, in bytes.
const NAME_MAX: usize = 64;
/// Fields under which agents add a tool's name to a call, beside it or in its `_meta`.
const NAME_KEYS: [&str; 2] = ["toolName", "tool_name"];
/// Fields of an input that hold the command which a tool runs.
const COMMAND_KEYS: [&str; 2] = ["command", "cmd"];

/// Gives a call its name when what is known now names it better than before.
pub(super) fn name(tool: &mut Call, call: &Value, dialect: &Dialect) {
    let input = call.get("rawInput").or(tool.input.as_ref());
    let title = field::text(call, "title").unwrap_or_default();
    let found = by_agent(call)
        .or_else(|| dialect.tool_name(&tool.id))
        .map(|name| (NameSource::Agent, name))
        .or_else(|| Some((NameSource::Word, in_title(title, input)?)))
        .or_else(|| (!matches!(&*tool.kind, "" | "other")).then_some((NameSource::Kind, &*tool.kind)));
    match found.map(|(source, name)| (source, name.to_owned())) {
        Some((source, name)) if tool.name.is_empty() || source > tool.named_by => {
            (tool.named_by, tool.name) = (source, name);
        }
        None if tool.name.is_empty() => {
            let title = if title.is_empty() { "tool" } else { title };
            tool.name = text::cut(title.to_owned(), text::STRING_MAX);
        }
        _ => {}
    }
}

/// The name that the agent itself gives, in one of the places that agents use for it.
fn by_agent(call: &Value) -> Option<&str> {
    let meta = call.get("_meta").and_then(Value::as_object);
    let in_meta = call.get("_meta").and_then(named);
    let name = in_meta.or_else(|| meta?.values().find_map(named)).or_else(|| field::text(call, "name"))?;
    (!name.trim().is_empty() && name.len() <= NAME_MAX && !name.contains('\n')).then_some(name)
}

fn named(value: &Value) -> Option<&str> {
    NAME_KEYS.iter().find_map(|key| field::text(value, key))
}

/// The name that a title is or begins with: one word that the input does not repeat.
fn in_title<'t>(title: &'t str, input: Option<&Value>) -> Option<&'t str> {
    let fields = input.and_then(Value::as_object);
    if fields.is_some_and(|fields| fields.values().any(|value| value.as_str() == Some(title))) {
        return None;
    }
    if command(input).is_some_and(|command| command == title) {
        return None;
    }
    let word = title.split_once(": ").map_or(title, |(word, _)| word);
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    (!word.is_empty() && word.len() <= NAME_MAX && word.chars().all(is_word)).then_some(word)
}

/// The tool's name that begins a call's id, as in `write_file__call_1`.
pub(in crate::adapter::acp) fn name_in_id(id: &str) -> Option<&str> {
    let (name, _) = id.split_once("__")?;
    let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    (plain && !name.is_empty() && name.len() <= NAME_MAX).then_some(name)
}

/// A call in one line: the command that it runs, else its title.
pub(super) fn summary(tool: &Call, input: Option<&Value>) -> String {
    let command = command(input.or(tool.input.as_ref())).filter(|command| !tool.title.contains(command.as_str()));
    let what = command.unwrap_or_else(|| tool.title.clone());
    let what = what.strip_prefix(&format!("{}: ", tool.name)).unwrap_or(&what);
    if what == tool.name || what.is_empty() {
        return tool.name.clone();
    }
    format!("{}: {}", tool.name, text::cut(what.to_owned(), text::STRING_MAX))
}

/// The command in a tool's input: a text, or words of which the last is a shell's script.
fn command(input: Option<&Value>) -> Option<String> {
    let input = input?;
    match COMMAND_KEYS.iter().find_map(|key| input.get(key))? {
        Value::String(command) if !command.trim().is_empty() => Some(command.clone()),
        Value::Array(words) => {
            let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
            match words.as_slice() {
                [] => None,
                [_, flag, script] if flag.starts_with('-') && flag.ends_with('c') => Some((*script).to_owned()),
                words => Some(words.join(" ")),
            }
        }
        _ => None,
    }
}
