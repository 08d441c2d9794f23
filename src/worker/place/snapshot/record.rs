//! The files of a project in the server's index, and their objects in the server's Git directory.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::copy::{CopyFolder, CopyOutcome};
use super::source::SourceFile;
use super::stream::{AddOutcome, FileStream, unchanged_by_attributes};
use crate::worker::place::git::{Git, GitBudget, GitError, SHORT_BYTES};

/// Longest list of files from git, in bytes.
pub(in crate::worker) const LIST_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Maximum number of files that are read for one tree; if more have changed, none is recorded.
const FILES_MAX: usize = 50_000;
/// Largest file that is recorded, in bytes.
const FILE_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Maximum number of bytes that are read for one tree; if more have changed, none is recorded.
const BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Maximum number of files that are left out of a tree by their size; if there are more, none is recorded.
const LEFT_OUT_MAX: usize = 32;
/// Maximum number of loose objects; more are packed into one file.
pub(super) const LOOSE_MAX: usize = 32;
/// The files that define how others are stored.
const ATTRIBUTES_FILE: &[u8] = b".gitattributes";

/// Updates the server's index to the files of the folder in which git runs; returns the files that are left out.
pub(super) fn record_files(git: &Git<'_>, budget: &GitBudget<'_>) -> Result<Vec<String>, GitError> {
    let ask = ["ls-files", "-z", "-t", "--modified", "--deleted", "--others", "--exclude-standard", "--full-name"];
    let list = git.output(&ask, LIST_BYTES_MAX)?;
    if list.cut {
        return Err(too_much("there are too many files"));
    }
    // `TAG PATH`: a file may be in it more than once.
    let paths: BTreeSet<&[u8]> = list.output.split(|byte| *byte == 0).filter_map(|entry| entry.get(2..)).collect();
    if paths.len() > FILES_MAX {
        return Err(too_much(&format!("more than {FILES_MAX} files have changed")));
    }
    if paths.is_empty() {
        return Ok(Vec::new());
    }
    let many = paths.len() > LOOSE_MAX;
    let paths = paths.into_iter().filter(|path| !path.ends_with(b"/"));
    let mut recorder = Recorder::new(git, budget)?;
    if many && git.has_files_as_they_are() {
        let (attributes, others): (Vec<&[u8]>, Vec<&[u8]>) = paths.partition(|path| is_attributes_file(path));
        recorder.copy(attributes)?;
        recorder.stream(&others)?;
    } else {
        recorder.copy(paths)?;
    }
    recorder.finish()
}

/// Collects the changes of the server's index.
struct Recorder<'g> {
    git: &'g Git<'g>,
    budget: &'g GitBudget<'g>,
    staging: CopyFolder,
    /// Paths of copies, each followed by a NUL.
    copied: Vec<Vec<u8>>,
    /// Lines of entries with existing objects, for `git update-index --index-info`.
    entries: Vec<Vec<u8>>,
    /// Lines of removed entries, in the same format.
    gone: Vec<Vec<u8>>,
    left_out: Vec<String>,
    /// Number of bytes that were read.
    bytes: u64,
}

impl<'g> Recorder<'g> {
    fn new(git: &'g Git<'g>, budget: &'g GitBudget<'g>) -> Result<Self, GitError> {
        let (copied, entries, gone, left_out) = Default::default();
        Ok(Self { git, budget, staging: CopyFolder::new(git)?, copied, entries, gone, left_out, bytes: 0 })
    }

    /// Copies files, from which git makes the objects.
    fn copy<'p>(&mut self, paths: impl IntoIterator<Item = &'p [u8]>) -> Result<(), GitError> {
        paths.into_iter().try_for_each(|path| {
            let source = self.open(path)?;
            self.put(path, source)
        })
    }

    /// Makes the objects of files from one stream; copies the files that git does not store unchanged.
    fn stream(&mut self, paths: &[&[u8]]) -> Result<(), GitError> {
        // Attributes that are gone change nothing.
        let gone = std::mem::take(&mut self.gone);
        self.change_index(&gone)?;
        let plain = unchanged_by_attributes(self.git, self.staging.path(), paths)?;
        let mut stream = FileStream::new(self.git)?;
        for path in paths {
            let source = self.open(path)?;
            if !plain.contains(path) {
                self.put(path, source)?;
                continue;
            }
            match stream.add(path, source)? {
                AddOutcome::File(size) => self.count(size)?,
                AddOutcome::Left(source) => self.put(path, source)?,
            }
        }
        self.entries = stream.finish(self.git)?;
        Ok(())
    }

    fn open(&mut self, path: &[u8]) -> Result<SourceFile, GitError> {
        self.budget.check("update-index")?;
        self.staging.open(Path::new(OsStr::from_bytes(path)))
    }

    fn put(&mut self, path: &[u8], source: SourceFile) -> Result<(), GitError> {
        match self.staging.put(Path::new(OsStr::from_bytes(path)), source, FILE_BYTES_MAX)? {
            CopyOutcome::File(size) => {
                self.copied.push([path, &[0]].concat());
                return self.count(size);
            }
            // An unreadable file must not keep the others from being recorded.
            CopyOutcome::TooLarge | CopyOutcome::Unreadable => {
                self.left_out.push(String::from_utf8_lossy(path).into_owned());
            }
            CopyOutcome::Gone => {}
        }
        let no_id = "0".repeat(self.git.empty_ids().tree.len());
        self.gone.push([format!("0 {no_id}\t").as_bytes(), path, &[0]].concat());
        if self.left_out.len() > LEFT_OUT_MAX {
            return Err(too_much(&format!(
                "more than {LEFT_OUT_MAX} files are larger than {FILE_BYTES_MAX} bytes or cannot be read"
            )));
        }
        Ok(())
    }

    fn count(&mut self, size: u64) -> Result<(), GitError> {
        self.bytes += size;
        if self.bytes > BYTES_MAX {
            return Err(too_much(&format!("more than {BYTES_MAX} bytes have changed")));
        }
        Ok(())
    }

    /// Updates the index; returns the files that are left out.
    fn finish(self) -> Result<Vec<String>, GitError> {
        let git = self.git;
        // Files in place of folders come after those that were in them.
        self.change_index(&self.gone)?;
        self.change_index(&self.entries)?;
        if !self.copied.is_empty() {
            let add = ["update-index", "--no-split-index", "--add", "--replace", "-z", "--stdin"];
            let copied = self.copied.iter().map(Vec::as_slice);
            git.run_over((git.dir(), self.staging.path()), &add, copied, (SHORT_BYTES, &[0]))?;
        }
        if !self.copied.is_empty() || !self.entries.is_empty() {
            // Compares the files with the recorded ones, so that they are not read again. git exits with 1 where one
            // differs.
            git.line(&["update-index", "-q", "--refresh"])?;
        }
        Ok(self.left_out)
    }

    fn change_index(&self, lines: &[Vec<u8>]) -> Result<(), GitError> {
        if lines.is_empty() {
            return Ok(());
        }
        let change = ["update-index", "--no-split-index", "-z", "--index-info"];
        self.git.with_input(&change, lines.iter().map(Vec::as_slice), SHORT_BYTES).map(drop)
    }
}

fn is_attributes_file(path: &[u8]) -> bool {
    path.rsplit(|byte| *byte == b'/').next() == Some(ATTRIBUTES_FILE)
}

fn too_much(words: &str) -> GitError {
    GitError::Failed { action: "update-index".to_owned(), words: words.to_owned() }
}
