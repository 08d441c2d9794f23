//! A project's files, each opened once, without following a link in its path.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, readlink};

use crate::worker::place::git::{Folder, Git, GitError};
use crate::worker::place::project::open_without_links;

/// A file of a project at the time when it was opened.
pub(super) enum SourceFile {
    File {
        file: File,
        /// True if its owner may execute it.
        is_program: bool,
    },
    /// A link with this target.
    Link(OsString),
    /// The server has no permission to read it.
    Unreadable,
    /// The file is missing, or is neither a file nor a link.
    Gone,
}

/// The files of a repository's working folder.
pub(super) struct Sources {
    top: PathBuf,
    /// The last folder that was opened.
    last: Option<(PathBuf, Folder)>,
}

impl Sources {
    pub(super) fn new(git: &Git<'_>) -> Self {
        Self { top: git.repository().top.clone(), last: None }
    }

    /// Opens the file at a path in the repository.
    pub(super) fn open(&mut self, path: &Path) -> Result<SourceFile, GitError> {
        match self.open_file(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(SourceFile::Gone),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(SourceFile::Unreadable),
            opened => opened.map_err(GitError::io(path.display().to_string())),
        }
    }

    fn open_file(&mut self, path: &Path) -> io::Result<SourceFile> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(SourceFile::Gone) };
        let Some(folder) = self.folder(parent)? else { return Ok(SourceFile::Gone) };
        let from = folder.path().join(name);
        let found = fs::symlink_metadata(&from)?;
        if found.is_symlink() {
            return match readlink(&from) {
                Ok(target) => Ok(SourceFile::Link(target)),
                Err(Errno::EINVAL) => Ok(SourceFile::Gone),
                Err(errno) => Err(errno.into()),
            };
        }
        if !found.is_file() {
            return Ok(SourceFile::Gone);
        }
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let file = fs::OpenOptions::new().read(true).custom_flags(flags.bits()).open(&from)?;
        let found = file.metadata()?;
        if !found.is_file() {
            return Ok(SourceFile::Gone);
        }
        Ok(SourceFile::File { file, is_program: found.permissions().mode() & 0o100 != 0 })
    }

    /// Opens a folder of the repository; `None` when a part of the path is not a folder.
    fn folder(&mut self, parent: &Path) -> io::Result<Option<&Folder>> {
        if self.last.as_ref().is_none_or(|(path, _)| path != parent) {
            let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY;
            let folder = match open_without_links(&self.top.join(parent), flags) {
                Ok(folder) => folder,
                Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => return Ok(None),
                Err(errno) => return Err(errno.into()),
            };
            self.last = Some((parent.to_owned(), Folder::from(folder)));
        }
        Ok(self.last.as_ref().map(|(_, folder)| folder))
    }
}
