//! The recent turns of a worker with the trees of its project's files before and after each, and the restores.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{push_bounded, shortened};
use crate::clock::Micros;
use crate::event::{Body, Event};
use crate::journal::{CarriedChanges, Control, RecordedTree, RestoreBegun, RestoreDone, TreeRecorded, TurnEdge};

/// Turns whose trees are stored; beyond that, the oldest is dropped.
pub(crate) const TURNS_KEPT: usize = 50;
/// Restores whose overwritten files are stored.
pub(crate) const RESTORES_KEPT: usize = 20;

/// A turn.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TurnTrees {
    /// The turn's id.
    pub turn_id: String,
    /// The time of its beginning.
    pub began_at: u64,
    /// The time of its end; absent while it runs.
    pub ended_at: Option<u64>,
    /// The files at its beginning.
    pub before: Option<RecordedTree>,
    /// The files at its end.
    pub after: Option<RecordedTree>,
    /// True if it may have changed files before they were recorded at its beginning.
    #[serde(default)]
    pub late: bool,
    /// True if a tool was called in it.
    #[serde(default)]
    pub has_called: bool,
}

/// A restore of files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RestoredFiles {
    /// Its id.
    pub restore_id: String,
    /// The turn whose earlier files were restored; absent when changes were discarded.
    pub turn_id: Option<String>,
    /// The time of its beginning.
    pub at: u64,
    /// The tree with the restored files, as long as it has not ended.
    pub target: Option<RecordedTree>,
    /// The files before it.
    pub recorded: RecordedTree,
    /// Paths in the project; all when empty.
    pub files: Vec<String>,
    /// The number of files that were changed.
    pub changed: u64,
    /// The reason why it could not be completed.
    pub error: Option<String>,
}

/// Recent turns and restores, latest last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Trees {
    /// Turns.
    pub turns: VecDeque<TurnTrees>,
    /// Restores.
    pub restores: VecDeque<RestoredFiles>,
    /// The uncommitted changes that its worktree got.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub carried: Option<Box<CarriedChanges>>,
}

impl Trees {
    /// Applies an event about turns.
    pub(super) fn note(&mut self, event: &Event<'_>, time: Micros) {
        match &event.body {
            Body::TurnStarted { turn_id } => {
                let turn = TurnTrees { turn_id: shortened(turn_id), began_at: time.0, ..TurnTrees::default() };
                push_bounded(&mut self.turns, turn, TURNS_KEPT);
            }
            Body::TurnCompleted(_) => {
                if let Some(turn) = self.turns.back_mut().filter(|turn| turn.ended_at.is_none()) {
                    turn.ended_at = Some(time.0);
                }
            }
            Body::ToolCall { .. } => {
                if let Some(turn) = self.turns.back_mut().filter(|turn| turn.ended_at.is_none()) {
                    turn.has_called = true;
                }
            }
            _ => {}
        }
    }

    /// Applies a record of trees and restores.
    pub(super) fn control(&mut self, control: &Control, time: Micros) {
        match control {
            Control::TreeRecorded(TreeRecorded { turn_id, at, tree, late }) if tree.is_valid() => {
                let Some(turn) = self.turns.iter_mut().rev().find(|turn| turn.turn_id == *turn_id) else { return };
                match at {
                    TurnEdge::Begin => (turn.before, turn.late) = (Some(tree.clone()), *late),
                    TurnEdge::End => turn.after = Some(tree.clone()),
                }
            }
            Control::Carried(carried) if carried.tree.is_valid() => self.carried = Some(Box::new(carried.clone())),
            Control::RestoreBegun(begun) if begun.is_valid() => {
                let RestoreBegun { restore_id, turn_id, target, recorded, files } = begun;
                let restore = RestoredFiles {
                    restore_id: restore_id.clone(),
                    turn_id: turn_id.clone(),
                    at: time.0,
                    target: Some(target.clone()),
                    recorded: recorded.clone(),
                    files: files.clone(),
                    changed: 0,
                    error: None,
                };
                push_bounded(&mut self.restores, restore, RESTORES_KEPT);
            }
            Control::RestoreDone(RestoreDone { restore_id, changed, error }) => {
                if let Some(restore) = self.restores.iter_mut().find(|restore| restore.restore_id == *restore_id) {
                    (restore.changed, restore.error, restore.target) = (*changed, error.clone(), None);
                    restore.files = Vec::new();
                }
            }
            _ => {}
        }
    }

