//! The state of a folder at which another worktree is to begin: its last commit, and the uncommitted changes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::examine::changed_files;
use crate::worker::error::WorkerError;
use crate::worker::place::git::{Git, GitBudget, MirrorFolder, Repository};

/// Time limit for reading the state of a folder.
const HEAD_TIME: Duration = Duration::from_secs(30);

/// The state of a folder under git.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::worker) struct GitHead {
    /// The commit that is checked out.
    pub(in crate::worker) commit: String,
    /// The files with uncommitted changes, including new ones; a new folder is one of them.
    pub(in crate::worker) changed: Vec<String>,
    /// The ignored files and folders.
    pub(in crate::worker) ignored: Vec<String>,
    /// The folder's path in the repository; empty for its top.
    pub(in crate::worker) below: PathBuf,
}

impl GitHead {
    /// Reads the state of the repository of a folder. Changes nothing.
    ///
    /// # Errors
    /// Fails when the folder is not in a repository, there is no commit, or git cannot read it.
    pub(in crate::worker) fn of(folder: &Path, place: MirrorFolder<'_>) -> Result<Self, WorkerError> {
        let repository = Repository::find(folder)?.ok_or_else(|| {
            WorkerError::Conflict(format!("{} is not under git, so it can't be copied", folder.display()))
        })?;
        let git = Git::open(repository, place, GitBudget::of_time(HEAD_TIME))?;
        let commit = git.line(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"])?;
        let commit = commit.ok_or_else(|| {
            WorkerError::Conflict(format!("{} has no commit yet, which a copy begins at", folder.display()))
        })?;
        let below = folder.strip_prefix(&git.repository().top).unwrap_or(Path::new("")).to_owned();
        let (changed, ignored) = changed_files(&git)?;
        Ok(Self { commit, changed, ignored, below })
    }
}
