//! Ignored files that a new worktree needs nevertheless, such as `.env.local`: the project's `.worktreeinclude` names
//! them, in the notation of `.gitignore`.
//!
//! An agent can write that file, the files that it names, and links. So no link is followed, a file with hard links is
//! left out, and the copied amount is bounded.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag};
use nix::unistd::linkat;

use super::PLAN_TIME;
use super::make::owner;
use crate::journal::Worktree;
use crate::worker::error::WorkerError;
use crate::worker::place::git::{Folder, Git, GitBudget, MirrorFolder, open_file};

/// Name of the file with the patterns.
const INCLUDE: &str = ".worktreeinclude";
/// Longest such file, in bytes.
const INCLUDE_BYTES_MAX: u64 = 64 * 1024;
/// Longest list of names from git, in bytes.
const LIST_BYTES_MAX: usize = 1024 * 1024;
/// Maximum number of files that are copied.
const FILES_MAX: usize = 1000;
/// Maximum number of bytes that are copied, all files together.
const BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The files that were copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::worker) struct CopiedFiles {
    /// Their number.
    pub(in crate::worker) files: usize,
    /// Their size in bytes.
    pub(in crate::worker) bytes: u64,
}

/// Returns whether the project names such files.
pub(in crate::worker) fn is_there(tree: &Worktree) -> bool {
    Path::new(&tree.project).join(INCLUDE).symlink_metadata().is_ok()
}

/// Copies the files that the project names into its worktree, where they are missing. `is_guarded` reports files of the
/// server, which are left out.
///
/// # Errors
/// Fails when there are too many, or git or the disk fails.
pub(in crate::worker) fn copy(
    tree: &Worktree,
    place: MirrorFolder<'_>,
    is_guarded: &dyn Fn(&Path) -> bool,
) -> Result<CopiedFiles, WorkerError> {
    let failed = |error: io::Error| WorkerError::Conflict(format!("the files of {INCLUDE} cannot be copied: {error}"));
    let project = Folder::open(Path::new(&tree.project)).map_err(failed)?;
    let Some(patterns) = project.read(INCLUDE, INCLUDE_BYTES_MAX).map_err(failed)? else {
        return Ok(CopiedFiles::default());
    };
    let names = names(tree, &patterns, place)?;
    if names.len() > FILES_MAX {
        return Err(failed(io::Error::other(format!(
            "it names {} files, and at most {FILES_MAX} are copied",
            names.len()
        ))));
    }
    let into = Folder::open(Path::new(&tree.path)).map_err(failed)?;
    let mut copied = CopiedFiles::default();
    for name in names {
        if !is_guarded(&Path::new(&tree.project).join(&name)) {
            let left = BYTES_MAX - copied.bytes;
            let bytes = copy_one(&project, &into, Path::new(&name), left)
                .map_err(|error| failed(io::Error::other(format!("{name}: {error}"))))?;
            copied.files += usize::from(bytes.is_some());
            copied.bytes += bytes.unwrap_or_default();
        }
    }
    Ok(copied)
}

/// Returns the ignored files that match the patterns, with paths below the project's top.
fn names(tree: &Worktree, patterns: &[u8], place: MirrorFolder<'_>) -> Result<Vec<String>, WorkerError> {
    let Some(repository) = owner(tree)? else { return Ok(Vec::new()) };
    let git = Git::open(repository, place, GitBudget::of_time(PLAN_TIME))?;
    let list = git.dir().join("include");
    fs::write(&list, patterns)?;
    let from = format!("--exclude-from={}", list.display());
    let listed = |args: &[&str]| -> Result<Vec<String>, WorkerError> {
        let answer = git.output(args, LIST_BYTES_MAX)?;
        if answer.cut {
            let text = format!("{INCLUDE} names too many files, or the project has too many that git does not know");
            return Err(WorkerError::Conflict(text));
        }
        let names = answer.output.split(|&byte| byte == 0).filter_map(|name| std::str::from_utf8(name).ok());
        Ok(names.filter(|name| is_file_below(name)).map(str::to_owned).collect())
    };
    let wanted = listed(&["ls-files", "-z", "--others", "--ignored", &from])?;
    if wanted.is_empty() {
        return Ok(wanted);
    }
    let not_ignored: HashSet<String> =
        listed(&["ls-files", "-z", "--others", "--exclude-standard"])?.into_iter().collect();
    Ok(wanted.into_iter().filter(|name| !not_ignored.contains(name)).collect())
}

