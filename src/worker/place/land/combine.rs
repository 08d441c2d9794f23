//! New trees from two sides, made by git in the server's Git directory: a merge, or commits that are repeated on top of
//! another one.

use super::{Conflict, LIST_BYTES_MAX, is_ancestor};
use crate::worker::place::git::{At, Git, GitError, SHORT_BYTES};

/// Maximum number of commits that one command repeats.
pub(super) const PICKS_MAX: usize = 500;
/// Identity of the temporary commits that are needed while trees are made.
const STAND_IN: [&str; 4] = ["-c", "user.name=rs-worker", "-c", "user.email=rs-worker@localhost"];

/// The outcome of a combination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::worker) enum MergeOutcome {
    /// The tree with the changes of both sides.
    Tree(String),
    /// The files that conflict.
    Conflicts(Vec<Conflict>),
}

/// A commit to be repeated, with the tree that it gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::worker) struct Pick {
    /// The original commit.
    pub(in crate::worker) id: String,
    /// The tree of the new one.
    pub(in crate::worker) tree: String,
}

/// The outcome of an attempted rebase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::worker) enum RebaseOutcome {
    /// No commit has to be repeated.
    FastForward,
    /// These commits are repeated; those whose changes are there already are left out.
    Picks(Vec<Pick>),
    /// This commit's changes cannot be combined.
    Conflicts(String, Vec<Conflict>),
    /// The rebase is not possible, for this reason.
    Impossible(String),
}

/// Merges two commits.
pub(in crate::worker) fn merge(git: &Git<'_>, ours: &str, theirs: &str) -> Result<MergeOutcome, GitError> {
    let args = ["merge-tree", "--write-tree", "-z", "--messages", ours, theirs];
    let answer = git.run_at(At::default(), &args, (b"", LIST_BYTES_MAX), &[0, 1])?;
    let text = String::from_utf8_lossy(&answer.output);
    if answer.code == 0 {
        return Ok(MergeOutcome::Tree(text.split('\0').next().unwrap_or_default().trim().to_owned()));
    }
    Ok(MergeOutcome::Conflicts(conflicts(&text)))
}

/// Parses the output of `git merge-tree -z`: a tree, conflicted files as `MODE ID STAGE<TAB>PATH`, an empty field, and
/// messages as the number of their paths, the paths, the kind, and a text.
fn conflicts(text: &str) -> Vec<Conflict> {
    let mut fields = text.split('\0').skip(1);
    let mut paths: Vec<&str> =
        fields.by_ref().take_while(|field| !field.is_empty()).filter_map(|it| Some(it.split_once('\t')?.1)).collect();
    paths.dedup();
    let mut found = Vec::new();
    while let Some(count) = fields.next().and_then(|count| count.parse::<usize>().ok()) {
        let named: Vec<&str> = fields.by_ref().take(count).collect();
        let (Some(kind), Some(_words)) = (fields.next(), fields.next()) else { break };
        if let Some(kind) = kind.strip_prefix("CONFLICT (").and_then(|kind| kind.strip_suffix(')')) {
            let path = named.first().copied().unwrap_or_default().to_owned();
            found.push(Conflict { path, kind: kind.to_owned() });
        }
    }
    for path in paths {
        if !found.iter().any(|conflict| conflict.path == path) {
            found.push(Conflict { path: path.to_owned(), kind: "contents".to_owned() });
        }
    }
    // The kind `contents` is the least specific one of a file that has another kind too.
    found.sort_by(|a, b| (&a.path, a.kind == "contents", &a.kind).cmp(&(&b.path, b.kind == "contents", &b.kind)));
    found.dedup_by(|next, kept| next.path == kept.path);
    found
}

/// Returns the tree of a commit.
pub(in crate::worker) fn tree_of(git: &Git<'_>, commit: &str) -> Result<String, GitError> {
    let tree = git.line(&["rev-parse", "--verify", "--quiet", &format!("{commit}^{{tree}}")])?;
    tree.ok_or_else(|| GitError::Failed { action: "rev-parse".to_owned(), words: format!("no tree: {commit}") })
}

/// Tries to repeat the commits that `theirs` has and `onto` lacks on top of `onto`.
pub(in crate::worker) fn rebase(git: &Git<'_>, onto: &str, theirs: &str) -> Result<RebaseOutcome, GitError> {
    if is_ancestor(git, onto, theirs)? {
        return Ok(RebaseOutcome::FastForward);
    }
    let range = ["rev-list", "--reverse", "--topo-order", "--parents", theirs, "--not", onto];
    let list = git.output(&range, LIST_BYTES_MAX)?;
    let text = String::from_utf8_lossy(&list.output).into_owned();
    let commits: Vec<Vec<&str>> = text.lines().map(|line| line.split(' ').collect()).collect();
    if commits.len() > PICKS_MAX {
        return Ok(RebaseOutcome::Impossible(format!("there are more than {PICKS_MAX} commits to be made again")));
    }
    let mut tree = tree_of(git, onto)?;
    let mut picks = Vec::new();
    for commit in commits {
        let [id, parent] = commit.as_slice() else {
            let why = "it would lose merge commits: land by merge or squash, or have the agent rebase";
            return Ok(RebaseOutcome::Impossible(why.to_owned()));
        };
        let stand_in = stand_in(git, &tree, parent)?;
        match merge(git, &stand_in, id)? {
            MergeOutcome::Tree(made) if made == tree && tree_of(git, id)? != tree_of(git, parent)? => {}
            MergeOutcome::Tree(made) => {
                tree.clone_from(&made);
                picks.push(Pick { id: (*id).to_owned(), tree: made });
            }
            MergeOutcome::Conflicts(found) => return Ok(RebaseOutcome::Conflicts((*id).to_owned(), found)),
        }
    }
    Ok(RebaseOutcome::Picks(picks))
}

/// Makes a commit with this tree whose parent is that of a repeated commit, so that a merge of both has that parent as
/// its base.
fn stand_in(git: &Git<'_>, tree: &str, parent: &str) -> Result<String, GitError> {
    let args = [&STAND_IN[..], &["commit-tree", tree, "-p", parent]].concat();
    let answer = git.run_at(At::default(), &args, (b"stand-in\n", SHORT_BYTES), &[0])?;
    Ok(String::from_utf8_lossy(&answer.output).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conflicts_are_read_with_their_kinds() {
        let text = "7f00\u{0}100644 aa 1\ta.txt\u{0}100644 bb 2\ta.txt\u{0}100644 cc 1\told\u{0}\u{0}1\u{0}a.txt\u{0}\
                    Auto-merging\u{0}Auto-merging a.txt\n\u{0}1\u{0}a.txt\u{0}CONFLICT (contents)\u{0}CONFLICT (content): \
                    Merge conflict in a.txt\n\u{0}2\u{0}new\u{0}old\u{0}CONFLICT (rename/delete)\u{0}words\n\u{0}";
        let of = |path: &str, kind: &str| Conflict { path: path.to_owned(), kind: kind.to_owned() };
        let expected = vec![of("a.txt", "contents"), of("new", "rename/delete"), of("old", "contents")];
        assert_eq!(conflicts(text), expected);
    }
}
