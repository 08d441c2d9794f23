//! The two sides of a landing: the worker's folder with its branch, and the target branch with the folder that has it
//! checked out.

use std::fs;
use std::path::{Path, PathBuf};

use super::{HEADS, brief, commit_of, short};
use crate::worker::error::WorkerError;
use crate::worker::place::git::{Folder, Git, GitError, MirrorFolder, Repository, is_ref_name};
use crate::worker::place::project;
use crate::worker::place::worktree::make::WORKTREES;

/// Longest small file of a Git directory, in bytes.
const SMALL_BYTES_MAX: u64 = 64 * 1024;
/// Default target branches, if they exist.
const USUAL: [&str; 2] = ["main", "master"];
/// Files that name the branch of a rebase in progress, during which HEAD is not on a branch.
const REBASED: [&str; 2] = ["rebase-merge/head-name", "rebase-apply/head-name"];

/// The worker's own side.
#[derive(Clone, Debug)]
pub(in crate::worker) struct LandSource {
    /// The branch's full name; `None` where a commit is checked out.
    pub(in crate::worker) branch: Option<String>,
    /// The commit that is checked out.
    pub(in crate::worker) id: String,
}

impl LandSource {
    /// Reads what the folder has checked out.
    pub(in crate::worker) fn of(git: &Git<'_>) -> Result<Self, WorkerError> {
        let none = || WorkerError::Conflict("the branch has no commit yet: make a first one by git commit".to_owned());
        let id = commit_of(git, "HEAD")?.ok_or_else(none)?;
        Ok(Self { branch: git.branch_of(&git.repository().own)?, id })
    }

    /// Its branch.
    ///
    /// # Errors
    /// Fails when none is checked out.
    pub(in crate::worker) fn branch(&self, git: &Git<'_>) -> Result<&str, WorkerError> {
        let branch = self.branch.as_deref().ok_or_else(|| {
            let top = git.repository().top.display();
            WorkerError::Conflict(format!("no branch is checked out in {top}, only a commit: check a branch out first"))
        })?;
        refuse_symbolic(git, branch)?;
        Ok(branch)
    }

    /// Returns its name for people.
    pub(in crate::worker) fn name(&self) -> &str {
        self.branch.as_deref().map_or_else(|| brief(&self.id), short)
    }
}

/// The branch that gets the work.
#[derive(Clone, Debug)]
pub(in crate::worker) struct LandTarget {
    /// Its full name.
    pub(in crate::worker) branch: String,
    /// The commit that it leads to.
    pub(in crate::worker) id: String,
    /// The folder that has it checked out.
    pub(in crate::worker) folder: Option<Repository>,
}

/// One of the working folders of a repository.
struct WorkingFolder {
    own: PathBuf,
    /// `None` for the Git directory of a bare repository.
    top: Option<PathBuf>,
}

impl LandTarget {
    /// Finds the target branch: the named one, else the one that the repository's own folder has checked out, else
    /// `main` or `master`.
    pub(in crate::worker) fn find(
        git: &Git<'_>,
        source: &LandSource,
        named: Option<&str>,
        place: MirrorFolder<'_>,
    ) -> Result<Self, WorkerError> {
        let own = source.branch.as_deref();
        let branch = match named {
            Some(name) => checked_name(name)?,
            None => usual(git, own)?.ok_or_else(|| {
                WorkerError::Invalid("no default branch to land on: name one".to_owned()).in_field("into")
            })?,
        };
        if own == Some(branch.as_str()) {
            let text = format!("the worker's own branch is {}: name another one to land on", short(&branch));
            return Err(WorkerError::Invalid(text).in_field("into"));
        }
        let missing =
            || WorkerError::Invalid(format!("the repository has no branch {}", short(&branch))).in_field("into");
        let id = commit_of(git, &branch)?.ok_or_else(missing)?;
        refuse_symbolic(git, &branch).map_err(|error| WorkerError::Invalid(error.to_string()).in_field("into"))?;
        let folder = folder_of(git, &branch, place)?;
        Ok(Self { branch, id, folder })
    }
}

