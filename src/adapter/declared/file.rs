//! The file of a declared adapter, `<name>.json`: its fields, and how it is read.
//!
//! `adapters/README.md` describes the format for people; this is what it says, as types. Reading touches the disk, at
//! start-up and on the main thread only; all else here is pure.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::decode::{Invalid, Object, list, string};
use super::error::{FILE_BYTES_MAX, LoadError, TYPE_BYTES_MAX};
use super::path::{Path as JsonPath, When};
use super::rules::{self, Gives, Rule};
use super::template::{CommandLine, JsonTemplate, Name, Template, template};
use crate::adapter::Cli;
use crate::adapter::acp::Dialect;
use crate::event::ToolKind;
use crate::fnv;

/// How the CLI talks.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Family {
    /// Plain lines.
    Text {
        /// The line that ends a turn; without one there are no turns.
        turn_end: Option<LineRule>,
    },
    /// JSON objects, one a line.
    Jsonl {
        /// Where the session's id stands, in any line.
        session_id: Option<JsonPath>,
        /// The CLI's ids begin anew in every process, and are told with the process's number before them.
        ids_restart: bool,
        /// What tools do, by name.
        tool_kinds: BTreeMap<String, ToolKind>,
        /// What the lines mean.
        rules: Vec<Rule>,
    },
    /// The Agent Client Protocol.
    Acp(Arc<Dialect>),
}

/// The word that a file has for a family.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Talk {
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
    /// What stands in its JSON.
    When(When),
}

/// How a message is written to stdin.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Input {
    /// As text.
    Line {
        /// What becomes of newlines in it.
        newlines: Newlines,
        /// A line that is written after each message.
        end_line: Option<String>,
    },
    /// As one JSON object a line.
    Json(JsonTemplate),
}

/// What becomes of the newlines of a message that is written as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Newlines {
    /// The message is written as several lines.
    Lines,
    /// `\n`, and `\\` for a backslash: one line, which `printf %b` turns back.
    Escape,
    /// A space each.
    Space,
}

/// How a turn is interrupted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Interrupt {
    /// SIGINT to the process group.
    Sigint,
    /// A line on stdin.
    Line(String),
}

/// A file's content, checked.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct File {
    pub(super) cli: Cli,
    pub(super) family: Family,
    /// One process a message, instead of one for the whole session.
    pub(super) per_message: bool,
    pub(super) command: CommandLine,
    pub(super) resume_command: Option<CommandLine>,
    pub(super) env: Vec<(String, Template)>,
    pub(super) secret_env: Vec<String>,
    pub(super) version_args: Option<Vec<String>>,
    /// Absent when the message goes through the command line.
    pub(super) input: Option<Input>,
    pub(super) interrupt: Option<Interrupt>,
    pub(super) stop_by_eof: bool,
    pub(super) volatile: Vec<Vec<u8>>,
    pub(super) ready: Option<LineRule>,
    /// Changes when the file does: a state that another file made does not fit.
    pub(super) fingerprint: u64,
}

impl File {
    /// Reads a file from the disk.
    pub(super) fn read(path: &Path) -> Result<Self, LoadError> {
        let read = |source| LoadError::Read { path: path.to_owned(), source };
        let len = std::fs::metadata(path).map_err(read)?.len();
        if len > FILE_BYTES_MAX {
            return Err(LoadError::TooLong { file: path.to_owned(), len });
        }
        Self::parse(&std::fs::read(path).map_err(read)?, path)
    }

