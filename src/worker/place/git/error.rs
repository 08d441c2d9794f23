//! The reasons for which git gave no answer.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::worker::error::WorkerError;

/// Characters of git's own message that an error repeats.
const WORDS_MAX: usize = 1000;

/// The reason for which git gave no answer. Each names what failed, so that none is taken for an empty answer.
#[derive(Debug)]
pub(crate) enum GitError {
    /// git is not installed on this machine.
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
        /// Its message, or how it ended.
        words: String,
    },
    /// The repository does not have this commit.
    NoCommit {
        /// Its id, as requested.
        id: String,
    },
    /// The request's time limit is exceeded.
    TimedOut {
        /// Its last subcommand.
        action: String,
        /// The time limit of the whole request.
        limit: Duration,
    },
    /// The client of the request has disconnected.
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
    /// Describes a damaged file of a repository.
    pub(super) fn broken(path: impl Into<PathBuf>, why: impl Into<String>) -> Self {
        Self::Broken { path: path.into(), why: why.into() }
    }

    /// Describes git's failure by what it printed.
    pub(super) fn failed(action: &str, stderr: &[u8], otherwise: String) -> Self {
        let words = String::from_utf8_lossy(stderr);
        let words: String = words.trim().chars().take(WORDS_MAX).collect();
        Self::Failed { action: action.to_owned(), words: if words.is_empty() { otherwise } else { words } }
    }

    /// Describes an error of the system.
    pub(in crate::worker) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
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
            Self::NoCommit { id } => write!(f, "the repository has no commit {id}"),
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
            GitError::NoCommit { .. } => Self::NotFound(error.to_string()),
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
