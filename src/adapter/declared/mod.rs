//! Declared adapters: CLIs that a JSON file in `adapters/` (or `ADAPTERS_DIR`) describes, without recompiling.
//!
//! `adapters/README.md` is the guide for those who write such files. [`load`] reads them at start-up; a [`DeclaredAdapter`] is
//! an [`Adapter`] like any other from then on. Three families: `text` (every line is the agent's text), `jsonl` (rules
//! say what a line means) and `acp` (the Agent Client Protocol says it).

mod at_home;
mod decode;
mod emit;
mod encode;
mod error;
mod family;
mod file;
mod jsonl;
mod options;
mod path;
mod rules;
mod saved;
mod template;
mod text;
mod turns;

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

#[cfg(test)]
use emit::MESSAGE_BYTES_MAX;
#[cfg(test)]
use encode::ARGUMENT_BYTES_MAX;
pub(crate) use error::AdapterLoadError;
#[cfg(test)]
use error::TYPE_BYTES_MAX;

use crate::adapter::acp::{self, AcpSession};
use crate::adapter::{Adapter, AgentAccess, Cli, Launch, LaunchRequest, Refusal, Session, SessionChoice, home};
use crate::home::HomeEntry;
use crate::journal::McpServer;
use family::Family;
use file::AdapterFile;
use jsonl::JsonlSession;
use template::CommandLine;
use text::TextSession;

/// Most files that are read from one folder.
pub(crate) const ADAPTER_FILES_MAX: usize = 256;

/// The adapters of a folder.
#[derive(Debug, Default)]
pub(crate) struct LoadedAdapters {
    /// The adapters, in the order of their files' names.
    pub adapters: Vec<Arc<DeclaredAdapter>>,
    /// The files that could not be used, each with the reason.
    pub errors: Vec<AdapterLoadError>,
}

/// Reads every `*.json` of `folder`, in the order of their names. `taken` are the types that built-in adapters have. A
/// broken file is reported and does not keep the others from loading; a missing folder has no adapters.
pub(crate) fn load(folder: &Path, taken: &[&str]) -> LoadedAdapters {
    let mut loaded = LoadedAdapters::default();
    let mut paths = match json_files(folder) {
        Ok(paths) => paths,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return loaded,
        Err(source) => {
            loaded.errors.push(AdapterLoadError::Read { path: folder.to_owned(), source });
            return loaded;
        }
    };
    paths.sort();
    if paths.len() > ADAPTER_FILES_MAX {
        paths.truncate(ADAPTER_FILES_MAX);
        loaded.errors.push(AdapterLoadError::TooMany { folder: folder.to_owned() });
    }
    for path in paths {
        match DeclaredAdapter::read(&path) {
            Ok(adapter) => match owner(&adapter.file.cli.kind, taken, &loaded.adapters) {
                None => loaded.adapters.push(Arc::new(adapter)),
                Some(other) => {
                    let kind = adapter.file.cli.kind.clone();
                    loaded.errors.push(AdapterLoadError::Duplicate { file: path, kind, other });
                }
            },
            Err(error) => loaded.errors.push(error),
        }
    }
    loaded
}

fn json_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") && !path.is_dir() {
            paths.push(path);
        }
    }
    Ok(paths)
}

fn owner(kind: &str, taken: &[&str], adapters: &[Arc<DeclaredAdapter>]) -> Option<String> {
    if taken.contains(&kind) {
        return Some("a built-in adapter".to_owned());
    }
    adapters.iter().find(|other| other.file.cli.kind == kind).map(|other| other.path.display().to_string())
}

/// An adapter that a file describes.
#[derive(Debug)]
pub struct DeclaredAdapter {
    path: PathBuf,
    file: Arc<AdapterFile>,
}

impl DeclaredAdapter {
    /// Reads one file.
    ///
    /// # Errors
    /// Fails when it cannot be read or makes no sense; the error names the place and says what to do.
    pub fn read(path: &Path) -> Result<Self, AdapterLoadError> {
        Ok(Self { path: path.to_owned(), file: Arc::new(AdapterFile::read(path)?) })
    }

