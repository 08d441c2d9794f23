//! Restores files of a project to a tree: each is written beside its path and moved there, in folders that were opened
//! without following links.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use nix::fcntl::OFlag;

use super::plan::{EntryKind, FileChange, UntouchedFile};
use crate::worker::place::git::{Folder, Git, GitError, SHORT_BYTES};
use crate::worker::place::project::open_without_links;

/// Prefix of the names of files that are being written; the id of the restore follows.
const UNFINISHED: &str = ".rs-worker-";
/// Longest target of a link, in bytes.
const LINK_BYTES_MAX: usize = 4096;
/// The reason for a file that is left alone because it was changed after it was recorded.
const MEANWHILE: &str = "it has changed meanwhile";

/// The outcome of a restore.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::worker) struct ApplyOutcome {
    /// The number of files that were changed.
    pub(in crate::worker) changed: u64,
    pub(in crate::worker) untouched: Vec<UntouchedFile>,
}

/// One restore of files.
pub(in crate::worker) struct Restore<'g, 'b> {
    pub(in crate::worker) git: &'g Git<'b>,
    /// The project's folder.
    pub(in crate::worker) folder: &'g Path,
    /// Its id, which is part of the names of unfinished files.
    pub(in crate::worker) id: &'g str,
    /// Files that were changed after this time are left alone.
    pub(in crate::worker) since: Option<SystemTime>,
}

impl Restore<'_, '_> {
    /// Makes the changes. `tree` has the files in their final state.
    ///
    /// # Errors
    /// Fails when nothing was done yet: git fails, or the project's folder is missing. A single file that cannot be changed
    /// is left alone.
    pub(in crate::worker) fn apply(&self, tree: &str, changes: &[FileChange]) -> Result<ApplyOutcome, GitError> {
        let made = self.make_files(tree, changes)?;
        let top = open_without_links(self.folder, OFlag::O_DIRECTORY | OFlag::O_RDONLY)
            .map_err(|errno| GitError::io(self.folder.display().to_string())(errno.into()))?;
        let (top, mut applied) = (Folder::from(top), ApplyOutcome::default());
        // Removals make room for new files.
        let (going, coming): (Vec<_>, Vec<_>) = changes.iter().partition(|change| change.to.is_none());
        for change in going.into_iter().chain(coming) {
            let Ok(path) = change.path.strip_prefix(self.prefix()) else { continue };
            let untouched = |reason| UntouchedFile { path: path.to_string_lossy().into_owned(), reason };
            match self.change(&top, path, change, &made) {
                Ok(None) => applied.changed += 1,
                Ok(Some(reason)) => applied.untouched.push(untouched(reason)),
                Err(error) => {
                    log::warn!("{} is not restored: {error}", self.folder.join(path).display());
                    applied.untouched.push(untouched(reason_of(&error)));
                }
            }
        }
        Ok(applied)
    }

    /// Removes files that an interrupted restore has left beside their targets.
    pub(in crate::worker) fn clean(&self, changes: &[FileChange]) -> Result<(), GitError> {
        let top = open_without_links(self.folder, OFlag::O_DIRECTORY | OFlag::O_RDONLY)
            .map_err(|errno| GitError::io(self.folder.display().to_string())(errno.into()))?;
        let top = Folder::from(top);
        for change in changes {
            let Ok(path) = change.path.strip_prefix(self.prefix()) else { continue };
            let parent = path.parent().unwrap_or(Path::new(""));
            let name = self.unfinished();
            // A missing folder has nothing to remove.
            let removed = if parent.as_os_str().is_empty() {
                top.remove(&name)
            } else {
                top.sub(parent).and_then(|folder| folder.remove(&name))
            };
            if let Err(error) = removed.or_else(|error| not_there(&error).then_some(()).ok_or(error)) {
                log::warn!("{}/{name} cannot be removed: {error}", self.folder.join(parent).display());
            }
        }
        Ok(())
    }

    fn prefix(&self) -> &Path {
        self.folder.strip_prefix(&self.git.repository().top).unwrap_or(Path::new(""))
    }

    fn unfinished(&self) -> String {
        format!("{UNFINISHED}{}", self.id)
    }

