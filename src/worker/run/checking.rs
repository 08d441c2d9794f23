//! The check of a worker's work: the commands of the operator's project file, in its worktree, with their outcome in
//! its journal. Like a setup, they run files that agents write, so they run in the worker's runner and get no key of
//! the server.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::journal::{CheckStep, Control};
use crate::shim::end_tree;
use crate::thread::Thread;
use crate::worker::error::WorkerError;
use crate::worker::run::preparing::{CommandFailure, PlannedCommands};
use crate::worker::run::reader::short;
use crate::worker::run::worker::Worker;
use crate::worker::state::grouped::{Check, CheckStage};

/// Output of a check that is stored, in bytes: its last whole lines.
const OUTPUT_BYTES_MAX: usize = 16 * 1024;
/// Time beyond the grace period after which the end of a check is reported as failed.
const STOP_MARGIN: Duration = Duration::from_secs(20);
/// Interval at which a waiting check looks for a request to stop.
const STOP_LOOK: Duration = Duration::from_millis(100);

/// The lock of the running check: concurrent tests of several attempts would slow each other down into their time
/// limits.
static PLACE: CheckPlace = CheckPlace { taken: Mutex::new(false), freed: Condvar::new() };

struct CheckPlace {
    taken: Mutex<bool>,
    freed: Condvar,
}

impl CheckPlace {
    /// Waits for the lock; returns `None` when `stop` came first.
    fn take(&'static self, stop: &dyn Fn() -> bool) -> Option<HeldPlace> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if stop() {
                return None;
            }
            if !*taken {
                break;
            }
            (taken, _) = self.freed.wait_timeout(taken, STOP_LOOK).unwrap_or_else(PoisonError::into_inner);
        }
        *taken = true;
        Some(HeldPlace(self))
    }
}

