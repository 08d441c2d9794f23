//! Adapters: what the project knows of one CLI.
//!
//! An [`Adapter`] is shared by all workers of its CLI and knows how to start it. A [`Session`] is the fold of one
//! worker: it reads the journal's records in order and returns the events in them, and it encodes commands in the CLI's
//! own protocol. Neither does I/O, starts a thread, or reads a clock: the same records give the same events, today,
//! after a restart of the server, and in a test on a recorded capture.
//!
//! ```text
//! records ──> Session::record ──> events           (data, down)
//! command ──> Session::encode ──> Action ──> shim  (commands, up; what was written comes back as `in` records)
//! ```

pub(crate) mod acp;
mod agent_access;
pub(crate) mod agent_options;
pub(crate) mod claude;
pub(crate) mod codex;
pub(crate) mod declared;
mod home;
pub(crate) mod kit;
pub(crate) mod missing;
pub(crate) mod registry;
#[cfg(test)]
mod testing;

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

pub(crate) use agent_access::AgentAccess;
pub(crate) use agent_access::{AGENT_SERVER, AGENT_TOKEN_ENV, AGENT_TOKENS, AGENT_URL_ENV};
use agent_options::AgentOption;
pub(crate) use kit::emitter::REQUEST_NOT_UNDERSTOOD;

use crate::event::Event;
use crate::home::HomeEntry;
use crate::journal::{Control, McpServer, Record, WorkerOptions};

/// The refusal of commands for a session that runs elsewhere.
pub(crate) const READ_ONLY: &str = "this worker follows a session that runs elsewhere and is read-only: take it over first \
                             (POST /api/workers/{id}/takeover)";

/// The code of the note ([`Control::FollowNoted`]) that nobody works on a followed session any more: the folds of
/// transcripts end their turn at it.
pub(crate) const ABANDONED: &str = "session_abandoned";

/// A CLI as clients see it (`GET /api/ai-clis`).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cli {
    /// The name that workers ask for: `claude`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The name that people read: `Claude Code`.
    pub name: String,
    /// The program, by name or path.
    pub binary: String,
    /// One sentence.
    pub description: String,
    /// Instructions for installing it, for when it is missing.
    pub install: String,
    /// Options of a worker that it understands (`model`, `permission_mode`, ...), each with its choices where there
    /// are some: `[{"name","label","choices"?}]`.
    pub config_options: Vec<Value>,
    /// Its capabilities: `turns` (it marks the end of its answers), `deltas`, `permissions`, `interrupt`, `resume`,
    /// `fork`, `steer`, `images`, ...
    pub capabilities: Vec<String>,
}

/// The input of a start of a CLI.
#[derive(Clone, Copy, Debug)]
pub struct LaunchRequest<'a> {
    /// The working directory.
    pub project_path: &'a Path,
    /// Model, mode and the like, as they are now.
    pub options: &'a WorkerOptions,
    /// The session to use.
    pub session: SessionChoice<'a>,
}

/// Which session of the CLI a start uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionChoice<'a> {
    /// A new one; its id is this UUID where the CLI lets us choose.
    New(&'a str),
    /// The one with this id of the CLI's.
    Resume(&'a str),
    /// A new one with the id `new` (where the CLI lets us choose) that begins as a copy of `from`.
    Fork {
        /// The session to branch off.
        from: &'a str,
        /// The branch's id.
        new: &'a str,
    },
}

/// The start of a CLI.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Launch {
    /// The program, by name or path. Empty for a CLI with one process a turn: nothing runs until [`Action::Run`].
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Environment variables that it gets besides the worker's.
    pub env: Vec<(String, String)>,
    /// Beginnings of stdout lines that are volatile: forwarded, and not journaled.
    pub volatile: Vec<Vec<u8>>,
    /// Which other lines end the message that volatile lines are pieces of. All of them when empty.
    pub message_ends: Vec<LinePattern>,
    /// True if the shim outlives the CLI's process and waits for the next one.
    pub one_process_per_turn: bool,
    /// True if closing stdin asks the CLI to end, and is tried before signals.
    pub stop_by_eof: bool,
}

/// Which lines are meant: those that begin with something and do not contain something else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinePattern {
    /// The beginning.
    pub begins: Vec<u8>,
    /// A text that a line of this beginning must not contain, unless it is empty.
    pub lacks: Vec<u8>,
}