    /// Makes git write the files into a folder of the server, with the line endings of working files.
    fn make_files(&self, tree: &str, changes: &[FileChange]) -> Result<PathBuf, GitError> {
        let (gitdir, made) = (self.git.beside_without_refs("target")?, self.git.dir().join("made"));
        fs::create_dir(&made).map_err(GitError::io("files cannot be made"))?;
        let run = |args: &[&str], lines: &[Vec<u8>]| {
            self.git.run_over((&gitdir, &made), args, lines.iter().map(Vec::as_slice), (SHORT_BYTES, &[0]))
        };
        run(&["read-tree", tree], &[])?;
        // Links are made here, so that none is in that folder.
        let is_file = |change: &&FileChange| change.to.as_ref().is_some_and(|to| to.kind != EntryKind::Link);
        let paths: Vec<Vec<u8>> =
            changes.iter().filter(is_file).map(|change| [change.path.as_os_str().as_bytes(), &[0]].concat()).collect();
        run(&["checkout-index", "-q", "-z", "--stdin"], &paths)?;
        Ok(made)
    }

    /// Changes one file; returns the reason if it is left alone.
    fn change(&self, top: &Folder, path: &Path, change: &FileChange, made: &Path) -> io::Result<Option<&'static str>> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(ErrorKind::InvalidInput.into());
        };
        let opened;
        let folder = if parent.as_os_str().is_empty() {
            top
        } else {
            opened = match &change.to {
                Some(_) => top.make_sub(parent)?,
                None => match top.sub(parent) {
                    Err(error) if not_there(&error) => return Ok(Some(MEANWHILE)),
                    folder => folder?,
                },
            };
            &opened
        };
        let place = folder.path().join(name);
        if !self.is_as_recorded(&place, change)? {
            return Ok(Some(MEANWHILE));
        }
        let Some(to) = &change.to else {
            fs::remove_file(&place)?;
            remove_empty(top, parent);
            return Ok(None);
        };
        let unfinished = folder.path().join(self.unfinished());
        folder.remove(&self.unfinished())?;
        match to.kind {
            EntryKind::Link => {
                let target = self.git.output(&["cat-file", "blob", &to.id], LINK_BYTES_MAX);
                let target = target.map_err(|error| io::Error::other(error.to_string()))?.output;
                symlink(OsStr::from_bytes(&target), &unfinished)?;
            }
            EntryKind::File | EntryKind::Program => {
                let mode = if to.kind == EntryKind::Program { 0o777 } else { 0o666 };
                let mut from = fs::File::open(made.join(&change.path))?;
                let flags = OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
                let mut options = OpenOptions::new();
                options.write(true).create_new(true).mode(mode).custom_flags(flags.bits());
                io::copy(&mut from, &mut options.open(&unfinished)?)?;
            }
        }
        let moved = fs::rename(&unfinished, &place).or_else(|error| {
            if error.kind() != ErrorKind::IsADirectory {
                return Err(error);
            }
            fs::remove_dir(&place)?;
            fs::rename(&unfinished, &place)
        });
        moved.inspect_err(|_| drop(folder.remove(&self.unfinished())))?;
        Ok(None)
    }

    /// Returns whether nothing has changed at this path since it was recorded.
    fn is_as_recorded(&self, place: &Path, change: &FileChange) -> io::Result<bool> {
        let found = match fs::symlink_metadata(place) {
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(change.from.is_none()),
            Err(error) => return Err(error),
        };
        if change.from.is_none() {
            // An obstacle in the path of a file is replaced only if it is an empty folder.
            return Ok(found.is_dir());
        }
        let Some(since) = self.since else { return Ok(true) };
        let since = since.duration_since(UNIX_EPOCH).unwrap_or_default();
        let changed = (found.ctime(), found.ctime_nsec());
        let since = (i64::try_from(since.as_secs()).unwrap_or(i64::MAX), i64::from(since.subsec_nanos()));
        Ok(!found.is_dir() && changed <= since)
    }
}

/// Removes folders that are empty by now, from this one up, but not the project's own.
fn remove_empty(top: &Folder, folder: &Path) {
    let mut at = folder;
    while let (Some(parent), Some(name)) = (at.parent(), at.file_name()) {
        let above = if parent.as_os_str().is_empty() { Ok(None) } else { top.sub(parent).map(Some) };
        let Ok(above) = above else { return };
        // A folder that is not empty stays.
        if fs::remove_dir(above.as_ref().unwrap_or(top).path().join(name)).is_err() {
            return;
        }
        at = parent;
    }
}

fn not_there(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
        || error.raw_os_error() == Some(nix::libc::ELOOP)
}

/// The reason for a file that could not be changed.
fn reason_of(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::DirectoryNotEmpty | ErrorKind::IsADirectory => "a folder with files is in its place",
        ErrorKind::NotADirectory => "a folder on its path is a file or a link",
        ErrorKind::PermissionDenied => "it cannot be written: permission denied",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "the disk is full",
        _ => "it cannot be written; see the server's log",
    }
}
