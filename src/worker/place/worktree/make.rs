//! Creates a worktree in an untrusted repository: git checks the files out in a Git directory of the server, and the
//! repository's metadata of the worktree is written here, in git's own format. People and agents use it with their own
//! git.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::{TREE_TIME, name, tip};
use crate::journal::Worktree;
use crate::worker::error::WorkerError;
use crate::worker::place::git::{
    Folder, Git, GitBudget, GitError, MirrorFolder, RefChange, Repository, SHORT_BYTES, read_file,
};

/// The folder of a repository's metadata of its worktrees.
pub(in crate::worker) const WORKTREES: &str = "worktrees";
/// The lock reason of a worktree while it is created.
pub(in crate::worker) const INITIALIZING: &str = "initializing";
/// Longest small file of a worktree, in bytes.
const SMALL_BYTES_MAX: u64 = 64 * 1024;

/// Creates the worktree, or completes it. `before` means that an earlier attempt may have left something, or that it
/// was complete once and is gone.
pub(in crate::worker) fn make(tree: &Worktree, before: bool, place: MirrorFolder<'_>) -> Result<(), WorkerError> {
    let repository = owner(tree)?
        .ok_or_else(|| WorkerError::Conflict(format!("the project {} is not under git any more", tree.project)))?;
    if before {
        forget(tree, Some(&repository))?;
    }
    let git = Git::open(repository, place, GitBudget::of_time(TREE_TIME))?;
    let reference = format!("refs/heads/{}", tree.branch);
    let start = match tip(&git, &tree.branch)? {
        None => {
            git.change_refs(&[RefChange::Create { name: reference, id: tree.base.clone() }])?;
            tree.base.clone()
        }
        Some(_) if before && checked_out(git.repository(), &tree.branch)? => {
            let branch = &tree.branch;
            return Err(WorkerError::Conflict(format!("the branch {branch} is checked out elsewhere by now")));
        }
        Some(tip) if before => tip,
        Some(_) => {
            let branch = &tree.branch;
            return Err(WorkerError::Conflict(format!(
                "the branch {branch} has been made meanwhile: name another one"
            )));
        }
    };
    let own = register(tree, &git)?;
    check_out(tree, &start, &own, place)?;
    own.remove("locked").map_err(WorkerError::from)
}

/// Returns the repository of the worktree; `None` when it does not exist any more.
pub(in crate::worker) fn owner(tree: &Worktree) -> Result<Option<Repository>, GitError> {
    if Path::new(&tree.project).is_dir() { Repository::at(Path::new(&tree.project)) } else { Ok(None) }
}

/// Writes the repository's metadata of the worktree, and the link to it; returns the folder of the metadata.
fn register(tree: &Worktree, git: &Git<'_>) -> Result<Folder, WorkerError> {
    let (common, name) = (&git.repository().common, name(tree));
    let own = common.join(WORKTREES).join(name);
    let failed = |error: io::Error| {
        WorkerError::Conflict(format!("the worktree cannot be registered in {}: {error}", own.display()))
    };
    let all = Folder::open(common).and_then(|common| common.make_sub(Path::new(WORKTREES))).map_err(failed)?;
    fs::create_dir(all.path().join(name)).map_err(failed)?;
    let folder = all.sub(Path::new(name)).map_err(failed)?;
    let link = format!("{}/.git", tree.path);
    let registered = folder
        .write_new("locked", INITIALIZING.as_bytes())
        .and_then(|()| folder.write_new("gitdir", format!("{link}\n").as_bytes()))
        .and_then(|()| folder.write_new("commondir", b"../..\n"))
        .and_then(|()| copy_sparse(git, &folder));
    registered.map_err(failed)?;
    set_head(tree, git, &folder)?;
    fs::create_dir(&tree.path)?;
    fs::write(link, format!("gitdir: {}\n", own.display()))?;
    Ok(folder)
}

/// Sets the branch that is checked out.
fn set_head(tree: &Worktree, git: &Git<'_>, own: &Folder) -> Result<(), WorkerError> {
    let target = format!("refs/heads/{}", tree.branch);
    if !git.has_tables() {
        own.write_new("HEAD", format!("ref: {target}\n").as_bytes())?;
        return Ok(());
    }
    // git creates the tables of a repository that has nothing but this HEAD.
    let made = git.beside("first-head")?;
    fs::create_dir(made.join("reftable"))?;
    fs::create_dir(made.join("refs"))?;
    fs::write(made.join("reftable/tables.list"), "")?;
    fs::write(made.join("HEAD"), "ref: refs/heads/.invalid\n")?;
    git.run_in(&made, &["symbolic-ref", "HEAD", &target], (None, SHORT_BYTES), &[0])?;
    own.write_new("HEAD", b"ref: refs/heads/.invalid\n")?;
    own.make_sub(Path::new("refs"))?.write_new("heads", b"this repository uses the reftable format\n")?;
    let tables = own.make_sub(Path::new("reftable"))?;
    for entry in fs::read_dir(made.join("reftable"))? {
        let entry = entry?;
        if let Some(name) = entry.file_name().to_str() {
            tables.write_new(name, &fs::read(entry.path())?)?;
        }
    }
    Ok(())
}

