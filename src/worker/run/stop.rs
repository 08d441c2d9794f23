//! The end of a worker's run: requested, waited for, and finally forced.

use std::ffi::OsString;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::journal::{By, Control};
use crate::runner::{CommandInput, Mounts};
use crate::shim::protocol;
use crate::shim::tree::{self, Process};
use crate::subprocess::{self, Bounds};
use crate::worker::error::WorkerError;
use crate::worker::run::mailbox::{CommandBatch, Mailbox};
use crate::worker::run::worker::Worker;
use crate::worker::state::State;
use crate::worker::state::status::ProcessState as FoldedProcess;
use crate::worker_env::runner_env;

/// Limits of the command that ends remaining processes on the other side.
const STOP: Bounds = Bounds { time: Duration::from_secs(20), bytes: 2 * 1024 };
/// Time beyond the grace period after which a stop is reported as failed.
const STOP_MARGIN: Duration = Duration::from_secs(10);

/// One run of a worker's CLI.
struct RunToStop {
    mailbox: Weak<Mailbox>,
    /// Its shim, where that is known already.
    shim: Option<(i32, u64)>,
}

/// The shim's process and its start.
fn shim_of(state: &State) -> Option<(i32, u64)> {
    state.process.pids().map(|pids| (pids.shim_pid, pids.shim_start_time))
}

impl Worker {
    /// Ends the whole process tree and returns when none of it is left.
    ///
    /// # Errors
    /// Fails when a process is left after the grace period and a margin.
    pub(crate) fn stop(self: &Arc<Self>, by: By) -> Result<(), WorkerError> {
        self.stop_because(by, None)
    }

    /// Does the same as [`Worker::stop`], for a worker that is about to be deleted: its end need not be recorded, so a
    /// full disk does not keep its shim alive.
    pub(in crate::worker) fn stop_to_delete(self: &Arc<Self>, by: By) -> Result<(), WorkerError> {
        self.stop_recorded(by, None, false)
    }

    /// Does the same as [`Worker::stop`], with a reason for people.
    pub(in crate::worker) fn stop_because(self: &Arc<Self>, by: By, reason: Option<String>) -> Result<(), WorkerError> {
        self.stop_recorded(by, reason, true)
    }

    fn stop_recorded(self: &Arc<Self>, by: By, reason: Option<String>, is_kept: bool) -> Result<(), WorkerError> {
        if by == By::User {
            self.stop_check()?;
        }
        let mailbox = match self.mailbox() {
            Some(mailbox) => mailbox,
            None if matches!(self.state().process, FoldedProcess::Following) => {
                // A worker whose journal is gone can still be deleted.
                let requested = CommandBatch::of(&Control::StopRequested { by, reason });
                return self.append(&requested).or_else(|error| if self.has_journal() { Err(error) } else { Ok(()) });
            }
            None if self.state().renew => {
                return self.append(&CommandBatch::of(&Control::StopRequested { by, reason }));
            }
            None if matches!(self.state().process, FoldedProcess::Preparing) => return self.stop_setup(),
            // A person who stops it again has the other side of its runner checked again.
            None if !self.state().is_running() => return if by == By::User { self.stop_elsewhere() } else { Ok(()) },
            None => self.reattached()?,
        };
        let shim = shim_of(&self.state());
        let grace = self.launcher.grace;
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        let requested = CommandBatch::of(&Control::StopRequested { by, reason });
        let asked = mailbox.send_together(&[
            protocol::ShimCommand::Append(requested.body()),
            protocol::ShimCommand::Stop { grace_ms },
        ]);
        if let Err(error) = asked {
            // It is just exiting, or takes no more commands and will be killed: both are handled below.
            log::info!("worker {}: its shim cannot be asked to stop: {error}", self.id());
        }
        // A held mailbox keeps its threads from ending.
        let run = RunToStop { mailbox: Arc::downgrade(&mailbox), shim };
        drop(mailbox);
        if !self.is_over(&run, grace + STOP_MARGIN) {
            self.end_by_force(&run, is_kept)?;
        }
        self.stop_elsewhere()
    }

