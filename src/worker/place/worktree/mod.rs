//! A worker's git worktree: planned, created, examined for work that would be lost with it, and removed.
//!
//! The plan is in the worker's journal before git does anything, and its completion is recorded there afterwards. So
//! the remains of a crash are known, and the next start of the worker completes the worktree.

pub(in crate::worker) mod carry;
pub(in crate::worker) mod examine;
pub(in crate::worker) mod head;
pub(in crate::worker) mod include;
mod inside;
pub(in crate::worker) mod keep;
pub(in crate::worker) mod make;
pub(in crate::worker) mod remove;

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::journal::Worktree;
use crate::worker::error::WorkerError;
use crate::worker::place::git::{Git, GitBudget, GitError, MirrorFolder, Repository, SHORT_BYTES, is_ref_name};
use crate::worker::place::project;

/// Time limit for planning a worktree.
const PLAN_TIME: Duration = Duration::from_secs(10);
/// Time limit of operations that write or read a whole tree of files.
const TREE_TIME: Duration = Duration::from_secs(300);
/// Longest part of a worker's name in its worktree's name, in characters.
const SLUG_CHARS: usize = 40;
/// Characters of the worker's id in its worktree's name, which make the name unique.
const ID_CHARS: usize = 8;
/// Prefix of branches whose name the request omits.
const BRANCH_PREFIX: &str = "rs-worker/";
/// Maximum number of changed files that a message names.
const FILES_NAMED: usize = 5;

/// The parameters of a new worker's worktree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NewWorktree {
    /// Its branch, which must be new; named after the worker when left out.
    pub branch: Option<String>,
    /// The base commit; the project's present commit when left out.
    pub base: Option<String>,
}

/// Plans a worktree, and the folder in it that corresponds to `project_path`. Changes nothing in the repository.
pub(in crate::worker) fn plan(
    project_path: &str,
    wanted: &NewWorktree,
    (name, id): (&str, &str),
    (place, dir): (MirrorFolder<'_>, &Path),
) -> Result<(Worktree, String), WorkerError> {
    let repository = Repository::find(Path::new(project_path))?.ok_or_else(|| {
        WorkerError::Invalid(format!(
            "the project folder is in no git working folder, so there can be no worktree of it: {project_path}"
        ))
    })?;
    let top = project::resolve(repository.top.to_str().unwrap_or_default(), place.roots)?;
    let git = Git::open(repository, place, GitBudget::of_time(PLAN_TIME))?;
    let base = commit(&git, wanted.base.as_deref())?;
    let below = Path::new(project_path).strip_prefix(&top).ok().and_then(Path::to_str).unwrap_or_default();
    if !below.is_empty() && git.output(&["ls-tree", "-d", &base, "--", below], SHORT_BYTES)?.output.is_empty() {
        return Err(WorkerError::Invalid(format!(
            "the commit {base} has no folder {below}, where the worker is to work"
        )));
    }
    let own = format!("{}-{}", slug(name), id.get(..ID_CHARS).unwrap_or(id));
    let branch = wanted.branch.clone().unwrap_or_else(|| format!("{BRANCH_PREFIX}{own}"));
    let reference = format!("refs/heads/{branch}");
    if branch.starts_with('-')
        || branch == "HEAD"
        || !is_ref_name(&reference)
        || git.line(&["check-ref-format", &reference])?.is_none()
    {
        return Err(WorkerError::Invalid(format!("git takes no branch of this name: {branch}")));
    }
    if tip(&git, &branch)?.is_some() {
        return Err(WorkerError::Conflict(format!("the branch {branch} is there already: name another one")));
    }
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let path = text(dir.canonicalize()?.join(own))?;
    let folder = if below.is_empty() { path.clone() } else { format!("{path}/{below}") };
    Ok((Worktree { project: top, path, branch, base }, folder))
}

fn commit(git: &Git<'_>, named: Option<&str>) -> Result<String, WorkerError> {
    let name = named.unwrap_or("HEAD");
    let found = if name.starts_with('-') {
        None
    } else {
        git.line(&["rev-parse", "--verify", "--quiet", &format!("{name}^{{commit}}")])?
    };
    found.ok_or_else(|| {
        WorkerError::Invalid(match named {
            Some(name) => format!("the repository has no commit {name} to begin at"),
            None => "the repository has no commit yet: make one first".to_owned(),
        })
    })
}

/// Returns the commit at the end of a branch, if the branch exists.
fn tip(git: &Git<'_>, branch: &str) -> Result<Option<String>, GitError> {
    git.line(&["rev-parse", "--verify", "--quiet", &format!("refs/heads/{branch}^{{commit}}")])
}

/// Formats `name` as part of the names of a branch and a folder.
fn slug(name: &str) -> String {
    let mut slug = String::new();
    for char in name.chars() {
        match char.to_ascii_lowercase() {
            char if char.is_ascii_alphanumeric() => slug.push(char),
            _ if slug.is_empty() || slug.ends_with('-') => {}
            _ => slug.push('-'),
        }
        if slug.len() == SLUG_CHARS {
            break;
        }
    }
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() { "worker".to_owned() } else { slug.to_owned() }
}

fn text(path: PathBuf) -> Result<String, WorkerError> {
    let reported = |path| WorkerError::Invalid(format!("WORKTREE_DIR is not valid UTF-8: {path:?}"));
    path.into_os_string().into_string().map_err(reported)
}

/// Returns the name under which the repository keeps a worktree.
fn name(tree: &Worktree) -> &str {
    tree.path.rsplit('/').next().unwrap_or_default()
}

/// Formats a number of commits.
fn commits(count: usize) -> String {
    if count == 1 { "1 commit".to_owned() } else { format!("{count} commits") }
}

/// Lists the first few of many names.
fn named(names: &[String]) -> String {
    let more = if names.len() > FILES_NAMED { ", ..." } else { "" };
    let first: Vec<&str> = names.iter().take(FILES_NAMED).map(String::as_str).collect();
    first.join(", ") + more
}

#[cfg(test)]
mod tests {
    use super::slug;

    #[test]
    fn names_become_parts_of_branches() {
        assert_eq!(slug("Fix the Login!"), "fix-the-login");
        assert_eq!(slug("../..//-"), "worker");
        assert_eq!(slug("Grüße"), "gr-e");
        assert_eq!(slug(&"x y".repeat(50)).len(), 40);
    }
}