    /// Reads the bytes of a file that stands at `path`.
    pub(super) fn parse(bytes: &[u8], path: &Path) -> Result<Self, LoadError> {
        let value: Value = serde_json::from_slice(bytes).map_err(|error| {
            let (line, column, text) = (error.line(), error.column(), error.to_string());
            let reason = text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text).to_owned();
            LoadError::Syntax { file: path.to_owned(), line, column, reason }
        })?;
        let file = Self::decode(&value, path, fnv::hash(bytes));
        file.map_err(|Invalid { place, reason }| LoadError::Invalid { file: path.to_owned(), place, reason })
    }

    fn decode(value: &Value, path: &Path, fingerprint: u64) -> Result<Self, Invalid> {
        let mut top = Object::new(value, "")?;
        let kind = kind(&mut top, path)?;
        let talk = top.choice("family", &[("text", Talk::Text), ("jsonl", Talk::Jsonl), ("acp", Talk::Acp)])?;
        let missing = "this field is missing; write \"text\", \"jsonl\" or \"acp\"";
        let talk = talk.ok_or_else(|| top.wrong("family", missing))?;
        let mut command = CommandLine::decode(top.need("command")?, "command")?;
        // The protocol says how an agent is driven: what is not asked for here is a mistake in its file.
        let own = talk != Talk::Acp;
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
            version_args: top.get("version_args").is_some().then(|| top.strings("version_args")).transpose()?,
            input: None,
            interrupt: None,
            stop_by_eof: top.boolean("stop_by_eof")?.unwrap_or(true),
            volatile: Vec::new(),
            ready: None,
            fingerprint,
        };
        if own {
            file.input = top.get("input").map(input).transpose()?;
            file.interrupt = top.get("interrupt").map(interrupt).transpose()?;
            file.volatile = volatile(&mut top)?;
            file.ready = top.get("ready").map(|value| line_rule(value, "ready", talk == Talk::Jsonl)).transpose()?;
        }
        let model_at_launch = file.starts_with(Name::Model);
        if let Family::Acp(dialect) = &mut file.family {
            let dialect = Arc::make_mut(dialect);
            (dialect.name, dialect.model_at_launch) = (file.cli.name.clone(), model_at_launch);
        }
        let choices = top.get("choices");
        top.end()?;
        file.check()?;
        file.cli.config_options = super::options::config_options(&file, choices)?;
        file.cli.capabilities = super::options::capabilities(&file);
        Ok(file)
    }

    /// Whether a placeholder stands in a command line or in the environment.
    pub(super) fn starts_with(&self, name: Name) -> bool {
        self.command.uses(name)
            || self.resume_command.as_ref().is_some_and(|command| command.uses(name))
            || self.env.iter().any(|(_, value)| value.uses(name))
    }

    /// Whether its output says where a turn ends.
    pub(super) fn tells_turns(&self) -> bool {
        match &self.family {
            Family::Text { turn_end } => turn_end.is_some(),
            Family::Acp(_) => true,
            Family::Jsonl { rules, .. } => rules.iter().any(|rule| matches!(rule.gives, Gives::TurnCompleted(_))),
        }
    }

    /// What no single field can tell; also fills in the input that is meant when none is given.
    fn check(&mut self) -> Result<(), Invalid> {
        let in_command = self.command.uses(Name::Message);
        if !self.per_message {
            if in_command || self.resume_command.as_ref().is_some_and(|command| command.uses(Name::Message)) {
                let reason = "{message} stands in a command line, which is made once; write \"mode\": \"per_message\"";
                return Err(Invalid::new("command", reason));
            }
        } else {
            if self.resume_command.as_ref().is_some_and(|command| command.uses(Name::Message) != in_command) {
                let reason = "{message} must stand in both `command` and `resume_command`, or in neither";
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
                let reason = "{session_id} is told by the protocol, not by the command line; remove it";
                return Err(Invalid::new("command", reason));
            }
            return Ok(());
        }
        if self.input.is_none() && !in_command {
            self.input = Some(Input::Line { newlines: Newlines::Lines, end_line: None });
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
            "`{kind}` is no type name; write 1 to {TYPE_BYTES_MAX} of a-z, 0-9, `-`, `_`, `.` (the default is the \
             file's name without .json)"
        );
        return Err(top.wrong("type", reason));
    }
    Ok(kind)
}

/// A program with a slash in a relative path stands beside the file that names it.
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
                return Err(Invalid::new(place, "this is no name of an environment variable; write it without `=`"));
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

fn family(top: &mut Object<'_>, talk: Talk) -> Result<Family, Invalid> {
    match talk {
        Talk::Jsonl => {}
        Talk::Text => {
            let turn_end = top.get("turn_end").map(|value| line_rule(value, "turn_end", false)).transpose()?;
            return Ok(Family::Text { turn_end });
        }
        Talk::Acp => {
            let login = top.string("login")?.unwrap_or("Log in with the CLI itself, then start the worker again");
            let dialect = Dialect {
                login: login.to_owned(),
                steer: top.boolean("steer")?.unwrap_or(false),
                tool_in_id: top.boolean("tool_in_id")?.unwrap_or(false),
                client_files: top.boolean("client_files")?.unwrap_or(false),
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
        Invalid::new(place, format!("`{word}` is no kind of tool; write one of: {}", known.join(", ")))
    })
}

fn line_rule(value: &Value, place: &str, jsonl: bool) -> Result<LineRule, Invalid> {
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
        LineRule::When(When::decode(when, &object.place("when"))?)
    } else {
        let or = if jsonl { ", {\"when\": {...}}" } else { "" };
        return Err(Invalid::new(place, format!("write {{\"line\": \"...\"}} or {{\"prefix\": \"...\"}}{or}")));
    };
    object.end()?;
    Ok(rule)
}

fn input(value: &Value) -> Result<Input, Invalid> {
    let mut object = Object::new(value, "input")?;
    let json = object.choice("encoding", &[("line", false), ("json", true)])?;
    let json = json.ok_or_else(|| object.wrong("encoding", "this field is missing; write \"line\" or \"json\""))?;
    let input = if json {
        let template = JsonTemplate::decode(object.need("template")?, "input.template")?;
        if !template.uses(Name::Message) {
            let reason = "{message} stands nowhere in it; put it where the message's text belongs";
            return Err(object.wrong("template", reason));
        }
        for start in [Name::Model, Name::PermissionMode, Name::SystemPrompt] {
            if template.uses(start) {
                let reason = format!("{{{}}} goes into a command or the environment only", start.as_str());
                return Err(object.wrong("template", reason));
            }
        }
        Input::Json(template)
    } else {
        let words = [("lines", Newlines::Lines), ("escape", Newlines::Escape), ("space", Newlines::Space)];
        let end_line = object.string("end_line")?.map(str::to_owned);
        if end_line.as_ref().is_some_and(|line| line.contains('\n')) {
            return Err(object.wrong("end_line", "write one line of text"));
        }
        Input::Line { newlines: object.choice("newlines", &words)?.unwrap_or(Newlines::Lines), end_line }
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
pub(super) fn choices(value: &Value) -> Result<BTreeMap<String, Vec<String>>, Invalid> {
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