    /// Reads the bytes of a file; its `path` is used for errors, the default type and programs beside it.
    ///
    /// # Errors
    /// Works like [`DeclaredAdapter::read`].
    pub fn parse(bytes: &[u8], path: &Path) -> Result<Self, AdapterLoadError> {
        Ok(Self { path: path.to_owned(), file: Arc::new(AdapterFile::parse(bytes, path)?) })
    }

    /// The file it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The arguments that make the program print its version; `None` when the file names none, and the program is then
    /// never run just to be asked.
    pub fn version_args(&self) -> Option<&[String]> {
        self.file.version_args.as_deref()
    }

    /// The command line and the session id for a start.
    fn command(&self, choice: SessionChoice<'_>) -> Result<(&CommandLine, String), Refusal> {
        let file = &self.file;
        match choice {
            SessionChoice::New(id) => Ok((&file.command, id.to_owned())),
            SessionChoice::Resume(id) => Ok((file.resume_command.as_ref().unwrap_or(&file.command), id.to_owned())),
            SessionChoice::Fork { new, .. } if matches!(file.family, Family::Acp(_)) => {
                Ok((&file.command, new.to_owned()))
            }
            SessionChoice::Fork { .. } => Err(Refusal::Unsupported(format!("{} cannot fork a session", file.cli.kind))),
        }
    }
}

impl Adapter for DeclaredAdapter {
    fn cli(&self) -> &Cli {
        &self.file.cli
    }

    fn launch(&self, request: &LaunchRequest<'_>) -> Result<Launch, Refusal> {
        let file = &self.file;
        options::check(file, request.options)?;
        let (command, session_id) = self.command(request.session)?;
        let project_path = request.project_path.to_string_lossy();
        let values = options::values(file, request.options, &project_path, &session_id);
        let env = file.env.iter().filter_map(|(name, value)| Some((name.clone(), value.fill(&values)?))).collect();
        let volatile = file.volatile.clone();
        if file.per_message {
            return Ok(Launch { env, volatile, one_process_per_turn: true, ..Launch::default() });
        }
        Ok(Launch {
            program: PathBuf::from(&command.program),
            args: command.arguments(&values),
            env,
            volatile,
            message_ends: Vec::new(),
            one_process_per_turn: false,
            stop_by_eof: file.stop_by_eof,
        })
    }

    fn give_access(&self, launch: &mut Launch, access: &AgentAccess<'_>) -> Option<McpServer> {
        matches!(self.file.family, Family::Acp(_)).then(|| acp::give_access(launch, access))
    }

    fn home(&self) -> Vec<HomeEntry> {
        self.file.home.clone().unwrap_or_else(|| home::of_program(&self.file.command.program))
    }

    fn secret_env(&self) -> Vec<String> {
        self.file.secret_env.clone()
    }

    fn lists_sessions(&self) -> bool {
        matches!(self.file.family, Family::Acp(_))
    }

    fn open(&self) -> Box<dyn Session> {
        match self.file.family {
            Family::Text { .. } => Box::new(TextSession::open(Arc::clone(&self.file))),
            Family::Jsonl { .. } => Box::new(JsonlSession::open(Arc::clone(&self.file))),
            Family::Acp(ref dialect) => Box::new(AcpSession::open(Arc::clone(dialect))),
        }
    }

    fn restore(&self, saved: &Value) -> Option<Box<dyn Session>> {
        match self.file.family {
            Family::Acp(ref dialect) => {
                Some(Box::new(AcpSession::restore(Arc::clone(dialect), saved)?) as Box<dyn Session>)
            }
            Family::Text { .. } => {
                Some(Box::new(TextSession::restore(Arc::clone(&self.file), saved)?) as Box<dyn Session>)
            }
            Family::Jsonl { .. } => {
                Some(Box::new(JsonlSession::restore(Arc::clone(&self.file), saved)?) as Box<dyn Session>)
            }
        }
    }
}
