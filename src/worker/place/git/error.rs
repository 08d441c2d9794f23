//! The reasons why git gave no answer.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::worker::error::WorkerError;

/// Characters of git's own words that an error repeats.
const WORDS_MAX: usize = 1000;

/// The reason why git gave no answer. Each names what failed, so that none is taken for an empty answer.
#[derive(Debug)]
pub(crate) enum GitError {
    /// There is no git on this machine.
    NotInstalled,
    /// The repository's own files are damaged, or of a kind that is not followed.
    Broken {
        /// The file or folder.
        path: PathBuf,
        /// The problem.
        why: String,
    },
    /// git ended with an error.
    Failed {
        /// Its subcommand.
        action: String,
        /// Its own words, or how it ended.
        words: String,
    },
    /// The request's time was over.
    TimedOut {
        /// Its last subcommand.
        action: String,
        /// The time that the whole request had.
        limit: Duration,
    },
    /// The client that asked has gone.
    ClientGone,
    /// The system refused.
    Io {
        /// The failed action.
        what: String,
        /// The system's error.
        source: io::Error,
    },
}

impl GitError {
    /// A damaged file of a repository.
    pub(super) fn broken(path: impl Into<PathBuf>, why: impl Into<String>) -> Self {
        Self::Broken { path: path.into(), why: why.into() }
    }

    /// git's failure, with what it printed.
    pub(super) fn failed(action: &str, stderr: &[u8], otherwise: String) -> Self {
        let words = String::from_utf8_lossy(stderr);
        let words: String = words.trim().chars().take(WORDS_MAX).collect();
        Self::Failed { action: action.to_owned(), words: if words.is_empty() { otherwise } else { words } }
    }

    /// An error of the system.
    pub(super) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

impl fmt::Display for GitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInstalled => f.write_str("git is not installed on the server"),
            Self::Broken { path, why } => write!(f, "the git repository cannot be read: {}: {why}", path.display()),
            Self::Failed { action, words } => write!(f, "git {action} failed: {words}"),
            Self::TimedOut { action, limit } => {
                write!(f, "git has not ended within {} seconds (at git {action}); try again", limit.as_secs())
            }
            Self::ClientGone => f.write_str("the client has gone"),
            Self::Io { what, source } => write!(f, "{what}: {source}"),
        }
    }
}

impl std::error::Error for GitError {}

impl From<&GitError> for WorkerError {
    fn from(error: &GitError) -> Self {
        match error {
            GitError::Broken { .. } | GitError::Failed { .. } => Self::Conflict(error.to_string()),
            GitError::NotInstalled | GitError::TimedOut { .. } | GitError::ClientGone => {
                Self::Unavailable(error.to_string())
            }
            GitError::Io { .. } => Self::Io(io::Error::other(error.to_string())),
        }
    }
}

impl From<GitError> for WorkerError {
    fn from(error: GitError) -> Self {
        Self::from(&error)
    }
}