    /// Ends a run whose shim did not do it: the shim is killed, and then the server ends the tree. A shim without a
    /// tree waits for the disk to accept its last record, and is left alone if that record is needed.
    fn end_by_force(self: &Arc<Self>, run: &RunToStop, is_kept: bool) -> Result<(), WorkerError> {
        let shim = run.shim.or_else(|| shim_of(&self.state()));
        let shim = shim.and_then(|(pid, start_time)| Process::read(pid).filter(|shim| shim.start_time == start_time));
        if let Some(shim) = shim {
            let is_over = tree::find(Some(shim.pid), self.id()).is_empty();
            if is_over && is_kept {
                let text = "the worker's processes have ended, but its journal cannot be written (is the disk full?)";
                return Err(WorkerError::Unavailable(text.to_owned()));
            }
            log::warn!("worker {}: its shim {} does not end it, and is killed", self.id(), shim.pid);
            shim.signal(Signal::SIGKILL);
            let mailbox = self.mailbox().map_or_else(|| self.reattached(), Ok);
            let mailbox = mailbox.map_or_else(|_| Weak::new(), |mailbox| Arc::downgrade(&mailbox));
            if is_over && self.wait_for_end_of(&mailbox, Instant::now() + STOP_MARGIN) {
                return Ok(());
            }
            if self.is_over(&RunToStop { mailbox, shim: run.shim }, self.launcher.grace + STOP_MARGIN) {
                return Ok(());
            }
        }
        Err(WorkerError::Unavailable("the worker's process tree has not ended yet; try again".to_owned()))
    }

    /// Waits for the end of a run, at most for `time`; returns whether it has ended. The worker may have been started
    /// again by then, for example by a message that waited for this end.
    fn is_over(&self, run: &RunToStop, time: Duration) -> bool {
        if !self.wait_for_end_of(&run.mailbox, Instant::now() + time) {
            return false;
        }
        let state = self.state();
        match (run.shim, shim_of(&state)) {
            _ if !state.is_running() => true,
            (Some(shim), now) => now != Some(shim),
            // The run was not known when its end was requested: a mailbox that exists now belongs to the next run.
            (None, _) => self.mailbox().is_some(),
        }
    }
}

impl Worker {
    /// Ends the worker's remaining processes on the other side of its runner. The processes of this machine have ended.
    pub(in crate::worker) fn stop_elsewhere(&self) -> Result<(), WorkerError> {
        self.stop_elsewhere_named(self.id())
    }

    /// Does the same for a program beside its CLI, by its name on the other side.
    pub(in crate::worker) fn stop_elsewhere_named(&self, name: &str) -> Result<(), WorkerError> {
        let state = self.state();
        let Ok(Some(runner)) = self.launcher.runner(&state) else { return Ok(()) };
        let facts = self.launcher.places.facts(self.id());
        let mounts = Mounts::default();
        let place = CommandInput { id: name, project: &state.project_path, also: None, facts: &facts, mounts: &mounts };
        let argv = runner.stop(place);
        let Some((program, args)) = argv.split_first() else { return Ok(()) };
        let mut command = Command::new(program);
        let env: Vec<(OsString, OsString)> = runner_env(runner.needs(), std::env::vars_os());
        command.args(args).env_clear().envs(env);
        let failed = match subprocess::ask_both(&mut command, STOP, &AtomicBool::new(false)) {
            Ok(answer) if answer.code == Some(0) => return Ok(()),
            Ok(answer) => {
                let said = String::from_utf8_lossy(&answer.output).trim().to_owned();
                answer.code.map_or_else(
                    || format!("{program} took too long"),
                    |code| format!("{program} ended with {code}: {said}"),
                )
            }
            Err(error) => format!("{program}: {error}"),
        };
        let entry = &runner.entry;
        Err(WorkerError::Unavailable(format!(
            "the worker has stopped on this machine, but that it has at {entry} is not known ({failed}); stop it again"
        )))
    }
}
