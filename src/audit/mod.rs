//! The audit: who has changed what, from where, and with what outcome.
//!
//! A request that changes something is written before its effect, and its outcome after it: a server that is killed in between
//! leaves a line without an outcome. Requests that are refused are written too, at a bounded rate, so that strangers cannot
//! push out the lines of others. Neither secrets nor texts of messages are in it: an action is the name of a route or a
//! command, never a path as it was sent.

mod line;
mod reader;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub(crate) use line::Actor;
use line::{AuditLine, shortened};
pub(crate) use reader::{AuditPage, AuditQuery};
use reader::{FILE_BYTES_MAX, FILES_KEPT};

use crate::clock::Micros;
use crate::logging::RotatingFile;

/// Name of the file, in the data folder.
pub(crate) const FILE: &str = "audit.jsonl";
/// Refused requests that are written within [`REFUSALS_TIME`]; others are counted.
pub(crate) const REFUSALS_MAX: u32 = 120;
/// The time that [`REFUSALS_MAX`] is for.
const REFUSALS_TIME: Duration = Duration::from_secs(60);

/// The audit of a server.
pub(crate) struct Audit {
    path: PathBuf,
    log: Mutex<AuditLog>,
}

struct AuditLog {
    file: RotatingFile,
    /// The id of the last line. Ids grow also from one server to the next.
    last: u64,
    /// The refusals since that time, those beyond the bound too.
    refusals: (Instant, u32),
}

impl Audit {
    /// Continues the audit in the data folder.
    pub(crate) fn open(data: &Path) -> Self {
        let path = data.join(FILE);
        let last = reader::last_id(&path);
        let mut file = RotatingFile::new(path.clone(), FILE_BYTES_MAX, FILES_KEPT).with_note(line::lost_note);
        // Found out at the start, and not with the first change.
        if let Err(error) = file.open() {
            log::error!("the audit {} cannot be written: {error}", path.display());
        }
        let log = AuditLog { file, last, refusals: (Instant::now(), 0) };
        Self { path, log: Mutex::new(log) }
    }

    /// Writes that an action begins, and gives the id for its outcome.
    pub(crate) fn begin(&self, actor: &Actor, action: &str, worker: Option<&str>) -> u64 {
        let mut log = self.lock();
        let id = log.next_id();
        log.write(&AuditLine { worker: worker.map(shortened), ..AuditLine::of(id, actor, action) });
        id
    }

    /// Writes the outcome of an action, with what was not known at its beginning.
    pub(crate) fn end(&self, begun: u64, status: u16, actor: Option<&Actor>, worker: Option<&str>) {
        let outcome = AuditLine { outcome_of: Some(begun), status: Some(status), ..AuditLine::default() };
        let outcome = AuditLine { worker: worker.map(shortened), time: Some(Micros::now().to_string()), ..outcome };
        self.lock().write(&outcome.by(actor));
    }

    /// Writes an action that was refused before it began.
    pub(crate) fn refuse(&self, actor: &Actor, action: &str, worker: Option<&str>, status: u16) {
        let mut log = self.lock();
        let now = Instant::now();
        if now.saturating_duration_since(log.refusals.0) >= REFUSALS_TIME {
            let more = log.refusals.1.saturating_sub(REFUSALS_MAX);
            log.refusals = (now, 0);
            if more > 0 {
                let id = log.next_id();
                log.write(&AuditLine::of_more_refusals(id, more));
            }
        }
        log.refusals.1 = log.refusals.1.saturating_add(1);
        if log.refusals.1 <= REFUSALS_MAX {
            let id = log.next_id();
            let line = AuditLine { status: Some(status), refused: true, ..AuditLine::of(id, actor, action) };
            log.write(&AuditLine { worker: worker.map(shortened), ..line });
        }
    }

    /// Reads a page, newest first.
    ///
    /// # Errors
    /// Fails when a file cannot be read.
    pub(crate) fn page(&self, query: &AuditQuery) -> std::io::Result<AuditPage> {
        reader::page(&self.path, query)
    }

    fn lock(&self) -> MutexGuard<'_, AuditLog> {
        // The log is whole between any two statements that can panic.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AuditLog {
    fn next_id(&mut self) -> u64 {
        self.last = Micros::now().0.max(self.last.saturating_add(1));
        self.last
    }

    fn write(&mut self, line: &AuditLine) {
        // A full disk must not keep people from stopping a worker: the loss is in the log, and in the audit's next line.
        let written = serde_json::to_vec(line).map_err(std::io::Error::from).and_then(|mut text| {
            text.push(b'\n');
            self.file.write(&text)
        });
        if let Err(error) = written {
            log::error!("a line of the audit is lost: {error}");
        }
    }
}
