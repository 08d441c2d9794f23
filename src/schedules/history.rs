//! The history of a schedule: a private file of lines that are appended, of which the last of a run counts.

use std::collections::VecDeque;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use serde::{Deserialize, Serialize};

use super::run::{Cause, RunState, ScheduleRun};
use crate::clock::Micros;
use crate::private_file;

/// Runs of one schedule that are kept.
pub(crate) const RUNS_KEPT: usize = 100;
/// Lines after which the file is written anew, with the runs that are kept.
const LINES_MAX: usize = 8 * RUNS_KEPT;
/// Bytes after which it is.
const BYTES_MAX: usize = 4 * 1024 * 1024;
/// The largest file that is read, in bytes.
const READ_MAX: u64 = 16 * 1024 * 1024;

/// A line of the file.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum LogLine {
    Run(Box<ScheduleRun>),
    /// Slots up to this one are done, whether or not their runs are kept.
    Mark {
        mark: u64,
    },
}

/// The runs of one schedule.
#[derive(Debug)]
pub(crate) struct RunLog {
    file: PathBuf,
    runs: VecDeque<ScheduleRun>,
    mark: u64,
    lines: usize,
    bytes: usize,
    /// True if the file may end within a line.
    is_torn: bool,
    /// The reason that the file can't be used: without it a slot could run twice, so none runs.
    broken: Option<String>,
}

impl RunLog {
    /// Reads a history, which may not exist yet.
    pub(crate) fn open(file: PathBuf) -> Self {
        let mut log = Self { file, runs: VecDeque::new(), mark: 0, lines: 0, bytes: 0, is_torn: false, broken: None };
        match private_file::read(&log.file, READ_MAX + 1) {
            Ok(None) => {}
            Ok(Some(bytes)) if bytes.len() as u64 <= READ_MAX => log.take_all(&bytes),
            Ok(Some(_)) => log.broken = Some(format!("it has more than {READ_MAX} bytes")),
            Err(error) => log.broken = Some(error.to_string()),
        }
        if let Some(reason) = &mut log.broken {
            *reason = format!("the history {} can't be used, so no slot runs: {reason}", log.file.display());
            log::error!("{reason}");
        }
        log
    }

    fn take_all(&mut self, bytes: &[u8]) {
        self.is_torn = bytes.last().is_some_and(|last| *last != b'\n');
        self.bytes = bytes.len();
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            self.lines += 1;
            match serde_json::from_slice(line) {
                Ok(LogLine::Run(run)) => self.take(*run),
                Ok(LogLine::Mark { mark }) => self.mark = self.mark.max(mark),
                // Such as the last line of a server that was killed while it wrote: it had sent nothing yet.
                Err(error) => log::warn!("{}: skipping malformed line {}: {error}", self.file.display(), self.lines),
            }
        }
    }

    fn take(&mut self, run: ScheduleRun) {
        if run.cause != Cause::Person {
            self.mark = self.mark.max(run.slot);
        }
        if let Some(known) = self.runs.iter_mut().find(|known| known.slot == run.slot) {
            *known = run;
            return;
        }
        self.runs.push_back(run);
        if self.runs.len() > RUNS_KEPT {
            self.runs.pop_front();
        }
    }

    /// The runs, oldest first.
    pub(crate) fn runs(&self) -> impl DoubleEndedIterator<Item = &ScheduleRun> {
        self.runs.iter()
    }

    /// The run of a slot.
    pub(crate) fn run(&self, slot: u64) -> Option<&ScheduleRun> {
        self.runs.iter().find(|run| run.slot == slot)
    }

    /// Slots up to this instant are done.
    pub(crate) const fn mark(&self) -> Micros {
        Micros(self.mark)
    }

    /// The result of the last run that has one.
    pub(crate) fn last_result(&self) -> Option<&str> {
        self.runs.iter().rev().find_map(|run| run.result.as_deref())
    }

    /// The reason that no slot runs, if there is one.
    pub(crate) fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    /// Begins the run of a slot that has none, when it is on the disk.
    ///
    /// # Errors
    /// Fails when the slot has a run, or the file can't be written.
    pub(crate) fn begin(&mut self, run: ScheduleRun) -> io::Result<()> {
        let is_done = run.cause != Cause::Person && run.slot <= self.mark;
        if is_done || self.run(run.slot).is_some() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("the slot {} is done", Micros(run.slot))));
        }
        self.put(run)
    }

    /// Stores a run in the place of the one of its slot, when it is on the disk.
    ///
    /// # Errors
    /// Fails when the file can't be written.
    pub(crate) fn put(&mut self, run: ScheduleRun) -> io::Result<()> {
        if let Some(broken) = &self.broken {
            return Err(io::Error::other(broken.clone()));
        }
        let mut line = serde_json::to_vec(&run)?;
        line.push(b'\n');
        if self.is_torn {
            line.insert(0, b'\n');
        }
        self.is_torn = true;
        self.append(&line)?;
        self.is_torn = false;
        self.lines += 1;
        self.bytes += line.len();
        self.take(run);
        if (self.lines > LINES_MAX || self.bytes > BYTES_MAX)
            && let Err(error) = self.shorten()
        {
            log::warn!("{} can't be shortened: {error}", self.file.display());
        }
        Ok(())
    }

    fn append(&self, line: &[u8]) -> io::Result<()> {
        if let Some(folder) = self.file.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let flags = OFlag::O_NOFOLLOW.bits();
        let mut file = OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(flags).open(&self.file)?;
        file.write_all(line)?;
        file.sync_data()
    }

    /// Writes the file anew, with the runs that are kept.
    fn shorten(&mut self) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(&LogLine::Mark { mark: self.mark })?;
        bytes.push(b'\n');
        for run in &self.runs {
            serde_json::to_writer(&mut bytes, run)?;
            bytes.push(b'\n');
        }
        private_file::replace(&self.file, &bytes)?;
        self.lines = self.runs.len() + 1;
        self.bytes = bytes.len();
        Ok(())
    }

    /// Removes the file; what ends later is not written.
    pub(crate) fn remove(&mut self) {
        self.broken = Some("the schedule was removed".to_owned());
        if let Err(error) = fs::remove_file(&self.file)
            && error.kind() != io::ErrorKind::NotFound
        {
            log::warn!("{} can't be removed: {error}", self.file.display());
        }
    }

    /// The runs whose message is to be sent.
    pub(crate) fn to_send(&self) -> impl Iterator<Item = &ScheduleRun> {
        self.runs.iter().filter(|run| run.state == RunState::Begun)
    }

    /// The runs whose answer is not known yet.
    pub(crate) fn to_answer(&self) -> impl Iterator<Item = &ScheduleRun> {
        self.runs.iter().filter(|run| run.state == RunState::Sent)
    }
}

