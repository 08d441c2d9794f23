//! The position in a conversation: the script that it follows and the step in it.

use serde_json::Value;

use super::script::{Step, script_in};

/// One message of a conversation, in any protocol.
pub(super) enum Entry {
    /// A text of the user (or of the CLI in the user's name).
    User(String),
    /// An answer of the model, in one or more pieces.
    Assistant,
    /// A tool's result.
    ToolResult(String),
    /// Anything else: system texts, at any position.
    Other,
}

/// The step that a conversation requests.
#[derive(Default)]
pub(super) struct Place {
    /// The step that is due, when a script is running and has one left.
    pub(super) step: Option<Step>,
    /// Identifies that step among all requests, for steps that fail several times.
    pub(super) key: String,
    /// The tool's result, when it is the last entry of the request.
    pub(super) result: Option<String>,
}

impl Place {
    /// Reads a conversation from its beginning.
    pub(super) fn of(entries: &[Entry]) -> Self {
        let mut script: Option<(String, Vec<Step>)> = None;
        let mut answers = 0;
        let mut in_answer = false;
        for entry in entries {
            match entry {
                Entry::User(text) if is_context(text) => {}
                Entry::User(text) => {
                    script = script_in(text).map(|steps| (text.clone(), steps));
                    answers = 0;
                    in_answer = false;
                }
                Entry::Assistant => {
                    answers += usize::from(!in_answer);
                    in_answer = true;
                }
                Entry::ToolResult(_) => in_answer = false,
                Entry::Other => {}
            }
        }
        let result = match entries.last() {
            Some(Entry::ToolResult(text)) => Some(text.clone()),
            _ => None,
        };
        let key = format!("{}:{answers}:{}", entries.len(), script.as_ref().map_or("", |(text, _)| text));
        let step = script.and_then(|(_, steps)| steps.into_iter().nth(answers));
        Self { step, key, result }
    }
}

/// Returns whether the CLI has inserted this (`<system-reminder>`, `<environment_context>`, `<task-notification>`,
/// ...): such text neither begins nor ends a script.
fn is_context(text: &str) -> bool {
    let text = text.trim_start();
    text.starts_with('<') && !text.starts_with("<<") && !text.contains("<<")
}

/// Returns the text in a message's content, in any protocol: strings, and the `text`, `content` and `output` of parts.
pub(super) fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts: Vec<String> = parts.iter().map(text_of).filter(|text| !text.is_empty()).collect();
            texts.join("\n")
        }
        Value::Object(part) => {
            let inner = ["text", "content", "output"].iter().find_map(|name| part.get(*name));
            inner.map(text_of).unwrap_or_default()
        }
        _ => String::new(),
    }
}