/// Refuses a branch that is only another name of a branch: that one may be checked out, with changes, and would move.
///
/// # Errors
/// Fails when it is one, or its file can't be read.
pub(in crate::worker) fn refuse_symbolic(git: &Git<'_>, branch: &str) -> Result<(), WorkerError> {
    let Some((folder, name)) = branch.rsplit_once('/') else { return Ok(()) };
    // Tables and packed references have no symbolic branches that are read here.
    let Ok(folder) = Folder::open(&git.repository().common)?.sub(Path::new(folder)) else { return Ok(()) };
    let text = folder.read(name, SMALL_BYTES_MAX)?.unwrap_or_default();
    match String::from_utf8_lossy(&text).strip_prefix("ref:") {
        Some(to) => {
            let (own, other) = (short(branch), short(to.trim()));
            Err(WorkerError::Conflict(format!("the branch {own} is another name of {other}: name that one")))
        }
        None => Ok(()),
    }
}

/// Returns the full name of a branch that a client names.
pub(in crate::worker) fn checked_name(name: &str) -> Result<String, WorkerError> {
    let full = if name.starts_with(HEADS) { name.to_owned() } else { format!("{HEADS}{name}") };
    if name.starts_with('-') || !is_ref_name(&full) {
        return Err(WorkerError::Invalid(format!("this is not the name of a branch: {name}")).in_field("into"));
    }
    Ok(full)
}

fn usual(git: &Git<'_>, own: Option<&str>) -> Result<Option<String>, GitError> {
    let common = &git.repository().common;
    let main = git.branch_of(common)?;
    for branch in main.into_iter().chain(USUAL.map(|name| format!("{HEADS}{name}"))) {
        if Some(branch.as_str()) != own && commit_of(git, &branch)?.is_some() {
            return Ok(Some(branch));
        }
    }
    Ok(None)
}

/// Returns the working folder that has a branch checked out.
///
/// # Errors
/// Fails when that folder is missing, not allowed, or in the middle of a rebase of the branch.
pub(in crate::worker) fn folder_of(
    git: &Git<'_>,
    branch: &str,
    place: MirrorFolder<'_>,
) -> Result<Option<Repository>, WorkerError> {
    for WorkingFolder { own, top } in folders(git.repository())? {
        let Some(top) = top else { continue };
        if is_rebased(&own, branch) {
            let text = format!("a rebase of {} is in progress in {}", short(branch), top.display());
            return Err(WorkerError::Conflict(text));
        }
        if git.branch_of(&own)?.as_deref() != Some(branch) {
            continue;
        }
        let gone = |why: &str| {
            let name = short(branch);
            WorkerError::Conflict(format!("{name} is checked out in {}, {why}", top.display()))
        };
        let Ok(real) = top.canonicalize() else {
            return Err(gone("which is not there: put it back, or run `git worktree prune`"));
        };
        let found = Repository::at(&real)?.filter(|found| found.own == own && found.common == git.repository().common);
        let found =
            found.ok_or_else(|| gone("which does not lead back to the repository: run `git worktree repair`"))?;
        let text = real.to_str().ok_or_else(|| gone("whose path is not valid UTF-8"))?;
        project::resolve(text, place.roots).map_err(|error| gone(&error.to_string()))?;
        return Ok(Some(found));
    }
    Ok(None)
}

fn is_rebased(own: &Path, branch: &str) -> bool {
    let Ok(own) = Folder::open(own) else { return false };
    let named = |file: &&str| {
        let (folder, name) = file.split_once('/')?;
        own.sub(Path::new(folder)).ok()?.read(name, SMALL_BYTES_MAX).ok()?
    };
    REBASED.iter().filter_map(named).any(|name| String::from_utf8_lossy(&name).trim_end() == branch)
}

/// Returns all working folders of a repository, its own first.
fn folders(repository: &Repository) -> Result<Vec<WorkingFolder>, WorkerError> {
    let common = &repository.common;
    let mut folders = vec![WorkingFolder { own: common.clone(), top: repository.main_folder()? }];
    let Ok(all) = Folder::open(common)?.sub(Path::new(WORKTREES)) else { return Ok(folders) };
    for entry in fs::read_dir(all.path())? {
        let name = entry?.file_name();
        let Ok(folder) = all.sub(Path::new(&name)) else { continue };
        let Some(link) = folder.read("gitdir", SMALL_BYTES_MAX)? else { continue };
        let own = common.join(WORKTREES).join(&name);
        let top = own.join(String::from_utf8_lossy(&link).trim_end_matches('\n')).parent().map(Path::to_owned);
        folders.push(WorkingFolder { own, top });
    }
    Ok(folders)
}
