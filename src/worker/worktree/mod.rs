//! A git worktree of a worker's own: planned, made, looked at for what would be lost with it, removed.
//!
//! The plan is in the worker's journal before git does anything, and that git is done is in it afterwards. So whatever a
//! crash leaves half made is known, and the next start of the worker makes it whole (`life`).

mod life;

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::WorkerError;
use super::{git, project};
use crate::journal::Worktree;
use crate::subprocess::Bounds;

/// Bounds of what writes or reads a whole tree of files.
const TREE: Bounds = Bounds { time: Duration::from_secs(300), bytes: 64 * 1024 };
/// Longest part of a worker's name in its worktree's name, in characters.
const SLUG_CHARS: usize = 40;
/// Characters of the worker's id in its worktree's name, which make it one of its kind.
const ID_CHARS: usize = 8;
/// Branches that have no name of their own begin with this.
const BRANCH_PREFIX: &str = "rs-worker/";
/// Changed files that are named where there may be many.
const FILES_NAMED: usize = 5;

/// What a new worker's worktree is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewWorktree {
    /// Its branch, which must be new; one named as the worker when left out.
    pub branch: Option<String>,
    /// The commit to begin at; the project's current one when left out.
    pub base: Option<String>,
}

/// Works out a worktree, and the folder in it that stands for `project_path`. Changes nothing in the repository.
fn plan(
    project_path: &str,
    wanted: &NewWorktree,
    (name, id): (&str, &str),
    roots: &[PathBuf],
    dir: &Path,
) -> Result<(Worktree, String), WorkerError> {
    let project = Path::new(project_path);
    let top = git::run(project, &["rev-parse", "--show-toplevel"], git::SHORT).map_err(|error| match error {
        WorkerError::Conflict(said) => WorkerError::Invalid(format!(
            "project_path is in no git working folder, so there can be no worktree of it: {project_path} ({said})"
        )),
        other => other,
    })?;
    let top = project::resolve(top.strip_suffix('\n').unwrap_or(&top), roots)?;
    let base = commit(project, wanted.base.as_deref())?;
    let below = git::line(project, &["rev-parse", "--show-prefix"])?.unwrap_or_default();
    let below = below.trim_end_matches('/');
    if !below.is_empty()
        && git::line(project, &["rev-parse", "--verify", "--quiet", &format!("{base}:{below}/")])?.is_none()
    {
        return Err(WorkerError::Invalid(format!(
            "the commit {base} has no folder {below}, where the worker is to work"
        )));
    }
    let own = format!("{}-{}", slug(name), id.get(..ID_CHARS).unwrap_or(id));
    let branch = wanted.branch.clone().unwrap_or_else(|| format!("{BRANCH_PREFIX}{own}"));
    let reference = format!("refs/heads/{branch}");
    if branch.starts_with('-') || git::line(project, &["check-ref-format", &reference])?.is_none() {
        return Err(WorkerError::Invalid(format!("git takes no branch of this name: {branch}")));
    }
    if tip(project, &branch)?.is_some() {
        return Err(WorkerError::Conflict(format!("the branch {branch} is there already: name another one")));
    }
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let path = text(dir.canonicalize()?.join(own))?;
    let folder = if below.is_empty() { path.clone() } else { format!("{path}/{below}") };
    Ok((Worktree { project: top, path, branch, base }, folder))
}

fn commit(project: &Path, named: Option<&str>) -> Result<String, WorkerError> {
    let name = named.unwrap_or("HEAD");
    let found = if name.starts_with('-') {
        None
    } else {
        git::line(project, &["rev-parse", "--verify", "--quiet", &format!("{name}^{{commit}}")])?
    };
    found.ok_or_else(|| {
        WorkerError::Invalid(match named {
            Some(name) => format!("the repository has no commit {name} to begin at"),
            None => "the repository has no commit yet: make one first".to_owned(),
        })
    })
}

/// The commit that a branch ends with, where there is such a branch.
fn tip(project: &Path, branch: &str) -> Result<Option<String>, WorkerError> {
    git::line(project, &["rev-parse", "--verify", "--quiet", &format!("refs/heads/{branch}^{{commit}}")])
}

/// `name` as part of a branch's and a folder's name.
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
    let told = |path| WorkerError::Invalid(format!("WORKTREE_DIR has a name that is no text: {path:?}"));
    path.into_os_string().into_string().map_err(told)
}

/// Makes the worktree, or makes it whole. `before` says that an earlier try may have left something, or that it was whole
/// once and is gone.
fn make(tree: &Worktree, before: bool) -> Result<(), WorkerError> {
    let project = Path::new(&tree.project);
    if before {
        forget(tree)?;
    }
    match tip(project, &tree.branch)? {
        None => {
            let add = ["worktree", "add", "--no-track", "-b", &tree.branch, "--", &tree.path, &tree.base];
            git::run(project, &add, TREE)?;
        }
        Some(_) if before => {
            git::run(project, &["worktree", "add", "--", &tree.path, &tree.branch], TREE)?;
        }
        Some(_) => {
            let branch = &tree.branch;
            return Err(WorkerError::Conflict(format!(
                "the branch {branch} has been made meanwhile: name another one"
            )));
        }
    }
    Ok(())
}

