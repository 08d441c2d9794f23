//! The file of a declared adapter, `<name>.json`: its fields, and how it is read.
//!
//! `adapters/README.md` describes the format for people; this is what it says, as types. Reading touches the disk, at
//! start-up and on the main thread only; all else here is pure.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::at_home;
use super::decode::{Invalid, Object, list, string};
use super::error::{AdapterLoadError, FILE_BYTES_MAX, TYPE_BYTES_MAX};
use super::family::{Family, FamilyName, LineRule, family, line_rule};
use super::rules::Emits;
use super::template::{CommandLine, JsonTemplate, Name, Template, template};
use crate::adapter::Cli;
use crate::adapter::acp::CAPABILITIES;
use crate::fnv;
use crate::home::HomeEntry;

/// The form of a message on stdin.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum InputTemplate {
    /// Plain text.
    Line {
        /// The replacement of newlines in it.
        newlines: Newlines,
        /// A line that is written after each message.
        end_line: Option<String>,
    },
    /// One JSON object a line.
    Json(JsonTemplate),
}

/// The replacement of the newlines of a message that is written as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Newlines {
    /// The message is written as several lines.
    Lines,
    /// `\n`, and `\\` for a backslash: one line, which `printf %b` turns back.
    Escape,
    /// A space each.
    Space,
}

/// The way to interrupt a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Interrupt {
    /// SIGINT to the process group.
    Sigint,
    /// A line on stdin.
    Line(String),
}

/// A file's content, checked.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct AdapterFile {
    pub(super) cli: Cli,
    pub(super) family: Family,
    /// One process a message, instead of one for the whole session.
    pub(super) per_message: bool,
    pub(super) command: CommandLine,
    pub(super) resume_command: Option<CommandLine>,
    pub(super) env: Vec<(String, Template)>,
    pub(super) secret_env: Vec<String>,
    /// Its entries in the home directory; those of a program of the same name when absent.
    pub(super) home: Option<Vec<HomeEntry>>,
    pub(super) version_args: Option<Vec<String>>,
    /// Absent when the message goes through the command line.
    pub(super) input: Option<InputTemplate>,
    pub(super) interrupt: Option<Interrupt>,
    pub(super) stop_by_eof: bool,
    pub(super) volatile: Vec<Vec<u8>>,
    pub(super) ready: Option<LineRule>,
    /// The mode of a worker that names none.
    pub(super) permission_mode: Option<String>,
    /// Changes when the file does: a state that another file made does not fit.
    pub(super) fingerprint: u64,
}

impl AdapterFile {
    /// Reads a file from the disk.
    pub(super) fn read(path: &Path) -> Result<Self, AdapterLoadError> {
        let read = |source| AdapterLoadError::Read { path: path.to_owned(), source };
        let len = std::fs::metadata(path).map_err(read)?.len();
        if len > FILE_BYTES_MAX {
            return Err(AdapterLoadError::TooLong { file: path.to_owned(), len });
        }
        Self::parse(&std::fs::read(path).map_err(read)?, path)
    }

