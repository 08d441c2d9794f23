//! Looks into a worker's project: what has changed in it, and which files it has. Read by git in a Git directory of ours
//! ([`crate::worker::place::git`]), within one budget for the whole look.

pub(in crate::worker) mod changes;
pub(in crate::worker) mod files;
pub(in crate::worker) mod lines;
pub(in crate::worker) mod share;

use crate::worker::place::git::GitError;
pub(crate) use changes::Changes;
pub(in crate::worker) use changes::mark_submodules;
pub(crate) use files::Files;
pub(crate) use lines::ChangedLines;
use share::Shared;

/// The looks into one worker's project that are under way.
#[derive(Debug, Default)]
pub(in crate::worker) struct Looks {
    pub(in crate::worker) changes: Shared<Result<Option<Changes>, GitError>>,
    pub(in crate::worker) files: Shared<Result<Files, GitError>>,
}
