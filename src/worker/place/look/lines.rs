//! The size of a project's changes: files and lines, without their content.

use std::path::Path;

use serde::Serialize;

use super::changes::{ReadyRepository, prepare};
use crate::worker::place::git::{GitBudget, GitError, GitOutput, MirrorFolder};

/// Longest list of changed files, in bytes; a longer one is not counted.
const LIST_BYTES_MAX: usize = 1024 * 1024;
/// Longest branch name that is shown, in characters.
const BRANCH_CHARS_MAX: usize = 200;

/// The size of a project's changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct ChangedLines {
    /// Changed files, new ones included.
    pub files: u64,
    /// Lines that were added.
    pub added: u64,
    /// Lines that were removed.
    pub removed: u64,
    /// The branch that is checked out; absent on a detached HEAD.
    pub branch: Option<String>,
}

/// Counts the differences from a commit; `None` when the folder is not in a repository, or too much differs.
pub(in crate::worker) fn count(
    folder: &Path,
    begun_at: Option<&str>,
    place: MirrorFolder<'_>,
    budget: GitBudget<'_>,
) -> Result<Option<ChangedLines>, GitError> {
    let Some(ReadyRepository { git, base }) = prepare(folder, begun_at, place, budget)? else { return Ok(None) };
    let branch = git.line(&["symbolic-ref", "--quiet", "--short", "HEAD"])?;
    let form = [
        "diff",
        "--numstat",
        "--no-renames",
        "--no-ext-diff",
        "--no-textconv",
        "--ignore-submodules=dirty",
        "--relative",
    ];
    let GitOutput { output, cut, .. } = git.output(&[&form[..], &[&base, "--", "."]].concat(), LIST_BYTES_MAX)?;
    if cut {
        return Ok(None);
    }
    let mut lines = add_up(&String::from_utf8_lossy(&output));
    lines.branch = branch.map(|branch| branch.chars().take(BRANCH_CHARS_MAX).collect());
    Ok(Some(lines))
}

/// Adds up `ADDED<TAB>REMOVED<TAB>PATH`, with `-` for the lines of a binary file.
fn add_up(list: &str) -> ChangedLines {
    let mut sum = ChangedLines::default();
    for line in list.lines() {
        let mut fields = line.split('\t');
        let mut number = || fields.next().and_then(|field| field.parse::<u64>().ok()).unwrap_or_default();
        sum.files += 1;
        sum.added = sum.added.saturating_add(number());
        sum.removed = sum.removed.saturating_add(number());
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_lines_are_summed_and_binary_files_have_none() {
        let sum = add_up("12\t3\tsrc/a.rs\n-\t-\tlogo.png\n0\t1\t\"odd\\tname\"\n");
        assert_eq!(sum, ChangedLines { files: 3, added: 12, removed: 4, branch: None });
        assert_eq!(add_up(""), ChangedLines::default());
    }
}
