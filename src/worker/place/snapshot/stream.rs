//! Objects of many small files, made by one run of git from one stream. A copy and a loose object for each file would
//! take longer than their content.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read as _, Seek as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::source::SourceFile;
use crate::worker::place::git::{Git, GitError, SHORT_BYTES};

/// Longest list from git about the files of a stream, in bytes.
const LIST_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Longest file in a stream, in bytes. Its content is buffered, because its length is written first.
const STREAMED_BYTES_MAX: u64 = 1024 * 1024;
/// Buffer size of the stream, in bytes.
const CHUNK_BYTES: usize = 256 * 1024;

/// A stream of files for git.
pub(super) struct FileStream {
    path: PathBuf,
    file: BufWriter<File>,
    /// Each file's mode and path, in the order of the stream.
    entries: Vec<(&'static str, Vec<u8>)>,
    /// The content of the last file.
    content: Vec<u8>,
}

/// The outcome of adding one file.
pub(super) enum AddOutcome {
    /// Added, with its number of bytes.
    File(u64),
    /// Too long, or git may store something other than its content.
    Left(SourceFile),
}

impl FileStream {
    pub(super) fn new(git: &Git<'_>) -> Result<Self, GitError> {
        let path = git.dir().join("stream");
        let file = File::create_new(&path).map_err(GitError::io("the stream of files cannot be written"))?;
        let file = BufWriter::with_capacity(CHUNK_BYTES, file);
        Ok(Self { path, file, entries: Vec::new(), content: Vec::new() })
    }

    /// Adds an opened file whose content no attribute changes.
    pub(super) fn add(&mut self, path: &[u8], source: SourceFile) -> Result<AddOutcome, GitError> {
        self.add_file(path, source).map_err(GitError::io(String::from_utf8_lossy(path)))
    }

    fn add_file(&mut self, path: &[u8], source: SourceFile) -> io::Result<AddOutcome> {
        let mode = match source {
            SourceFile::Link(target) => {
                self.content.clear();
                self.content.extend_from_slice(target.as_bytes());
                "120000"
            }
            SourceFile::File { mut file, is_program } => {
                self.content.clear();
                (&mut file).take(STREAMED_BYTES_MAX + 1).read_to_end(&mut self.content)?;
                if self.content.len() as u64 > STREAMED_BYTES_MAX || has_line_ends(&self.content) {
                    file.rewind()?;
                    return Ok(AddOutcome::Left(SourceFile::File { file, is_program }));
                }
                if is_program { "100755" } else { "100644" }
            }
            other => return Ok(AddOutcome::Left(other)),
        };
        self.entries.push((mode, path.to_owned()));
        write!(self.file, "blob\nmark :{}\ndata {}\n", self.entries.len(), self.content.len())?;
        self.file.write_all(&self.content)?;
        self.file.write_all(b"\n")?;
        Ok(AddOutcome::File(self.content.len() as u64))
    }

    /// Makes git create the objects; returns the entries as lines for `git update-index --index-info`.
    pub(super) fn finish(self, git: &Git<'_>) -> Result<Vec<Vec<u8>>, GitError> {
        if self.entries.is_empty() {
            return Ok(Vec::new());
        }
        let failed = "the stream of files cannot be written";
        self.file.into_inner().map_err(|error| GitError::io(failed)(error.into_error()))?;
        let stream = File::open(&self.path).map_err(GitError::io(failed))?;
        let marks = git.dir().join("marks");
        let export = format!("--export-marks={}", marks.display());
        // One pack without deltas, however few objects it has.
        let settings = ["-c", "core.compression=1", "-c", "fastimport.unpackLimit=1"];
        let args = [&settings[..], &["fast-import", "--quiet", "--depth=0", &export]].concat();
        git.run_in(git.dir(), &args, (Some(stream), SHORT_BYTES), &[0])?;
        fs::remove_file(&self.path).map_err(GitError::io(failed))?;
        let marks = fs::read_to_string(marks).map_err(GitError::io("the ids of objects cannot be read"))?;
        let mut lines = Vec::with_capacity(self.entries.len());
        for line in marks.lines() {
            let mark = line.strip_prefix(':').and_then(|line| line.split_once(' '));
            let found = mark.and_then(|(mark, id)| Some((mark.parse::<usize>().ok()?.checked_sub(1)?, id)));
            let Some(((mode, path), id)) = found.and_then(|(at, id)| Some((self.entries.get(at)?, id))) else {
                continue;
            };
            lines.push([format!("{mode} {id}\t").as_bytes(), path, &[0]].concat());
        }
        if lines.len() == self.entries.len() {
            return Ok(lines);
        }
        let words = format!("it made {} of {} objects", lines.len(), self.entries.len());
        Err(GitError::Failed { action: "fast-import".to_owned(), words })
    }
}

/// Returns whether the settings of line ends may change content; the others cannot.
fn has_line_ends(content: &[u8]) -> bool {
    memchr::memchr(b'\r', content).is_some()
}

/// Returns the paths whose content no attribute changes, according to git's attributes for the files in `folder`.
pub(super) fn unchanged_by_attributes<'p>(
    git: &Git<'_>,
    folder: &Path,
    paths: &[&'p [u8]],
) -> Result<BTreeSet<&'p [u8]>, GitError> {
    let lines: Vec<Vec<u8>> = paths.iter().map(|path| [path, &[0][..]].concat()).collect();
    let ask = ["check-attr", "-z", "--stdin", "ident", "working-tree-encoding"];
    let lines = lines.iter().map(Vec::as_slice);
    let answer = git.run_over((git.dir(), folder), &ask, lines, (LIST_BYTES_MAX, &[0]))?;
    let fields: Vec<&[u8]> = answer.output.split(|byte| *byte == 0).collect();
    // `PATH ATTRIBUTE VALUE` for each attribute: a path without both, in truncated output, counts as changed.
    let plain = fields.chunks_exact(6).filter(|field| [field[2], field[5]].iter().all(|it| *it == b"unspecified"));
    let plain: BTreeSet<&[u8]> = plain.map(|field| field[0]).collect();
    Ok(paths.iter().copied().filter(|path| plain.contains(path)).collect())
}