/// The steps that carry out a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Write these lines to the CLI's stdin (each without its newline), all or none.
    Write(Vec<Vec<u8>>),
    /// Send this signal to the CLI's process group.
    Signal(i32),
    /// Start the next process of a CLI with one process a turn.
    Run {
        /// The program.
        program: PathBuf,
        /// Its arguments.
        args: Vec<String>,
        /// The lines for its stdin, which is then closed.
        stdin: Vec<Vec<u8>>,
    },
    /// Do what the CLI asks of a file of its project, in the record at this offset, and write it the answer: see
    /// [`Session::file_request`] and [`Session::file_answer`].
    Serve(u64),
}

/// A CLI's request for a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRequest {
    /// The file, by an absolute path.
    pub path: PathBuf,
    /// The kind of access.
    pub access: FileAccess,
}

/// The kind of access to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileAccess {
    /// Read its text.
    Read {
        /// The first line, from 1; the first one of all when absent.
        line: Option<u64>,
        /// Most lines; all when absent.
        limit: Option<u64>,
    },
    /// Replace its text.
    Write {
        /// The new text.
        content: String,
    },
}

/// A command for a running CLI.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Command<'a> {
    /// A message, for an idle CLI.
    Message(&'a Message<'a>),
    /// A message that joins the running turn.
    Steer(&'a Message<'a>),
    /// End the turn.
    Interrupt,
    /// Answer a permission prompt.
    Permission {
        /// Which.
        request_id: &'a str,
        /// The decision.
        answer: &'a PermissionAnswer,
    },
    /// Answer a question.
    Answer {
        /// Which.
        request_id: &'a str,
        /// The answers, by question.
        answers: &'a Value,
    },
    /// Give no answer to a question.
    Decline {
        /// Which.
        request_id: &'a str,
        /// True if it is closed without a decision, instead of declined.
        cancel: bool,
    },
    /// Use another model; `None` is the CLI's own choice.
    SetModel(Option<&'a str>),
    /// Use another permission mode.
    SetPermissionMode(&'a str),
    /// Set an option that is neither.
    SetOption {
        /// Its id.
        option: &'a str,
        /// Its new value: a text, or true or false.
        value: &'a Value,
    },
}

/// A message to a CLI.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Message<'a> {
    /// Our id, a UUID.
    pub id: &'a str,
    /// The text.
    pub content: &'a str,
    /// Images and files, as the API took them: `{"media_type","data"}` with base64.
    pub attachments: &'a [Value],
}

/// An answer to a permission prompt.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize)]
pub struct PermissionAnswer {
    /// The id of one of the prompt's options; `allow` and `deny` are understood too.
    #[serde(alias = "decision", alias = "option")]
    pub option_id: String,
    /// The reason, for the agent where the CLI can pass it on.
    #[serde(default)]
    pub message: Option<String>,
    /// Another input for the tool.
    #[serde(default)]
    pub updated_input: Option<Value>,
    /// End the turn as well, when it is a refusal.
    #[serde(default)]
    pub interrupt: bool,
}

/// The state of the CLI, as its output shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// Not ready for a message yet.
    Starting,
    /// Ready for a message.
    Idle,
    /// In a turn.
    Busy,
}

