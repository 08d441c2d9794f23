//! The folder of the workers' folders, which belongs to one server at a time.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};

/// Name of the lock's file, which holds the server's process id.
const LOCK: &str = ".server.lock";

/// The folder, held until this is dropped or the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    lock: Mutex<Flock<File>>,
}

/// The reason that the folder cannot be had.
#[derive(Debug)]
pub(crate) enum DataDirError {
    /// Another server works in it.
    InUse {
        /// The folder.
        path: PathBuf,
        /// The other server's process id, if its file has it.
        pid: Option<i32>,
    },
    /// The system refused.
    Io {
        /// The folder or file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

impl std::fmt::Display for DataDirError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::InUse { path, pid } => {
                let who = pid.map_or_else(|| "another server".to_owned(), |pid| format!("another server (pid {pid})"));
                write!(f, "{who} uses {}: stop it first, or set WORKERS_BASE_DIR to another folder", path.display())
            }
            Self::Io { path, source } => {
                write!(f, "{} cannot be used for the workers' data (see WORKERS_BASE_DIR): {source}", path.display())
            }
        }
    }
}

impl std::error::Error for DataDirError {}

impl DataDir {
    /// Makes the folder if it is not there, and takes it.
    ///
    /// # Errors
    /// Fails when another server has it, or it cannot be made or written.
    pub(crate) fn take(path: &Path) -> Result<Self, DataDirError> {
        let failed = |source| DataDirError::Io { path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let lock = Mutex::new(lock(path)?);
        Ok(Self { path: path.to_owned(), lock })
    }

    /// Returns the folder's path.
    #[must_use]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the folder again where it has been replaced, by an empty one or by a backup. One that is gone is not made:
    /// a disk that was unmounted comes back, and what is written beside it is lost then.
    ///
    /// # Errors
    /// Fails when it is gone, can't be written, or belongs to another server by now.
    pub(crate) fn hold(&self) -> Result<(), DataDirError> {
        let failed = |source| DataDirError::Io { path: self.path.clone(), source };
        let mut held = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let ours = held.metadata().map_err(failed)?;
        match std::fs::symlink_metadata(self.path.join(LOCK)) {
            Ok(there) if (there.dev(), there.ino()) == (ours.dev(), ours.ino()) => return Ok(()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            Ok(_) | Err(_) => {}
        }
        *held = lock(&self.path)?;
        log::warn!("{} was replaced and is held again", self.path.display());
        Ok(())
    }
}

/// Locks an existing folder, and notes this process's id in it.
fn lock(path: &Path) -> Result<Flock<File>, DataDirError> {
    let failed = |source| DataDirError::Io { path: path.to_owned(), source };
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(path.join(LOCK))
        .map_err(failed)?;
    let mut lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => lock,
        Err((mut file, Errno::EWOULDBLOCK)) => {
            let mut text = String::new();
            // A file that cannot be read only leaves the pid unknown.
            let _ = file.read_to_string(&mut text);
            return Err(DataDirError::InUse { path: path.to_owned(), pid: text.trim().parse().ok() });
        }
        Err((_, errno)) => return Err(failed(errno.into())),
    };
    lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id())).map_err(failed)?;
    Ok(lock)
}

/// Name of the file that [`try_write`] writes.
const PROBE: &str = ".writable";
/// Its bytes: a block of the disk, since less may find room where nothing else does.
const PROBE_BYTES: usize = 4096;

/// Looks whether the folder can be written to, by writing a file there and removing it.
///
/// # Errors
/// The system's error.
pub(crate) fn try_write(path: &Path) -> io::Result<()> {
    let probe = path.join(PROBE);
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(&probe)
        .and_then(|mut file| file.write_all(&[0; PROBE_BYTES]));
    // Also what could not be written whole; one that is left is written over the next time.
    let removed = std::fs::remove_file(&probe);
    written.and(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_server_is_refused_with_the_pid_of_the_first() {
        let folder = crate::scratch::Scratch::new();
        let path = folder.path().join("workers");
        let first = DataDir::take(&path).unwrap();
        let pid = std::process::id();
        let refusal = DataDir::take(&path).unwrap_err().to_string();
        assert!(refusal.starts_with(&format!("another server (pid {pid}) uses ")), "{refusal}");
        drop(first);
        DataDir::take(&path).unwrap();
    }

    #[test]
    fn replaced_folder_is_held_again() {
        let folder = crate::scratch::Scratch::new();
        let (path, away) = (folder.path().join("workers"), folder.path().join("away"));
        let held = DataDir::take(&path).unwrap();
        held.hold().unwrap();
        std::fs::rename(&path, &away).unwrap();
        held.hold().unwrap_err();
        assert!(!path.exists(), "a folder that is gone is not made");
        std::fs::create_dir(&path).unwrap();
        held.hold().unwrap();
        assert!(matches!(DataDir::take(&path), Err(DataDirError::InUse { .. })), "a second server is refused");
        let other = DataDir::take(&away).unwrap();
        std::fs::remove_dir_all(&path).unwrap();
        std::fs::rename(&away, &path).unwrap();
        assert!(matches!(held.hold(), Err(DataDirError::InUse { .. })), "it belongs to the other one");
        drop(other);
        held.hold().unwrap();
    }

    #[test]
    fn links_in_the_folder_are_not_followed() {
        let folder = crate::scratch::Scratch::new();
        let (path, target) = (folder.path().join("workers"), folder.path().join("target"));
        std::fs::create_dir(&path).unwrap();
        std::fs::write(&target, "mine").unwrap();
        std::os::unix::fs::symlink(&target, path.join(LOCK)).unwrap();
        assert!(DataDir::take(&path).unwrap_err().to_string().contains("symbolic link"));
        std::os::unix::fs::symlink(&target, path.join(PROBE)).unwrap();
        try_write(&path).unwrap_err();
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "mine");
    }
}
