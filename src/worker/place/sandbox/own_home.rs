//! The private home directory of a worker in its sandbox: a folder among the worker's own, which is deleted with the
//! worker.
//!
//! The agent of an earlier start may have left anything in it, including links. Nothing in it is executed during the
//! preparation.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

/// Name of the folder among the worker's own.
const HOME: &str = "home";
/// Name of the empty file there.
const NOTHING: &str = "nothing";
/// Largest file that is copied into it, in bytes.
const COPY_MAX: u64 = 64 * 1024 * 1024;

/// The folder, and the empty file that is mounted over hidden files.
#[derive(Clone, Debug)]
pub(super) struct OwnHome {
    pub(super) path: PathBuf,
    pub(super) nothing: PathBuf,
}

impl OwnHome {
    /// Creates both in the worker's folder.
    pub(super) fn make(worker: &Path) -> io::Result<Self> {
        let own = Self { path: worker.join(HOME), nothing: worker.join(NOTHING) };
        make_folder(&own.path)?;
        make_file(&own.nothing)?;
        Ok(own)
    }
}

/// Creates the folder `below` of `base`, a private folder of the worker, and makes every folder on the way a real one
/// that the server may enter.
pub(super) fn make_folders(base: &Path, below: &Path) -> io::Result<PathBuf> {
    let mut path = base.to_owned();
    for part in below {
        path.push(part);
        make_folder(&path)?;
    }
    Ok(path)
}

/// Makes `path` a regular file that is empty or has content, and not a link or a folder.
pub(super) fn make_file(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => return Ok(()),
        Ok(_) => remove(path)?,
        Err(_) => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map(drop)
}

fn make_folder(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => return fs::set_permissions(path, Permissions::from_mode(0o700)),
        Ok(_) => remove(path)?,
        Err(_) => {}
    }
    DirBuilder::new().mode(0o700).create(path)
}

/// Copies the file `from` to `to`, whose folder exists. A link at the end of `from` is not followed: it may be in a
/// folder that an agent writes. Returns whether there is a file to copy.
pub(super) fn copy(from: &Path, to: &Path) -> io::Result<bool> {
    let follow_no_link = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    let source = match OpenOptions::new().read(true).custom_flags(follow_no_link).open(from) {
        Ok(source) => source,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) if error.raw_os_error() == Some(nix::errno::Errno::ELOOP as i32) => return Ok(false),
        Err(error) => return Err(error),
    };
    if !source.metadata()?.is_file() {
        return Ok(false);
    }
    let mut content = Vec::new();
    source.take(COPY_MAX + 1).read_to_end(&mut content)?;
    if content.len() as u64 > COPY_MAX {
        return Err(io::Error::other(format!("{} is larger than {COPY_MAX} bytes", from.display())));
    }
    remove_if_there(to)?;
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?.write_all(&content)?;
    Ok(true)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(_) => remove(path),
        Err(_) => Ok(()),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() { remove_tree(path) } else { fs::remove_file(path) }
}

/// Removes a folder with its contents, even where an agent has removed the permissions.
pub(in crate::worker) fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            make_accessible(path)?;
            fs::remove_dir_all(path)
        }
        removed => removed,
    }
}

/// Restores the right to enter and change every folder below `path`.
fn make_accessible(path: &Path) -> io::Result<()> {
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        fs::set_permissions(&folder, Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn links_that_an_agent_left_are_not_followed() {
        let (scratch, outside) = (Scratch::new(), Scratch::new());
        let own = OwnHome::make(scratch.path()).unwrap();
        symlink(outside.path(), own.path.join("link")).unwrap();
        let made = make_folders(&own.path, Path::new("link/below")).unwrap();
        assert!(made.is_dir() && !outside.path().join("below").exists());
        symlink(outside.path().join("file"), own.path.join("file")).unwrap();
        make_file(&own.path.join("file")).unwrap();
        assert!(!outside.path().join("file").exists());
        fs::write(outside.path().join("secret"), "x").unwrap();
        symlink(outside.path().join("secret"), outside.path().join("to-secret")).unwrap();
        assert!(!copy(&outside.path().join("to-secret"), &own.path.join("copied")).unwrap());
        symlink(outside.path().join("target"), own.path.join("copied")).unwrap();
        assert!(copy(&outside.path().join("secret"), &own.path.join("copied")).unwrap());
        assert!(!outside.path().join("target").exists());
        assert_eq!(fs::read_to_string(own.path.join("copied")).unwrap(), "x");
    }

    #[test]
    fn closed_folders_are_removed_all_the_same() {
        let scratch = Scratch::new();
        let own = OwnHome::make(scratch.path()).unwrap();
        let deep = make_folders(&own.path, Path::new("a/b/c")).unwrap();
        fs::write(deep.join("file"), "x").unwrap();
        for folder in ["a/b/c", "a/b", "a"] {
            fs::set_permissions(own.path.join(folder), Permissions::from_mode(0o000)).unwrap();
        }
        remove_tree(&own.path).unwrap();
        assert!(!own.path.exists());
    }
}
