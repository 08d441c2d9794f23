//! Worktrees in the lives of their workers: made before the first start, made again when they are gone, and removed
//! with the worker if nothing is lost.

use std::path::Path;
use std::sync::Arc;

use super::super::error::WorkerError;
use super::super::project;
use super::super::registry::{NewWorker, Registry};
use super::super::worker::Worker;
use crate::journal::{Control, Worktree};

/// What a command claims that makes or removes the worktree.
const CLAIM: &str = "worktree";

impl Worker {
    /// Sees to it that the worker's worktree is there and whole, where it has one. May take as long as git does, and holds
    /// nothing meanwhile.
    pub(in crate::worker) fn make_worktree(&self) -> Result<(), WorkerError> {
        let Some(tree) = self.state().worktree.clone() else { return Ok(()) };
        let _claim = self.claim(CLAIM.to_owned());
        let made = self.state().worktree_made;
        if made && Path::new(&tree.path).exists() {
            return Ok(());
        }
        self.check_worktree(&tree)?;
        if self.core().deleted {
            return Err(WorkerError::NotFound(format!("Worker not found: {}", self.id())));
        }
        // Before its first time there is nothing, unless an earlier server was killed while it made it.
        let before = made || self.state().worktree_begun;
        if !before {
            self.append_control(&Control::WorktreeBegun {})?;
        }
        super::make(&tree, before)?;
        if made { Ok(()) } else { self.append_control(&Control::WorktreeMade {}) }
    }

    /// What the journal says is looked at again before git or the disk is touched: it may come from elsewhere.
    fn check_worktree(&self, tree: &Worktree) -> Result<(), WorkerError> {
        project::resolve(&tree.project, &self.launcher.project_roots)?;
        if is_ours(tree, &self.launcher.worktree_dir) {
            return Ok(());
        }
        let text = format!("the worker's worktree {} is not in WORKTREE_DIR (has that been changed?)", tree.path);
        Err(WorkerError::Conflict(text))
    }
}

/// Whether it stands in the folder of worktrees, so that it may be removed.
fn is_ours(tree: &Worktree, dir: &Path) -> bool {
    dir.canonicalize().is_ok_and(|dir| Path::new(&tree.path).parent() == Some(&dir))
}

impl Registry {
    /// The worktree of a worker that is to be made, and the folder in it where the worker will work.
    pub(in crate::worker) fn plan_worktree(
        &self,
        new: &NewWorker,
        id: &str,
    ) -> Result<Option<(Worktree, String)>, WorkerError> {
        let Some(wanted) = &new.worktree else { return Ok(None) };
        let launcher = self.launcher();
        let called = (new.name.as_str(), id);
        super::plan(&new.project_path, wanted, called, &launcher.project_roots, &launcher.worktree_dir).map(Some)
    }

    /// Why the worker must not be deleted: its worktree has what would be lost, or another worker works in it.
    pub(in crate::worker) fn check_worktree_unused(&self, worker: &Worker) -> Result<(), WorkerError> {
        let Some(tree) = worker.state().worktree.clone() else { return Ok(()) };
        if !is_ours(&tree, &self.launcher().worktree_dir) {
            return Ok(());
        }
        let works_there = |other: &&Arc<Worker>| {
            other.id() != worker.id() && Path::new(&other.state().project_path).starts_with(&tree.path)
        };
        if let Some(other) = self.all().iter().find(works_there) {
            let why = format!("worker {} ({}) works in it too", other.state().name, other.id());
            return Err(super::refused(&tree, &why));
        }
        match super::losses(&tree)? {
            Some(why) => Err(super::refused(&tree, &why)),
            None => Ok(()),
        }
    }

    /// Removes the worktree of a worker that is being deleted, and tells what is left of it.
    pub(in crate::worker) fn remove_worktree(
        &self,
        worker: &Worker,
        force: bool,
    ) -> Result<Option<String>, WorkerError> {
        let state = worker.state();
        let Some(tree) = state.worktree.clone() else { return Ok(None) };
        let _claim = worker.claim(CLAIM.to_owned());
        if !state.worktree_begun && !worker.state().worktree_begun {
            return Ok(None);
        }
        if worker.check_worktree(&tree).is_err() {
            return Ok(Some(format!("its worktree {} is left, since it is outside of WORKTREE_DIR", tree.path)));
        }
        super::remove(&tree, force)
    }
}
