//! A branch that the server moves for a person: what a start after a crash needs to complete it or to take it back.

use serde::{Deserialize, Serialize};

use super::trees::is_object_id;

/// The move of one branch from one commit to another, with the files of the folder that has it checked out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BranchMove {
    /// A UUID of its own.
    pub id: String,
    /// The command: `commit`, `update` or `land`.
    pub operation: String,
    /// A description for people.
    pub about: String,
    /// The branch's full name.
    pub branch: String,
    /// The commit that it leads to before.
    pub old: String,
    /// The commit that it leads to afterwards.
    pub new: String,
    /// The folder that has it checked out; absent where none has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// True if the folder's files change too, and not its index alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub files: bool,
    /// A commit that no branch leads to afterwards, with the reference that keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<(String, String)>,
    /// The server's user as git writes it in logs.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
}

impl BranchMove {
    /// Returns whether its id, its branch and its commits are such. A record may come from anywhere.
    pub(crate) fn is_valid(&self) -> bool {
        let kept = self.kept.as_ref();
        let is_kept_well = kept.is_none_or(|(name, id)| name.starts_with("refs/rs-worker/") && is_object_id(id));
        let is_branch = self.branch.starts_with("refs/heads/");
        uuid::Uuid::try_parse(&self.id).is_ok()
            && is_branch
            && is_kept_well
            && is_object_id(&self.old)
            && is_object_id(&self.new)
    }
}

/// The end of a [`BranchMove`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MoveEnd {
    /// The branch leads to the new commit.
    Done,
    /// All is as it was before.
    Undone,
    /// Somebody else has moved the branch meanwhile; it is left as it is.
    Left,
    /// An end that this build does not know.
    #[serde(other)]
    Unknown,
}