    /// Reads the bytes of the file at `path`.
    pub(super) fn parse(bytes: &[u8], path: &Path) -> Result<Self, AdapterLoadError> {
        let value: Value = serde_json::from_slice(bytes).map_err(|error| {
            let (line, column, text) = (error.line(), error.column(), error.to_string());
            let reason = text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text).to_owned();
            AdapterLoadError::Syntax { file: path.to_owned(), line, column, reason }
        })?;
        let file = Self::decode(&value, path, fnv::hash(bytes));
        file.map_err(|Invalid { place, reason }| AdapterLoadError::Invalid { file: path.to_owned(), place, reason })
    }

    fn decode(value: &Value, path: &Path, fingerprint: u64) -> Result<Self, Invalid> {
        let value = &at_home::expanded(value.clone());
        let mut top = Object::new(value, "")?;
        let kind = kind(&mut top, path)?;
        let talk = top
            .choice("family", &[("text", FamilyName::Text), ("jsonl", FamilyName::Jsonl), ("acp", FamilyName::Acp)])?;
        let missing = "this field is missing; write \"text\", \"jsonl\" or \"acp\"";
        let talk = talk.ok_or_else(|| top.wrong("family", missing))?;
        let mut command = CommandLine::decode(top.need("command")?, "command")?;
        // The protocol says how an agent is driven: what is not asked for here is a mistake in its file.
        let own = talk != FamilyName::Acp;
        let mode = if own { top.choice("mode", &[("session", false), ("per_message", true)])? } else { None };
        let resume_command = if own { top.get("resume_command") } else { None };
        let mut resume_command =
            resume_command.map(|value| CommandLine::decode(value, "resume_command")).transpose()?;
        for line in std::iter::once(&mut command).chain(&mut resume_command) {
            line.program = beside(path, &line.program);
        }
        let env = env(&mut top)?;
        let cli = Cli {
            name: top.string("name")?.unwrap_or(&kind).to_owned(),
            binary: command.program.clone(),
            description: top.string("description")?.unwrap_or_default().to_owned(),
            install: top.string("install")?.unwrap_or_default().to_owned(),
            config_options: Vec::new(),
            capabilities: Vec::new(),
            kind,
        };
        let mut file = Self {
            cli,
            family: family(&mut top, talk)?,
            per_message: mode.unwrap_or(false),
            command,
            resume_command,
            env,
            secret_env: top.strings("secret_env")?,
            home: at_home::entries(&mut top)?,
            version_args: top.get("version_args").is_some().then(|| top.strings("version_args")).transpose()?,
            input: None,
            interrupt: None,
            stop_by_eof: top.boolean("stop_by_eof")?.unwrap_or(true),
            volatile: Vec::new(),
            ready: None,
            permission_mode: None,
            fingerprint,
        };
        if own {
            file.input = top.get("input").map(input).transpose()?;
            file.interrupt = top.get("interrupt").map(interrupt).transpose()?;
            file.volatile = volatile(&mut top)?;
            file.ready =
                top.get("ready").map(|value| line_rule(value, "ready", talk == FamilyName::Jsonl)).transpose()?;
        }
        let model_at_launch = file.starts_with(Name::Model);
        if let Family::Acp(dialect) = &mut file.family {
            let dialect = Arc::make_mut(dialect);
            (dialect.name, dialect.model_at_launch) = (file.cli.name.clone(), model_at_launch);
        }
        file.permission_mode = top.string("permission_mode")?.filter(|mode| !mode.is_empty()).map(str::to_owned);
        let mode_at_launch = file.starts_with(Name::PermissionMode);
        match &mut file.family {
            Family::Acp(dialect) if !mode_at_launch => {
                Arc::make_mut(dialect).permission_mode.clone_from(&file.permission_mode);
            }
            _ if file.permission_mode.is_some() && !mode_at_launch => {
                let reason =
                    "no command and no environment variable uses {permission_mode}; put it there, or remove this";
                return Err(top.wrong("permission_mode", reason));
            }
            _ => {}
        }
        let choices = top.get("choices");
        top.end()?;
        file.check()?;
        file.cli.config_options = config_options(&file, choices)?;
        file.cli.capabilities = capabilities(&file);
        Ok(file)
    }

    /// Returns true if a placeholder is in a command line or in the environment.
    pub(super) fn starts_with(&self, name: Name) -> bool {
        self.command.uses(name)
            || self.resume_command.as_ref().is_some_and(|command| command.uses(name))
            || self.env.iter().any(|(_, value)| value.uses(name))
    }

    /// Returns true if its output marks the ends of turns.
    pub(super) fn reports_turns(&self) -> bool {
        match &self.family {
            Family::Text { turn_end } => turn_end.is_some(),
            Family::Acp(_) => true,
            Family::Jsonl { rules, .. } => rules.iter().any(|rule| matches!(rule.emits, Emits::TurnCompleted(_))),
        }
    }

    /// Checks all that no single field can show; also fills in the input that is meant when none is given.
    fn check(&mut self) -> Result<(), Invalid> {
        let in_command = self.command.uses(Name::Message);
        if !self.per_message {
            if in_command || self.resume_command.as_ref().is_some_and(|command| command.uses(Name::Message)) {
                let reason = "{message} is in a command line, which is built once; write \"mode\": \"per_message\"";
                return Err(Invalid::new("command", reason));
            }
        } else {
            if self.resume_command.as_ref().is_some_and(|command| command.uses(Name::Message) != in_command) {
                let reason = "{message} must be in both `command` and `resume_command`, or in neither";
                return Err(Invalid::new("resume_command", reason));
            }
            if self.ready.is_some() {
                return Err(Invalid::new("ready", "a process a message is ready at once; remove this field"));
            }
            if matches!(self.interrupt, Some(Interrupt::Line(_))) {
                let reason = "stdin is closed after the message in this mode; write \"sigint\"";
                return Err(Invalid::new("interrupt", reason));
            }
        }
        if matches!(self.family, Family::Acp(_)) {
            if self.command.uses(Name::SessionId) {
                let reason = "{session_id} comes from the protocol, not from the command line; remove it";
                return Err(Invalid::new("command", reason));
            }
            return Ok(());
        }
        if self.input.is_none() && !in_command {
            self.input = Some(InputTemplate::Line { newlines: Newlines::Lines, end_line: None });
        }
        Ok(())
    }
}

