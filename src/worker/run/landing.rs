//! Commands that move a branch: commits, updates and landings. Each is recorded in the journal before it is carried
//! out, so that a start after a crash completes or undoes it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::journal::{BranchMove, Control, MoveEnd};
use crate::worker::error::WorkerError;
use crate::worker::place::git::{Git, GitBudget, Repository};
use crate::worker::place::land::commit::of_changes;
use crate::worker::place::land::dry_run::{self, DryRun};
use crate::worker::place::land::settle::{self, commit_of_now};
use crate::worker::place::land::targets::folder_of;
use crate::worker::place::land::{COMMAND_TIME, Landing, Strategy, exists, plan};
use crate::worker::run::turns::TREES_CLAIM;
use crate::worker::run::worker::{WORKTREE_CLAIM, Worker};
use crate::worker::state::status::Status;

/// Locks by Git directory of a repository in which branches are moved: the workers of a repository take turns.
static MOVES: Mutex<BTreeMap<PathBuf, Arc<Mutex<()>>>> = Mutex::new(BTreeMap::new());

/// Returns the lock of a repository, and drops unused ones.
fn moves_of(repository: &Repository) -> Arc<Mutex<()>> {
    let mut moves = MOVES.lock().unwrap_or_else(PoisonError::into_inner);
    moves.retain(|_, lock| Arc::strong_count(lock) > 1);
    Arc::clone(moves.entry(repository.common.clone()).or_default())
}

/// A branch that was moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MovedBranch {
    /// The branch's full name.
    pub branch: String,
    /// The commit before.
    pub old: String,
    /// The commit now.
    pub new: String,
}

impl Worker {
    /// Opens the repository of the worker's project.
    pub(in crate::worker) fn repository(&self) -> Result<Repository, WorkerError> {
        let folder = self.require_project_here(&self.state())?;
        let missing = || WorkerError::Conflict(format!("the project is not under git: {}", folder.display()));
        Repository::find(&folder)?.ok_or_else(missing)
    }

    /// Performs a dry run of a landing on `into`. Changes nothing.
    ///
    /// # Errors
    /// Fails when the project is not under git, git fails, or the branch does not exist.
    pub(crate) fn look_at_landing(&self, into: Option<&str>, gone: &dyn Fn() -> bool) -> Result<DryRun, WorkerError> {
        let state = self.state();
        let base = state.worktree.as_ref().map(|tree| tree.base.as_str());
        let budget = GitBudget::new(COMMAND_TIME, gone);
        dry_run::look(&self.repository()?, (&state.name, base), into, (self.git_place(), budget))
    }

    /// Commits all changes of the worker's folder, or those of these files.
    ///
    /// # Errors
    /// Fails when there is nothing to commit, an operation is in progress, or the branch moves meanwhile.
    pub(crate) fn commit_changes(
        &self,
        message: &str,
        files: Option<&[String]>,
    ) -> Result<(MovedBranch, Vec<String>), WorkerError> {
        let _claim = self.claim(WORKTREE_CLAIM.to_owned());
        self.finish_move()?;
        let repository = self.repository()?;
        let place = (self.git_place(), GitBudget::of_time(COMMAND_TIME));
        let made = of_changes(&repository, (message, files), place)?;
        let subject = message.lines().next().unwrap_or_default();
        let step = BranchMove {
            operation: "commit".to_owned(),
            about: format!("Committed {}: {subject}", counted(made.files.len())),
            branch: made.branch,
            old: made.old,
            new: made.new,
            by: made.by,
            folder: repository.top.to_str().map(str::to_owned),
            ..BranchMove::default()
        };
        Ok((self.move_branch(step, &repository, Some(&repository))?, made.files))
    }

    /// Merges or rebases the commits of another branch into the worker's own. Returns 0 commits if it has all of them.
    ///
    /// # Errors
    /// Fails when the agent is in a turn, both sides conflict, or the folder has uncommitted changes.
    pub(crate) fn update_branch(
        &self,
        strategy: Strategy,
        from: Option<&str>,
    ) -> Result<(MovedBranch, usize), WorkerError> {
        // Meanwhile no message goes to the agent, and no files are restored.
        let _hold = self.hold_queue();
        let _claim = self.claim(WORKTREE_CLAIM.to_owned());
        let _trees = self.claim(TREES_CLAIM.to_owned());
        let status = self.state().status;
        if matches!(status, Status::Busy | Status::Stalled | Status::Waiting) {
            let text = "the agent is in a turn, and its files would change under it: wait for its end, or interrupt it";
            return Err(WorkerError::Conflict(text.to_owned()));
        }
        self.finish_move()?;
        let repository = self.repository()?;
        let place = (self.git_place(), GitBudget::of_time(COMMAND_TIME));
        let planned = plan::update(&repository, self.id(), (strategy, from), place)?;
        if planned.step.old == planned.step.new {
            let BranchMove { branch, old, new, .. } = planned.step;
            return Ok((MovedBranch { branch, old, new }, 0));
        }
        let moved = self.move_branch(planned.step, &repository, planned.folder.as_ref())?;
        Ok((moved, planned.commits))
    }