/// Returns the file of a schedule's history in a folder.
pub(super) fn file_of(folder: &Path, id: &str) -> PathBuf {
    folder.join(format!("{id}.jsonl"))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::scratch::Scratch;

    fn run(slot: u64) -> ScheduleRun {
        ScheduleRun::begun(Micros(slot), Cause::Time, "text".to_owned())
    }

    #[test]
    fn history_outlives_the_server_in_a_private_file() {
        let scratch = Scratch::new();
        let file = scratch.path().join("runs/a.jsonl");
        let mut log = RunLog::open(file.clone());
        log.begin(run(60)).unwrap();
        let mut sent = run(60);
        sent.become_state(RunState::Sent, None);
        log.put(sent.clone()).unwrap();
        let person = ScheduleRun { cause: Cause::Person, ..run(99) };
        log.begin(person).unwrap();
        assert!(log.begin(run(60)).is_err() && log.begin(run(30)).is_err(), "a slot is done once");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let log = RunLog::open(file);
        assert_eq!((log.mark(), log.run(60), log.runs().count()), (Micros(60), Some(&sent), 2));
        assert_eq!(log.to_send().map(|run| run.slot).collect::<Vec<_>>(), [99]);
    }

    #[test]
    fn torn_line_loses_no_other() {
        let scratch = Scratch::new();
        let file = scratch.path().join("a.jsonl");
        let mut log = RunLog::open(file.clone());
        log.begin(run(60)).unwrap();
        File::options().append(true).open(&file).unwrap().write_all(b"{\"slot\":120,\"cau").unwrap();
        let mut log = RunLog::open(file.clone());
        assert_eq!(log.mark(), Micros(60));
        log.begin(run(180)).unwrap();
        assert_eq!(RunLog::open(file).runs().map(|run| run.slot).collect::<Vec<_>>(), [60, 180]);
    }

    #[test]
    fn runs_and_file_are_bounded_and_the_mark_stays() {
        let scratch = Scratch::new();
        let file = scratch.path().join("a.jsonl");
        let mut log = RunLog::open(file.clone());
        log.begin(run(1_000_000)).unwrap();
        for slot in 1..=LINES_MAX as u64 {
            log.begin(ScheduleRun { cause: Cause::Person, ..run(slot) }).unwrap();
        }
        let log = RunLog::open(file);
        assert_eq!((log.runs().count(), log.lines, log.mark()), (RUNS_KEPT, RUNS_KEPT + 1, Micros(1_000_000)));
    }

    #[test]
    fn history_that_others_can_change_runs_nothing() {
        let scratch = Scratch::new();
        let file = scratch.path().join("a.jsonl");
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
        let mut log = RunLog::open(file);
        assert!(log.broken().is_some() && log.begin(run(60)).is_err());
    }
}