    /// Returns the turn with this id.
    pub(in crate::worker) fn turn(&self, turn_id: &str) -> Option<&TurnTrees> {
        self.turns.iter().rev().find(|turn| turn.turn_id == turn_id)
    }

    /// Returns the restore that has not ended.
    pub(in crate::worker) fn pending(&self) -> Option<&RestoredFiles> {
        self.restores.iter().find(|restore| restore.target.is_some())
    }

    /// Returns the ids of all trees that are needed.
    pub(in crate::worker) fn ids(&self) -> impl Iterator<Item = &str> {
        let of_turns = self.turns.iter().flat_map(|turn| [&turn.before, &turn.after]).flatten();
        let of_restores = self.restores.iter().flat_map(|restore| restore.target.iter().chain([&restore.recorded]));
        let carried = self.carried.iter().map(|carried| &carried.tree);
        of_turns.chain(of_restores).chain(carried).map(|tree| tree.tree.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESTORE: &str = "0b5c6f0e-2f1e-4c5e-9a53-5d5f0b0d3c11";

    fn tree(id: &str) -> RecordedTree {
        // Turns any text into an id: its bytes as digits.
        let digits: String = id.bytes().map(|byte| format!("{byte:02x}")).collect();
        RecordedTree { tree: format!("{digits:0<40}"), left_out: Vec::new() }
    }

    fn started(trees: &mut Trees, turn_id: &str) {
        trees.note(&Event::new("", Body::TurnStarted { turn_id: turn_id.to_owned().into() }), Micros(1));
    }

    #[test]
    fn trees_of_the_oldest_turns_are_forgotten() {
        let mut trees = Trees::default();
        for number in 0..=TURNS_KEPT {
            let turn_id = format!("t{number}");
            started(&mut trees, &turn_id);
            for at in [TurnEdge::Begin, TurnEdge::End] {
                let recorded =
                    TreeRecorded { turn_id: turn_id.clone(), at, tree: tree(&format!("{turn_id}{at:?}")), late: false };
                let recorded = Control::TreeRecorded(recorded);
                trees.control(&recorded, Micros(2));
            }
        }
        assert_eq!(trees.turns.len(), TURNS_KEPT);
        assert!(trees.turn("t0").is_none());
        assert_eq!(trees.ids().count(), 2 * TURNS_KEPT);
        assert_eq!(trees.ids().next(), Some(tree("t1Begin").tree.as_str()));
    }

    #[test]
    fn restore_is_pending_until_it_has_ended() {
        let mut trees = Trees::default();
        let begun = RestoreBegun {
            restore_id: RESTORE.into(),
            turn_id: None,
            target: tree("a"),
            recorded: tree("b"),
            files: vec!["x".into()],
        };
        trees.control(&Control::from_json(&Control::RestoreBegun(begun).to_json()), Micros(1));
        assert_eq!(trees.pending().map(|restore| restore.restore_id.as_str()), Some(RESTORE));
        assert_eq!(trees.ids().collect::<Vec<_>>(), [tree("a").tree, tree("b").tree]);
        let done = Control::RestoreDone(RestoreDone { restore_id: RESTORE.into(), changed: 3, error: None });
        trees.control(&Control::from_json(&done.to_json()), Micros(2));
        assert_eq!(trees.pending(), None);
        assert_eq!(trees.ids().collect::<Vec<_>>(), [tree("b").tree], "what was overwritten is kept");
    }

    #[test]
    fn ids_that_git_would_read_as_options_are_not_taken() {
        let mut trees = Trees::default();
        started(&mut trees, "t");
        let hostile = RecordedTree { tree: "--output=/home/me/.bashrc".into(), left_out: Vec::new() };
        let recorded = TreeRecorded { turn_id: "t".into(), at: TurnEdge::Begin, tree: hostile.clone(), late: false };
        trees.control(&Control::TreeRecorded(recorded), Micros(2));
        assert!(trees.turn("t").unwrap().before.is_none());
        for (id, target) in [(RESTORE, &hostile), ("../../x", &tree("a"))] {
            let begun = RestoreBegun {
                restore_id: id.into(),
                turn_id: None,
                target: target.clone(),
                recorded: tree("b"),
                files: Vec::new(),
            };
            trees.control(&Control::RestoreBegun(begun), Micros(3));
        }
        assert_eq!((trees.pending(), trees.ids().count()), (None, 0));
    }
}
