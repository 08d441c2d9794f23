//! Placeholders: `{model}` and the like in command lines, environments and JSON templates. Pure.
//!
//! The rules, the same everywhere:
//! - `{name}` is replaced by a value. A value that is absent or empty is *unset*.
//! - What holds an unset placeholder is left out whole: an argument, a group of arguments (a nested list), an
//!   environment variable, a member of a JSON template.
//! - `{{name}}` gives `{name}`. `${name}` is left to the shell. Other braces mean nothing.

use serde_json::{Map, Value};

use super::decode::{Invalid, list, string};

/// A name that may be in braces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    ProjectPath,
    Model,
    PermissionMode,
    Effort,
    SessionId,
    SystemPrompt,
    Message,
    MessageId,
}

impl Name {
    /// All of them, as they are written.
    pub(super) const ALL: [(&'static str, Self); 8] = [
        ("project_path", Self::ProjectPath),
        ("model", Self::Model),
        ("permission_mode", Self::PermissionMode),
        ("effort", Self::Effort),
        ("session_id", Self::SessionId),
        ("system_prompt", Self::SystemPrompt),
        ("message", Self::Message),
        ("message_id", Self::MessageId),
    ];

    /// The name as it is written, without braces.
    pub(super) fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, name)| *name == self).map_or("", |(word, _)| word)
    }
}

/// The values of the placeholders; an empty text is an unset value, but a message may be empty.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TemplateValues<'a> {
    pub(super) project_path: &'a str,
    pub(super) model: &'a str,
    pub(super) permission_mode: &'a str,
    pub(super) effort: &'a str,
    pub(super) session_id: &'a str,
    pub(super) system_prompt: &'a str,
    pub(super) message: Option<&'a str>,
    pub(super) message_id: &'a str,
    /// More arguments of the worker.
    pub(super) args: &'a [String],
}

impl<'a> TemplateValues<'a> {
    fn get(&self, name: Name) -> Option<&'a str> {
        let value = match name {
            Name::ProjectPath => self.project_path,
            Name::Model => self.model,
            Name::PermissionMode => self.permission_mode,
            Name::Effort => self.effort,
            Name::SessionId => self.session_id,
            Name::SystemPrompt => self.system_prompt,
            Name::Message => return self.message,
            Name::MessageId => self.message_id,
        };
        (!value.is_empty()).then_some(value)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum TemplatePiece {
    Text(String),
    Value(Name),
}

/// A text with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template(Vec<TemplatePiece>);

impl Template {
    /// Reads a text. The error says which placeholder is wrong and what to write.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            let (before, from) = rest.split_at(open);
            plain.push_str(before);
            if let Some(word) = word_in(from, "{{", "}}") {
                plain.push_str(&from[1..word.len() + 3]);
                rest = &from[word.len() + 4..];
            } else if let Some(word) = word_in(from, "{", "}")
                && !before.ends_with('$')
            {
                let name = Name::ALL.iter().find(|(known, _)| *known == word).map(|(_, name)| *name);
                let name = name.ok_or_else(|| unknown_placeholder(word))?;
                if !plain.is_empty() {
                    pieces.push(TemplatePiece::Text(std::mem::take(&mut plain)));
                }
                pieces.push(TemplatePiece::Value(name));
                rest = &from[word.len() + 2..];
            } else {
                plain.push('{');
                rest = &from[1..];
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() || pieces.is_empty() {
            pieces.push(TemplatePiece::Text(plain));
        }
        Ok(Self(pieces))
    }

    /// The text with its values; `None` when one of them is unset.
    pub(super) fn fill(&self, values: &TemplateValues<'_>) -> Option<String> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                TemplatePiece::Text(plain) => text.push_str(plain),
                TemplatePiece::Value(name) => text.push_str(values.get(*name)?),
            }
        }
        Some(text)
    }

    /// The text with its values, as an argument of a command line. Free text at its beginning never reads as an option:
    /// a message that begins with `-` gets a space before it.
    fn argument(&self, values: &TemplateValues<'_>) -> Option<String> {
        let text = self.fill(values)?;
        let free = matches!(self.0.first(), Some(TemplatePiece::Value(Name::Message | Name::SystemPrompt)));
        Some(if free && text.starts_with('-') { format!(" {text}") } else { text })
    }

    /// Returns true if `name` is in it.
    pub(super) fn uses(&self, name: Name) -> bool {
        self.0.contains(&TemplatePiece::Value(name))
    }
}

