//! Why something that people asked of a worker was not done.

use std::fmt;
use std::io;

use super::state::Answered;
use crate::adapter::Refusal;

/// Why a command was not done. Its text is for people and says what to do.
#[derive(Debug)]
pub enum WorkerError {
    /// There is no such worker, message or prompt.
    NotFound(String),
    /// The request makes no sense.
    Invalid(String),
    /// It makes no sense to the worker as it is now.
    Conflict(String),
    /// The prompt was answered before.
    Answered(Answered),
    /// Another process has the session. Two that write it do it harm.
    Held {
        /// Which, where it is known.
        pid: Option<i32>,
        /// For people.
        text: String,
    },
    /// A limit is reached.
    Limit(String),
    /// The worker or the machine cannot do it now; later it may.
    Unavailable(String),
    /// The system refused.
    Io(io::Error),
}

impl fmt::Display for WorkerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(what)
            | Self::Invalid(what)
            | Self::Conflict(what)
            | Self::Limit(what)
            | Self::Unavailable(what) => f.write_str(what),
            Self::Held { text, .. } => f.write_str(text),
            Self::Answered(answered) => write!(
                f,
                "prompt {} was answered before: {} by {}",
                answered.request_id, answered.decision, answered.by
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
