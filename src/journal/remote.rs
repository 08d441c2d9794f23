//! Work that the server sends to another machine for a person: pushes and pull requests.

use serde::{Deserialize, Serialize};

/// A push or a pull request. Unlike the move of a branch it is not completed after a crash: that would take another look at
/// the other machine, for which nobody has asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteStep {
    /// A UUID of its own.
    pub id: String,
    /// The command: `push` or `pull_request`.
    pub operation: String,
    /// A description for people.
    pub about: String,
    /// The remote's name.
    pub remote: String,
    /// The remote's address, as people see it.
    pub url: String,
    /// The short name of the branch there.
    pub branch: String,
    /// The commit that the branch gets by a push.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

impl RemoteStep {
    /// Returns whether its id is one. A record may come from anywhere.
    pub(crate) fn is_valid(&self) -> bool {
        uuid::Uuid::try_parse(&self.id).is_ok()
    }
}

/// The end of a [`RemoteStep`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemoteEnd {
    /// Done.
    Done,
    /// The other machine has refused it, or could not be reached.
    Failed,
    /// The server or the connection ended in the middle of it: it may have been done.
    Unknown,
    /// An end that this build does not know.
    #[serde(other)]
    Other,
}
