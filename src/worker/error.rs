//! The reasons why a worker's command was refused.

use std::fmt;
use std::io;

use crate::adapter::Refusal;
use crate::worker::state::Resolution;

/// A process, such as a terminal, has the session: it can be ended.
pub(in crate::worker) const HELD_BY_PROCESS: &str = "held_by_process";
/// A daemon that serves other sessions too has the session: it lets go by itself.
pub(in crate::worker) const HELD_BY_DAEMON: &str = "held_by_daemon";
/// The session was written moments ago, by a process that isn't known.
pub(in crate::worker) const WRITTEN_LATELY: &str = "written_lately";

/// The reason why a command was refused. Its text is for people and says what to do.
#[derive(Debug)]
pub(crate) enum WorkerError {
    /// There is no such worker, message or prompt.
    NotFound(String),
    /// The request makes no sense.
    Invalid(String),
    /// Another of these errors, and one field of the request is at fault.
    InField {
        /// The field's name.
        field: &'static str,
        /// The error itself.
        error: Box<Self>,
    },
    /// A client's key or id was used for another request before.
    Reused {
        /// The field of the request that holds it.
        field: &'static str,
        /// Which request, and what to do.
        text: String,
    },
    /// It makes no sense to the worker as it is now.
    Conflict(String),
    /// The prompt was answered before.
    Resolved(Resolution),
    /// Another process has the session. Two that write it do it harm.
    Held {
        /// Which, where it is known.
        pid: Option<i32>,
        /// The kind of holder, for programs: [`HELD_BY_PROCESS`], [`HELD_BY_DAEMON`] or [`WRITTEN_LATELY`].
        code: &'static str,
        /// For people.
        text: String,
    },
    /// A request holds more than it may.
    TooLarge(String),
    /// A limit is reached.
    Limit(String),
    /// The worker or the machine cannot do it now; later it may.
    Unavailable(String),
    /// The system refused.
    Io(io::Error),
}

impl WorkerError {
    /// Itself with the name of the field of the request that is at fault, for clients that show errors beside fields.
    #[must_use]
    pub(crate) fn in_field(self, field: &'static str) -> Self {
        Self::InField { field, error: Box::new(self) }
    }

    /// Itself as the reason why a worker is not deleted that has been stopped for it.
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
            Self::Held { text, .. } | Self::Reused { text, .. } => f.write_str(text),
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