/// Removes the worktree with all that is in it, whatever state it is in. Its branch stays.
fn forget(tree: &Worktree) -> Result<(), WorkerError> {
    // Twice, because git locks a worktree while it makes it. It fails where git knows nothing of it, which is as well.
    let remove = ["worktree", "remove", "--force", "--force", "--", &tree.path];
    let removed = if Path::new(&tree.project).is_dir() {
        git::run(Path::new(&tree.project), &remove, TREE)
    } else {
        Ok(String::new())
    };
    match std::fs::remove_dir_all(&tree.path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            removed?;
            Err(error.into())
        }
        _ => Ok(()),
    }
}

/// What would be lost with the worktree, for people; `None` when nothing would.
fn losses(tree: &Worktree) -> Result<Option<String>, WorkerError> {
    let folder = Path::new(&tree.path);
    if !folder.exists() {
        return Ok(None);
    }
    let ask = ["status", "--porcelain", "-z", "--no-renames", "--untracked-files=normal", "--ignore-submodules=dirty"];
    let status = git::ask_of_files(folder, &ask, TREE)?;
    let own = own_commits(folder, &["HEAD", &format!("refs/heads/{}", tree.branch)], tree)?;
    let (Some(0), Some(own)) = (status.code, own) else {
        return Ok(Some("git cannot tell what is in it".to_owned()));
    };
    let listed = String::from_utf8_lossy(&status.output).into_owned();
    let files: Vec<&str> = listed.split('\0').filter_map(|entry| entry.get(3..)).collect();
    let mut lost = Vec::new();
    if !files.is_empty() {
        let named = files.iter().take(FILES_NAMED).copied().collect::<Vec<_>>().join(", ");
        let more = if files.len() > FILES_NAMED || status.cut { ", ..." } else { "" };
        lost.push(format!("it has changes that are not committed ({named}{more})"));
    }
    if own > 0 {
        lost.push(format!("it has {} that no other branch has", commits(own)));
    }
    Ok((!lost.is_empty()).then(|| lost.join(", and ")))
}

fn commits(count: u64) -> String {
    if count == 1 { "1 commit".to_owned() } else { format!("{count} commits") }
}

/// How many commits since the worktree's beginning only these names reach, and no other branch, tag or remote. `None`
/// when git cannot tell.
fn own_commits(folder: &Path, names: &[&str], tree: &Worktree) -> Result<Option<u64>, WorkerError> {
    let but = format!("--exclude={}", tree.branch);
    let others = ["--not", &tree.base, &but, "--branches", "--tags", "--remotes", "--"];
    let count = git::line(folder, &[&["rev-list", "--count"], names, &others].concat())?;
    Ok(count.and_then(|count| count.parse().ok()))
}

/// Removes the worktree: with `force` whatever is in it, else only if git sees nothing in it that would be lost. Removes
/// its branch too, unless it has commits of its own; then says so.
fn remove(tree: &Worktree, force: bool) -> Result<Option<String>, WorkerError> {
    let project = Path::new(&tree.project);
    if force {
        forget(tree)?;
    } else if Path::new(&tree.path).exists() {
        git::run(project, &["worktree", "remove", "--", &tree.path], TREE).map_err(|error| match error {
            WorkerError::Conflict(said) => refused(tree, &said),
            other => other,
        })?;
    } else {
        forget(tree)?;
    }
    if !project.is_dir() || tip(project, &tree.branch)?.is_none() {
        return Ok(None);
    }
    match own_commits(project, &[&format!("refs/heads/{}", tree.branch)], tree)? {
        Some(0) => {
            // git refuses where somebody has checked it out elsewhere: then it is theirs.
            let _ = git::run(project, &["branch", "-D", "--", &tree.branch], git::SHORT)
                .inspect_err(|error| log::info!("the branch {} is left: {error}", tree.branch));
            Ok(None)
        }
        Some(own) => Ok(Some(format!("its branch {} is kept: it has {} of its own", tree.branch, commits(own)))),
        None => Ok(Some(format!("its branch {} is kept", tree.branch))),
    }
}

/// Why a worktree is not removed, and what to do.
fn refused(tree: &Worktree, why: &str) -> WorkerError {
    WorkerError::Conflict(format!(
        "the worker's worktree {} (branch {}) would be lost: {why}. Commit and merge what is wanted, or delete with \
         ?force=true, which loses what is not committed and keeps the branch if it has commits of its own",
        tree.path, tree.branch
    ))
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