/// The lower-case word between `open`, at the beginning of `text`, and `close`.
fn word_in<'t>(text: &'t str, open: &str, close: &str) -> Option<&'t str> {
    let inside = text.strip_prefix(open)?;
    let end = inside.find(|c: char| !(c.is_ascii_lowercase() || c == '_')).filter(|&end| end > 0)?;
    inside[end..].starts_with(close).then_some(&inside[..end])
}

fn unknown_placeholder(word: &str) -> String {
    let known: Vec<String> = Name::ALL.iter().map(|(known, _)| format!("{{{known}}}")).collect();
    let known = known.join(", ");
    format!("unknown placeholder {{{word}}}; write one of {known}, or {{{{{word}}}}} for these very characters")
}

/// A command line with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CommandLine {
    /// The program, by name or path.
    pub(super) program: String,
    parts: Vec<TemplatePart>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum TemplatePart {
    /// Arguments that come together or not at all; a plain argument is a group of one.
    Group(Vec<Template>),
    /// The place of the worker's own arguments.
    Args,
}

impl CommandLine {
    /// Reads `["program", "argument", ["--flag", "{value}"], "{args}"]`.
    pub(super) fn decode(value: &Value, place: &str) -> Result<Self, Invalid> {
        let mut elements = list(value, place)?.iter().enumerate();
        let (_, first) = elements.next().ok_or_else(|| Invalid::new(place, "the list is empty; name a program"))?;
        let program = string(first, &format!("{place}[0]"))?;
        if program.is_empty() || program.contains('{') {
            let reason = "the program must be named plainly: not empty, and without a placeholder";
            return Err(Invalid::new(format!("{place}[0]"), reason));
        }
        let mut parts = Vec::new();
        for (at, element) in elements {
            let place = format!("{place}[{at}]");
            parts.push(match element {
                Value::Array(group) => TemplatePart::Group(
                    group
                        .iter()
                        .enumerate()
                        .map(|(at, item)| template(item, &format!("{place}[{at}]")))
                        .collect::<Result<_, _>>()?,
                ),
                Value::String(text) if text == "{args}" => TemplatePart::Args,
                other => TemplatePart::Group(vec![template(other, &place)?]),
            });
        }
        if !parts.contains(&TemplatePart::Args) {
            parts.push(TemplatePart::Args);
        }
        Ok(Self { program: program.to_owned(), parts })
    }

    /// The arguments with their values.
    pub(super) fn arguments(&self, values: &TemplateValues<'_>) -> Vec<String> {
        let mut arguments = Vec::new();
        for part in &self.parts {
            match part {
                TemplatePart::Args => arguments.extend_from_slice(values.args),
                TemplatePart::Group(group) => {
                    let filled: Option<Vec<String>> = group.iter().map(|item| item.argument(values)).collect();
                    arguments.extend(filled.unwrap_or_default());
                }
            }
        }
        arguments
    }

    /// Returns true if `name` is in it.
    pub(super) fn uses(&self, name: Name) -> bool {
        self.parts.iter().any(|part| match part {
            TemplatePart::Group(group) => group.iter().any(|item| item.uses(name)),
            TemplatePart::Args => false,
        })
    }
}

/// The text with placeholders that `value` must be.
pub(super) fn template(value: &Value, place: &str) -> Result<Template, Invalid> {
    Template::parse(string(value, place)?).map_err(|reason| Invalid::new(place, reason))
}

/// A JSON value whose strings have placeholders.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum JsonTemplate {
    Text(Template),
    List(Vec<JsonTemplate>),
    Object(Vec<(String, JsonTemplate)>),
    Other(Value),
}

impl JsonTemplate {
    /// Reads a value.
    pub(super) fn decode(value: &Value, place: &str) -> Result<Self, Invalid> {
        Ok(match value {
            Value::String(_) => Self::Text(template(value, place)?),
            Value::Array(items) => Self::List(
                items
                    .iter()
                    .enumerate()
                    .map(|(at, item)| Self::decode(item, &format!("{place}[{at}]")))
                    .collect::<Result<_, _>>()?,
            ),
            Value::Object(map) => Self::Object(
                map.iter()
                    .map(|(key, item)| Ok((key.clone(), Self::decode(item, &format!("{place}.{key}"))?)))
                    .collect::<Result<_, _>>()?,
            ),
            other => Self::Other(other.clone()),
        })
    }

