//! The families of declared adapters, and the fields that only one of them has.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::decode::{Invalid, Object, string};
use super::path::{LineConditions, Path as JsonPath};
use super::rules::{self, EventRule};
use crate::adapter::acp::{Dialect, UsageSpan};
use crate::event::ToolKind;

/// The form of the CLI's lines.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Family {
    /// Plain lines.
    Text {
        /// The line that ends a turn; without one there are no turns.
        turn_end: Option<LineRule>,
    },
    /// JSON objects, one a line.
    Jsonl {
        /// The path of the session's id, in any line.
        session_id: Option<JsonPath>,
        /// The CLI's ids begin anew in every process, and are emitted with the process's number before them.
        ids_restart: bool,
        /// The kinds of tools, by name.
        tool_kinds: BTreeMap<String, ToolKind>,
        /// The meanings of the lines.
        rules: Vec<EventRule>,
    },
    /// The Agent Client Protocol.
    Acp(Arc<Dialect>),
}

/// The word that a file has for a family.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum FamilyName {
    Text,
    Jsonl,
    Acp,
}

/// A line that is known by its text.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum LineRule {
    /// The whole line.
    Line(String),
    /// Its beginning.
    Prefix(String),
    /// Conditions on its JSON.
    When(LineConditions),
}

impl LineRule {
    /// Returns true if a line, without its newline, is the one that is meant. `json` is the line when it is JSON.
    pub(super) fn matches(&self, line: &[u8], json: Option<&serde_json::Value>) -> bool {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match self {
            Self::Line(text) => line == text.as_bytes(),
            Self::Prefix(text) => line.starts_with(text.as_bytes()),
            Self::When(when) => json.is_some_and(|json| when.holds(json)),
        }
    }
}

/// Reads the fields that only one family has.
pub(super) fn family(top: &mut Object<'_>, talk: FamilyName) -> Result<Family, Invalid> {
    match talk {
        FamilyName::Jsonl => {}
        FamilyName::Text => {
            let turn_end = top.get("turn_end").map(|value| line_rule(value, "turn_end", false)).transpose()?;
            return Ok(Family::Text { turn_end });
        }
        FamilyName::Acp => {
            let login = top.string("login")?.unwrap_or("Log in with the CLI itself, then start the worker again");
            let dialect = Dialect {
                login: login.to_owned(),
                steer: top.boolean("steer")?.unwrap_or(false),
                tool_in_id: top.boolean("tool_in_id")?.unwrap_or(false),
                client_files: top.boolean("client_files")?.unwrap_or(false),
                usage: top
                    .choice("usage", &[("turn", UsageSpan::Turn), ("cumulative", UsageSpan::Session)])?
                    .unwrap_or_default(),
                ..Dialect::default()
            };
            return Ok(Family::Acp(Arc::new(dialect)));
        }
    }
    let session_id = top.get("session_id").map(|value| JsonPath::decode(value, "session_id")).transpose()?;
    let tool_kinds = match top.get("tool_kinds") {
        None => BTreeMap::new(),
        Some(Value::Object(map)) => map
            .iter()
            .map(|(name, kind)| Ok((name.clone(), tool_kind(kind, &format!("tool_kinds.{name}"))?)))
            .collect::<Result<_, _>>()?,
        Some(_) => return Err(top.wrong("tool_kinds", "write an object of tools and kinds: {\"bash\": \"execute\"}")),
    };
    let ids_restart = top.boolean("ids_restart")?.unwrap_or(false);
    let rules = rules::decode(top.need("fields")?, "fields")?;
    Ok(Family::Jsonl { session_id, ids_restart, tool_kinds, rules })
}

/// The kinds of tools, by the words that files use.
pub(super) const TOOL_KINDS: [(&str, ToolKind); 7] = [
    ("read", ToolKind::Read),
    ("edit", ToolKind::Edit),
    ("execute", ToolKind::Execute),
    ("search", ToolKind::Search),
    ("fetch", ToolKind::Fetch),
    ("think", ToolKind::Think),
    ("other", ToolKind::Other),
];

fn tool_kind(value: &Value, place: &str) -> Result<ToolKind, Invalid> {
    let word = string(value, place)?;
    TOOL_KINDS.iter().find(|(name, _)| *name == word).map(|(_, kind)| *kind).ok_or_else(|| {
        let known: Vec<&str> = TOOL_KINDS.iter().map(|(name, _)| *name).collect();
        Invalid::new(place, format!("`{word}` is not a kind of tool; write one of: {}", known.join(", ")))
    })
}

pub(super) fn line_rule(value: &Value, place: &str, jsonl: bool) -> Result<LineRule, Invalid> {
    let mut object = Object::new(value, place)?;
    let one_line = |text: &str, key: &str| {
        let ok = !text.is_empty() && !text.contains(['\n', '\r']);
        ok.then(|| text.to_owned()).ok_or_else(|| Invalid::new(format!("{place}.{key}"), "write one line of text"))
    };
    let rule = if let Some(line) = object.string("line")? {
        LineRule::Line(one_line(line, "line")?)
    } else if let Some(prefix) = object.string("prefix")? {
        LineRule::Prefix(one_line(prefix, "prefix")?)
    } else if let Some(when) = object.get("when").filter(|_| jsonl) {
        LineRule::When(LineConditions::decode(when, &object.place("when"))?)
    } else {
        let or = if jsonl { ", {\"when\": {...}}" } else { "" };
        return Err(Invalid::new(place, format!("write {{\"line\": \"...\"}} or {{\"prefix\": \"...\"}}{or}")));
    };
    object.end()?;
    Ok(rule)
}
