//! The subject of a prompt: the command that is to run, or the files that are to be read or changed.

use std::borrow::Cow;

use serde_json::{Map, Value};

/// Tools that give their command to a POSIX shell, by the names that CLIs have for them.
const SHELL_TOOLS: &[&str] = &["Bash", "bash", "run_shell_command"];
/// Tools that run commands or change files in a way of their own, which no rule can allow.
const OWN_WAYS: &[&str] = &["shell", "exec_command", "apply_patch", "PowerShell"];
/// Fields that hold a command or a file, whatever the tool is called.
const SUBJECT_FIELDS: &[&str] = &["command", "cmd", "script", "code", "changes", "patch", "file_path", "path"];
/// Fields of such a call that change nothing of what is run.
const SHELL_FIELDS: &[&str] = &["command", "description", "timeout"];

/// A tool for files: its name, the field of the path, and the fields that change nothing of which file it is.
type FileTool = (&'static str, &'static str, &'static [&'static str]);

/// Tools that read a file.
const READERS: &[FileTool] = &[
    ("Read", "file_path", &["offset", "limit", "pages"]),
    ("NotebookRead", "notebook_path", &["cell_id"]),
    ("read_file", "file_path", &["offset", "limit"]),
];
/// Tools that change a file.
const EDITORS: &[FileTool] = &[
    ("Edit", "file_path", &["old_string", "new_string", "replace_all"]),
    ("MultiEdit", "file_path", &["edits"]),
    ("Write", "file_path", &["content"]),
    ("NotebookEdit", "notebook_path", &["cell_id", "new_source", "cell_type", "edit_mode"]),
    ("write_file", "file_path", &["content"]),
    ("replace", "file_path", &["old_string", "new_string", "expected_replacements", "instruction"]),
];

/// Tools with which a CLI asks for a person, whatever it calls that.
const FOR_PEOPLE: &[&str] = &["AskUserQuestion", "ExitPlanMode", "mcp_elicitation", "request_permissions"];

/// The subject of a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject<'i> {
    /// A shell command; nothing else of the call matters.
    Command(&'i str),
    /// A file to read.
    Read(&'i str),
    /// A file to change.
    Edit(&'i str),
    /// A tool of which only the name is known.
    Other,
    /// Something that only a person answers.
    Person,
}

impl<'i> Subject<'i> {
    /// Reads the subject of a call as far as it is understood whole.
    pub(crate) fn of(tool: &str, input: &'i Value) -> Self {
        if FOR_PEOPLE.contains(&tool) {
            return Self::Person;
        }
        let Some(fields) = input.as_object() else { return Self::Other };
        if SHELL_TOOLS.contains(&tool) {
            let command = fields.get("command").and_then(Value::as_str);
            return command.filter(|_| has_only(fields, SHELL_FIELDS, "")).map_or(Self::Other, Self::Command);
        }
        let file = |tools: &[FileTool]| {
            let (_, path, others) = tools.iter().find(|(name, ..)| *name == tool)?;
            fields.get(*path).and_then(Value::as_str).filter(|_| has_only(fields, others, path))
        };
        file(READERS).map(Self::Read).or_else(|| file(EDITORS).map(Self::Edit)).unwrap_or(Self::Other)
    }

    /// The texts that rules which refuse examine.
    pub(crate) fn examined(&self, input: &'i Value) -> Vec<Cow<'i, str>> {
        match self {
            Self::Command(text) | Self::Read(text) | Self::Edit(text) => vec![Cow::from(*text)],
            Self::Other | Self::Person => texts(input),
        }
    }

    /// The kind of the tool, as a rule can name it.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Command(_) => "execute",
            Self::Read(_) => "read",
            Self::Edit(_) => "edit",
            Self::Other | Self::Person => "other",
        }
    }
}

/// Returns whether a tool's call is about a command or a file: its name alone does not say what it does.
pub(crate) fn has_subject(tool: &str) -> bool {
    let is_of = |tools: &[FileTool]| tools.iter().any(|(name, ..)| *name == tool);
    SHELL_TOOLS.contains(&tool) || OWN_WAYS.contains(&tool) || is_of(READERS) || is_of(EDITORS)
}

/// Returns whether an input has a field for a command or a file.
pub(crate) fn names_subject(input: &Value) -> bool {
    input.as_object().is_some_and(|fields| fields.keys().any(|name| SUBJECT_FIELDS.contains(&&**name)))
}

fn has_only(fields: &Map<String, Value>, known: &[&str], path: &str) -> bool {
    fields.iter().all(|(name, value)| name == path || known.contains(&&**name) || value.is_null() || *value == false)
}

/// Collects all texts of an input that could be a command, and all that could be a path, for rules that refuse. A list of texts,
/// and a command with its arguments, are read as one command too.
fn texts(input: &Value) -> Vec<Cow<'_, str>> {
    let mut texts = Vec::new();
    collect(input, &mut texts);
    texts
}

fn collect<'i>(value: &'i Value, texts: &mut Vec<Cow<'i, str>>) {
    match value {
        Value::String(text) => texts.push(text.into()),
        Value::Array(list) => {
            list.iter().for_each(|value| collect(value, texts));
            texts.extend(joined(list).map(Cow::from));
        }
        Value::Object(fields) => {
            fields.values().for_each(|value| collect(value, texts));
            let program = ["command", "cmd", "program"].iter().find_map(|name| fields.get(*name)?.as_str());
            let words = ["args", "argv", "arguments"].iter().find_map(|name| joined(fields.get(*name)?.as_array()?));
            texts.extend(program.zip(words).map(|(program, words)| Cow::from(format!("{program} {words}"))));
        }
        _ => {}
    }
}

/// The texts of a list with blanks between them; `None` where it has something else, or nothing.
fn joined(list: &[Value]) -> Option<String> {
    let words = list.iter().map(Value::as_str).collect::<Option<Vec<&str>>>()?;
    (!words.is_empty()).then(|| words.join(" "))
}