    /// The value with its texts filled in; `None` when it is a text with an unset placeholder.
    pub(super) fn fill(&self, values: &TemplateValues<'_>) -> Option<Value> {
        Some(match self {
            Self::Text(text) => Value::String(text.fill(values)?),
            Self::List(items) => items.iter().filter_map(|item| item.fill(values)).collect(),
            Self::Object(members) => Value::Object(
                members.iter().filter_map(|(key, item)| Some((key.clone(), item.fill(values)?))).collect::<Map<_, _>>(),
            ),
            Self::Other(value) => value.clone(),
        })
    }

    /// Returns true if `name` is in it.
    pub(super) fn uses(&self, name: Name) -> bool {
        match self {
            Self::Text(text) => text.uses(name),
            Self::List(items) => items.iter().any(|item| item.uses(name)),
            Self::Object(members) => members.iter().any(|(_, item)| item.uses(name)),
            Self::Other(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn command(value: &Value) -> CommandLine {
        CommandLine::decode(value, "command").unwrap()
    }

    #[test]
    fn group_with_an_unset_placeholder_is_left_out() {
        let line = command(&json!(["p", ["--model", "{model}"], "--mode={permission_mode}", "{message}", "end"]));
        let values = TemplateValues { message: Some("hi"), ..TemplateValues::default() };
        assert_eq!(line.arguments(&values), ["hi", "end"]);
        let values =
            TemplateValues { model: "m", permission_mode: "plan", message: Some("hi"), ..TemplateValues::default() };
        assert_eq!(line.arguments(&values), ["--model", "m", "--mode=plan", "hi", "end"]);
    }

    #[test]
    fn workers_arguments_go_where_args_is_or_to_the_end() {
        let args = ["-v".to_owned(), "-x".to_owned()];
        let values = TemplateValues { args: &args, ..TemplateValues::default() };
        assert_eq!(command(&json!(["p", "{args}", "last"])).arguments(&values), ["-v", "-x", "last"]);
        assert_eq!(command(&json!(["p", "last"])).arguments(&values), ["last", "-v", "-x"]);
    }

    #[test]
    fn a_message_never_reads_as_an_option() {
        let line = command(&json!(["p", "{message}", "--text={message}"]));
        let values = TemplateValues { message: Some("--yolo"), ..TemplateValues::default() };
        assert_eq!(line.arguments(&values), [" --yolo", "--text=--yolo"]);
    }

    #[test]
    fn braces_that_are_no_placeholder_stay_as_they_are() {
        for (text, gives) in [
            ("{{model}}", "{model}"),
            ("${model}", "${model}"),
            ("f() { echo {}; }", "f() { echo {}; }"),
            ("{\"a\":{\"b\":1}}", "{\"a\":{\"b\":1}}"),
            ("", ""),
            ("{", "{"),
            ("a {{model", "a {{model"),
        ] {
            assert_eq!(
                Template::parse(text).unwrap().fill(&TemplateValues::default()).as_deref(),
                Some(gives),
                "{text}"
            );
        }
    }

    #[test]
    fn a_misspelt_placeholder_is_named_with_what_to_write() {
        let error = CommandLine::decode(&json!(["p", ["-m", "{modle}"]]), "command").unwrap_err();
        assert_eq!(error.place, "command[1][1]");
        assert!(error.reason.contains("{modle}") && error.reason.contains("{model}"), "{}", error.reason);
        assert!(error.reason.contains("{{modle}}"), "{}", error.reason);
    }

    #[test]
    fn message_is_one_json_string_anywhere_in_a_template() {
        let template = JsonTemplate::decode(&json!({"a": [{"text": "{message}"}], "id": "{session_id}", "n": 1}), "t");
        let values = TemplateValues { message: Some("a \"b\"\n{model}"), ..TemplateValues::default() };
        let filled = template.unwrap().fill(&values).unwrap();
        assert_eq!(filled, json!({"a": [{"text": "a \"b\"\n{model}"}], "n": 1}));
    }
}
