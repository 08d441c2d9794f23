//! A log file that is set aside when it has grown to its limit. It knows nothing of loggers.
//!
//! The disk is bounded: `keep` old files and the current one, each of at most `max_bytes`. When a file cannot be set
//! aside, it is emptied instead. A line that cannot be written is counted, and the next one that can says how many were
//! lost; the caller continues.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use crate::clock::Micros;

/// The most old files that are looked for beyond `keep`, after that setting was lowered.
const LEFTOVERS_MAX: u32 = 100;

/// See the module.
#[derive(Debug)]
pub(crate) struct RotatingFile {
    path: PathBuf,
    max_bytes: u64,
    keep: u32,
    open: Option<OpenLog>,
    /// Lines lost since the last one that was written.
    lost: u64,
    /// Makes the line that reports lost ones.
    note: fn(u64) -> String,
}

#[derive(Debug)]
struct OpenLog {
    file: File,
    size: u64,
    /// Not so for `/dev/null` and the like, which have no size and are never set aside.
    regular: bool,
}

impl RotatingFile {
    /// The file at `path`, which is opened by [`RotatingFile::open`] or at the first line. A line must be shorter than
    /// `max_bytes`.
    pub(crate) fn new(path: PathBuf, max_bytes: u64, keep: u32) -> Self {
        Self { path, max_bytes, keep, open: None, lost: 0, note }
    }

    /// The same with another line that reports lost ones.
    pub(crate) fn with_note(self, note: fn(u64) -> String) -> Self {
        Self { note, ..self }
    }

