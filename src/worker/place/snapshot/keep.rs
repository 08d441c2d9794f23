//! The reference by which a repository keeps a worker's trees: one tree that contains them all.

use std::collections::BTreeSet;
use std::fs;
use std::io;

use super::{LIST_BYTES_MAX, LOOSE_MAX, ProjectTree, ProjectTrees};
use crate::worker::place::git::{Git, GitBudget, GitError, RefChange, Repository};

/// Attempts to change a reference that other processes change too.
const TRIES: usize = 3;

/// Returns the name of the reference that keeps a worker's trees.
fn reference(worker: &str) -> String {
    format!("refs/rs-worker/{worker}/turns")
}

impl ProjectTrees<'_> {
    /// Moves the tree to the repository, which keeps it with the `other` trees of the worker and drops the rest.
    ///
    /// # Errors
    /// Fails when the repository cannot be written.
    pub(in crate::worker) fn keep<'t>(
        &self,
        taken: &ProjectTree<'_>,
        others: impl IntoIterator<Item = &'t str>,
    ) -> Result<(), GitError> {
        self.keep_trees(taken, others)?;
        self.keep_index(&taken.git)
    }

    /// Moves the tree to the repository as the only one of the worker, which has another folder than this one.
    ///
    /// # Errors
    /// As [`Self::keep`].
    pub(in crate::worker) fn keep_for_another(&self, taken: &ProjectTree<'_>) -> Result<(), GitError> {
        self.keep_trees(taken, [])
    }

    fn keep_trees<'t>(
        &self,
        taken: &ProjectTree<'_>,
        others: impl IntoIterator<Item = &'t str>,
    ) -> Result<(), GitError> {
        let git = &taken.git;
        let mut trees: BTreeSet<&str> = others.into_iter().collect();
        // A tree that was removed meanwhile is not kept any more.
        let known = trees.iter().map(|id| format!("{id}\n").into_bytes()).collect::<Vec<_>>();
        let check = ["cat-file", "--batch-check=%(objectname) %(objecttype)"];
        let found = git.with_input(&check, known.iter().map(Vec::as_slice), LIST_BYTES_MAX)?;
        let found = String::from_utf8_lossy(&found.output).into_owned();
        let found: BTreeSet<&str> = found.lines().filter_map(|line| line.strip_suffix(" tree")).collect();
        trees.retain(|id| found.contains(id));
        trees.insert(&taken.tree);
        let entries: Vec<Vec<u8>> = trees.iter().map(|id| format!("040000 tree {id}\t{id}\0").into_bytes()).collect();
        let made = git.with_input(&["mktree", "-z"], entries.iter().map(Vec::as_slice), LIST_BYTES_MAX)?;
        let all = String::from_utf8_lossy(&made.output).trim_end().to_owned();
        pack(git)?;
        git.publish_objects()?;
        let name = reference(self.worker);
        let mut before = git.line(&["rev-parse", "--verify", "--quiet", &name])?;
        for left in (0..TRIES).rev() {
            let change = match before {
                Some(expected) if expected == all => return Ok(()),
                Some(expected) => RefChange::Update { name: name.clone(), id: all.clone(), expected },
                None => RefChange::Create { name: name.clone(), id: all.clone() },
            };
            match git.change_refs(&[change]) {
                Err(GitError::Failed { .. }) if left > 0 => before = git.current(&name)?,
                changed => return changed,
            }
        }
        Ok(())
    }

    /// Stores the index, whose objects are in the repository by now, for the next tree.
    fn keep_index(&self, git: &Git<'_>) -> Result<(), GitError> {
        let (made, kept) = (git.dir().join("index"), self.index_of(git.repository()));
        if made.is_file() {
            fs::rename(&made, &kept).map_err(GitError::io(kept.display().to_string()))?;
        }
        Ok(())
    }

    /// Removes the reference, so that git's garbage collection removes the trees.
    ///
    /// # Errors
    /// Fails when the repository cannot be read or written.
    pub(in crate::worker) fn forget(&self, budget: GitBudget<'_>) -> Result<(), GitError> {
        let Some(repository) = Repository::find(self.folder)? else { return Ok(()) };
        let git = Git::open(repository, self.place, budget)?;
        let name = reference(self.worker);
        match git.line(&["rev-parse", "--verify", "--quiet", &name])? {
            Some(expected) => git.change_refs(&[RefChange::Delete { name, expected }]),
            None => Ok(()),
        }
    }
}

/// Packs the objects that git has made here, if there are many: each loose file slows the repository down.
fn pack(git: &Git<'_>) -> Result<(), GitError> {
    let objects = git.dir().join("objects");
    let failed = GitError::io("objects cannot be packed");
    let (ids, folders) = match loose(&objects) {
        Ok(found) => found,
        Err(error) => return Err(failed(error)),
    };
    if ids.len() <= LOOSE_MAX {
        return Ok(());
    }
    let packs = objects.join("pack/pack").display().to_string();
    // Without deltas, which cost more time than they save space until git repacks the repository.
    let args = ["pack-objects", "-q", "--window=0", "--compression=1", &packs];
    git.with_input(&args, ids.iter().map(String::as_bytes), LIST_BYTES_MAX)?;
    folders.iter().try_for_each(fs::remove_dir_all).map_err(failed)
}

/// Returns the ids of the loose objects, one per line, and the folders that they are in.
fn loose(objects: &std::path::Path) -> io::Result<(Vec<String>, Vec<std::path::PathBuf>)> {
    let (mut ids, mut folders) = (Vec::new(), Vec::new());
    for folder in fs::read_dir(objects)? {
        let folder = folder?;
        let Some(begin) = folder.file_name().into_string().ok().filter(|name| name.len() == 2) else { continue };
        for file in fs::read_dir(folder.path())? {
            if let Ok(rest) = file?.file_name().into_string() {
                ids.push(format!("{begin}{rest}\n"));
            }
        }
        folders.push(folder.path());
    }
    Ok((ids, folders))
}
