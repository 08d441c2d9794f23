//! Reads a file that another program writes: by offset, in batches, only whole lines.
//!
//! [`Tail::look`] reads on and changes nothing; [`Tail::commit`] says that what it gave is kept. So a batch that could not
//! be kept (a full disk) is given again. No look reads more than a batch or one line, so the size of the file costs
//! nothing.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use memchr::{memchr, memrchr};
use nix::fcntl::OFlag;
use serde::{Deserialize, Serialize};

use crate::{fnv, packed};

/// Bytes that are read at once.
const BATCH_BYTES: usize = 256 * 1024;
/// Bytes at the end of what was read that are compared before more is read.
const MARK_BYTES: usize = 256;

/// The place up to which a file was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Which file it is, whatever its name.
    pub inode: u64,
    /// Bytes that were read.
    pub offset: u64,
    /// The bytes before the offset.
    pub mark: TailMark,
}

/// The last bytes that were read: they distinguish a rewritten file from one that grew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TailMark {
    /// Bytes that it covers; none says nothing.
    pub len: u32,
    /// Their hash.
    pub hash: u64,
    /// Bytes between them and the offset: the newline, where there is one.
    pub after: u32,
}

impl TailMark {
    /// The mark after this line; `whole` when a newline ended it.
    pub fn after(line: &[u8], whole: bool) -> Self {
        let end = &line[line.len() - line.len().min(MARK_BYTES)..];
        Self { len: end.len() as u32, hash: fnv::hash(end), after: u32::from(whole) }
    }
}

impl Position {
    /// Moves past a line; `whole` when a newline ended it.
    pub fn advance(&mut self, line: &[u8], whole: bool) {
        self.offset += line.len() as u64 + u64::from(whole);
        self.mark = TailMark::after(line, whole);
    }
}

/// A change of the file since the last look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TailChange {
    /// Truncated or written anew: it is read from its beginning.
    Rewritten,
    /// Another file has its name: that one is read from its beginning.
    Replaced,
}

/// The result of a look.
#[derive(Debug, Default)]
pub(crate) struct TailLook {
    /// The change of the file.
    pub change: Option<TailChange>,
    /// The next look will find more without waiting.
    pub more: bool,
    /// No file has the name. A renamed file is still read while it is open.
    pub missing: bool,
}

/// A file that is followed.
#[derive(Debug)]
pub(crate) struct Tail {
    path: PathBuf,
    file: Option<File>,
    /// Up to here it was read and kept.
    position: Position,
    /// Up to here there is no newline: a long line that is being written is not searched from its beginning each time.
    scanned: u64,
    /// Longest line that is given whole.
    line_max: usize,
    batch: Vec<u8>,
    /// The number of bytes of the batch that are lines, and whether the last of them has a newline.
    lines: (usize, bool),
}

impl Tail {
    /// A tail of the file at `path` from `position` on, which gives lines of up to `line_max` bytes whole.
    pub(crate) fn new(path: PathBuf, position: Position, line_max: usize) -> Self {
        Self { path, file: None, position, scanned: position.offset, line_max, batch: Vec::new(), lines: (0, true) }
    }

    /// The file's name.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The place up to which it was read and kept.
    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// Follows the file under another name.
    pub(crate) fn rename(&mut self, path: PathBuf) {
        self.path = path;
    }

    /// Reads on. What it found is in [`Tail::lines`].
    ///
    /// # Errors
    /// The system's error; a missing file is not one.
    pub(crate) fn look(&mut self) -> io::Result<TailLook> {
        self.lines = (0, true);
        let mut looked = TailLook::default();
        if self.file.is_none() && !self.open(&mut looked)? {
            return Ok(looked);
        }
        let Some(file) = &self.file else { return Ok(looked) };
        let size = file.metadata()?.len();
        if size < self.position.offset || (size > self.position.offset && !fits(file, &self.position)?) {
            self.restart(self.position.inode);
            looked.change = Some(TailChange::Rewritten);
        }
        self.read(size)?;
        looked.more = self.lines.0 > 0 || self.scanned < size;
        if !looked.more {
            self.compare_name(&mut looked)?;
        }
        Ok(looked)
    }