/// Copies the sparse checkout of the project's working folder to the worktree, as `git worktree add` does.
fn copy_sparse(git: &Git<'_>, own: &Folder) -> io::Result<()> {
    let from = git.dir().join("info/sparse-checkout");
    let Some(chosen) = read_file(&from, u64::MAX, nix::fcntl::OFlag::O_NOFOLLOW)? else { return Ok(()) };
    own.make_sub(Path::new("info"))?.write_new("sparse-checkout", &chosen)?;
    own.write_new("config.worktree", git.sparse_config().as_bytes())
}

/// Checks the files out, into a new index that the worktree gets when it is complete.
fn check_out(tree: &Worktree, start: &str, own: &Folder, place: MirrorFolder<'_>) -> Result<(), WorkerError> {
    let made = Repository::at(Path::new(&tree.path))?
        .ok_or_else(|| WorkerError::Conflict(format!("the worktree {} is gone while it is made", tree.path)))?;
    let git = Git::open(made, place, GitBudget::of_time(TREE_TIME))?;
    git.output(&["read-tree", "--reset", "-u", start], SHORT_BYTES)?;
    let from = git.dir().join("index");
    let written = fs::metadata(&from)?.modified()?;
    let mut index = own.create("index")?;
    io::copy(&mut fs::File::open(from)?, &mut index)?;
    // By its time git detects files that may have changed in the same moment.
    Ok(index.set_modified(written)?)
}

/// Returns whether another working folder of the repository has this branch checked out.
pub(in crate::worker) fn checked_out(repository: &Repository, branch: &str) -> Result<bool, WorkerError> {
    let wanted = format!("ref: refs/heads/{branch}");
    let has_it = |folder: &Folder| {
        let head = folder.read("HEAD", SMALL_BYTES_MAX).ok().flatten().unwrap_or_default();
        String::from_utf8_lossy(&head).trim_end() == wanted
    };
    let common = Folder::open(&repository.common)?;
    if has_it(&common) {
        return Ok(true);
    }
    let Ok(all) = common.sub(Path::new(WORKTREES)) else { return Ok(false) };
    let names = fs::read_dir(all.path())?.filter_map(|entry| Some(entry.ok()?.file_name()));
    Ok(names.filter_map(|name| all.sub(Path::new(&name)).ok()).any(|folder| has_it(&folder)))
}

/// Returns the repository's folder for the worktree; `None` when it does not exist, or is another worktree's.
pub(in crate::worker) fn registered(tree: &Worktree, repository: &Repository) -> Option<Folder> {
    let folder = Folder::open(&repository.common).ok()?.sub(&Path::new(WORKTREES).join(name(tree))).ok()?;
    let link = folder.read("gitdir", SMALL_BYTES_MAX).ok()??;
    (String::from_utf8_lossy(&link).trim_end_matches('\n') == format!("{}/.git", tree.path)).then_some(folder)
}

/// Removes the worktree with its contents, whatever state it is in, and the repository's metadata of it. Its branch
/// stays.
pub(in crate::worker) fn forget(tree: &Worktree, repository: Option<&Repository>) -> Result<(), WorkerError> {
    remove_tree(Path::new(&tree.path))
        .map_err(|error| WorkerError::Conflict(format!("{} cannot be removed: {error}", tree.path)))?;
    let Some(repository) = repository.filter(|repository| registered(tree, repository).is_some()) else {
        return Ok(());
    };
    let all = Folder::open(&repository.common).and_then(|common| common.sub(Path::new(WORKTREES)));
    let removed = all.and_then(|all| {
        all.remove(name(tree))?;
        // Like git, when it was the last worktree.
        let _ = fs::remove_dir(repository.common.join(WORKTREES));
        Ok(())
    });
    removed.map_err(|error| {
        let own = repository.common.join(WORKTREES).join(name(tree));
        WorkerError::Conflict(format!("{} cannot be removed: {error}", own.display()))
    })
}

/// Removes a folder with its contents. Read-only folders, as package managers leave them, are made writable first.
fn remove_tree(path: &Path) -> io::Result<()> {
    let remove = || match fs::remove_dir_all(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    };
    match remove() {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            make_writable(path)?;
            remove()
        }
        removed => removed,
    }
}

fn make_writable(top: &Path) -> io::Result<()> {
    let mut folders = vec![top.to_owned()];
    while let Some(path) = folders.pop() {
        let folder = match Folder::open(&path) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
                Folder::open(&path)?
            }
            opened => opened?,
        };
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(folder.path())? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(path.join(entry.file_name()));
            }
        }
    }
    Ok(())
}
