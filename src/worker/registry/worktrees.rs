//! Worktrees in the lives of their workers: made before the first start, made again when they are gone, and removed
//! with the worker if nothing is lost.

use std::path::Path;

use crate::journal::{Control, Worktree};
use crate::worker::error::WorkerError;
use crate::worker::place::project;
use crate::worker::place::worktree::examine::Examined;
use crate::worker::place::worktree::keep::{Keeper, Kept};
use crate::worker::registry::{NewWorker, Registry};
use crate::worker::run::worker::Worker;

/// The claim of a command that makes or removes the worktree.
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
        crate::worker::place::worktree::make::make(&tree, before, self.git_place())?;
        if made { Ok(()) } else { self.append_control(&Control::WorktreeMade {}) }
    }

    /// Returns the reason why the worktree and its repository must not be changed, if there is one. A project that no
    /// longer exists needs no protection.
    fn may_not_touch(&self, tree: &Worktree) -> Option<&'static str> {
        if !is_ours(tree, &self.launcher.settings.worktree_dir) {
            return Some("it is outside of WORKTREE_DIR");
        }
        let is_there = Path::new(&tree.project).exists();
        let refused = is_there && project::resolve(&tree.project, &self.launcher.settings.project_roots).is_err();
        refused.then_some("its project is outside of PROJECT_ROOTS")
    }

    /// Checks the journal's paths before git or the disk is touched: the journal may come from elsewhere.
    fn check_worktree(&self, tree: &Worktree) -> Result<(), WorkerError> {
        project::resolve(&tree.project, &self.launcher.settings.project_roots)?;
        if is_ours(tree, &self.launcher.settings.worktree_dir) {
            return Ok(());
        }
        let text = format!("the worker's worktree {} is not in WORKTREE_DIR (has that been changed?)", tree.path);
        Err(WorkerError::Conflict(text))
    }
}

/// Returns whether it is in the folder of worktrees, so that it may be removed.
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
        let (called, place) = ((new.name.as_str(), id), launcher.git_place());
        crate::worker::place::worktree::plan(
            &new.project_path,
            wanted,
            called,
            (place, &launcher.settings.worktree_dir),
        )
        .map(Some)
        .map_err(|error| error.in_field("worktree"))
    }

    /// Refuses the deletion of a worker whose worktree has what would be lost, or cannot be removed, or in which another
    /// worker works; with `force` only what cannot be removed or kept is a reason. Keeps the commits that only the worktree
    /// has, and returns the references that keep them.
    pub(in crate::worker) fn prepare_deletion(&self, worker: &Worker, force: bool) -> Result<Kept, WorkerError> {
        let state = worker.state();
        let Some(tree) = state.worktree.clone().filter(|_| state.worktree_begun) else { return Ok(Kept::new()) };
        if worker.may_not_touch(&tree).is_some() {
            return Ok(Kept::new());
        }
        let examined = match Examined::of(&tree, worker.git_place()) {
            Ok(examined) => examined,
            Err(error) => return Err(not_removed(&tree, &error.to_string())),
        };
        if !examined.obstacles.is_empty() {
            return Err(not_removed(&tree, &examined.obstacles.join("; ")));
        }
        if !force {
            if let Some(other) = self.all().iter().find(|other| works_in(other, worker, &tree)) {
                let why = format!("worker {} ({}) works in it too", other.state().name, other.id());
                return Err(refused(&tree, &why));
            }
            if let Some(why) = examined.text() {
                return Err(refused(&tree, &why));
            }
        }
        let Some(owner) = examined.owner.clone() else { return Ok(Kept::new()) };
        let own =
            crate::worker::place::worktree::make::registered(&tree, &owner).and_then(|own| own.path().read_link().ok());
        let (place, folder) = (worker.git_place(), Path::new(&tree.path));
        Keeper { owner, place, worker: worker.id(), tree: folder, own }.keep(&examined.inside)
    }

    /// Removes the worktree of a worker that is being deleted, and says what is left of it.
    pub(in crate::worker) fn remove_worktree(&self, worker: &Worker) -> Result<Option<String>, WorkerError> {
        let state = worker.state();
        let Some(tree) = state.worktree.clone() else { return Ok(None) };
        let _claim = worker.claim(CLAIM.to_owned());
        if !state.worktree_begun && !worker.state().worktree_begun {
            return Ok(None);
        }
        if let Some(why) = worker.may_not_touch(&tree) {
            return Ok(Some(format!("its worktree {} is left, since {why}", tree.path)));
        }
        crate::worker::place::worktree::remove::remove(&tree, worker.git_place())
    }
}

fn works_in(other: &Worker, worker: &Worker, tree: &Worktree) -> bool {
    other.id() != worker.id() && Path::new(&other.state().project_path).starts_with(&tree.path)
}

/// Makes the error of a worktree that is not removed, with the reason and the remedy.
fn refused(tree: &Worktree, why: &str) -> WorkerError {
    WorkerError::Conflict(format!(
        "the worker's worktree {} (branch {}) would be lost: {why}. Commit and merge what is wanted, or delete with \
         ?force=true, which loses what is not committed and keeps all commits",
        tree.path, tree.branch
    ))
}

fn not_removed(tree: &Worktree, why: &str) -> WorkerError {
    WorkerError::Conflict(format!(
        "the worker's worktree {} (branch {}) cannot be removed: {why}",
        tree.path, tree.branch
    ))
}
