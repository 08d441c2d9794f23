//! One project file.

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::home;
use crate::json::fields::{Fields, check_text};
use crate::worker_env::is_env_entry;

/// Longest file, in bytes.
const FILE_BYTES_MAX: u64 = 256 * 1024;
/// Most commands of a setup, a teardown or a check.
const COMMANDS_MAX: usize = 50;
/// Most words of a command.
const WORDS_MAX: usize = 1000;
/// Time of a setup whose file names none, in seconds.
const SETUP_SECS: u64 = 15 * 60;
/// Longest time of a setup, in seconds.
const SETUP_SECS_MAX: u64 = 24 * 60 * 60;
/// Time of a teardown whose file names none, in seconds.
const TEARDOWN_SECS: u64 = 60;
/// Longest time of a teardown, which a person waits for, in seconds.
const TEARDOWN_SECS_MAX: u64 = 15 * 60;

/// Characters of a list of commands that people are shown.
const SHOWN_CHARS_MAX: usize = 1000;
/// Time of a check whose file names none, in seconds.
const CHECK_SECS: u64 = 15 * 60;
/// Longest time of a check, in seconds.
const CHECK_SECS_MAX: u64 = 24 * 60 * 60;

/// The reason that a file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProjectMistake {
    /// The project that it is about, as far as that could be read.
    pub path: Option<PathBuf>,
    /// The field and what is wrong with it, for people.
    pub reason: String,
}

/// One command of the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProjectCommand {
    /// The program and its arguments; never empty.
    pub argv: Vec<String>,
    /// The command as its file has it, where that is a line for a shell.
    line: Option<String>,
}

/// Commands that run one after the other, with the time that all of them have together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Commands {
    /// The commands; none for nothing to run.
    pub list: Vec<ProjectCommand>,
    /// Their time.
    pub time: Duration,
}

/// A project as its file describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Project {
    /// Its name, for people.
    pub name: String,
    /// Its folder, with links resolved.
    pub path: PathBuf,
    /// The commit that new worktrees begin at, where the request names none.
    pub base: Option<String>,
    /// The preset that clients offer first for its new workers.
    pub preset: Option<String>,
    /// More variables of its commands and of its new workers.
    pub env: Vec<(String, String)>,
    /// Runs in a new worktree before its CLI starts.
    pub setup: Commands,
    /// Runs in a worktree before it is removed.
    pub teardown: Commands,
    /// Decides whether the work in a worktree is good.
    pub check: Commands,
}

impl fmt::Display for ProjectCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.line {
            Some(line) => f.write_str(line),
            None => f.write_str(&self.argv.join(" ")),
        }
    }
}

impl fmt::Display for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.list.iter().map(ProjectCommand::to_string).collect();
        f.write_str(&all.join("; ").chars().take(SHOWN_CHARS_MAX).collect::<String>())
    }
}

/// Reads a file.
pub(super) fn read(file: &Path) -> Result<Project, ProjectMistake> {
    let unreadable = |reason: String| ProjectMistake { path: None, reason };
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file).map_err(|error| unreadable(error.to_string()))?;
    opened.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| unreadable(error.to_string()))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(unreadable(format!("it has more than {FILE_BYTES_MAX} bytes")));
    }
    let mut fields = Fields::parse(&bytes).map_err(unreadable)?;
    let path = path(&mut fields).map_err(unreadable)?;
    let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    project(fields, stem, path.clone()).map_err(|reason| ProjectMistake { path: Some(path), reason })
}

fn path(fields: &mut Fields) -> Result<PathBuf, String> {
    let text = fields.text("path")?.ok_or("path: the field is missing")?;
    let expanded = home::expand(&text, home::directory().as_deref()).map_err(|why| format!("path: {text}: {why}"))?;
    if !expanded.starts_with('/') {
        return Err(format!("path: must be absolute: {text}"));
    }
    let path = PathBuf::from(&expanded).canonicalize().map_err(|error| format!("path: {text}: {error}"))?;
    if path.is_dir() { Ok(path) } else { Err(format!("path: not a folder: {text}")) }
}

fn project(mut fields: Fields, stem: &str, path: PathBuf) -> Result<Project, String> {
    let base = fields.text("base")?;
    if base.as_ref().is_some_and(|base| base.starts_with('-')) {
        return Err("base: must not begin with a dash".to_owned());
    }
    let env = fields.pairs("env")?;
    if let Some((name, _)) = env.iter().find(|(name, value)| !is_env_entry(name, value)) {
        return Err(format!("env.{name}: not a variable that an environment can hold"));
    }
    let project = Project {
        name: fields.text("name")?.unwrap_or_else(|| stem.to_owned()),
        path,
        base,
        preset: fields.text("preset")?,
        env,
        setup: commands(&mut fields, "setup", ("setup_secs", SETUP_SECS, SETUP_SECS_MAX))?,
        teardown: commands(&mut fields, "teardown", ("teardown_secs", TEARDOWN_SECS, TEARDOWN_SECS_MAX))?,
        check: commands(&mut fields, "check", ("check_secs", CHECK_SECS, CHECK_SECS_MAX))?,
    };
    fields.finish()?;
    Ok(project)
}

/// A list of commands.
fn commands(
    fields: &mut Fields,
    name: &'static str,
    (secs, usual, max): (&'static str, u64, u64),
) -> Result<Commands, String> {
    let list = fields.list(name)?;
    if list.len() > COMMANDS_MAX {
        return Err(format!("{name}: must have at most {COMMANDS_MAX} commands"));
    }
    let list = list.into_iter().map(|one| command(name, one)).collect::<Result<_, _>>()?;
    Ok(Commands { list, time: Duration::from_secs(fields.count(secs, max)?.unwrap_or(usual)) })
}

/// A line for `sh`, or a program with its arguments as a list.
fn command(name: &str, value: Value) -> Result<ProjectCommand, String> {
    let wrong = || format!("{name}: a command is a line for sh, or a list of the program and its arguments");
    match value {
        Value::String(line) => {
            let line = check_text(name, line)?;
            Ok(ProjectCommand { argv: vec!["sh".to_owned(), "-c".to_owned(), line.clone()], line: Some(line) })
        }
        Value::Array(words) if (1..=WORDS_MAX).contains(&words.len()) => {
            let word = |word| match word {
                Value::String(word) if !word.contains('\0') => Ok(word),
                _ => Err(wrong()),
            };
            let argv: Vec<String> = words.into_iter().map(word).collect::<Result<_, _>>()?;
            if argv[0].is_empty() { Err(wrong()) } else { Ok(ProjectCommand { argv, line: None }) }
        }
        _ => Err(wrong()),
    }
}
