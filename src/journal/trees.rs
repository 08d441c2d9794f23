//! Records of a project's files at both ends of turns, and of their restore.

use serde::{Deserialize, Serialize};

/// Returns whether this is the full id of an object of git, and so nothing that git reads as an option.
pub(crate) fn is_object_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The beginning or the end of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnEdge {
    /// The beginning.
    Begin,
    /// The end.
    End,
}

/// A tree of a project's files, kept in its repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedTree {
    /// Its id in the repository.
    pub tree: String,
    /// Files that are too large for it, by their paths in the repository.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

impl RecordedTree {
    /// Returns whether it names a tree. A record may come from anywhere.
    pub(crate) fn is_valid(&self) -> bool {
        is_object_id(&self.tree)
    }
}

/// The files of a project at one end of a turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeRecorded {
    /// Which turn.
    pub turn_id: String,
    /// Which end of it.
    pub at: TurnEdge,
    /// Their tree.
    #[serde(flatten)]
    pub tree: RecordedTree,
    /// True if the turn may have changed files before they were recorded at its beginning.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
}

/// The uncommitted changes that a new worktree takes over from another folder of its repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedChanges {
    /// The tree of the base with the changes.
    #[serde(flatten)]
    pub tree: RecordedTree,
    /// The number of changed files.
    #[serde(default)]
    pub files: u64,
    /// The first of the files that are left behind, each with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub behind: Vec<String>,
    /// The number of all those.
    #[serde(default)]
    pub behind_count: u64,
}

/// The beginning of a restore of files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreBegun {
    /// Our id, a UUID.
    pub restore_id: String,
    /// The turn before which they were so; absent when changes are discarded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_id: Option<String>,
    /// The tree that has the files as they will be.
    pub target: RecordedTree,
    /// The tree of the files that are there.
    pub recorded: RecordedTree,
    /// Paths in the project of files and folders; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
}

impl RestoreBegun {
    /// Returns whether its id and its trees are such. A record may come from anywhere.
    pub(crate) fn is_valid(&self) -> bool {
        uuid::Uuid::try_parse(&self.restore_id).is_ok() && self.target.is_valid() && self.recorded.is_valid()
    }
}

/// The end of a restore of files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreDone {
    /// Which.
    pub restore_id: String,
    /// The number of files that were changed.
    pub changed: u64,
    /// The reason why it could not be completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