    /// Lands the worker's commits on another branch.
    ///
    /// # Errors
    /// Fails when both sides conflict, a folder has uncommitted changes, or a branch has moved meanwhile.
    pub(crate) fn land(&self, wanted: &Landing) -> Result<(MovedBranch, usize), WorkerError> {
        let _claim = self.claim(WORKTREE_CLAIM.to_owned());
        self.finish_move()?;
        let repository = self.repository()?;
        let place = (self.git_place(), GitBudget::of_time(COMMAND_TIME));
        let name = self.state().name.clone();
        let planned = plan::landing(&repository, (self.id(), &name), wanted, place)?;
        let moved = self.move_branch(planned.step, &repository, planned.folder.as_ref())?;
        Ok((moved, planned.commits))
    }

    /// Moves a branch, with a record in the journal before and after the move.
    pub(in crate::worker) fn move_branch(
        &self,
        mut step: BranchMove,
        repository: &Repository,
        folder: Option<&Repository>,
    ) -> Result<MovedBranch, WorkerError> {
        let moves = moves_of(repository);
        let _turn = moves.lock().unwrap_or_else(PoisonError::into_inner);
        // The branch, or another one, may have been checked out while the commits were made.
        let git = Git::open(repository.clone(), self.git_place(), GitBudget::of_time(COMMAND_TIME))?;
        let now = folder_of(&git, &step.branch, self.git_place())?;
        if now.map(|now| now.top) != folder.map(|folder| folder.top.clone()) {
            return Err(settle::moved(&step));
        }
        step.id = uuid::Uuid::new_v4().to_string();
        if let Some(folder) = folder {
            settle::check(&step, folder, self.git_place())?;
        }
        self.append_control(&Control::BranchMoving(Box::new(step.clone())))?;
        match settle::settle(repository, &step, folder, (self.git_place(), false)) {
            Ok(()) => {
                self.end_move(&step, MoveEnd::Done, String::new())?;
                Ok(MovedBranch { branch: step.branch, old: step.old, new: step.new })
            }
            Err(failed) => {
                if failed.undone {
                    self.end_move(&step, MoveEnd::Undone, failed.error.to_string())?;
                }
                Err(failed.error)
            }
        }
    }

    fn end_move(&self, step: &BranchMove, end: MoveEnd, text: String) -> Result<(), WorkerError> {
        self.append_control(&Control::BranchMoved { id: step.id.clone(), end, text })
    }

    /// Completes the move of a branch that a crash has left, or gives it up if the branch was moved otherwise since.
    /// The caller has the claim of the worktree.
    ///
    /// # Errors
    /// Fails when neither is possible now; the next command or start tries again.
    pub(in crate::worker) fn finish_move(&self) -> Result<(), WorkerError> {
        let Some(step) = self.state().moving.clone() else { return Ok(()) };
        let (repository, place) = (self.repository()?, self.git_place());
        let moves = moves_of(&repository);
        let _turn = moves.lock().unwrap_or_else(PoisonError::into_inner);
        let git = Git::open(repository.clone(), place, GitBudget::of_time(COMMAND_TIME))?;
        let folder = folder_of(&git, &step.branch, place)?;
        let now = commit_of_now(&repository, &step, place)?;
        let (at_old, at_new) = (now.as_deref() == Some(&step.old), now.as_deref() == Some(&step.new));
        if at_old && exists(&git, &step.new)? {
            log::info!("worker {}: completing what a crash has left: {}", self.id(), step.about);
            settle::settle(&repository, &step, folder.as_ref(), (place, true)).map_err(|failed| failed.error)?;
            return self.end_move(&step, MoveEnd::Done, String::new());
        }
        if let Some(folder) = &folder {
            settle::unlock(folder, &step.id)?;
        }
        if at_new {
            return self.end_move(&step, MoveEnd::Done, String::new());
        }
        let why = if at_old { "its commit is gone" } else { "the branch has been moved since" };
        log::warn!("worker {}: not completed, since {why}: {}", self.id(), step.about);
        self.end_move(&step, MoveEnd::Left, why.to_owned())
    }

    /// Does the same as [`Self::finish_move`], at the server's start.
    pub(in crate::worker) fn finish_move_at_start(&self) {
        let _claim = self.claim(WORKTREE_CLAIM.to_owned());
        if let Err(error) = self.finish_move() {
            log::error!("worker {}: what a crash has left cannot be completed yet: {error}", self.id());
        }
    }
}

fn counted(files: usize) -> String {
    if files == 1 { "1 file".to_owned() } else { format!("{files} files") }
}