fn kind(top: &mut Object<'_>, path: &Path) -> Result<String, Invalid> {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let kind = top.string("type")?.map_or(stem, str::to_owned);
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    if kind.is_empty() || kind.len() > TYPE_BYTES_MAX || !kind.chars().all(allowed) {
        let reason = format!(
            "`{kind}` is not a type name; write 1 to {TYPE_BYTES_MAX} of a-z, 0-9, `-`, `_`, `.` (the default is the \
             file's name without .json)"
        );
        return Err(top.wrong("type", reason));
    }
    Ok(kind)
}

/// A relative path with a slash is resolved from the folder of the file that names it.
fn beside(file: &Path, program: &str) -> String {
    if !program.contains('/') || program.starts_with('/') {
        return program.to_owned();
    }
    let folder = file.parent().unwrap_or(Path::new("."));
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    folder.join(program.trim_start_matches("./")).to_string_lossy().into_owned()
}

fn env(top: &mut Object<'_>) -> Result<Vec<(String, Template)>, Invalid> {
    let Some(value) = top.get("env") else { return Ok(Vec::new()) };
    let Value::Object(map) = value else {
        return Err(top.wrong("env", "write an object of names and values: {\"NAME\": \"value\"}"));
    };
    map.iter()
        .map(|(name, value)| {
            let place = format!("env.{name}");
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err(Invalid::new(place, "not a name of an environment variable; write it without `=`"));
            }
            let value = template(value, &place)?;
            for changing in [Name::Message, Name::MessageId, Name::SessionId] {
                if value.uses(changing) {
                    let reason = format!("{{{}}} is not known when the environment is made", changing.as_str());
                    return Err(Invalid::new(place, format!("{reason}; write it into the command or the input")));
                }
            }
            Ok((name.clone(), value))
        })
        .collect()
}

fn input(value: &Value) -> Result<InputTemplate, Invalid> {
    let mut object = Object::new(value, "input")?;
    let json = object.choice("encoding", &[("line", false), ("json", true)])?;
    let json = json.ok_or_else(|| object.wrong("encoding", "this field is missing; write \"line\" or \"json\""))?;
    let input = if json {
        let template = JsonTemplate::decode(object.need("template")?, "input.template")?;
        if !template.uses(Name::Message) {
            let reason = "{message} is missing; put it where the message's text belongs";
            return Err(object.wrong("template", reason));
        }
        for start in [Name::Model, Name::PermissionMode, Name::SystemPrompt] {
            if template.uses(start) {
                let reason = format!("{{{}}} goes into a command or the environment only", start.as_str());
                return Err(object.wrong("template", reason));
            }
        }
        InputTemplate::Json(template)
    } else {
        let words = [("lines", Newlines::Lines), ("escape", Newlines::Escape), ("space", Newlines::Space)];
        let end_line = object.string("end_line")?.map(str::to_owned);
        if end_line.as_ref().is_some_and(|line| line.contains('\n')) {
            return Err(object.wrong("end_line", "write one line of text"));
        }
        InputTemplate::Line { newlines: object.choice("newlines", &words)?.unwrap_or(Newlines::Lines), end_line }
    };
    object.end()?;
    Ok(input)
}

