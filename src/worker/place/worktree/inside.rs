//! The contents of a worktree's folder that git does not list: nested repositories, and obstacles to the removal of the
//! folder.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{AccessFlags, Uid, access};

use crate::worker::place::git::{GitBudget, GitError, Repository};

/// Maximum number of folder entries that are read.
const ENTRIES_MAX: usize = 2_000_000;
/// Maximum number of repositories that are examined.
const REPOSITORIES_MAX: usize = 100;

/// The result of the search.
#[derive(Debug, Default)]
pub(in crate::worker) struct Inside {
    /// Repositories, each with the name of its path.
    pub(in crate::worker) repositories: Vec<(String, Repository)>,
    /// Paths that could not be read, with the reasons.
    pub(in crate::worker) unread: Vec<String>,
    /// The obstacles to the removal of the folder.
    pub(in crate::worker) obstacles: Vec<String>,
}

impl Inside {
    /// Searches the folder `top`, and the Git directories of its submodules below `own`.
    pub(in crate::worker) fn look(top: &Path, own: Option<&Path>, budget: &GitBudget<'_>) -> Result<Self, GitError> {
        let mut inside = Self::default();
        inside.look_at_place(top);
        let mut left = ENTRIES_MAX;
        let modules = own.map(|own| own.join("modules"));
        for start in [Some(top), modules.as_deref()].into_iter().flatten() {
            let mut folders = vec![start.to_owned()];
            while let Some(folder) = folders.pop() {
                budget.check("status")?;
                inside.look_at(&folder, (start, top), &mut folders, &mut left);
            }
        }
        if left == 0 {
            inside.unread.push(format!("there are more than {ENTRIES_MAX} files in it"));
        }
        Ok(inside)
    }

    fn look_at(&mut self, folder: &Path, (start, top): (&Path, &Path), folders: &mut Vec<PathBuf>, left: &mut usize) {
        let name = folder.strip_prefix(start).unwrap_or(folder).display().to_string();
        let (mut has_link, mut signs) = (false, 0);
        let entries = match folder.read_dir() {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
            Err(error) => return self.unread.push(format!("{name}: {error}")),
        };
        let from = folders.len();
        for entry in entries.filter_map(Result::ok) {
            *left = left.saturating_sub(1);
            if *left == 0 {
                return;
            }
            let entry_name = entry.file_name();
            has_link |= entry_name == ".git";
            signs += usize::from(["HEAD", "objects", "refs"].iter().any(|sign| entry_name == *sign));
            if entry_name != ".git" && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
            }
        }
        if let Some(why) = cannot_empty(folder) {
            self.obstacles.push(why);
        }
        let is_bare = signs == 3 && folder.join("objects").is_dir();
        if is_bare {
            folders.truncate(from);
        }
        if folder != top && (has_link || is_bare) {
            let found = if is_bare { Repository::bare(folder).map(Some) } else { Repository::at(folder) };
            self.add(name, found);
        }
    }

    fn add(&mut self, name: String, found: Result<Option<Repository>, GitError>) {
        let known = |found: &Repository| self.repositories.iter().any(|(_, known)| known.own == found.own);
        match found {
            Ok(None) => {}
            Ok(Some(found)) if known(&found) => {}
            Ok(Some(_)) if self.repositories.len() == REPOSITORIES_MAX => {
                self.unread.push(format!("{name}: there are more than {REPOSITORIES_MAX} repositories in it"));
            }
            Ok(Some(found)) => self.repositories.push((name, found)),
            Err(error) => self.unread.push(format!("{name}: {error}")),
        }
    }

    /// Examines the folder itself and its parent.
    fn look_at_place(&mut self, top: &Path) {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        for mount in mounts.lines().filter_map(|line| line.split(' ').nth(4)).map(unescaped) {
            if Path::new(&mount).starts_with(top) {
                self.obstacles.push(format!("{mount} is a mount point: unmount it first"));
            }
        }
        for place in [Some(top), top.parent()].into_iter().flatten() {
            let denied = access(place, AccessFlags::W_OK | AccessFlags::X_OK);
            let ours = place.metadata().is_ok_and(|found| found.uid() == Uid::effective().as_raw());
            match denied {
                Err(Errno::EACCES) if ours && place == top => {}
                Err(Errno::ENOENT) | Ok(()) => {}
                Err(errno) => self.obstacles.push(format!("{} cannot be written: {errno}", place.display())),
            }
        }
    }
}

/// Returns the reason why the entries of a folder cannot be removed: it belongs to another user. A folder of the
/// server's user can be made writable.
fn cannot_empty(folder: &Path) -> Option<String> {
    let (uid, found) = (Uid::effective(), folder.symlink_metadata().ok()?);
    if uid.is_root() || found.uid() == uid.as_raw() || access(folder, AccessFlags::W_OK).is_ok() {
        return None;
    }
    Some(format!("{} belongs to another user (uid {})", folder.display(), found.uid()))
}

/// Decodes a path in the kernel's list of mounts, where some characters are octal escapes.
fn unescaped(path: &str) -> String {
    ["\\040", "\\011", "\\012", "\\134"]
        .iter()
        .zip([" ", "\t", "\n", "\\"])
        .fold(path.to_owned(), |path, (code, char)| path.replace(code, char))
}
