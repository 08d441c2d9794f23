//! The folders in which a worker may work.

use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::{Mode, SFlag, fstat};

use crate::worker::error::WorkerError;

/// Permissions of a new file, before the process's umask applies.
const NEW_FILE: Mode = Mode::from_bits_truncate(0o666);

/// Resolves a project path to an existing folder within the allowed roots (no roots: anywhere).
///
/// Symbolic links are resolved first, so that none leads out of a root.
///
/// # Errors
/// Fails when it is not such a folder.
pub(crate) fn resolve(path: &str, roots: &[PathBuf]) -> Result<String, WorkerError> {
    let given = Path::new(path);
    if !given.is_absolute() {
        return Err(WorkerError::Invalid(format!("the project folder's path must be absolute: {path}")));
    }
    let resolved = given.canonicalize();
    // The response for a path outside the roots is the same whether it exists or not, so that nobody can probe for
    // files.
    let place = resolved.as_ref().ok().cloned().or_else(|| nearest(given));
    if !roots.is_empty() && !place.is_some_and(|place| roots.iter().any(|root| place.starts_with(root))) {
        return Err(WorkerError::Invalid(format!("the project folder is outside of PROJECT_ROOTS: {path}")));
    }
    let resolved = resolved.map_err(|error| {
        WorkerError::Invalid(match error.kind() {
            std::io::ErrorKind::NotFound => format!("the project folder does not exist: {path}"),
            _ => format!("the project folder cannot be used: {path}: {error}"),
        })
    })?;
    if !resolved.is_dir() {
        return Err(WorkerError::Invalid(format!("the project folder is not a directory: {path}")));
    }
    let text = resolved.into_os_string().into_string();
    text.map_err(|_| {
        WorkerError::Invalid(format!("the project folder's path is not valid UTF-8 once resolved: {path}"))
    })
}

/// Returns device and inode of a folder or file, as in `2049:131`, reached without any link.
///
/// # Errors
/// Fails when a part of the path has become a link, or is missing.
pub(in crate::worker) fn identity(path: &Path) -> Result<String, WorkerError> {
    let failed = |errno: Errno| {
        let why =
            if matches!(errno, Errno::ENOTDIR | Errno::ELOOP) { "a part of it is not a folder" } else { errno.desc() };
        WorkerError::Conflict(format!("{} cannot be given to a sandbox: {why}", path.display()))
    };
    let at = open_without_links(path, OFlag::O_PATH).map_err(failed)?;
    let found = fstat(&at).map_err(failed)?;
    if SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT == SFlag::S_IFLNK {
        return Err(failed(Errno::ELOOP));
    }
    Ok(format!("{}:{}", found.st_dev, found.st_ino))
}

/// Opens an absolute path without following a link in any part. If the last part is a link, `O_PATH` opens the link
/// itself.
///
/// # Errors
/// Fails when a part is a link or is missing, or the system refuses.
pub(in crate::worker) fn open_without_links(path: &Path, flags: OFlag) -> Result<OwnedFd, Errno> {
    let way = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mut parts = path.components().filter(|part| matches!(part, Component::Normal(_))).peekable();
    let mut at = open("/", way, Mode::empty())?;
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        let flags = if last { flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC } else { way };
        at = openat(&at, part.as_os_str(), flags, NEW_FILE)?;
    }
    Ok(at)
}

/// Checks that a folder that was resolved at its worker's creation is still reached without a link.
///
/// # Errors
/// Fails when it has become a link: whoever could create the link must not choose the folder of a later start.
pub(in crate::worker) fn same(recorded: &str, resolved: &str) -> Result<(), WorkerError> {
    if recorded == resolved {
        return Ok(());
    }
    Err(WorkerError::Conflict(format!(
        "the folder {recorded} is now a link to {resolved}: put the folder back, or change the worker's project_path"
    )))
}

/// Returns the nearest existing folder above `path`, resolved.
fn nearest(path: &Path) -> Option<PathBuf> {
    path.ancestors().find_map(|above| above.canonicalize().ok())
}
