//! Looks of clients into a worker's project.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path};
use std::sync::Arc;
use std::time::Duration;

use nix::fcntl::OFlag;

use crate::fnv;
use crate::runner::Runner;
use crate::worker::error::WorkerError;
use crate::worker::place::git::{Budget, GitError, Place};
use crate::worker::place::look::{ChangedLines, Changes, Files, changes, files, lines};
use crate::worker::place::project;
use crate::worker::run::files as project_files;
use crate::worker::run::worker::Worker;

/// Time that one look may take as a whole.
const LOOK_TIME: Duration = Duration::from_secs(10);
/// Largest file of a project that clients can read, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The outcome of a look, which several clients may share.
type Looked<T> = Result<Arc<Result<T, GitError>>, WorkerError>;

/// A file of a project, open for reading.
pub(crate) struct ProjectFile {
    /// The file.
    pub file: File,
    /// Its size in bytes.
    pub size: u64,
    /// A number that changes with its content.
    pub version: u64,
}

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

    /// Counts the lines that differ from that commit. `None` when the project is not under git or on another machine, or
    /// too much differs.
    ///
    /// # Errors
    /// When the folder is not there or has become a link, or git fails or takes too long.
    pub(in crate::worker) fn count_changed_lines(
        &self,
        budget: Budget<'_>,
    ) -> Result<Option<ChangedLines>, WorkerError> {
        let state = self.state();
        // A folder of the same name on this machine is another one.
        if self.launcher.runner(&state)?.is_some_and(Runner::is_elsewhere) {
            return Ok(None);
        }
        let folder = project::resolve(&state.project_path, &self.launcher.settings.project_roots)?;
        project::same(&state.project_path, &folder)?;
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

    /// Opens a file of the project by its path in it. Links are followed within the project alone.
    ///
    /// # Errors
    /// When the path leads out of the project, or there is no regular file, or it is too large or the server's own, or the
    /// project is on another machine.
    pub(crate) fn open_file(&self, path: &str) -> Result<ProjectFile, WorkerError> {
        let named = Path::new(path);
        if path.is_empty() || !named.components().all(|part| matches!(part, Component::Normal(_))) {
            let text = format!("the path must lead from the project's folder down to a file: {path}");
            return Err(WorkerError::Invalid(text).in_field("path"));
        }
        let state = self.state();
        if let Some(runner) = self.launcher.runner(&state)?.filter(|it| it.is_elsewhere()) {
            let text = format!("the project is on another machine ({}), whose files are not shown here", runner.entry);
            return Err(WorkerError::Conflict(text));
        }
        let folder = project::resolve(&state.project_path, &self.launcher.settings.project_roots)?;
        project::same(&state.project_path, &folder)?;
        let missing = |_| WorkerError::NotFound(format!("the project has no such file: {path}"));
        let real = project_files::inside(Path::new(&folder), &Path::new(&folder).join(named)).map_err(missing)?;
        if self.launcher.places.sandbox.guards_file(&real) {
            return Err(WorkerError::Invalid(format!("this file is the server's own: {path}")).in_field("path"));
        }
        let file = project_files::open(&real, OFlag::O_RDONLY).map_err(|error| missing(error.to_string()))?;
        let facts = file.metadata()?;
        if !facts.is_file() {
            return Err(WorkerError::Invalid(format!("not a regular file: {path}")).in_field("path"));
        }
        if facts.len() > FILE_BYTES_MAX {
            let text = format!("the file has {} bytes, and at most {FILE_BYTES_MAX} are shown: {path}", facts.len());
            return Err(WorkerError::TooLarge(text));
        }
        let changed = (facts.mtime(), facts.mtime_nsec(), facts.ctime(), facts.ctime_nsec());
        let version = fnv::hash_json(&(facts.dev(), facts.ino(), facts.len(), changed));
        Ok(ProjectFile { file, size: facts.len(), version })
    }

    pub(in crate::worker) fn git_place(&self) -> Place<'_> {
        self.launcher.git_place()
    }
}
