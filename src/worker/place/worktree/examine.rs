//! The examination of a worktree before anything is stopped: the work that would be lost with it, and the obstacles to
//! its removal.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::inside::Inside;
use super::keep::commits_inside;
use super::make::{INITIALIZING, owner, registered};
use super::{TREE_TIME, commits, named};
use crate::journal::Worktree;
use crate::worker::error::WorkerError;
use crate::worker::place::git::{Folder, Git, GitBudget, GitError, MirrorFolder, Repository};
use crate::worker::place::look::mark_submodules;

/// Longest list of changed files from git, in bytes.
const STATUS_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Longest list of all files, in bytes.
const LIST_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Longest reason for a lock of a worktree, in bytes.
const LOCK_BYTES_MAX: u64 = 64 * 1024;
/// The files that git keeps of an unfinished operation, and the operation's name.
const OPERATIONS: [(&str, &str); 7] = [
    ("rebase-merge", "rebase"),
    ("rebase-apply", "rebase"),
    ("MERGE_HEAD", "merge"),
    ("CHERRY_PICK_HEAD", "cherry-pick"),
    ("REVERT_HEAD", "revert"),
    ("BISECT_LOG", "bisect"),
    ("sequencer", "sequence of commits"),
];

/// The outcome of an examination.
#[derive(Debug, Default)]
pub(in crate::worker) struct Examination {
    /// The work that would be lost, for people.
    pub(in crate::worker) losses: Vec<String>,
    /// Further losses that are not a reason to refuse.
    ignored: Vec<String>,
    /// The obstacles to its removal.
    pub(in crate::worker) obstacles: Vec<String>,
    /// Repositories inside of it.
    pub(in crate::worker) inside: Vec<(String, Repository)>,
    /// The repository that it belongs to.
    pub(in crate::worker) owner: Option<Repository>,
}

impl Examination {
    /// Examines a worktree. Changes nothing.
    pub(in crate::worker) fn of(tree: &Worktree, place: MirrorFolder<'_>) -> Result<Self, WorkerError> {
        let (mut examined, top) = (Self { owner: owner(tree)?, ..Self::default() }, Path::new(&tree.path));
        if !top.exists() {
            return Ok(examined);
        }
        let own = examined.owner.as_ref().and_then(|repository| registered(tree, repository));
        let own_path = own.as_ref().and_then(|own| own.path().read_link().ok());
        let found = Inside::look(top, own_path.as_deref(), &GitBudget::of_time(TREE_TIME))?;
        examined.obstacles = found.obstacles;
        examined.inside = found.repositories;
        if let Some(own) = &own {
            examined.look_at_operations(own)?;
        }
        if let Err(error) = examined.look_at_files(tree, own_path.as_deref(), place) {
            examined.losses.push(format!("git cannot examine it ({error})"));
        }
        let mut unread = found.unread;
        for (name, repository) in &examined.inside {
            match look_inside(name, repository, (top, own_path.as_deref()), place) {
                Ok(losses) => examined.losses.extend(losses),
                Err(error) => unread.push(format!("{name}: {error}")),
            }
        }
        if !unread.is_empty() {
            examined.losses.push(format!("not all of it can be looked into ({})", named(&unread)));
        }
        Ok(examined)
    }

    /// Describes the work that would be lost; `None` when there is none.
    pub(in crate::worker) fn text(&self) -> Option<String> {
        let ignored = (!self.ignored.is_empty()).then(|| format!("ignored files go too ({})", named(&self.ignored)));
        let texts: Vec<&str> = self.losses.iter().chain(&ignored).map(String::as_str).collect();
        (!self.losses.is_empty()).then(|| texts.join(", and "))
    }

    fn look_at_operations(&mut self, own: &Folder) -> Result<(), WorkerError> {
        let lock = own.read("locked", LOCK_BYTES_MAX)?.map(|lock| String::from_utf8_lossy(&lock).trim().to_owned());
        match lock.as_deref() {
            None | Some(INITIALIZING) => {}
            Some("") => self.losses.push("it is locked".to_owned()),
            Some(reason) => self.losses.push(format!("it is locked ({reason})")),
        }
        self.losses.extend(operations(&own.path()).map(|operation| format!("a {operation} is in progress in it")));
        Ok(())
    }

    fn look_at_files(&mut self, tree: &Worktree, own: Option<&Path>, place: MirrorFolder<'_>) -> Result<(), GitError> {
        let top = Path::new(&tree.path);
        let broken = |why: &str| GitError::Broken { path: top.join(".git"), why: why.to_owned() };
        let repository = Repository::at(top)?.ok_or_else(|| broken("it is missing"))?;
        if own != Some(&repository.own) {
            return Err(broken("it does not lead to the worktree's own place in the project's repository"));
        }
        let git = Git::open(repository, place, GitBudget::of_time(TREE_TIME))?;
        let (changed, ignored) = changed_files(&git)?;
        self.ignored = ignored;
        if !changed.is_empty() {
            self.losses.push(format!("it has changes that are not committed ({})", named(&changed)));
        }
        let own = own_count(&git, true, tree)?;
        if own > 0 {
            self.losses.push(format!("it has {} that no other branch has", commits(own)));
        }
        Ok(())
    }
}