    /// Opens the file and, where they are missing, makes it with mode 0600 and its folders with mode 0700.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn open(&mut self) -> io::Result<()> {
        if self.open.is_none() {
            self.open = Some(OpenLog::append(&self.path)?);
        }
        Ok(())
    }

    /// Appends a line, which ends with a newline.
    ///
    /// # Errors
    /// Fails when the line was lost; the file then ends as it did before.
    pub(crate) fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let result = self.try_write(line);
        self.lost = if result.is_ok() { 0 } else { self.lost.saturating_add(1) };
        result
    }

    fn try_write(&mut self, line: &[u8]) -> io::Result<()> {
        let noted;
        let text = if self.lost == 0 {
            line
        } else {
            noted = [(self.note)(self.lost).as_bytes(), line].concat();
            &noted
        };
        self.open()?;
        if self.open.as_ref().is_some_and(|open| open.would_pass(self.max_bytes, text.len())) {
            self.set_aside()?;
        }
        match &mut self.open {
            Some(open) => open.append_all(text),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Moves every file up by one name and begins a new one.
    fn set_aside(&mut self) -> io::Result<()> {
        self.open = None;
        for number in (1..self.keep).rev() {
            // A missing file is usual. Any other failure only costs an old file, which the next move overwrites.
            let _ = fs::rename(numbered(&self.path, number), numbered(&self.path, number + 1));
        }
        let moved =
            if self.keep == 0 { fs::remove_file(&self.path) } else { fs::rename(&self.path, numbered(&self.path, 1)) };
        for number in self.keep + 1..=self.keep + LEFTOVERS_MAX {
            if fs::remove_file(numbered(&self.path, number)).is_err() {
                break;
            }
        }
        let mut open = OpenLog::append(&self.path)?;
        if moved.is_err() && open.regular {
            open.file.set_len(0)?;
            open.size = 0;
        }
        self.open = Some(open);
        Ok(())
    }
}

impl OpenLog {
    fn append(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        // Without O_NONBLOCK a named pipe that nobody reads would hold up the start for good; files do not care. A link is
        // refused: its maker would choose the file whose mode is changed and that is written to.
        let flags = (OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW).bits();
        let file = OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(flags).open(path)?;
        let metadata = file.metadata()?;
        let regular = metadata.is_file();
        if regular && metadata.permissions().mode() & 0o077 != 0 {
            file.set_permissions(Permissions::from_mode(0o600))?;
        }
        Ok(Self { file, size: metadata.len(), regular })
    }

    fn would_pass(&self, max_bytes: u64, more: usize) -> bool {
        self.regular && self.size > 0 && self.size.saturating_add(more as u64) > max_bytes
    }

    fn append_all(&mut self, text: &[u8]) -> io::Result<()> {
        let result = self.file.write_all(text);
        match &result {
            Ok(()) => self.size += text.len() as u64,
            // A full disk takes the beginning of a line; half a line would run into the next one.
            Err(_) if self.regular => drop(self.file.set_len(self.size)),
            Err(_) => {}
        }
        result
    }
}

/// The line that reports lost ones.
fn note(lost: u64) -> String {
    format!("{} [WARN ] {lost} lines could not be written here\n", Micros::now())
}

/// `app.log` as `app.log.1`.
pub(crate) fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{number}"));
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn file_is_private_and_so_are_folders_made_for_it() {
        let folder = Scratch::new();
        let path = folder.path().join("a/logs/app.log");
        RotatingFile::new(path.clone(), 100, 1).open().unwrap();
        assert_eq!(
            (mode(&path), mode(&folder.path().join("a")), mode(&folder.path().join("a/logs"))),
            (0o600, 0o700, 0o700)
        );
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        RotatingFile::new(path.clone(), 100, 1).open().unwrap();
        assert_eq!(mode(&path), 0o600, "one that others could read is closed to them");
    }

    #[test]
    fn full_file_is_rotated_and_a_bounded_number_kept() {
        let folder = Scratch::new();
        let path = folder.path().join("app.log");
        let mut log = RotatingFile::new(path.clone(), 8, 2);
        for line in ["one\n", "two\n", "three\n", "four\n", "five\n", "six\n", "1234567890\n", "end\n"] {
            log.write(line.as_bytes()).unwrap();
        }
        assert_eq!(read(&path), "end\n");
        assert_eq!(read(&numbered(&path, 1)), "1234567890\n");
        assert_eq!(read(&numbered(&path, 2)), "six\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn an_existing_file_is_continued_and_counts() {
        let folder = Scratch::new();
        let path = folder.path().join("app.log");
        fs::write(&path, "before\n").unwrap();
        let mut log = RotatingFile::new(path.clone(), 12, 3);
        log.write(b"more\n").unwrap();
        assert_eq!(read(&path), "before\nmore\n");
        log.write(b"x\n").unwrap();
        assert_eq!((read(&path), read(&numbered(&path, 1))), ("x\n".into(), "before\nmore\n".into()));
    }

    #[test]
    fn keeping_no_rotations_starts_afresh_and_removes_older_ones() {
        let folder = Scratch::new();
        let path = folder.path().join("app.log");
        fs::write(numbered(&path, 1), "old").unwrap();
        fs::write(numbered(&path, 2), "older").unwrap();
        let mut log = RotatingFile::new(path.clone(), 8, 0);
        for line in ["one\n", "two\n", "three\n"] {
            log.write(line.as_bytes()).unwrap();
        }
        assert_eq!(read(&path), "three\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_set_aside_is_emptied() {
        let folder = Scratch::new();
        let path = folder.path().join("app.log");
        fs::create_dir(numbered(&path, 1)).unwrap();
        let mut log = RotatingFile::new(path.clone(), 8, 1);
        for line in ["one\n", "two\n", "three\n"] {
            log.write(line.as_bytes()).unwrap();
        }
        assert_eq!(read(&path), "three\n");
    }

    #[test]
    fn unwritten_lines_are_counted_in_the_next_written_one() {
        let folder = Scratch::new();
        let path = folder.path().join("logs/app.log");
        fs::write(folder.path().join("logs"), "in the way").unwrap();
        let mut log = RotatingFile::new(path.clone(), 1000, 1);
        assert!(log.write(b"one\n").is_err());
        assert!(log.write(b"two\n").is_err());
        fs::remove_file(folder.path().join("logs")).unwrap();
        log.write(b"three\n").unwrap();
        log.write(b"four\n").unwrap();
        let text = read(&path);
        assert!(text.ends_with("Z [WARN ] 2 lines could not be written here\nthree\nfour\n"), "{text}");
    }

    #[test]
    fn a_full_device_loses_lines_and_nothing_else() {
        let mut log = RotatingFile::new("/dev/full".into(), 8, 2);
        for _ in 0..3 {
            assert_eq!(
                log.write(b"a line that is longer than the limit\n").unwrap_err().kind(),
                io::ErrorKind::StorageFull
            );
        }
        assert_eq!(log.lost, 3);
    }

    #[test]
    fn a_device_is_written_to_and_never_moved() {
        let mut log = RotatingFile::new("/dev/null".into(), 8, 2);
        for _ in 0..10 {
            log.write(b"a line that is longer than the limit\n").unwrap();
        }
        assert!(!Path::new("/dev/null.1").exists());
    }

    #[test]
    fn a_link_is_refused_and_its_target_stays_unchanged() {
        let folder = Scratch::new();
        let (link, target) = (folder.path().join("app.log"), folder.path().join("target"));
        fs::write(&target, "mine").unwrap();
        fs::set_permissions(&target, Permissions::from_mode(0o644)).unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        RotatingFile::new(link, 1000, 1).open().unwrap_err();
        assert_eq!((fs::read_to_string(&target).unwrap(), mode(&target)), ("mine".to_owned(), 0o644));
    }
}