/// The reason that a command cannot be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The CLI has nothing like it.
    Unsupported(String),
    /// The prompt is not open.
    NotOpen(String),
    /// The command's content makes no sense to the CLI.
    Invalid(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported(what) | Self::NotOpen(what) | Self::Invalid(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Refusal {}

/// The form of the events' texts in the journal: for searches that do not fold all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Texts {
    /// Each text is in the record that causes it, as strings or as the line itself; only text that was unfinished when the
    /// process ended or the turn was interrupted comes from the record of that end.
    Whole,
    /// The text is in pieces over several records, or in another form.
    InPieces,
}

/// The project's knowledge of one CLI; shared by its workers.
pub trait Adapter: Send + Sync {
    /// Its description for clients.
    fn cli(&self) -> &Cli;

    /// Returns the command line and environment of a start.
    ///
    /// # Errors
    /// Fails when the options make no sense to this CLI.
    fn launch(&self, request: &LaunchRequest<'_>) -> Result<Launch, Refusal>;

    /// Adds this server to the MCP servers of a start, for a CLI with the capability [`AGENT_TOKENS`]. Returns it if the CLI
    /// gets it with its session instead. The journal keeps that, so the token is not in it.
    fn give_access(&self, launch: &mut Launch, access: &AgentAccess<'_>) -> Option<McpServer> {
        let _ = (launch, access);
        None
    }

    /// The oldest version whose protocol has all that the adapter uses; older ones are listed as too old.
    fn oldest_version(&self) -> Option<&str> {
        None
    }

    /// Environment variables whose values no other CLI and no log may see.
    fn secret_env(&self) -> Vec<String> {
        Vec::new()
    }

    /// Returns true if a process of it can be asked for its sessions by the Agent Client Protocol.
    fn lists_sessions(&self) -> bool {
        false
    }

    /// Its entries in the home directory, for a sandbox that has another one.
    fn home(&self) -> Vec<HomeEntry> {
        home::of_program(&self.cli().kind)
    }

    /// The form of its events' texts in the journal.
    fn texts(&self) -> Texts {
        Texts::InPieces
    }

    /// A fold at the beginning of a journal.
    fn open(&self) -> Box<dyn Session>;

    /// A fold in the state that [`Session::save`] gave. `None` when this build cannot read it: the caller then folds
    /// from the beginning.
    fn restore(&self, saved: &Value) -> Option<Box<dyn Session>>;

    /// A fold over the lines of the CLI's own session file, for a session that is followed; `None` when nothing is known
    /// of such files.
    fn open_transcript(&self) -> Option<Box<dyn Session>> {
        None
    }

    /// The fold of [`Adapter::open_transcript`] in a saved state, as [`Adapter::restore`].
    fn restore_transcript(&self, _saved: &Value) -> Option<Box<dyn Session>> {
        None
    }
}

/// The fold of one worker's journal.
///
/// `save` and [`Adapter::restore`] carry it over any record boundary: what follows gives the same events as without.
pub trait Session: Send {
    /// Takes the next record of any kind (`control` is the decoded payload of a `ctl` record) and adds its events to `out`.
    fn record<'r>(&mut self, record: &Record<'r>, control: Option<&Control>, out: &mut Vec<Event<'r>>);

    /// Takes a volatile line and adds its deltas to `out`. Must not change what `save` gives.
    fn volatile<'e>(&'e mut self, _record: &Record<'e>, _out: &mut Vec<Event<'e>>) {}

    /// Adds the messages that are being written, each as one delta with the text that the records so far have brought
    /// and no event has: a server that starts in mid-message continues from it.
    fn unfinished<'e>(&'e self, _out: &mut Vec<Event<'e>>) {}

    /// The state of the CLI after the records so far.
    fn activity(&self) -> Activity;

    /// Returns the lines that the protocol needs next (a handshake's next step, an automatic answer). They stay the
    /// same until the records show that they were written, so a crash in between repeats them instead of losing them.
    fn due(&self) -> Option<Action> {
        None
    }

    /// Returns true if the CLI acknowledges every message that it takes (`message_state` `consumed`). A message that
    /// was not taken when the process ended is then reported as lost.
    fn acknowledges(&self) -> bool {
        false
    }

    /// Returns true if the running CLI is asked for another model or mode at once and reports the outcome (a `setting`
    /// event). Otherwise the wish goes with the next message, and is the worker's setting until it is refused.
    fn answers_settings(&self) -> bool {
        false
    }

    /// Names the missing answer while the CLI is not ready: `no answer to session/new`. `None` where nothing was asked.
    fn awaits(&self) -> Option<String> {
        None
    }

    /// Returns true while something in the idle CLI continues or is timed, and would be lost with its process: a
    /// background command, a sub-agent, a timer. Such a worker is not hibernated.
    fn has_background_work(&self) -> bool {
        false
    }

    /// The offset of the record in which the CLI last listed its options; `None` before it has.
    fn options_record(&self) -> Option<u64> {
        None
    }

    /// The options that this record's payload lists, with the values that are in force now.
    fn options(&self, _payload: &[u8]) -> Vec<AgentOption> {
        Vec::new()
    }

    /// Returns true if the CLI can branch off its session, where only the CLI itself knows. `None` before it has said
    /// so.
    fn can_fork(&self) -> Option<bool> {
        None
    }

    /// Returns true while pieces of a message have come that are in no event yet. When the CLI is idle and quiet, the
    /// worker records [`Control::Quiet`], at which the fold emits them.
    fn holds_text(&self) -> bool {
        false
    }

    /// Reads the request for a file in this line of its stdout; `None` when there is none.
    fn file_request(&self, _line: &[u8]) -> Option<FileRequest> {
        None
    }

    /// The line that answers such a request: with what was read (nothing after a write), or with why it was not done.
    fn file_answer(&self, _line: &[u8], _outcome: Result<Option<String>, String>) -> Option<Vec<u8>> {
        None
    }

    /// Puts a command into the CLI's protocol.
    ///
    /// # Errors
    /// Fails when the CLI cannot do it; see [`Refusal`].
    fn encode(&self, command: &Command<'_>) -> Result<Action, Refusal>;

    /// The state, for a later [`Adapter::restore`]. Small: it is saved often.
    fn save(&self) -> Value;
}
