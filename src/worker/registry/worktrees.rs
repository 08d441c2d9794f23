//! Worktrees in the life cycle of their workers: created before the first start, created again when they are missing,
//! and removed with the worker if no work is lost.

use std::path::Path;

use crate::access::Reach;
use crate::journal::{CarriedChanges, Control, Worktree};
use crate::worker::error::WorkerError;
use crate::worker::place::project;
use crate::worker::place::worktree::carry;
use crate::worker::place::worktree::examine::Examination;
use crate::worker::place::worktree::keep::{Keeper, KeptReferences};
use crate::worker::registry::{NewWorker, Registry};
use crate::worker::run::worker::{WORKTREE_CLAIM, Worker};

impl Worker {
    /// Ensures that the worker's worktree, if it has one, exists and is complete. May take as long as git does, and
    /// holds no lock meanwhile.
    pub(in crate::worker) fn make_worktree(&self) -> Result<(), WorkerError> {
        let Some(tree) = self.state().worktree.clone() else { return Ok(()) };
        let _claim = self.claim(WORKTREE_CLAIM.to_owned());
        let made = self.state().worktree_made;
        if made && Path::new(&tree.path).exists() {
            return Ok(());
        }
        self.check_worktree(&tree)?;
        if self.core().deleted {
            return Err(WorkerError::NotFound(format!("Worker not found: {}", self.id())));
        }
        let carried = if made { None } else { self.changes_to_carry(&tree)? };
        // Before the first start there is nothing, unless an earlier server was killed while it created the worktree.
        let before = made || self.state().worktree_begun;
        if !before {
            self.append_control(&Control::WorktreeBegun {})?;
        }
        crate::worker::place::worktree::make::make(&tree, before, self.git_place())?;
        if let Some(carried) = carried {
            carry::put(&tree, &carried, self.id(), self.git_place())?;
        }
        if made { Ok(()) } else { self.append_control(&Control::WorktreeMade {}) }
    }

    /// Returns the uncommitted changes that the worktree gets; records them first, if that was not done yet.
    fn changes_to_carry(&self, tree: &Worktree) -> Result<Option<CarriedChanges>, WorkerError> {
        let state = self.state();
        let Some(from) = state.options.handover.as_ref().and_then(|handover| handover.carry_from.as_deref()) else {
            return Ok(None);
        };
        if let Some(carried) = &state.trees.carried {
            return Ok(Some((**carried).clone()));
        }
        let found = project::resolve(from, &self.launcher.settings.project_roots);
        let carried = match found.and_then(|folder| project::same(from, &folder).map(|()| folder)) {
            Ok(folder) => carry::record(&self.snapshots(Path::new(&folder)), &tree.base)?,
            // The request has found the folder: it is gone since a server was killed.
            Err(error) => carry::nothing(&tree.base, &error.to_string()),
        };
        self.append_control(&Control::Carried(carried.clone()))?;
        Ok(Some(carried))
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

    /// Checks the journal's paths before git or the disk is touched: the journal may be imported.
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
    /// Plans the worktree of a new worker, and the folder in it where the worker will work.
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

    /// Refuses the deletion of a worker in whose worktree another worker works that the client may not see.
    pub(crate) fn refuse_hidden_sharers(&self, worker: &Worker, reach: &Reach) -> Result<(), WorkerError> {
        let state = worker.state();
        let Some(tree) = state.worktree.as_ref().filter(|_| !reach.is_everything()) else { return Ok(()) };
        let all = self.all();
        let mut sharers = all.iter().filter(|other| works_in(other, worker, tree));
        if sharers.any(|other| self.visible(other.id(), reach).is_err()) {
            let text = "a worker that this token does not cover works in the same worktree";
            return Err(WorkerError::Conflict(text.to_owned()));
        }
        Ok(())
    }

    /// Refuses the deletion of a worker whose worktree has work that would be lost, or cannot be removed, or in which
    /// another worker works. With `force`, only what cannot be removed or kept is a reason. Keeps the commits that only
    /// the worktree has, and returns the references that keep them.
    pub(in crate::worker) fn prepare_deletion(
        &self,
        worker: &Worker,
        force: bool,
    ) -> Result<KeptReferences, WorkerError> {
        let state = worker.state();
        let Some(tree) = state.worktree.clone().filter(|_| state.worktree_begun) else {
            return Ok(KeptReferences::new());
        };
        if worker.may_not_touch(&tree).is_some() {
            return Ok(KeptReferences::new());
        }
        let examined = match Examination::of(&tree, worker.git_place()) {
            Ok(examined) => examined,
            Err(error) => return Err(not_removed(&tree, &error.to_string())),
        };
        if !examined.obstacles.is_empty() {
            return Err(not_removed(&tree, &examined.obstacles.join("; ")));
        }
        if !force {
            if let Some(other) = self.all().iter().find(|other| works_in(other, worker, &tree)) {
                let why = format!("worker {} ({}) also works in it", other.state().name, other.id());
                return Err(refused(&tree, &why));
            }
            if let Some(why) = examined.text() {
                return Err(refused(&tree, &why));
            }
        }
        let Some(owner) = examined.owner.clone() else { return Ok(KeptReferences::new()) };
        let own =
            crate::worker::place::worktree::make::registered(&tree, &owner).and_then(|own| own.path().read_link().ok());
        let (place, folder) = (worker.git_place(), Path::new(&tree.path));
        Keeper { owner, place, worker: worker.id(), tree: folder, own }.keep(&examined.inside)
    }

    /// Runs the teardown in the worktree of a worker that is being deleted, and returns its error for people.
    pub(in crate::worker) fn tear_down_worktree(&self, worker: &Worker) -> Option<String> {
        let state = worker.state();
        let tree = state.worktree.as_ref().filter(|_| state.worktree_begun)?;
        if worker.may_not_touch(tree).is_some() || !Path::new(&tree.path).is_dir() {
            return None;
        }
        worker.tear_down(tree).inspect(|why| log::warn!("worker {}: {why}", worker.id()))
    }

    /// Removes the worktree of a worker that is being deleted, and returns what is left of it.
    pub(in crate::worker) fn remove_worktree(&self, worker: &Worker) -> Result<Option<String>, WorkerError> {
        let state = worker.state();
        let Some(tree) = state.worktree.clone() else { return Ok(None) };
        let _claim = worker.claim(WORKTREE_CLAIM.to_owned());
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
        "the worker's worktree {} (branch {}) is not removed: {why}. Commit and merge the work that you want to keep, or \
         force the deletion (`rs-worker rm --force`, `?force=true`), which discards uncommitted files and keeps all commits",
        tree.path, tree.branch
    ))
}

fn not_removed(tree: &Worktree, why: &str) -> WorkerError {
    WorkerError::Conflict(format!(
        "the worker's worktree {} (branch {}) cannot be removed: {why}",
        tree.path, tree.branch
    ))
}