/// Returns whether a name leads down to a file, and not into a Git directory.
fn is_file_below(name: &str) -> bool {
    let plain = |part| matches!(part, Component::Normal(part) if !part.eq_ignore_ascii_case(".git"));
    !name.is_empty() && !name.ends_with('/') && Path::new(name).components().all(plain)
}

/// Copies a file; `None` when it is left out.
fn copy_one(from: &Folder, into: &Folder, name: &Path, most: u64) -> io::Result<Option<u64>> {
    let Some(file) = name.file_name().and_then(|file| file.to_str()) else { return Ok(None) };
    let inner = name.parent().filter(|parent| !parent.as_os_str().is_empty());
    let opened = inner.map(|inner| from.sub(inner)).transpose();
    // A link in the path, or a file that was removed meanwhile.
    let Ok(source) = opened else { return Ok(None) };
    let Ok(Some(source)) = open_file(&source.as_ref().unwrap_or(from).path().join(file), OFlag::O_NOFOLLOW) else {
        return Ok(None);
    };
    let facts = source.metadata()?;
    if facts.nlink() > 1 {
        return Ok(None);
    }
    let target = inner.map(|inner| into.make_sub(inner)).transpose()?;
    let target = target.as_ref().unwrap_or(into);
    if target.path().join(file).symlink_metadata().is_ok() {
        return Ok(None);
    }
    let flags = OFlag::O_TMPFILE.bits();
    match OpenOptions::new().write(true).custom_flags(flags).mode(0o600).open(target.path()) {
        // It gets its name when it is whole: neither a kill nor a full disk leaves a part that passes for the file.
        Ok(unnamed) => {
            let bytes = write(&source, &unnamed, facts.mode(), most)?;
            let itself = PathBuf::from(format!("/proc/self/fd/{}", unnamed.as_raw_fd()));
            let named = linkat(AT_FDCWD, &itself, AT_FDCWD, &target.path().join(file), AtFlags::AT_SYMLINK_FOLLOW);
            match named {
                Ok(()) => Ok(Some(bytes)),
                Err(Errno::EEXIST) => Ok(None),
                Err(error) => Err(error.into()),
            }
        }
        // The file system has no files without a name.
        Err(_) => match target.create(file) {
            Ok(made) => {
                let written = write(&source, &made, facts.mode(), most);
                written.inspect_err(|_| drop(target.remove(file))).map(Some)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
            Err(error) => Err(error),
        },
    }
}

fn write(source: &File, mut target: &File, mode: u32, most: u64) -> io::Result<u64> {
    target.set_permissions(fs::Permissions::from_mode(mode & 0o777))?;
    let copied = io::copy(&mut io::Read::take(source, most.saturating_add(1)), &mut target)?;
    if copied > most {
        return Err(io::Error::other(format!("at most {BYTES_MAX} bytes are copied")));
    }
    Ok(copied)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn file_that_does_not_fit_leaves_no_part() {
        let (project, tree) = (Scratch::new(), Scratch::new());
        fs::write(project.path().join("key"), "0123456789").unwrap();
        let open = |scratch: &Scratch| Folder::open(scratch.path()).unwrap();
        let copy = |most| copy_one(&open(&project), &open(&tree), Path::new("key"), most);
        copy(9).unwrap_err();
        assert_eq!(fs::read_dir(tree.path()).unwrap().count(), 0);
        assert_eq!(copy(10).unwrap(), Some(10));
        assert_eq!(fs::read(tree.path().join("key")).unwrap(), b"0123456789");
        assert_eq!(copy(10).unwrap(), None, "it is there");
    }

    #[test]
    fn names_lead_down_and_into_no_git_directory() {
        assert!(is_file_below(".env.local") && is_file_below("app/.env"));
        for name in ["", "../x", "/etc/passwd", ".git/config", "a/.GIT/hooks/x", "nested/", "./x/../y"] {
            assert!(!is_file_below(name), "{name}");
        }
    }
}
