//! Copies of a project's files for git, in a folder of the server.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::{OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};

use super::source::{SourceFile, Sources};
use crate::worker::place::git::{Folder, Git, GitError};

/// The folder of the copies, in a Git directory of the server.
pub(in crate::worker) struct CopyFolder {
    sources: Sources,
    path: PathBuf,
    /// The last folder that got a copy.
    last: Option<(PathBuf, Folder)>,
}

/// The outcome of one copy.
pub(in crate::worker) enum CopyOutcome {
    /// Copied, with its number of bytes.
    File(u64),
    TooLarge,
    /// The server has no permission to read it.
    Unreadable,
    /// The file is missing, or is neither a file nor a link.
    Gone,
}

impl CopyFolder {
    pub(in crate::worker) fn new(git: &Git<'_>) -> Result<Self, GitError> {
        let path = git.dir().join("files");
        fs::create_dir(&path).map_err(GitError::io("files cannot be copied"))?;
        Ok(Self { sources: Sources::new(git), path, last: None })
    }

    pub(in crate::worker) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file at a path in the repository.
    pub(super) fn open(&mut self, path: &Path) -> Result<SourceFile, GitError> {
        self.sources.open(path)
    }

    /// Copies the file at a path in the repository.
    pub(in crate::worker) fn copy(&mut self, path: &Path, most: u64) -> Result<CopyOutcome, GitError> {
        let source = self.open(path)?;
        self.put(path, source, most)
    }

    /// Copies an opened file.
    pub(super) fn put(&mut self, path: &Path, source: SourceFile, most: u64) -> Result<CopyOutcome, GitError> {
        let copied = match source {
            SourceFile::Gone => return Ok(CopyOutcome::Gone),
            SourceFile::Unreadable => return Ok(CopyOutcome::Unreadable),
            SourceFile::Link(target) => {
                self.place(path).and_then(|to| symlink(target, to)).map(|()| CopyOutcome::File(0))
            }
            SourceFile::File { file, is_program } => self.copy_file(path, file, is_program, most),
        };
        match copied {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(CopyOutcome::Unreadable),
            copied => copied.map_err(GitError::io(path.display().to_string())),
        }
    }

    fn copy_file(&mut self, path: &Path, file: File, is_program: bool, most: u64) -> io::Result<CopyOutcome> {
        let to = self.place(path)?;
        let mode = if is_program { 0o700 } else { 0o600 };
        let mut copy = OpenOptions::new().write(true).create_new(true).mode(mode).open(&to)?;
        let size = io::copy(&mut file.take(most + 1), &mut copy)?;
        if size > most {
            fs::remove_file(to)?;
            return Ok(CopyOutcome::TooLarge);
        }
        Ok(CopyOutcome::File(size))
    }

    /// Returns the path of a copy. Its folder is created if it is missing, and may contain a link by now.
    fn place(&mut self, path: &Path) -> io::Result<PathBuf> {
        let parent = path.parent().ok_or(ErrorKind::InvalidInput)?;
        let name = path.file_name().ok_or(ErrorKind::InvalidInput)?;
        if self.last.as_ref().is_none_or(|(path, _)| path != parent) {
            let copies = Folder::open(&self.path)?;
            let copies = if parent.as_os_str().is_empty() { copies } else { copies.make_sub(parent)? };
            self.last = Some((parent.to_owned(), copies));
        }
        let folder = self.last.as_ref().map(|(_, folder)| folder.path()).ok_or(ErrorKind::NotFound)?;
        Ok(folder.join(name))
    }
}