fn interrupt(value: &Value) -> Result<Interrupt, Invalid> {
    match value {
        Value::String(word) if word == "sigint" => Ok(Interrupt::Sigint),
        Value::Object(_) => {
            let mut object = Object::new(value, "interrupt")?;
            let line = string(object.need("line")?, "interrupt.line")?;
            if line.contains('\n') {
                return Err(object.wrong("line", "write one line of text"));
            }
            object.end()?;
            Ok(Interrupt::Line(line.to_owned()))
        }
        _ => Err(Invalid::new("interrupt", "write \"sigint\" or {\"line\": \"...\"}, or leave the field out")),
    }
}

fn volatile(top: &mut Object<'_>) -> Result<Vec<Vec<u8>>, Invalid> {
    let prefixes = top.strings("volatile")?;
    match prefixes.iter().position(|prefix| prefix.is_empty() || prefix.contains('\n')) {
        None => Ok(prefixes.into_iter().map(String::into_bytes).collect()),
        Some(at) => {
            let reason = "write the beginning of a line; an empty one would keep every line out of the history";
            Err(Invalid::new(format!("volatile[{at}]"), reason))
        }
    }
}

/// Reads `choices`: option names with lists of values.
fn choices(value: &Value) -> Result<BTreeMap<String, Vec<String>>, Invalid> {
    let Value::Object(map) = value else {
        return Err(Invalid::new("choices", "write an object of lists: {\"model\": [\"small\", \"large\"]}"));
    };
    map.iter()
        .map(|(name, items)| {
            let place = format!("choices.{name}");
            let items = list(items, &place)?.iter().enumerate();
            let items = items.map(|(at, item)| string(item, &format!("{place}[{at}]")).map(str::to_owned));
            Ok((name.clone(), items.collect::<Result<_, _>>()?))
        })
        .collect()
}

/// Options that a worker can have, each with the label that people read.
pub(super) const OPTIONS: [(Name, &str); 4] = [
    (Name::Model, "Model"),
    (Name::PermissionMode, "Permission mode"),
    (Name::Effort, "Effort"),
    (Name::SystemPrompt, "System prompt"),
];

/// The options whose placeholders the file uses, as `[{"name","label","choices"?}]`.
fn config_options(file: &AdapterFile, chosen: Option<&Value>) -> Result<Vec<Value>, Invalid> {
    let mut chosen = chosen.map(choices).transpose()?.unwrap_or_default();
    let used = OPTIONS.iter().filter(|(name, _)| accepts_option(file, *name));
    let options = used
        .map(|(name, label)| {
            let mut option = json!({"name": name.as_str(), "label": label});
            if let (Some(choices), Some(map)) = (chosen.remove(name.as_str()), option.as_object_mut()) {
                map.insert("choices".to_owned(), json!(choices));
            }
            option
        })
        .collect();
    match chosen.keys().next() {
        None => Ok(options),
        Some(name) => {
            let reason =
                format!("no command and no environment variable uses {{{name}}}; put it there, or remove this");
            Err(Invalid::new(format!("choices.{name}"), reason))
        }
    }
}

/// Returns true if a worker can have this option: it has a place in a command or in the environment, or the protocol
/// sets it.
pub(super) fn accepts_option(file: &AdapterFile, name: Name) -> bool {
    let by_protocol =
        matches!(file.family, Family::Acp(_)) && matches!(name, Name::Model | Name::PermissionMode | Name::Effort);
    by_protocol || file.starts_with(name)
}

/// Its capabilities, as in [`crate::adapter::Cli::capabilities`].
fn capabilities(file: &AdapterFile) -> Vec<String> {
    let deltas = match &file.family {
        // The rest is up to the agent, which says so when it is started.
        Family::Acp(dialect) => {
            let more = ["resume", "fork", "steer"].into_iter().take(if dialect.steer { 3 } else { 2 });
            return CAPABILITIES.into_iter().chain(more).map(str::to_owned).collect();
        }
        Family::Text { .. } => !file.volatile.is_empty(),
        Family::Jsonl { rules, .. } => {
            rules.iter().any(|rule| matches!(rule.emits, Emits::Part { .. } | Emits::Delta { .. }))
        }
    };
    let can = [
        ("turns", file.per_message || file.reports_turns()),
        ("deltas", deltas),
        ("interrupt", file.interrupt.is_some()),
        ("resume", file.resume_command.is_some()),
    ];
    can.into_iter().filter(|(_, can)| *can).map(|(name, _)| name.to_owned()).collect()
}
