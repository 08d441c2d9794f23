//! The end of a worker's run: asked for, waited for, and in the end forced.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::error::WorkerError;
use super::link::{Batch, Link};
use super::state::State;
use super::status::Process as FoldedProcess;
use super::worker::Worker;
use crate::journal::Control;
use crate::shim::protocol;
use crate::shim::tree::{self, Process};

/// How much longer than the grace period the end of a process tree may take before a stop is said to have failed.
const STOP_MARGIN: Duration = Duration::from_secs(10);

/// One run of a worker's CLI.
struct Run {
    link: Weak<Link>,
    /// Its shim, where that is known already.
    shim: Option<(i32, u64)>,
}

/// The shim's process and its start.
fn shim_of(state: &State) -> Option<(i32, u64)> {
    state.process.pids().map(|pids| (pids.shim_pid, pids.shim_start_time))
}

impl Worker {
    /// Ends the whole process tree and returns when nothing of it lives.
    ///
    /// # Errors
    /// When something still lives after the grace period and a margin.
    pub fn stop(self: &Arc<Self>, by: &str) -> Result<(), WorkerError> {
        self.stop_because(by, None)
    }

    /// As [`Worker::stop`], with a reason for people.
    pub(super) fn stop_because(self: &Arc<Self>, by: &str, reason: Option<String>) -> Result<(), WorkerError> {
        let link = match self.link() {
            Some(link) => link,
            None if matches!(self.state().process, FoldedProcess::Following) => {
                return self.append(&Batch::of(&Control::StopRequested { by: by.to_owned(), reason }));
            }
            None if !self.state().is_running() => return Ok(()),
            None => self.reattached()?,
        };
        let shim = shim_of(&self.state());
        let grace = self.launcher.grace;
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        let requested = Batch::of(&Control::StopRequested { by: by.to_owned(), reason });
        let asked =
            link.send_together(&[protocol::Command::Append(requested.body()), protocol::Command::Stop { grace_ms }]);
        if let Err(error) = asked {
            // It ends by itself just now, or takes no more commands and will be killed: both are seen to below.
            log::info!("worker {}: its shim cannot be asked to stop: {error}", self.id());
        }
        // Whoever holds a link keeps its threads from ending.
        let run = Run { link: Arc::downgrade(&link), shim };
        drop(link);
        if !self.is_over(&run, grace + STOP_MARGIN) {
            self.end_by_force(&run)?;
        }
        self.stop_elsewhere()
    }

    /// Ends a run whose shim did not do it: the shim is killed, and then the server ends the tree.
    fn end_by_force(self: &Arc<Self>, run: &Run) -> Result<(), WorkerError> {
        let shim = run.shim.or_else(|| shim_of(&self.state()));
        let shim = shim.and_then(|(pid, start_time)| Process::read(pid).filter(|shim| shim.start_time == start_time));
        if let Some(shim) = shim {
            if tree::find(Some(shim.pid), self.id()).is_empty() {
                let text = "the worker's processes have ended, but its journal cannot be written (is the disk full?)";
                return Err(WorkerError::Unavailable(text.to_owned()));
            }
            log::warn!("worker {}: its shim {} does not end it, and is killed", self.id(), shim.pid);
            shim.signal(Signal::SIGKILL);
            let link = self.link().map_or_else(|| self.reattached(), Ok);
            let link = link.map_or_else(|_| Weak::new(), |link| Arc::downgrade(&link));
            if self.is_over(&Run { link, shim: run.shim }, self.launcher.grace + STOP_MARGIN) {
                return Ok(());
            }
        }
        Err(WorkerError::Unavailable("the worker's process tree has not ended yet; try again".to_owned()))
    }

    /// Whether a run ends within `time`. The worker may have been started again by then: by a message, say, that waited
    /// for this end.
    fn is_over(&self, run: &Run, time: Duration) -> bool {
        if !self.wait_for_end_of(&run.link, Instant::now() + time) {
            return false;
        }
        let state = self.state();
        match (run.shim, shim_of(&state)) {
            _ if !state.is_running() => true,
            (Some(shim), now) => now != Some(shim),
            // It was not known yet when it was asked to end: where there is a link now, it is the next run's.
            (None, _) => self.link().is_some(),
        }
    }
}
