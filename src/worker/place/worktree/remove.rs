//! Removes a worktree whose deletion was decided. Commits that only it has were kept before.

use super::examine::own_count;
use super::make::{checked_out, forget, owner};
use super::{TREE_TIME, commits, tip};
use crate::journal::Worktree;
use crate::worker::error::WorkerError;
use crate::worker::place::git::{Git, GitBudget, MirrorFolder, RefChange};

/// Removes the worktree with its contents, and its branch unless that has commits of its own; reports a branch that is
/// kept.
pub(in crate::worker) fn remove(tree: &Worktree, place: MirrorFolder<'_>) -> Result<Option<String>, WorkerError> {
    let owner = owner(tree)?;
    forget(tree, owner.as_ref())?;
    let Some(repository) = owner else { return Ok(None) };
    let git = Git::open(repository, place, GitBudget::of_time(TREE_TIME))?;
    let Some(tip) = tip(&git, &tree.branch)? else { return Ok(None) };
    let own = own_count(&git, false, tree)?;
    if own > 0 {
        return Ok(Some(format!("its branch {} is kept: it has {} of its own", tree.branch, commits(own))));
    }
    // A branch that is checked out elsewhere is left alone.
    if !checked_out(git.repository(), &tree.branch)? {
        let name = format!("refs/heads/{}", tree.branch);
        let _ = git
            .change_refs(&[RefChange::Delete { name, expected: tip }])
            .inspect_err(|error| log::info!("the branch {} is left: {error}", tree.branch));
    }
    Ok(None)
}