    /// Opens the file; whether there is one.
    fn open(&mut self, looked: &mut TailLook) -> io::Result<bool> {
        // Without waiting, should it be a pipe.
        let mut options = File::options();
        let file = match options.read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                looked.missing = true;
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(ErrorKind::InvalidInput, "not a regular file"));
        }
        if self.position.inode != metadata.ino() {
            if self.position.offset > 0 {
                looked.change = Some(TailChange::Replaced);
            }
            self.restart(metadata.ino());
        }
        self.file = Some(if packed::is_packed(&self.path) { packed::unpack(&file)? } else { file });
        Ok(true)
    }

    fn restart(&mut self, inode: u64) {
        self.position = Position { inode, ..Position::default() };
        self.scanned = 0;
    }

    /// Fills the batch with whole lines, from a file of `size` bytes.
    fn read(&mut self, size: u64) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let begin = self.position.offset;
        let unsearched = usize::try_from(size.saturating_sub(self.scanned)).unwrap_or(usize::MAX);
        let count = fill(file, &mut self.batch, self.scanned, unsearched.min(BATCH_BYTES))?;
        if self.scanned == begin {
            if let Some(newline) = memrchr(b'\n', &self.batch[..count]) {
                self.lines = (newline + 1, true);
                return Ok(());
            }
        } else if let Some(newline) = memchr(b'\n', &self.batch[..count]) {
            // The end of a long line.
            let len = usize::try_from(self.scanned - begin).unwrap_or(usize::MAX).saturating_add(newline + 1);
            if len <= self.line_max + 1 {
                let got = fill(file, &mut self.batch, begin, len)?;
                // A file that is being cut meanwhile is looked at again.
                self.lines = (if got == len { len } else { 0 }, true);
                return Ok(());
            }
        }
        self.scanned += count as u64;
        if self.scanned - begin >= self.line_max as u64 {
            let got = fill(file, &mut self.batch, begin, self.line_max)?;
            self.lines = (if got == self.line_max { got } else { 0 }, false);
        }
        Ok(())
    }

    /// Looks whether the file still has its name.
    fn compare_name(&mut self, looked: &mut TailLook) -> io::Result<()> {
        match std::fs::metadata(&self.path) {
            Ok(metadata) if metadata.ino() == self.position.inode => {}
            Ok(_) => {
                // All of the old file is read. The next look opens the new one.
                self.file = None;
                looked.more = true;
            }
            Err(error) if error.kind() == ErrorKind::NotFound => looked.missing = true,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The lines of the last look, each with whether a newline ended it; they begin at [`Tail::position`].
    pub(crate) fn lines(&self) -> impl Iterator<Item = (&[u8], bool)> {
        let (end, whole) = self.lines;
        let mut rest = &self.batch[..end];
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            match memchr(b'\n', rest) {
                Some(newline) => {
                    let line = &rest[..newline];
                    rest = &rest[newline + 1..];
                    Some((line, true))
                }
                None => Some((std::mem::take(&mut rest), whole)),
            }
        })
    }

    /// The lines of the last look are kept.
    pub(crate) fn commit(&mut self) {
        if self.lines.0 == 0 {
            // The searched part of a long line is not searched again.
            return;
        }
        let mut position = self.position;
        for (line, whole) in self.lines() {
            position.advance(line, whole);
        }
        self.position = position;
        self.scanned = position.offset;
        self.lines = (0, true);
        self.batch.truncate(BATCH_BYTES);
        self.batch.shrink_to(BATCH_BYTES);
    }
}

/// Returns whether the bytes before the position are those that were read there.
fn fits(file: &File, position: &Position) -> io::Result<bool> {
    let TailMark { len, hash: expected, after } = position.mark;
    let Some(begin) = position.offset.checked_sub(u64::from(len) + u64::from(after)) else { return Ok(false) };
    let mut bytes = Vec::new();
    let wanted = (len + after) as usize;
    if fill(file, &mut bytes, begin, wanted)? < wanted {
        return Ok(false);
    }
    let (line, end) = bytes.split_at(len as usize);
    Ok((len == 0 || fnv::hash(line) == expected) && end.iter().all(|&byte| byte == b'\n'))
}

/// Reads up to `wanted` bytes at `offset` into the beginning of `buffer` and returns how many there were.
fn fill(file: &File, buffer: &mut Vec<u8>, offset: u64, wanted: usize) -> io::Result<usize> {
    buffer.resize(wanted, 0);
    let mut count = 0;
    while count < wanted {
        match file.read_at(&mut buffer[count..], offset + count as u64) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests;
