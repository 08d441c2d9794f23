//! Restores of files to what they were before a turn, and discarded changes: shown first, and recorded before files are
//! overwritten.
//!
//! A restore is in the journal before the first file is changed, with the tree of the present files and the tree of the
//! restored ones. So a server that is killed in between completes it at its next start, and the agent gets no message
//! before that.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_json::{Value, json};

use crate::journal::{Control, RecordedTree, RestoreBegun, RestoreDone};
use crate::worker::error::WorkerError;
use crate::worker::place::git::{Git, GitBudget, Repository};
use crate::worker::place::look::DIFF_FORM;
use crate::worker::place::snapshot::apply::Restore;
use crate::worker::place::snapshot::hunk;
pub(crate) use crate::worker::place::snapshot::hunk::SeenHunk;
use crate::worker::place::snapshot::plan::{self, FileChange, FileSelection, SnapshotPlan, UntouchedFile};
use crate::worker::place::snapshot::{ProjectTree, ProjectTrees};
use crate::worker::run::looks::turn_of;
use crate::worker::run::turns::TREES_CLAIM;
use crate::worker::run::worker::Worker;
use crate::worker::state::{RestoredFiles, State};

/// Time limit of one restore.
const RESTORE_TIME: Duration = Duration::from_secs(60);
/// Time limit of a preview.
const LOOK_TIME: Duration = Duration::from_secs(20);
/// Longest diff of a preview, in bytes; a longer one is cut.
const DIFF_BYTES_MAX: usize = 1024 * 1024;
/// Maximum number of files that are named one by one.
const FILES_MAX: usize = 1000;

/// The outcome of a restore.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct RestoreOutcome {
    /// The number of files that were changed.
    pub changed: u64,
    /// The id that undoes the restore; absent when nothing was changed.
    pub recorded: Option<String>,
    /// Files that are left alone although they differ.
    pub untouched: Vec<UntouchedFile>,
}

/// The commit to which discarded files return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DiscardTo {
    /// The last one.
    Head,
    /// The base of the worker's worktree.
    Base,
}

/// The selection of files to restore.
struct RestoreGoal<'a> {
    turn_id: Option<String>,
    target: RecordedTree,
    files: &'a [String],
}

impl Worker {
    /// Previews a restore: the changed files, those that are left alone, and the diff. Changes nothing.
    ///
    /// # Errors
    /// Fails when the files were not recorded, the project is on another machine or not under git, or git fails.
    pub(crate) fn preview_restore(
        &self,
        id: &str,
        files: &[String],
        gone: &dyn Fn() -> bool,
    ) -> Result<Value, WorkerError> {
        check_files(files)?;
        let state = self.state();
        let folder = self.require_project_here(&state)?;
        let target = recorded(&state, id)?;
        let taken = require(self.snapshots(&folder).take(GitBudget::new(LOOK_TIME, gone))?)?;
        let SnapshotPlan { changes, untouched } = planned(&taken, &target, &folder, files)?;
        let prefix = folder.strip_prefix(&taken.git.repository().top).unwrap_or(Path::new(""));
        let named = |change: &FileChange| {
            let word = match (&change.from, &change.to) {
                (None, _) => "added",
                (_, None) => "deleted",
                _ => "modified",
            };
            json!({"path": change.path.strip_prefix(prefix).unwrap_or(&change.path).to_string_lossy(), "change": word})
        };
        let specs: Vec<String> = if files.is_empty() {
            vec![".".to_owned()]
        } else {
            files.iter().map(|file| format!(":(literal){file}")).collect()
        };
        let specs: Vec<&str> = specs.iter().map(String::as_str).collect();
        let args = [&["diff"][..], &DIFF_FORM, &[&taken.tree, &target.tree, "--"], &specs].concat();
        let diff = taken.git.output(&args, DIFF_BYTES_MAX)?;
        Ok(json!({
            "turn": id,
            "files": changes.iter().take(FILES_MAX).map(named).collect::<Vec<_>>(),
            "count": changes.len(),
            "untouched": untouched,
            "diff": String::from_utf8_lossy(&diff.output),
            "truncated": diff.cut || changes.len() > FILES_MAX,
        }))
    }

