//! The message that a worker begins with because of the way it was made, and from which its first message follows.

use serde::{Deserialize, Serialize};

/// The client's id of the message that a worker begins with: it is sent once, also by a server that was killed before.
pub(crate) const OPENING_MESSAGE: &str = "opening-message";

/// Another worker's conversation, which this one continues.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Handover {
    /// The worker that had the conversation.
    pub from: String,
    /// True if this one works in a copy of that worker's folder, a worktree of its own.
    pub copy: bool,
    /// True if the conversation is a file of the project instead of a part of the first message.
    pub file: bool,
    /// The user's own words for the first message; ours when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The first of the files whose changes were not committed, and so are not in the copy.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// The number of all those files.
    #[serde(skip_serializing_if = "is_zero")]
    pub left_out_count: usize,
    /// The folder whose uncommitted changes the copy gets; absent when they are left behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub carry_from: Option<String>,
    /// The first of the ignored files and folders, which are not in the copy.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignored: Vec<String>,
    /// The number of all those.
    #[serde(skip_serializing_if = "is_zero")]
    pub ignored_count: usize,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_unknown(time: &u64) -> bool {
    *time == 0
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// The part of a worker in a group: several workers that have one prompt and begin at one commit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupPart {
    /// The group's id.
    pub id: String,
    /// The group's name.
    pub name: String,
    /// The prompt of all its workers.
    pub prompt: String,
    /// The commit that all of them begin at.
    pub base: String,
    /// This worker's place among them, from 0.
    pub number: usize,
    /// The number of them.
    pub size: usize,
    /// The time at which the group was created, in microseconds since the Unix epoch; 0 in journals of earlier versions.
    #[serde(skip_serializing_if = "is_unknown")]
    pub created_at: u64,
    /// The client's key of the request that made the group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The hash of that request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_hash: Option<u64>,
}