/// Returns git's operations in progress in the Git directory of a working folder.
pub(in crate::worker) fn operations(own: &Path) -> impl Iterator<Item = &'static str> {
    let is_there = |name: &str| own.join(name).symlink_metadata().is_ok();
    OPERATIONS.into_iter().filter(move |(name, _)| is_there(name)).map(|(_, operation)| operation)
}

/// Adds the work that would be lost with a repository inside of the worktree.
fn look_inside(
    name: &str,
    repository: &Repository,
    (tree, own): (&Path, Option<&Path>),
    place: MirrorFolder<'_>,
) -> Result<Vec<String>, GitError> {
    let git = Git::open(repository.clone(), place, GitBudget::of_time(TREE_TIME))?;
    let (mut losses, found) = (Vec::new(), commits_inside(&git, tree, own)?);
    if found.count > 0 {
        losses.push(format!("the repository {name} in it has {} of its own", commits(found.count)));
    }
    if repository.top != repository.common {
        let (changed, _) = changed_files(&git)?;
        if !changed.is_empty() {
            losses
                .push(format!("the repository {name} in it has changes that are not committed ({})", named(&changed)));
        }
    }
    Ok(losses)
}

/// Returns the files that differ from the last commit, including those that git was configured not to examine, and
/// ignored ones.
pub(super) fn changed_files(git: &Git<'_>) -> Result<(Vec<String>, Vec<String>), GitError> {
    look_at_all(git)?;
    mark_submodules(git)?;
    let ask = [
        "status",
        "--porcelain",
        "-z",
        "--no-renames",
        "--untracked-files=normal",
        "--ignored",
        "--ignore-submodules=dirty",
    ];
    let status = git.output(&ask, STATUS_BYTES_MAX)?;
    let listed = String::from_utf8_lossy(&status.output).into_owned();
    let entries = listed.split('\0').filter_map(|entry| Some((entry.get(..2)?, entry.get(3..)?.to_owned())));
    let (ignored, changed): (Vec<_>, Vec<_>) = entries.partition(|(kind, _)| *kind == "!!");
    let names = |entries: Vec<(&str, String)>| entries.into_iter().map(|(_, name)| name).collect();
    Ok((names(changed), names(ignored)))
}

/// Clears, in the server's index, the flags that keep git from examining some files.
pub(in crate::worker) fn look_at_all(git: &Git<'_>) -> Result<(), GitError> {
    let list = git.output(&["ls-files", "-v", "-z"], LIST_BYTES_MAX)?;
    let top = &git.repository().top;
    let (mut unchanged, mut skipped) = (Vec::new(), Vec::new());
    for entry in list.output.split(|byte| *byte == 0) {
        let (Some(tag), Some(path)) = (entry.first(), entry.get(2..)) else { continue };
        if tag.is_ascii_lowercase() {
            unchanged.push([path, &[0]].concat());
        }
        if tag.eq_ignore_ascii_case(&b'S') && top.join(OsStr::from_bytes(path)).symlink_metadata().is_ok() {
            skipped.push([path, &[0]].concat());
        }
    }
    for (flag, paths) in [("--no-assume-unchanged", unchanged), ("--no-skip-worktree", skipped)] {
        if !paths.is_empty() {
            let args = ["update-index", flag, "-z", "--stdin"];
            git.with_input(&args, paths.iter().map(Vec::as_slice), STATUS_BYTES_MAX)?;
        }
    }
    Ok(())
}

/// Counts the commits since the worktree's base that only its branch reaches, or also its HEAD with `and_head`, and no
/// other branch, tag or remote.
pub(in crate::worker) fn own_count(git: &Git<'_>, and_head: bool, tree: &Worktree) -> Result<usize, GitError> {
    let branch = format!("refs/heads/{}", tree.branch);
    let known = |name: &str| git.line(&["rev-parse", "--verify", "--quiet", &format!("{name}^{{commit}}")]);
    let mut args = vec!["rev-list".to_owned(), "--count".to_owned()];
    for name in [Some(branch.as_str()), and_head.then_some("HEAD")].into_iter().flatten() {
        args.extend(known(name)?);
    }
    if args.len() == 2 {
        return Ok(0);
    }
    args.push("--not".to_owned());
    args.extend(known(&tree.base)?);
    args.extend([format!("--exclude={}", tree.branch), "--branches".into(), "--tags".into(), "--remotes".into()]);
    // This keeps commits of a landed branch whose changes are on another branch in other commits.
    args.push("--glob=refs/rs-worker/*/landed/*".into());
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let count = git.line(&args)?.unwrap_or_default();
    count.parse().map_err(|_| GitError::Failed { action: "rev-list".to_owned(), words: format!("no number: {count}") })
}