    /// Restores files to what they were before a turn or before an earlier restore. All files, when none is named.
    ///
    /// # Errors
    /// As [`Self::preview_restore`]; and when a turn runs.
    pub(crate) fn restore(&self, id: &str, files: &[String]) -> Result<RestoreOutcome, WorkerError> {
        check_files(files)?;
        self.change_files(|state, _, _| {
            let turn_id = state.trees.turn(id).map(|turn| turn.turn_id.clone());
            Ok(RestoreGoal { turn_id, target: recorded(state, id)?, files })
        })
    }

    /// Restores one file, or one hunk of it, to a commit.
    ///
    /// # Errors
    /// As [`Self::restore`]; and when the file or the hunk does not differ, or has changed since the client saw it.
    pub(crate) fn discard(
        &self,
        file: &str,
        to: DiscardTo,
        hunk: Option<&SeenHunk>,
    ) -> Result<RestoreOutcome, WorkerError> {
        let files = [file.to_owned()];
        check_files(&files)?;
        self.change_files(|state, taken, folder| {
            let base = state.worktree.as_ref().map(|tree| tree.base.as_str()).filter(|_| to == DiscardTo::Base);
            let commit = format!("{}^{{tree}}", base.unwrap_or("HEAD"));
            let tree = taken.git.line(&["rev-parse", "--verify", "--quiet", &commit])?;
            let tree = tree.unwrap_or_else(|| taken.git.empty_ids().tree.to_owned());
            let mut target = RecordedTree { tree, left_out: Vec::new() };
            let found = planned(taken, &target, folder, &files)?;
            if found.changes.is_empty() && found.untouched.is_empty() {
                return Err(WorkerError::NotFound(format!("the file has no changes: {file}")));
            }
            if let (Some(hunk), [change]) = (hunk, &found.changes[..]) {
                target.tree = hunk::without(&taken.git, &taken.tree, change, hunk)?;
            } else if hunk.is_some() {
                return Err(WorkerError::Conflict(format!("this is not one file with hunks: {file}")));
            }
            Ok(RestoreGoal { turn_id: None, target, files: &files })
        })
    }

    fn change_files<'w>(
        &self,
        want: impl FnOnce(&State, &ProjectTree<'_>, &Path) -> Result<RestoreGoal<'w>, WorkerError>,
    ) -> Result<RestoreOutcome, WorkerError> {
        let _claim = self.claim(TREES_CLAIM.to_owned());
        // Meanwhile no message goes to the agent.
        let _hold = self.hold_queue();
        let state = self.state();
        if state.turn_id.is_some() {
            let text = "a turn runs, and its agent may be changing files: wait for its end, or interrupt it";
            return Err(WorkerError::Conflict(text.to_owned()));
        }
        if state.trees.pending().is_some() {
            return Err(WorkerError::Conflict("an earlier restore is being completed; try again soon".to_owned()));
        }
        let folder = self.require_project_here(&state)?;
        let (project, since) = (self.snapshots(&folder), SystemTime::now());
        let taken = require(project.take(GitBudget::of_time(RESTORE_TIME))?)?;
        let RestoreGoal { turn_id, target, files } = want(&state, &taken, &folder)?;
        let plan = planned(&taken, &target, &folder, files)?;
        if plan.changes.is_empty() {
            return Ok(RestoreOutcome { untouched: plan.untouched, ..RestoreOutcome::default() });
        }
        project.keep(&taken, state.trees.ids().chain([target.tree.as_str()]))?;
        let restore_id = uuid::Uuid::new_v4().to_string();
        let recorded = RecordedTree { tree: taken.tree, left_out: taken.left_out };
        self.append_control(&Control::RestoreBegun(RestoreBegun {
            restore_id: restore_id.clone(),
            turn_id,
            target: target.clone(),
            recorded,
            files: files.to_vec(),
        }))?;
        let restore = Restore { git: &taken.git, folder: &folder, id: &restore_id, since: Some(since) };
        let applied = restore.apply(&target.tree, &plan.changes);
        let done = RestoreDone {
            restore_id: restore_id.clone(),
            changed: applied.as_ref().map_or(0, |applied| applied.changed),
            error: applied.as_ref().err().map(ToString::to_string),
        };
        self.append_control(&Control::RestoreDone(done))?;
        let applied = applied?;
        let untouched = [plan.untouched, applied.untouched].concat();
        Ok(RestoreOutcome { changed: applied.changed, recorded: Some(restore_id), untouched })
    }