/// The lock, until it is dropped: also when a check ends by a panic.
struct HeldPlace(&'static CheckPlace);

impl Drop for HeldPlace {
    fn drop(&mut self) {
        *self.0.taken.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.0.freed.notify_one();
    }
}

impl Worker {
    /// Begins the check of its work on a separate thread. A running check is not started twice.
    ///
    /// # Errors
    /// Fails when the project file has no check, or the worker is in a turn, is being set up or is deleted.
    pub(in crate::worker) fn begin_check(self: &Arc<Self>) -> Result<(), WorkerError> {
        let conflict = |text: &str| Err(WorkerError::Conflict(text.to_owned()));
        let Some(tree) = self.state().worktree.clone() else { return conflict("it has no worktree") };
        let Some(_) = self.project_file(&tree)?.filter(|(project, _)| !project.check.list.is_empty()) else {
            return conflict("the project file has no check");
        };
        if self.state().turn_id.is_some() {
            return conflict("it is in a turn: what it writes would change under the check");
        }
        if self.setup.is_under_way() {
            return conflict("its worktree is being set up");
        }
        if !self.checking.begin() {
            return Ok(());
        }
        if self.core().deleted {
            self.checking.end();
            return Err(WorkerError::NotFound(format!("Worker {} not found", self.id())));
        }
        let worker = Arc::clone(self);
        let spawned = Thread::spawn(format!("c-{}", short(self.id())), move || {
            let stop = || worker.checking.is_to_stop();
            if let Some(_place) = PLACE.take(&stop)
                && let Err(error) = worker.check(&stop)
            {
                log::warn!("worker {}: its check could not be recorded: {error}", worker.id());
            }
            worker.checking.end();
        });
        match spawned {
            // The thread ends with the check, which has a time limit.
            Ok(thread) => thread.detach(),
            Err(error) => {
                self.checking.end();
                return Err(error.into());
            }
        }
        Ok(())
    }

    fn check(&self, stop: &dyn Fn() -> bool) -> Result<(), WorkerError> {
        let Some(tree) = self.state().worktree.clone() else { return Ok(()) };
        // Read anew: it may have waited for long.
        let found = match self.project_file(&tree) {
            Ok(found) => found.filter(|(project, _)| !project.check.list.is_empty()),
            Err(error) => {
                self.append_control(&Control::Check(CheckStep::Begun { command: String::new() }))?;
                let error = Some(error.to_string());
                let done = CheckStep::Done { code: None, error, took_ms: 0, output: String::new() };
                return self.append_control(&Control::Check(done));
            }
        };
        let Some((project, folder)) = found else { return Ok(()) };
        let tag = self.check_tag();
        let planned = PlannedCommands { project: &project, commands: &project.check, folder, tag: &tag };
        self.append_control(&Control::Check(CheckStep::Begun { command: project.check.to_string() }))?;
        let (began, mut tail, mut is_cut) = (Instant::now(), Vec::new(), false);
        let mut output = |bytes: &[u8]| {
            tail.extend_from_slice(bytes);
            let over = tail.len().saturating_sub(OUTPUT_BYTES_MAX);
            is_cut |= over > 0;
            tail.drain(..over);
        };
        let failure = self.run_commands(&planned, stop, &|_| Ok(()), &mut output).err();
        if failure.as_ref().is_some_and(|failure| failure.code.is_none())
            && let Err(error) = self.stop_elsewhere_named(&tag)
        {
            log::warn!("worker {}: its check may live on: {error}", self.id());
        }
        let (code, error) = match failure {
            None => (Some(0), None),
            Some(CommandFailure { code, text }) => (code, Some(text)),
        };
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let output = last_lines(&tail, is_cut);
        self.append_control(&Control::Check(CheckStep::Done { code, error, took_ms, output }))
    }

    /// Returns the mark of the processes of its check.
    fn check_tag(&self) -> String {
        format!("{}-check", self.id())
    }

    /// Returns the check for clients: a waiting one is not in the journal yet.
    pub(in crate::worker) fn shown_check(&self) -> Option<Check> {
        let state = self.state();
        let known = state.grouped.check.clone();
        if !self.checking.is_under_way() || known.as_ref().is_some_and(|check| check.state == CheckStage::Running) {
            return known;
        }
        Some(Check {
            state: CheckStage::Waiting,
            command: known.map(|check| check.command).unwrap_or_default(),
            code: None,
            error: None,
            began: crate::clock::Micros::now().0,
            took_ms: None,
            output: String::new(),
            stale: false,
        })
    }

    /// Requests the end of a running or waiting check.
    pub(crate) fn ask_check_to_stop(&self) {
        self.checking.ask_to_stop();
    }

    /// Ends a running check, with all processes that it has started.
    pub(crate) fn stop_check(&self) -> Result<(), WorkerError> {
        if self.checking.stop(Instant::now() + self.launcher.grace + STOP_MARGIN) {
            return Ok(());
        }
        Err(WorkerError::Unavailable("the check has not ended yet; try again".to_owned()))
    }

    /// Claims a check that an earlier server has begun, so that no other one begins.
    pub(in crate::worker) fn hold_lost_check(&self) -> bool {
        let is_lost = self.state().grouped.check.as_ref().is_some_and(|check| check.state == CheckStage::Running);
        is_lost && self.checking.begin()
    }

    /// Ends the remaining processes of such a check, and records that it is lost.
    pub(in crate::worker) fn end_lost_check(&self) {
        let tag = self.check_tag();
        end_tree(&tag, self.launcher.grace);
        if let Err(error) = self.stop_elsewhere_named(&tag) {
            log::warn!("worker {}: its check may live on: {error}", self.id());
        }
        if let Err(error) = self.append_control(&Control::Check(CheckStep::Lost {})) {
            log::warn!("worker {}: the end of its check could not be recorded: {error}", self.id());
        }
        self.checking.end();
    }
}

/// Returns the last lines of an output: whole ones if it is cut and has several.
fn last_lines(tail: &[u8], is_cut: bool) -> String {
    let text = String::from_utf8_lossy(tail);
    let whole = if is_cut { text.split_once('\n').map_or(&*text, |(_, rest)| rest) } else { &*text };
    whole.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::last_lines;

    #[test]
    fn output_is_kept_as_whole_lines_from_its_end() {
        assert_eq!(last_lines(b"one\ntwo\n", false), "one\ntwo");
        assert_eq!(last_lines(b"e\ntwo\nthree\n", true), "two\nthree");
        assert_eq!(last_lines(b"one long line", true), "one long line");
        assert_eq!(last_lines(b"\xff\n", false), "\u{fffd}");
    }
}
