//! Errors of creating or opening a journal, in words that say what to do.

use std::path::{Path, PathBuf};
use std::{fmt, io};

use super::{MAGIC, VERSION, WORKER_ID_MAX};

/// An error of creating or opening a journal.
#[derive(Debug)]
pub enum JournalError {
    /// The system refused.
    Io {
        /// The journal.
        path: PathBuf,
        /// The failed operation, for example `open`.
        action: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// Another writer, a living shim as a rule, has the journal.
    Locked {
        /// The journal.
        path: PathBuf,
    },
    /// The file does not begin as a journal does.
    NotAJournal {
        /// The file.
        path: PathBuf,
    },
    /// The file is empty or ends within its header line, so that no record was ever in it.
    HalfHeader {
        /// The journal.
        path: PathBuf,
    },
    /// The header line is a journal's, but does not hold a version and a worker id.
    BadHeader {
        /// The journal.
        path: PathBuf,
    },
    /// The journal has a format that this build does not read.
    Version {
        /// The journal.
        path: PathBuf,
        /// The format that its header names.
        found: u32,
    },
    /// A worker id that a header can't hold: it is empty, too long, or not of visible ASCII characters.
    WorkerId {
        /// The id.
        id: String,
    },
}

impl JournalError {
    /// Makes a system error into one that names the journal and what was being done.
    pub(super) fn io(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), action, source }
    }
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, action, source } => write!(f, "cannot {action} journal {}: {source}", path.display()),
            Self::Locked { path } => write!(
                f,
                "journal {} is being written by another process: attach to its shim, or stop the worker first",
                path.display()
            ),
            Self::NotAJournal { path } => {
                write!(f, "{} does not begin with `{MAGIC}`: it is not a journal; move it away", path.display())
            }
            Self::HalfHeader { path } => write!(
                f,
                "journal {} ends within its first line: it was cut off while being made and holds nothing; delete it",
                path.display()
            ),
            Self::BadHeader { path } => write!(
                f,
                "journal {} has a damaged first line: make it `{MAGIC} {VERSION} <worker id>`, or delete the file",
                path.display()
            ),
            Self::Version { path, found } => write!(
                f,
                "journal {} has format {found}, this build reads format {VERSION}: use the rs-worker that wrote it, \
                 or a newer one",
                path.display()
            ),
            Self::WorkerId { id } => {
                write!(f, "worker id {id:?} is not usable: take 1 to {WORKER_ID_MAX} visible ASCII characters")
            }
        }
    }
}

impl std::error::Error for JournalError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
