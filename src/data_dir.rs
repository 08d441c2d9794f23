//! The folder of the workers' folders, which belongs to one server at a time.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// Name of the lock's file, which holds the server's process id.
const LOCK: &str = ".server.lock";

/// The folder, held until this is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct DataDir {
    _lock: Flock<std::fs::File>,
}

/// Why the folder cannot be had.
#[derive(Debug)]
pub enum DataDirError {
    /// Another server works in it.
    InUse {
        /// The folder.
        path: PathBuf,
        /// That server's process id, where its file tells.
        pid: Option<i32>,
    },
    /// The system refused.
    Io {
        /// The folder or file.
        path: PathBuf,
        /// Why.
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
    /// When another server has it, or it cannot be made or written.
    pub fn take(path: &Path) -> Result<Self, DataDirError> {
        let failed = |source| DataDirError::Io { path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path.join(LOCK))
            .map_err(failed)?;
        let mut lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => lock,
            Err((mut file, Errno::EWOULDBLOCK)) => {
                let mut text = String::new();
                // A file that cannot be read tells no pid; that is all.
                let _ = file.read_to_string(&mut text);
                return Err(DataDirError::InUse { path: path.to_owned(), pid: text.trim().parse().ok() });
            }
            Err((_, errno)) => return Err(failed(errno.into())),
        };
        lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id())).map_err(failed)?;
        Ok(Self { _lock: lock })
    }
}

/// Name of the file that [`try_write`] writes.
const PROBE: &str = ".writable";
/// Its bytes: a block of the disk, since less may find room where nothing else does.
const PROBE_BYTES: usize = 4096;

/// Looks whether the folder can be written to, by writing a file there and removing it.
///
/// # Errors
/// Why not.
pub fn try_write(path: &Path) -> io::Result<()> {
    let probe = path.join(PROBE);
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
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
    fn a_second_server_is_refused_with_the_pid_of_the_first() {
        let folder = crate::scratch::Scratch::new();
        let path = folder.path().join("workers");
        let first = DataDir::take(&path).unwrap();
        let pid = std::process::id();
        let refusal = DataDir::take(&path).unwrap_err().to_string();
        assert!(refusal.starts_with(&format!("another server (pid {pid}) uses ")), "{refusal}");
        drop(first);
        DataDir::take(&path).unwrap();
    }
}
