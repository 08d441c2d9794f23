//! Looks of clients into a worker's project.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::worker::error::WorkerError;
use crate::worker::place::git::{Budget, GitError, Place};
use crate::worker::place::look::{ChangedLines, Changes, Files, changes, files, lines};
use crate::worker::place::project;
use crate::worker::run::worker::Worker;

/// Time that one look may take as a whole.
const LOOK_TIME: Duration = Duration::from_secs(10);

/// The outcome of a look, which several clients may share.
type Looked<T> = Result<Arc<Result<T, GitError>>, WorkerError>;

impl Worker {
    /// Compares the project with the commit that its worktree began at, or with the last commit; new files included.
    /// `None` when the project is not under git. One look runs at a time; a client that asks meanwhile shares the next.
    ///
    /// # Errors
    /// When the folder is not there, or the look before has not ended in time. What git says is inside.
    pub(crate) fn look_at_changes(&self, gone: &dyn Fn() -> bool) -> Looked<Option<Changes>> {
        let state = self.state();
        let folder = project::resolve(&state.project_path, &self.launcher.settings.project_roots)?;
        let base = state.worktree.as_ref().map(|tree| tree.base.clone());
        let budget = Budget::new(LOOK_TIME, gone);
        self.looks.changes.get(&budget, || changes::look(Path::new(&folder), base.as_deref(), self.git_place(), budget))
    }

    /// Counts the lines that differ from that commit. `None` when the project is not under git, or too much differs.
    ///
    /// # Errors
    /// When the folder is not there, or git fails or takes too long.
    pub(in crate::worker) fn count_changed_lines(
        &self,
        budget: Budget<'_>,
    ) -> Result<Option<ChangedLines>, WorkerError> {
        let state = self.state();
        let folder = project::resolve(&state.project_path, &self.launcher.settings.project_roots)?;
        let base = state.worktree.as_ref().map(|tree| tree.base.as_str());
        lines::count(Path::new(&folder), base, self.git_place(), budget).map_err(|error| WorkerError::from(&error))
    }

    /// The files of the project that git knows or would add; those that are there, where it is not under git.
    ///
    /// # Errors
    /// As [`Self::look_at_changes`].
    pub(crate) fn look_at_files(&self, gone: &dyn Fn() -> bool) -> Looked<Files> {
        let folder = project::resolve(&self.state().project_path, &self.launcher.settings.project_roots)?;
        let budget = Budget::new(LOOK_TIME, gone);
        self.looks.files.get(&budget, || files::look(Path::new(&folder), self.git_place(), budget))
    }

    pub(in crate::worker) fn git_place(&self) -> Place<'_> {
        self.launcher.git_place()
    }
}
