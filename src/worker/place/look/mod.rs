//! Reads a worker's project: its changes and its files. git does this in a Git directory of the server
//! ([`crate::worker::place::git`]), within one budget for the whole request.

pub(in crate::worker) mod anchor;
mod changed_files;
pub(in crate::worker) mod changes;
pub(in crate::worker) mod files;
pub(in crate::worker) mod lines;
mod scopes;
pub(in crate::worker) mod share;
pub(in crate::worker) mod tree;

use crate::worker::place::git::GitError;
pub(in crate::worker) use changed_files::ChangedFile;
pub(in crate::worker) use changes::Beginning;
pub(crate) use changes::ProjectChanges;
pub(in crate::worker) use changes::{DIFF_FORM, SUBMODULE_MODE, mark_submodules};
pub(crate) use files::Files;
pub(crate) use lines::ChangedLines;
pub(crate) use scopes::DiffScope;
use share::SharedRuns;
pub(crate) use tree::FolderListing;

/// The reads of one worker's project that are under way.
#[derive(Debug, Default)]
pub(in crate::worker) struct Looks {
    pub(in crate::worker) changes: SharedRuns<DiffScope, Result<Option<ProjectChanges>, GitError>>,
    pub(in crate::worker) files: SharedRuns<(), Result<Files, GitError>>,
    /// Comparisons with other workers of its group, by their ids.
    pub(in crate::worker) attempts: SharedRuns<String, Result<Option<ProjectChanges>, GitError>>,
}
