//! The one who appends: lock, torn-tail repair, appends that are all or nothing.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use memchr::memchr;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::header::Header;
use super::record::RECORD_MAX;
use super::{JournalError, scan};

/// Permissions of a journal: its owner alone.
const MODE: u32 = 0o600;

/// The writer of a journal, which holds its lock. Dropping it gives the lock back.
///
/// The lock is an advisory one on the file itself, so it ends with the process however that ends, and a child that this
/// process starts does not inherit it.
#[derive(Debug)]
pub struct Writer {
    file: Flock<File>,
    worker_id: String,
    end: u64,
    cut: u64,
    /// True if bytes of a failed append may be after `end`, because taking them back failed too.
    overhang: bool,
}

impl Writer {
    /// Makes the journal of a new worker, with its header on the disk, and locks it.
    ///
    /// # Errors
    /// Fails when `worker_id` is empty, longer than [`WORKER_ID_MAX`](super::WORKER_ID_MAX) bytes or not of visible ASCII
    /// characters; when the file exists already or cannot be written. A file that was begun is removed again.
    pub fn create(path: &Path, worker_id: &str) -> Result<Self, JournalError> {
        let line = Header::line(worker_id)?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(MODE)
            .open(path)
            .map_err(JournalError::io(path, "make"))?;
        let made = lock(file, path).and_then(|file| {
            write_header(&file, line.as_bytes(), path).map_err(JournalError::io(path, "write the header of"))?;
            Ok(file)
        });
        if made.is_err() {
            // The first error is the one to report; if this fails too, the next open says that the header is not whole.
            let _ = fs::remove_file(path);
        }
        let worker_id = worker_id.to_owned();
        Ok(Self { file: made?, worker_id, end: line.len() as u64, cut: 0, overhang: false })
    }

    /// Opens and locks a journal, and cuts off a torn last line. It reads the header and the torn line, nothing else.
    ///
    /// # Errors
    /// [`JournalError::Locked`] at once when another writer has it; the other variants for a file that is not a journal, or
    /// cannot be read or cut.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(JournalError::io(path, "open"))?;
        // Before the lock is held, the header may be half-written and the last line may be growing.
        let file = lock(file, path)?;
        let header = Header::read(&file, path)?;
        let (end, cut) = cut_torn_line(&file, header.len).map_err(JournalError::io(path, "repair the end of"))?;
        Ok(Self { file, worker_id: header.worker_id, end, cut, overhang: false })
    }

    /// The id of its worker.
    pub fn worker_id(&self) -> &str {
        &self.worker_id
    }

    /// The offset after the last record: the sequence number that the next record gets.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Bytes of a torn last line that were cut off when the journal was opened.
    pub fn cut(&self) -> u64 {
        self.cut
    }

    /// Appends whole lines, as [`encode`](super::encode) makes them, and returns the new end. When it returns, they are
    /// in the page cache: readers see them, and the death of any process cannot lose them.
    ///
    /// # Errors
    /// The journal then is as it was before, with the same [`end`](Self::end), and the same append may be tried again:
    /// - `InvalidInput` for bytes that do not end with a newline, or a line longer than
    ///   [`RECORD_MAX`]; trying again is of no use;
    /// - what the system says, as `StorageFull`. Where it refuses even to take back what was written of `lines`, that
    ///   is done before the next append, and when the writer is dropped.
    pub fn append(&mut self, lines: &[u8]) -> io::Result<u64> {
        check_lines(lines)?;
        self.take_back()?;
        if let Err(err) = self.file.write_all_at(lines, self.end) {
            self.overhang = true;
            // If it cannot be done now, `overhang` remembers it; the caller needs the first error.
            let _ = self.take_back();
            return Err(err);
        }
        self.end += lines.len() as u64;
        Ok(self.end)
    }

    /// A handle to flush the journal to the disk from another thread, while this one appends. It does not keep the lock.
    ///
    /// # Errors
    /// Fails when the process has no more file descriptors.
    pub fn syncer(&self) -> io::Result<Syncer> {
        Ok(Syncer { file: self.file.try_clone()? })
    }

    /// Cuts off what a failed append has left after the end.
    fn take_back(&mut self) -> io::Result<()> {
        if self.overhang {
            self.file.set_len(self.end)?;
            self.overhang = false;
        }
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Err(err) = self.take_back() {
            log::error!("journal of worker {}: a failed append could not be taken back: {err}", self.worker_id);
        }
    }
}

/// Flushes a journal to the disk.
#[derive(Debug)]
pub struct Syncer {
    file: File,
}

impl Syncer {
    /// Returns when all that was appended before the call is on the disk.
    ///
    /// # Errors
    /// Fails when the disk failed. The kernel reports it once: a later success does not mean that the data of the failed call
    /// is on the disk.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

fn lock(file: File, path: &Path) -> Result<Flock<File>, JournalError> {
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
        Errno::EWOULDBLOCK => JournalError::Locked { path: path.to_owned() },
        errno => JournalError::io(path, "lock")(errno.into()),
    })
}

/// Writes the header to the disk, and the file's name with it.
fn write_header(file: &File, line: &[u8], path: &Path) -> io::Result<()> {
    file.write_all_at(line, 0)?;
    file.sync_all()?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// Cuts off what follows the last newline; returns the new end and how many bytes went.
fn cut_torn_line(file: &File, start: u64) -> io::Result<(u64, u64)> {
    let size = file.metadata()?.len();
    let end = scan::line_start(file, start, size)?;
    if end < size {
        file.set_len(end)?;
    }
    Ok((end, size - end))
}

/// Returns whether `lines` are lines that a reader will return.
fn check_lines(lines: &[u8]) -> io::Result<()> {
    let invalid = |why| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    if lines.last().is_some_and(|&last| last != b'\n') {
        return invalid("an append to a journal must end with a newline");
    }
    let mut rest = lines;
    while rest.len() > RECORD_MAX {
        match memchr(b'\n', &rest[..RECORD_MAX]) {
            Some(newline) => rest = &rest[newline + 1..],
            None => return invalid("a line is longer than a journal's longest record"),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{env, process};

    use super::*;

    #[test]
    fn failed_truncation_is_retried_before_next_append_and_on_close() {
        let folder = env::temp_dir().join(format!("rs-worker-overhang-{}", process::id()));
        fs::create_dir(&folder).unwrap();
        let (path, other) = (folder.join("journal"), folder.join("other"));
        fs::write(&other, "").unwrap();
        let open = |path: &Path, write| {
            let file = OpenOptions::new().read(true).write(write).open(path).unwrap();
            Flock::lock(file, FlockArg::LockExclusiveNonblock).unwrap()
        };
        let mut writer = Writer::create(&path, "worker").unwrap();
        writer.append(b"1 out before\n").unwrap();
        let before = fs::read(&path).unwrap();
        // A file that is open for reading alone can neither be written nor cut.
        let fail = |writer: &mut Writer| {
            writer.file = open(&other, false);
            for _ in 0..2 {
                writer.append(b"2 out lost\n3 out lost\n").unwrap_err();
                assert_eq!(writer.end(), before.len() as u64);
            }
            fs::write(&path, [&before[..], b"2 out lost\n3 ou"].concat()).unwrap();
            writer.file = open(&path, true);
        };
        fail(&mut writer);
        writer.append(b"4 in x\n").unwrap();
        assert_eq!(fs::read(&path).unwrap(), [&before[..], b"4 in x\n"].concat());

        writer.end = before.len() as u64;
        fail(&mut writer);
        drop(writer);
        assert_eq!(fs::read(&path).unwrap(), before);
        fs::remove_dir_all(&folder).unwrap();
    }
}
