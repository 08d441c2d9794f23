//! The errors of a worker's commands.

use std::fmt;
use std::io;

use serde_json::{Map, Value};

use crate::adapter::Refusal;
use crate::projects::ProjectsError;
use crate::worker::state::Resolution;

/// A process, such as a terminal, holds the session and can be ended.
pub(in crate::worker) const HELD_BY_PROCESS: &str = "held_by_process";
/// A daemon that serves other sessions too holds the session, and releases it on its own.
pub(in crate::worker) const HELD_BY_DAEMON: &str = "held_by_daemon";
/// The session was written moments ago by an unknown process.
pub(in crate::worker) const WRITTEN_LATELY: &str = "written_lately";

/// The reason for which a command was refused. Its text is for people and says what to do.
#[derive(Debug)]
pub(crate) enum WorkerError {
    /// The worker, message or prompt does not exist.
    NotFound(String),
    /// The request is invalid.
    Invalid(String),
    /// Another of these errors, caused by one field of the request.
    InField {
        /// The field's name.
        field: &'static str,
        /// The error itself.
        error: Box<Self>,
    },
    /// A client's key or id was already used for another request.
    Reused {
        /// The field of the request that holds it.
        field: &'static str,
        /// The other request, and what to do.
        text: String,
    },
    /// The command does not fit the worker's current state.
    Conflict(String),
    /// The prompt was answered already.
    Resolved(Resolution),
    /// Another process holds the session. Two processes that write to it damage it.
    Held {
        /// The process id, where it is known.
        pid: Option<i32>,
        /// The kind of holder, for programs: [`HELD_BY_PROCESS`], [`HELD_BY_DAEMON`] or [`WRITTEN_LATELY`].
        code: &'static str,
        /// The text for people.
        text: String,
    },
    /// The current state of a project's repository prevents the command; the fields say why, for programs.
    Blocked {
        /// The kind of obstacle: `conflicts`, `dirty`, `uncommitted`, ...
        code: &'static str,
        /// The text for people.
        text: String,
        /// More fields of the answer.
        fields: Box<Map<String, Value>>,
    },
    /// A request is larger than allowed.
    TooLarge(String),
    /// A limit is reached.
    Limit(String),
    /// The worker or the machine cannot do it now, but may be able to later.
    Unavailable(String),
    /// The system refused.
    Io(io::Error),
}

impl WorkerError {
    /// Returns this error with the name of the field at fault, for clients that show errors beside fields.
    #[must_use]
    pub(crate) fn in_field(self, field: &'static str) -> Self {
        Self::InField { field, error: Box::new(self) }
    }

    /// Returns this error as the reason for which a worker that was stopped for its deletion is not deleted.
    #[must_use]
    pub(in crate::worker) fn after_the_stop(self) -> Self {
        let text = |text| format!("the worker has been stopped, and is not deleted: {text}");
        match self {
            Self::Conflict(why) => Self::Conflict(text(why)),
            Self::Unavailable(why) => Self::Unavailable(text(why)),
            Self::Io(error) => Self::Io(io::Error::new(error.kind(), text(error.to_string()))),
            other => other,
        }
    }
}

impl fmt::Display for WorkerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(what)
            | Self::Invalid(what)
            | Self::Conflict(what)
            | Self::TooLarge(what)
            | Self::Limit(what)
            | Self::Unavailable(what) => f.write_str(what),
            Self::InField { error, .. } => error.fmt(f),
            Self::Held { text, .. } | Self::Reused { text, .. } | Self::Blocked { text, .. } => f.write_str(text),
            Self::Resolved(resolution) => write!(
                f,
                "prompt {} was answered before: {} by {}",
                resolution.request_id, resolution.decision, resolution.by
            ),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for WorkerError {}

impl From<io::Error> for WorkerError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Refusal> for WorkerError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unsupported(what) => Self::Conflict(what),
            Refusal::NotOpen(what) => Self::NotFound(what),
            Refusal::Invalid(what) => Self::Invalid(what),
        }
    }
}

impl From<ProjectsError> for WorkerError {
    fn from(error: ProjectsError) -> Self {
        match &error {
            ProjectsError::Unreadable(_, source) => Self::Io(io::Error::new(source.kind(), error.to_string())),
            ProjectsError::Mistaken(_) => Self::Conflict(error.to_string()),
        }
    }
}
