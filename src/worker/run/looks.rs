//! Requests of clients that read a worker's project.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::fcntl::OFlag;

use crate::clock::Micros;
use crate::fnv;
use crate::journal::RecordedTree;
use crate::runner::Runner;
use crate::worker::error::WorkerError;
use crate::worker::place::git::{GitBudget, GitError, MirrorFolder};
use crate::worker::place::look::{
    Beginning, ChangedLines, DiffScope, Files, FolderListing, ProjectChanges, changes, files, lines, tree,
};
use crate::worker::place::project;
use crate::worker::run::files as project_files;
use crate::worker::run::worker::Worker;
use crate::worker::state::State;
use crate::worker::state::trees::TurnTrees;

/// Time limit of one request.
const LOOK_TIME: Duration = Duration::from_secs(10);
/// Largest file of a project that clients can read, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A result that several clients may share.
type LookResult<T> = Result<Arc<Result<T, GitError>>, WorkerError>;

/// A file of a project, open for reading.
pub(crate) struct OpenProjectFile {
    /// The file.
    pub file: File,
    /// Its size in bytes.
    pub size: u64,
    /// A number that changes with its content.
    pub version: u64,
}

impl Worker {
    /// Compares what the scope compares, by default the project with the base of its worktree; new files included.
    /// `None` when the project is not under git. One comparison runs at a time; clients that ask for the same meanwhile
    /// share the next.
    ///
    /// # Errors
    /// Fails when the folder is missing, has become a link or is on another machine, or the comparison before has not ended
    /// in time. The inner result is git's.
    pub(crate) fn look_at_changes(
        &self,
        scope: &DiffScope,
        gone: &dyn Fn() -> bool,
    ) -> LookResult<Option<ProjectChanges>> {
        let state = self.state();
        let folder = self.require_project_here(&state)?;
        let commit = state.worktree.as_ref().map(|tree| tree.base.as_str());
        let begun = Beginning { commit, time: Micros(state.created_at) };
        let budget = GitBudget::new(LOOK_TIME, gone);
        let scope = &with_trees(scope, &state)?;
        self.looks
            .changes
            .get(scope.clone(), &budget, || changes::look(&folder, begun, scope, self.git_place(), budget))
    }

    /// Counts the lines that differ from that commit. `None` when the project is not under git or on another machine,
    /// or too much differs.
    ///
    /// # Errors
    /// Fails when the folder is missing or has become a link, or git fails or takes too long.
    pub(in crate::worker) fn count_changed_lines(
        &self,
        budget: GitBudget<'_>,
    ) -> Result<Option<ChangedLines>, WorkerError> {
        let state = self.state();
        let Some(folder) = self.project_here(&state)? else { return Ok(None) };
        let base = state.worktree.as_ref().map(|tree| tree.base.as_str());
        lines::count(&folder, base, self.git_place(), budget).map_err(|error| WorkerError::from(&error))
    }

    /// Lists the files of the project that git tracks or would add; without git, those in the folder.
    ///
    /// # Errors
    /// As [`Self::look_at_changes`].
    pub(crate) fn look_at_files(&self, gone: &dyn Fn() -> bool) -> LookResult<Files> {
        let folder = self.require_project_here(&self.state())?;
        let budget = GitBudget::new(LOOK_TIME, gone);
        self.looks.files.get((), &budget, || files::look(&folder, self.git_place(), budget))
    }

    /// Opens a file of the project by its path in it. Links are followed only within the project.
    ///
    /// # Errors
    /// Fails when the path leads out of the project, it is not a regular file, it is too large or the server's own, or the
    /// project is on another machine.
    pub(crate) fn open_file(&self, path: &str) -> Result<OpenProjectFile, WorkerError> {
        let named = Path::new(path);
        if path.is_empty() || !named.components().all(|part| matches!(part, Component::Normal(_))) {
            let text = format!("the path must lead from the project's folder down to a file: {path}");
            return Err(WorkerError::Invalid(text).in_field("path"));
        }
        let folder = self.require_project_here(&self.state())?;
        let missing = |_| WorkerError::NotFound(format!("the project has no such file: {path}"));
        let real = project_files::inside(&folder, &folder.join(named)).map_err(missing)?;
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
        Ok(OpenProjectFile { file, size: facts.len(), version })
    }

    /// Returns the project's folder; `None` when it is on another machine.
    pub(in crate::worker) fn project_here(&self, state: &State) -> Result<Option<PathBuf>, WorkerError> {
        // A folder of the same name on this machine is not the same folder.
        if self.launcher.runner(state)?.is_some_and(Runner::is_elsewhere) {
            return Ok(None);
        }
        let folder = project::resolve(&state.project_path, &self.launcher.settings.project_roots)?;
        project::same(&state.project_path, &folder)?;
        Ok(Some(folder.into()))
    }

    /// Returns the same folder, or an error when it is on another machine.
    pub(in crate::worker) fn require_project_here(&self, state: &State) -> Result<PathBuf, WorkerError> {
        let runner = self.launcher.runner(state)?.map_or("", |runner| runner.entry.as_str());
        self.project_here(state)?.ok_or_else(|| {
            let text =
                format!("the project is on another machine ({runner}), where the server has no access to its files");
            WorkerError::Conflict(text)
        })
    }

    /// Lists a folder of the project by its path in it; an empty path is the project's own folder.
    ///
    /// # Errors
    /// As [`Self::open_file`].
    pub(crate) fn list_folder(&self, path: &str) -> Result<FolderListing, WorkerError> {
        let named = Path::new(path);
        if !named.components().all(|part| matches!(part, Component::Normal(name) if name != ".git")) {
            let text = format!("the path must lead from the project's folder down to a folder: {path}");
            return Err(WorkerError::Invalid(text).in_field("path"));
        }
        let folder = self.require_project_here(&self.state())?.join(named);
        let sandbox = &self.launcher.places.sandbox;
        if sandbox.guards_file(&folder) {
            return Err(WorkerError::Invalid(format!("this folder is the server's own: {path}")).in_field("path"));
        }
        tree::list(&folder, &|path| sandbox.guards_file(path))
            .map_err(|error| WorkerError::NotFound(format!("the project has no such folder: {path}: {error}")))
    }

    pub(in crate::worker) fn git_place(&self) -> MirrorFolder<'_> {
        self.launcher.git_place()
    }
}

/// Returns a recent turn by its id.
pub(in crate::worker) fn turn_of<'s>(state: &'s State, id: &str) -> Result<&'s TurnTrees, WorkerError> {
    let missing = || WorkerError::NotFound(format!("no such turn among the recent ones: {id} (see GET .../turns)"));
    state.trees.turn(id).ok_or_else(missing)
}

/// Adds the trees of its turn to a scope that names a turn.
fn with_trees(scope: &DiffScope, state: &State) -> Result<DiffScope, WorkerError> {
    let DiffScope::Turn { id, .. } = scope else { return Ok(scope.clone()) };
    let turn = turn_of(state, id)?;
    let tree = |recorded: &Option<RecordedTree>| recorded.as_ref().map(|recorded| recorded.tree.clone());
    match (tree(&turn.before), tree(&turn.after)) {
        (Some(before), after) if after.is_some() || turn.ended_at.is_none() => {
            Ok(DiffScope::Turn { id: id.clone(), trees: Some((before, after)) })
        }
        _ => Err(WorkerError::Conflict(format!("the files before and after this turn were not recorded: {id}"))),
    }
}
