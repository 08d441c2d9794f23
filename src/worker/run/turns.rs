//! The files of a worker's project at the beginning and the end of each turn, recorded as trees in its repository.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::journal::{Control, RecordedTree, TreeRecorded, TurnEdge};
use crate::worker::error::WorkerError;
use crate::worker::place::git::{Git, GitBudget, Repository};
use crate::worker::place::project;
use crate::worker::place::snapshot::ProjectTrees;
use crate::worker::place::snapshot::history::{self, FileStep};
use crate::worker::run::worker::Worker;
use crate::worker::state::State;

/// The claim of a command that records trees or restores files.
pub(in crate::worker) const TREES_CLAIM: &str = "trees";
/// Time limit for the removal of trees.
const FORGET_TIME: Duration = Duration::from_secs(10);
/// Time limit for reading the trees.
const LOOK_TIME: Duration = Duration::from_secs(10);

impl Worker {
    /// Records the files at one end of a turn. Does nothing if the project is not in a repository of this machine, or
    /// the moment has passed.
    ///
    /// # Errors
    /// Fails when git fails, too much has changed, or the time limit is exceeded.
    pub(in crate::worker) fn record_turn(
        &self,
        turn_id: &str,
        at: TurnEdge,
        budget: GitBudget<'_>,
    ) -> Result<(), WorkerError> {
        let _claim = self.claim(TREES_CLAIM.to_owned());
        let state = self.state();
        if state.follow.is_some() || has_passed(&state, turn_id, at) {
            return Ok(());
        }
        let Some(folder) = self.project_here(&state)? else { return Ok(()) };
        let project = self.snapshots(&folder);
        let Some(taken) = project.take(budget)? else { return Ok(()) };
        let state = self.state();
        let turn = state.trees.turn(turn_id);
        let late = at == TurnEdge::Begin && turn.is_some_and(|turn| turn.has_called);
        if at == TurnEdge::End && has_passed(&state, turn_id, at) {
            return Ok(());
        }
        project.keep(&taken, state.trees.ids())?;
        let tree = RecordedTree { tree: taken.tree, left_out: taken.left_out };
        self.append_control(&Control::TreeRecorded(TreeRecorded { turn_id: turn_id.to_owned(), at, tree, late }))
    }

    pub(in crate::worker) fn snapshots<'a>(&'a self, folder: &'a Path) -> ProjectTrees<'a> {
        ProjectTrees { folder, dir: self.dir(), worker: self.id(), place: self.git_place() }
    }

    /// Returns recent turns with their recordings, and restores, newest first.
    pub(crate) fn turns(&self) -> Value {
        let state = self.state();
        let turns = state.trees.turns.iter().rev().map(|turn| {
            let left_out = turn.before.iter().chain(&turn.after).flat_map(|tree| &tree.left_out);
            let left_out: std::collections::BTreeSet<&String> = left_out.collect();
            let (before, after) = (turn.before.as_ref(), turn.after.as_ref());
            json!({
                "turn_id": turn.turn_id,
                "began_at": crate::clock::Micros(turn.began_at),
                "ended_at": turn.ended_at.map(crate::clock::Micros),
                "has_trees": before.is_some() && after.is_some(),
                "can_restore": before.is_some(),
                "changed": before.zip(after).map(|(before, after)| before.tree != after.tree),
                "late": turn.late,
                "left_out": left_out,
            })
        });
        let restores = state.trees.restores.iter().rev().map(|restore| {
            json!({
                "restore_id": restore.restore_id,
                "turn_id": restore.turn_id,
                "at": crate::clock::Micros(restore.at),
                "changed": restore.changed,
                "done": restore.target.is_none(),
                "error": restore.error,
            })
        });
        let recording = self.launcher.settings.turn_trees;
        json!({"turns": turns.collect::<Vec<_>>(), "restores": restores.collect::<Vec<_>>(), "recording": recording})
    }

    /// Returns the turns that have changed a file, newest first.
    ///
    /// # Errors
    /// Fails when the project is on another machine, or git fails.
    pub(crate) fn file_history(&self, path: &str, gone: &dyn Fn() -> bool) -> Result<Vec<FileStep>, WorkerError> {
        let state = self.state();
        let folder = self.require_project_here(&state)?;
        let Some(repository) = Repository::find(&folder)? else { return Ok(Vec::new()) };
        let git = Git::open(repository, self.git_place(), GitBudget::new(LOOK_TIME, gone))?;
        let turns = state.trees.turns.iter().rev().filter_map(|turn| {
            let (before, after) = (turn.before.as_ref()?, turn.after.as_ref()?);
            Some((turn.turn_id.as_str(), turn.ended_at?, before.tree.as_str(), after.tree.as_str()))
        });
        Ok(history::of_file(&git, &folder, path, &turns.collect::<Vec<_>>())?)
    }

    /// Removes the worker's trees from its repository.
    pub(in crate::worker) fn forget_trees(&self) {
        let state = self.state();
        if state.trees.ids().next().is_none() {
            return;
        }
        let project = state.project();
        let forgotten = project::resolve(project, &self.launcher.settings.project_roots).and_then(|folder| {
            project::same(project, &folder)?;
            Ok(self.snapshots(Path::new(&folder)).forget(GitBudget::of_time(FORGET_TIME))?)
        });
        if let Err(error) = forgotten {
            log::info!("worker {}: the trees of its turns are left in {project}: {error}", self.id());
        }
    }
}

/// Returns whether the files may have changed since: after a beginning when the turn has ended, after an end when the
/// next turn has begun to work.
fn has_passed(state: &State, turn_id: &str, at: TurnEdge) -> bool {
    match at {
        TurnEdge::Begin => state.trees.turn(turn_id).is_none_or(|turn| turn.ended_at.is_some()),
        TurnEdge::End => {
            let later = state.trees.turns.iter().rev().take_while(|turn| turn.turn_id != turn_id);
            state.trees.turn(turn_id).is_none()
                || later.into_iter().any(|turn| turn.has_called || turn.ended_at.is_some())
        }
    }
}