    /// Holds the queue if a restore was interrupted; returns whether that is so. [`Self::complete_restore`] ends the
    /// hold.
    pub(in crate::worker) fn hold_for_restore(&self) -> bool {
        let is_pending = self.state().trees.pending().is_some();
        if is_pending {
            self.core().queue_holds += 1;
        }
        is_pending
    }

    /// Completes a restore that was interrupted when the server was killed.
    pub(in crate::worker) fn complete_restore(&self) {
        let _hold = self.held_queue();
        let _claim = self.claim(TREES_CLAIM.to_owned());
        let state = self.state();
        let Some(pending) = state.trees.pending() else { return };
        let completed = self.completed(&state, pending);
        if let Err(error) = &completed {
            log::error!("worker {}: the restore of files cannot be completed: {error}", self.id());
        }
        let done = RestoreDone {
            restore_id: pending.restore_id.clone(),
            changed: *completed.as_ref().unwrap_or(&0),
            error: completed.as_ref().err().map(ToString::to_string),
        };
        if let Err(error) = self.append_control(&Control::RestoreDone(done)) {
            log::error!("worker {}: {error}", self.id());
        }
    }

    /// Changes the files that are still as they were recorded before the restore; returns the number of files that it
    /// has changed in all.
    fn completed(&self, state: &State, pending: &RestoredFiles) -> Result<u64, WorkerError> {
        let Some(target) = &pending.target else { return Ok(0) };
        let folder = self.require_project_here(state)?;
        let budget = GitBudget::of_time(RESTORE_TIME);
        let project: ProjectTrees<'_> = self.snapshots(&folder);
        let repository = Repository::find(&folder)?.ok_or_else(not_under_git)?;
        let git = Git::open(repository, self.git_place(), budget)?;
        let left_out = pending.recorded.left_out.iter().chain(&target.left_out).cloned().collect();
        let chosen = FileSelection { folder: &folder, files: &pending.files, left_out: &left_out };
        let mut plan = plan::plan(&git, &pending.recorded.tree, &target.tree, chosen)?;
        let id = &pending.restore_id;
        Restore { git: &git, folder: &folder, id, since: None }.clean(&plan.changes)?;
        let since = SystemTime::now();
        let taken = require(project.take(budget)?)?;
        let now = plan::differences(&taken.git, &pending.recorded.tree, &taken.tree)?;
        let before = plan.changes.iter().filter(|change| now.get(&change.path) == Some(&change.to)).count() as u64;
        plan.changes.retain(|change| !now.contains_key(&change.path));
        let restore = Restore { git: &taken.git, folder: &folder, id, since: Some(since) };
        let applied = restore.apply(&target.tree, &plan.changes)?;
        Ok(before + applied.changed)
    }
}

fn planned(
    taken: &ProjectTree<'_>,
    target: &RecordedTree,
    folder: &Path,
    files: &[String],
) -> Result<SnapshotPlan, WorkerError> {
    let left_out: BTreeSet<String> = taken.left_out.iter().chain(&target.left_out).cloned().collect();
    let chosen = FileSelection { folder, files, left_out: &left_out };
    Ok(plan::plan(&taken.git, &taken.tree, &target.tree, chosen)?)
}

/// Returns the tree of the files before a turn, or before an earlier restore.
fn recorded(state: &State, id: &str) -> Result<RecordedTree, WorkerError> {
    if let Some(restore) = state.trees.restores.iter().find(|restore| restore.restore_id == id) {
        return Ok(restore.recorded.clone());
    }
    turn_of(state, id)?
        .before
        .clone()
        .ok_or_else(|| WorkerError::Conflict(format!("the files before this turn were not recorded: {id}")))
}

fn require(taken: Option<ProjectTree<'_>>) -> Result<ProjectTree<'_>, WorkerError> {
    taken.ok_or_else(not_under_git)
}

fn not_under_git() -> WorkerError {
    WorkerError::Conflict("the project is not under git".to_owned())
}

fn check_files(files: &[String]) -> Result<(), WorkerError> {
    match files.iter().find(|file| !crate::worker::place::snapshot::is_plain(Path::new(file))) {
        Some(file) => {
            let text = format!("the path must lead from the project's folder down to a file: {file}");
            Err(WorkerError::Invalid(text).in_field("files"))
        }
        None => Ok(()),
    }
}
