//! Trees of a project's files at one moment, kept in its repository without touching its index or its files.
//!
//! git finds the files with the server's own index, which stays in the worker's folder, so that only changed files are
//! read. The server reads them without following links, and git gets copies. So a file that an agent replaces by a link
//! to a file of another user never becomes an object that the agent can read.

pub(in crate::worker) mod apply;
pub(in crate::worker) mod copy;
pub(in crate::worker) mod history;
pub(in crate::worker) mod hunk;
pub(in crate::worker) mod keep;
pub(in crate::worker) mod plan;
mod record;
mod source;
mod stream;

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

pub(in crate::worker) use record::LIST_BYTES_MAX;
use record::{LOOSE_MAX, record_files};

use crate::fnv;
use crate::worker::place::git::{Git, GitBudget, GitError, MirrorFolder, Repository};
use crate::worker::place::look::mark_submodules;

/// Prefix of the names of the server's indexes, in the worker's folder.
const INDEX_PREFIX: &str = "turn-index-";

/// The files of a worker's project and the folder that keeps their trees.
#[derive(Clone, Copy)]
pub(in crate::worker) struct ProjectTrees<'a> {
    /// The project's folder, resolved.
    pub(in crate::worker) folder: &'a Path,
    /// The worker's own folder.
    pub(in crate::worker) dir: &'a Path,
    /// The worker's id.
    pub(in crate::worker) worker: &'a str,
    pub(in crate::worker) place: MirrorFolder<'a>,
}

/// A tree of the files whose objects are still in the server's directory.
pub(in crate::worker) struct ProjectTree<'a> {
    pub(in crate::worker) git: Git<'a>,
    /// The tree's id.
    pub(in crate::worker) tree: String,
    /// Files that are too large, by their path in the repository: their content is unknown.
    pub(in crate::worker) left_out: Vec<String>,
}

impl ProjectTrees<'_> {
    /// Records the tree of the present files; `None` when the folder is not in a repository.
    ///
    /// # Errors
    /// Fails when git fails, too much has changed, or the time limit is exceeded.
    pub(in crate::worker) fn take<'b>(&self, budget: GitBudget<'b>) -> Result<Option<ProjectTree<'b>>, GitError> {
        let Some(repository) = Repository::find(self.folder)? else { return Ok(None) };
        let index = self.index_of(&repository);
        if index.is_file() {
            match self.take_with(repository.clone(), Some(&index), budget) {
                // Objects that it names may be gone, and an agent of the same user can write it.
                Err(GitError::Failed { action, words }) => {
                    log::debug!("worker {}: git {action}: {words}: its files are looked at anew", self.worker);
                    fs::remove_file(&index).map_err(GitError::io(index.display().to_string()))?;
                }
                taken => return taken.map(Some),
            }
        }
        self.take_with(repository, None, budget).map(Some)
    }

    fn take_with<'b>(
        &self,
        repository: Repository,
        index: Option<&Path>,
        budget: GitBudget<'b>,
    ) -> Result<ProjectTree<'b>, GitError> {
        let git = Git::open_with(repository, self.place, budget, index)?;
        mark_submodules(&git)?;
        let git = git.run_from(self.folder);
        let left_out = record_files(&git, &budget)?;
        let tree = git.line(&["write-tree"])?.unwrap_or_default();
        Ok(ProjectTree { git, tree, left_out })
    }

    /// Returns the server's index for a repository.
    fn index_of(&self, repository: &Repository) -> PathBuf {
        let hash = fnv::hash(repository.own.as_os_str().as_bytes());
        self.dir.join(format!("{INDEX_PREFIX}{hash:016x}"))
    }
}

/// Returns whether a path leads down to a file, and not into a Git directory.
pub(in crate::worker) fn is_plain(path: &Path) -> bool {
    let part_is_plain = |part: Component<'_>| match part {
        Component::Normal(name) => !name.eq_ignore_ascii_case(".git"),
        _ => false,
    };
    path.components().next().is_some() && path.components().all(part_is_plain)
}

#[cfg(test)]
mod tests;
