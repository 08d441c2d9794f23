//! Reasons that the file of a declared adapter cannot be used.

use std::fmt;
use std::path::PathBuf;

/// Longest file, in bytes: a mapping is some kilobytes.
pub(crate) const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Longest type name, in bytes.
pub(crate) const TYPE_BYTES_MAX: usize = 64;

/// The reason that a file, or the folder, cannot be used. The other files still are.
#[derive(Debug)]
pub enum AdapterLoadError {
    /// The folder or a file could not be read.
    Read {
        /// Which.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The file is longer than [`FILE_BYTES_MAX`].
    TooLong {
        /// Which.
        file: PathBuf,
        /// Its length in bytes.
        len: u64,
    },
    /// The folder has more files than [`super::ADAPTER_FILES_MAX`].
    TooMany {
        /// The folder.
        folder: PathBuf,
    },
    /// The file is not JSON.
    Syntax {
        /// Which.
        file: PathBuf,
        /// The line of the mistake, from 1.
        line: usize,
        /// Its column, from 1.
        column: usize,
        /// The mistake.
        reason: String,
    },
    /// The file is JSON, and says something that makes no sense.
    Invalid {
        /// Which.
        file: PathBuf,
        /// The place, as in `fields[3].content`; empty for the whole file.
        place: String,
        /// The mistake, and the remedy.
        reason: String,
    },
    /// Another adapter has this type already.
    Duplicate {
        /// Which.
        file: PathBuf,
        /// The type.
        kind: String,
        /// Its owner: a file, or `a built-in adapter`.
        other: String,
    },
}

impl fmt::Display for AdapterLoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, source } => write!(f, "{}: cannot be read: {source}", path.display()),
            Self::TooLong { file, len } => write!(
                f,
                "{}: {len} bytes are more than an adapter's file may have ({FILE_BYTES_MAX}); shorten it",
                file.display()
            ),
            Self::TooMany { folder } => write!(
                f,
                "{}: more than {} adapter files; the rest is not loaded, move some elsewhere",
                folder.display(),
                super::ADAPTER_FILES_MAX
            ),
            Self::Syntax { file, line, column, reason } => {
                write!(f, "{}:{line}:{column}: not valid JSON: {reason}; fix it there", file.display())
            }
            Self::Invalid { file, place, reason } if place.is_empty() => write!(f, "{}: {reason}", file.display()),
            Self::Invalid { file, place, reason } => write!(f, "{}: {place}: {reason}", file.display()),
            Self::Duplicate { file, kind, other } => {
                write!(f, "{}: type: `{kind}` is taken by {other}; give this one another `type`", file.display())
            }
        }
    }
}

impl std::error::Error for AdapterLoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { source, .. } => Some(source),
            _ => None,
        }
    }
}
