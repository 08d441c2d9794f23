//! Files in folders that another process may change at any moment: each is opened once, without following a link, and
//! only the opened file is used.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

/// Longest file of a repository that is read whole, in bytes.
pub(in crate::worker) const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// An open folder. Names are looked up in the opened folder itself, wherever its path leads meanwhile.
#[derive(Debug)]
pub(in crate::worker) struct Folder(File);

impl From<OwnedFd> for Folder {
    fn from(folder: OwnedFd) -> Self {
        Self(folder.into())
    }
}

impl Folder {
    /// Opens a folder by its path. Links on the way to it are followed; the folder itself must not be a link.
    pub(in crate::worker) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        OpenOptions::new().read(true).custom_flags(flags.bits()).open(path).map(Self)
    }

    /// Opens a folder below this one, at any depth.
    pub(in crate::worker) fn sub(&self, name: &Path) -> io::Result<Self> {
        let mut names = name.iter();
        let first = names.next().ok_or(ErrorKind::InvalidInput)?;
        names.try_fold(Self::open(&self.path().join(first))?, |folder, name| Self::open(&folder.path().join(name)))
    }

    /// Opens a folder below this one, and creates the folders that are missing.
    pub(in crate::worker) fn make_sub(&self, name: &Path) -> io::Result<Self> {
        let mut names = name.iter();
        let make = |folder: &Self, name| {
            match std::fs::create_dir(folder.path().join(name)) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            Self::open(&folder.path().join(name))
        };
        let first = make(self, names.next().ok_or(ErrorKind::InvalidInput)?)?;
        names.try_fold(first, |folder, name| make(&folder, name))
    }

    /// Returns a path to the open folder itself, valid for as long as it is open.
    pub(in crate::worker) fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.0.as_raw_fd()).into()
    }

    /// Reads a file in the folder; `None` when it does not exist.
    pub(in crate::worker) fn read(&self, name: &str, most: u64) -> io::Result<Option<Vec<u8>>> {
        read_file(&self.path().join(name), most, OFlag::O_NOFOLLOW)
    }

    /// Writes a file that must not exist yet.
    pub(in crate::worker) fn write_new(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.create(name)?.write_all(bytes)
    }

    /// Creates a file that must not exist yet.
    pub(in crate::worker) fn create(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).open(self.path().join(one_name(name)?))
    }

    /// Removes a file, or a folder with its contents; links are removed and not followed.
    pub(in crate::worker) fn remove(&self, name: &str) -> io::Result<()> {
        let path = self.path().join(one_name(name)?);
        let removed = match std::fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => std::fs::remove_dir_all(&path),
            Ok(_) => std::fs::remove_file(&path),
            Err(error) => Err(error),
        };
        removed.or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })
    }
}

/// Refuses names that lead out of the folder or further down: names may come from records that were made elsewhere.
fn one_name(name: &str) -> io::Result<&str> {
    let leads_elsewhere = name.contains('/') || matches!(name, "" | "." | "..");
    if leads_elsewhere { Err(ErrorKind::InvalidInput.into()) } else { Ok(name) }
}

/// Reads a regular file of at most `most` bytes; `None` when it does not exist. It never blocks: a named pipe is
/// refused.
pub(in crate::worker) fn read_file(path: &Path, most: u64, flags: OFlag) -> io::Result<Option<Vec<u8>>> {
    let Some(file) = open_file(path, flags)? else { return Ok(None) };
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::other(format!("it is longer than {most} bytes")));
    }
    Ok(Some(bytes))
}

/// Opens a regular file; `None` when it does not exist.
pub(in crate::worker) fn open_file(path: &Path, flags: OFlag) -> io::Result<Option<File>> {
    let flags = flags | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
    let file = match OpenOptions::new().read(true).custom_flags(flags.bits()).open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(error) => return Err(error),
    };
    if file.metadata()?.is_file() { Ok(Some(file)) } else { Err(io::Error::other("it is not a regular file")) }
}

/// A folder of the server that only its user can enter; dropping it removes it with its contents.
#[derive(Debug)]
pub(super) struct OwnFolder(PathBuf);

impl OwnFolder {
    pub(super) fn new(path: PathBuf) -> io::Result<Self> {
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for OwnFolder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            log::warn!("{} cannot be removed: {error}", self.0.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_remove_and_make_nothing() {
        let scratch = crate::scratch::Scratch::new();
        std::fs::create_dir_all(scratch.path().join("inner/x")).unwrap();
        std::fs::write(scratch.path().join("kept"), "").unwrap();
        let folder = Folder::open(&scratch.path().join("inner")).unwrap();
        for name in ["../kept", "x/../../kept", "..", ".", "", "/etc"] {
            assert_eq!(folder.remove(name).unwrap_err().kind(), ErrorKind::InvalidInput, "{name}");
            assert!(folder.create(name).is_err(), "{name}");
        }
        assert!(scratch.path().join("kept").exists() && scratch.path().join("inner/x").exists());
        folder.remove("x").unwrap();
        assert!(!scratch.path().join("inner/x").exists());
    }
}
