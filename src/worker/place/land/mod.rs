//! Commits, updates and landings of a worker's work, done by git in the server's Git directories.
//!
//! Nothing here is forced or stashed, or touches a folder with uncommitted changes. New commits are made first, in the
//! server's Git directory; then one branch is moved from the commit where it was found to the new one, together with
//! the files of the folder that has it checked out (`settle`). The journal records the move before it begins.

pub(in crate::worker) mod blocked;
pub(in crate::worker) mod combine;
pub(in crate::worker) mod commit;
mod content;
pub(in crate::worker) mod dry_run;
mod paths;
pub(in crate::worker) mod plan;
pub(in crate::worker) mod settle;
pub(in crate::worker) mod status;
pub(in crate::worker) mod targets;

use std::time::Duration;

use serde::Serialize;

pub(crate) use plan::Landing;

use crate::worker::place::git::{Git, GitError};

/// Time limit of a whole command that makes commits or moves a branch.
pub(in crate::worker) const COMMAND_TIME: Duration = Duration::from_secs(120);
/// Longest list of files from git, in bytes.
const LIST_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Maximum number of files that a response names.
const FILES_MAX: usize = 1000;
/// Prefix of branches in the full names of references.
pub(in crate::worker) const HEADS: &str = "refs/heads/";

/// A way to land work on a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Strategy {
    /// A merge commit.
    Merge,
    /// One commit with all changes.
    Squash,
    /// Each commit repeated on top of the branch.
    Rebase,
}

impl Strategy {
    /// All strategies.
    pub(crate) const ALL: [Self; 3] = [Self::Merge, Self::Squash, Self::Rebase];

    /// Returns its name in the API.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Merge => "merge",
            Self::Squash => "squash",
            Self::Rebase => "rebase",
        }
    }
}

/// A file that both sides have changed in ways that git cannot combine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Conflict {
    /// Its path in the repository.
    pub path: String,
    /// The kind: `contents`, `rename/delete`, `modify/delete`, `binary`, ...
    pub kind: String,
}

/// The commit that a name leads to.
pub(in crate::worker) fn commit_of(git: &Git<'_>, name: &str) -> Result<Option<String>, GitError> {
    git.line(&["rev-parse", "--verify", "--quiet", &format!("{name}^{{commit}}")])
}

/// Returns whether one commit is part of another one's history.
pub(in crate::worker) fn is_ancestor(git: &Git<'_>, one: &str, other: &str) -> Result<bool, GitError> {
    Ok(git.line(&["merge-base", "--is-ancestor", one, other])?.is_some())
}

/// Returns whether the repository has this commit.
pub(in crate::worker) fn exists(git: &Git<'_>, commit: &str) -> Result<bool, GitError> {
    Ok(commit_of(git, commit)?.is_some())
}

/// The short name of a branch.
pub(in crate::worker) fn short(reference: &str) -> &str {
    reference.strip_prefix(HEADS).unwrap_or(reference)
}

/// The beginning of a commit's id, for people.
pub(in crate::worker) fn brief(id: &str) -> &str {
    id.get(..10).unwrap_or(id)
}

/// Formats a number of commits.
fn commits(count: usize) -> String {
    if count == 1 { "1 commit".to_owned() } else { format!("{count} commits") }
}

/// Lists the first few of many names.
fn named(names: &[String]) -> String {
    let more = if names.len() > 5 { ", ..." } else { "" };
    names.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ") + more
}
