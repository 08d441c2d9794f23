//! The uncommitted changes of a working folder, and operations in progress in it.

use std::collections::BTreeMap;
use std::path::Path;

use super::LIST_BYTES_MAX;
use crate::worker::place::git::{Git, GitError};
use crate::worker::place::look::mark_submodules;
use crate::worker::place::worktree::examine::{look_at_all, operations};

/// The changes of a working folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::worker) struct FolderChanges {
    /// Paths of tracked files that differ from the last commit, in the index or the folder.
    pub(in crate::worker) tracked: Vec<Vec<u8>>,
    /// Paths of new files.
    pub(in crate::worker) new: Vec<Vec<u8>>,
    /// Submodules with the commit that the index records for them.
    pub(in crate::worker) submodules: BTreeMap<Vec<u8>, String>,
}

impl FolderChanges {
    /// Lists the changes. The server's index is consumed: its entries of submodules are changed afterwards.
    pub(in crate::worker) fn list(git: &Git<'_>) -> Result<Self, GitError> {
        look_at_all(git)?;
        let submodules = mark_submodules(git)?;
        let ask = ["status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--ignore-submodules=dirty"];
        let status = git.output(&ask, LIST_BYTES_MAX)?;
        if status.cut {
            return Err(GitError::Failed {
                action: "status".to_owned(),
                words: "too many files have changed".to_owned(),
            });
        }
        let mut changed = Self { submodules, ..Self::default() };
        for entry in status.output.split(|byte| *byte == 0).filter(|entry| entry.len() > 3) {
            let path = &entry[3..];
            match &entry[..2] {
                // A separate repository, which is in no commit of this one.
                b"??" if path.ends_with(b"/") => {}
                b"??" => changed.new.push(path.to_owned()),
                _ => changed.tracked.push(path.to_owned()),
            }
        }
        Ok(changed)
    }

    /// Returns all paths that a commit of everything includes.
    pub(in crate::worker) fn all(&self) -> Vec<Vec<u8>> {
        let mut all = [self.tracked.as_slice(), &self.new].concat();
        all.sort();
        all
    }
}

/// Returns paths as text, for people and the API.
pub(in crate::worker) fn texts(paths: &[Vec<u8>]) -> Vec<String> {
    paths.iter().map(|path| String::from_utf8_lossy(path).into_owned()).collect()
}

/// Returns the name of git's operation in progress in a Git directory.
pub(in crate::worker) fn operation(own: &Path) -> Option<&'static str> {
    operations(own).next()
}
