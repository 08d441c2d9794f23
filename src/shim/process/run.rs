//! The shim's loop: one thread that waits for the CLI's pipes, the server, signals and its timers, and handles each.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::child::{self, Child, StartFailure};
use super::kills::MemoryKills;
use super::link::Link;
use super::running::CliProcess;
use super::signals::Signals;
use super::store::Store;
use crate::cgroup;
use crate::clock::Micros;
use crate::journal::Control;
use crate::shim::spec::Spec;
use crate::shim::tree::Process;

/// Time that the shim stays after its last record, for a server that has not read all of it. The rest is in the file.
const FAREWELL: Duration = Duration::from_secs(5);

/// Pause after a failed accept (the system is out of descriptors).
const ACCEPT_RETRY: Duration = Duration::from_secs(1);

/// The present activity of the shim.
#[derive(Debug)]
pub(super) enum Work {
    /// Waiting for the command to run the next process (a CLI with one process a turn).
    Idle,
    /// The CLI runs, or is being ended.
    Running(Box<CliProcess>),
    /// The last record is made. The shim ends when it is on the disk and sent.
    Leaving {
        /// The end of the wait for a server that does not read.
        until: Instant,
    },
}

/// An `append` that waits for the disk.
#[derive(Debug)]
pub(super) struct WaitingAppend {
    pub(super) id: u64,
    pub(super) body: Vec<u8>,
}

/// The state of the loop.
#[derive(Debug)]
pub(super) struct Shim {
    pub(super) spec: Spec,
    pub(super) signals: Signals,
    pub(super) listener: UnixListener,
    pub(super) store: Store,
    pub(super) link: Option<Link>,
    pub(super) work: Work,
    /// No accepts until then, after one failed.
    pub(super) accept_paused_until: Option<Instant>,
    /// A stop was requested, so the shim does not wait for another process.
    pub(super) stopping: bool,
    /// Appends that wait for the disk, in order.
    pub(super) waiting: VecDeque<WaitingAppend>,
    /// `sync` commands that wait for the disk: id and journal end, in order.
    pub(super) syncs: Vec<(u64, u64)>,
}

/// A descriptor that `poll` watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PollSource {
    Signals,
    Sync,
    Listener,
    Link,
    Stdin,
    Stdout,
    Stderr,
}

impl Shim {
    /// Starts the program that the shim was given, if any.
    pub(super) fn begin(&mut self) {
        let argv = self.spec.argv.clone();
        if !argv.is_empty() && self.start(&argv).is_err() && !self.spec.keep {
            self.leave();
        }
    }

    /// Starts a process and records it.
    ///
    /// # Errors
    /// The reason why it could not be started, which is recorded too.
    pub(super) fn start(&mut self, argv: &[OsString]) -> Result<(), String> {
        let kills = MemoryKills::read(self.spec.cgroup.as_deref());
        let spawn = || self.signals.unblocked(|| Child::spawn(argv, &self.spec.cwd, &self.spec.worker_id));
        let started = match &self.spec.cgroup {
            None => spawn(),
            Some(group) => cgroup::inside(group, spawn).unwrap_or_else(|error| {
                let error = format!("the control group {} cannot be used: {error}", group.display());
                Err(StartFailure { error, missing: false })
            }),
        };
        let (control, done) = match &started {
            Ok(child) => (self.started(child, argv), Ok(())),
            Err(StartFailure { error, missing }) => {
                (Control::SpawnFailed { error: error.clone(), missing: *missing }, Err(error.clone()))
            }
        };
        self.record(&control);
        if let Ok(child) = started {
            let mut running = Box::new(CliProcess::new(child, kills));
            running.reap(Instant::now());
            self.work = Work::Running(running);
        }
        done
    }

    fn started(&self, child: &Child, argv: &[OsString]) -> Control {
        let shim_pid = std::process::id().cast_signed();
        Control::Started {
            pid: child.pid,
            start_time: child.start_time,
            shim_pid,
            shim_start_time: Process::read(shim_pid).map_or(0, |own| own.start_time),
            argv: argv.iter().map(|arg| arg.to_string_lossy().into_owned()).collect(),
        }
    }

    /// Writes a record of the shim; while the disk is full it is kept.
    fn record(&mut self, control: &Control) {
        self.store.batch.control(Micros::now(), control);
        self.store.commit(self.link.as_mut(), Instant::now());
    }

    /// Begins to end everything; the shim ends after it.
    pub(super) fn stop(&mut self, grace: Duration) {
        self.stopping = true;
        let now = Instant::now();
        match &mut self.work {
            Work::Running(running) => running.stop(now, grace, self.spec.eof_first),
            Work::Idle => {
                let (exit_code, signal, stderr_tail) = (None, None, String::new());
                self.record(&Control::Exited {
                    exit_code,
                    signal,
                    stderr_tail,
                    ended: Vec::new(),
                    shim_stays: false,
                    out_of_memory: None,
                });
                self.leave();
            }
            Work::Leaving { .. } => {}
        }
    }

    /// Begins to leave, after the last record.
    fn leave(&mut self) {
        self.work = Work::Leaving { until: Instant::now() + FAREWELL };
    }

    /// Runs until the last record is on the disk and sent.
    ///
    /// # Errors
    /// Fails when the system does not let the shim wait for anything.
    pub(super) fn run(&mut self) -> io::Result<()> {
        loop {
            self.timers(Instant::now());
            self.serve();
            if self.is_done() {
                return Ok(());
            }
            let ready = self.wait()?;
            self.act(&ready);
        }
    }

    /// Sends pending bytes to the server. Room for acks lets commands continue that waited for it.
    fn serve(&mut self) {
        let Some(link) = &mut self.link else { return };
        if !self.store.serve(link) {
            return self.hang_up();
        }
        if !link.input.is_empty() && link.wants_input() {
            self.execute_input(false);
        }
    }

    /// Handles the timers that are due.
    fn timers(&mut self, now: Instant) {
        if self.store.retry_at().is_some_and(|at| at <= now)
            && self.store.commit(self.link.as_mut(), now)
            && self.append_waiting()
        {
            self.store.recovered(self.link.as_mut());
        }
        if let Work::Running(running) = &mut self.work {
            running.step(now, self.spec.grace, &self.spec.worker_id);
            if running.is_over() && self.store.batch.is_empty() {
                self.finish();
            }
        }
        if self.store.sync.due().is_some_and(|at| at <= now) || matches!(self.work, Work::Leaving { .. }) {
            self.store.sync.request(now, self.store.end());
        }
        self.accept_paused_until = self.accept_paused_until.filter(|&until| now < until);
        if self.link.as_ref().and_then(Link::attach_by).is_some_and(|at| at <= now) {
            log::warn!("a connection that never attached is closed");
            self.hang_up();
        }
    }

    /// Records the end of the process, and waits for the next one or leaves.
    fn finish(&mut self) {
        let stays = self.spec.keep && !self.stopping;
        if let Work::Running(running) = std::mem::replace(&mut self.work, Work::Idle) {
            self.store.keep_unfinished();
            self.record(&running.into_exited(stays, self.spec.cgroup.as_deref()));
        }
        if !stays {
            self.leave();
        }
    }

    fn is_done(&self) -> bool {
        let Work::Leaving { until } = self.work else { return false };
        let is_sent = self.link.as_ref().is_none_or(|link| !self.store.is_due(link));
        let is_kept = !self.store.is_failing() && self.store.sync.synced() >= self.store.end();
        is_kept && (is_sent || Instant::now() >= until)
    }

    /// Waits for the first ready descriptor, or until a timer is due.
    fn wait(&self) -> io::Result<Vec<PollSource>> {
        let watched = self.watched();
        let mut fds: Vec<PollFd<'_>> = watched.iter().map(|&(_, fd, flags)| PollFd::new(fd, flags)).collect();
        match poll(&mut fds, self.timeout()) {
            Ok(_) => {}
            Err(Errno::EINTR) => return Ok(Vec::new()),
            Err(errno) => return Err(errno.into()),
        }
        let ready = watched.iter().zip(&fds).filter(|(_, fd)| fd.any() != Some(false));
        Ok(ready.map(|((source, _, _), _)| *source).collect())
    }

    /// Descriptors to wait for. One that is not wanted now is left out altogether, because `poll` reports hangups of every
    /// descriptor, wanted or not.
    fn watched(&self) -> Vec<(PollSource, BorrowedFd<'_>, PollFlags)> {
        let (read, write) = (PollFlags::POLLIN, PollFlags::POLLOUT);
        let mut watched =
            vec![(PollSource::Signals, self.signals.fd(), read), (PollSource::Sync, self.store.sync.fd(), read)];
        match &self.link {
            None if self.accept_paused_until.is_some() => {}
            None => watched.push((PollSource::Listener, self.listener.as_fd(), read)),
            Some(link) => {
                let mut flags = PollFlags::empty();
                flags.set(read, link.wants_input());
                flags.set(write, self.store.is_due(link));
                watched.push((PollSource::Link, link.fd(), flags));
            }
        }
        if let Work::Running(running) = &self.work {
            let child = &running.child;
            watched.extend(child.stdin.wants_room().map(|fd| (PollSource::Stdin, fd, write)));
            if !self.store.is_failing() {
                watched.extend(child.stdout.as_ref().map(|pipe| (PollSource::Stdout, pipe.as_fd(), read)));
                watched.extend(child.stderr.as_ref().map(|pipe| (PollSource::Stderr, pipe.as_fd(), read)));
            }
        }
        watched
    }

    /// Time until the first timer is due, rounded up so that it is due then.
    fn timeout(&self) -> PollTimeout {
        let now = Instant::now();
        let at = match &self.work {
            Work::Running(running) if running.drains() && !self.store.is_failing() => Some(now),
            Work::Running(running) => running.step_at(),
            // Past this time only the disk is waited for, which `PollSource::Sync` or the retry reports.
            Work::Leaving { until } => Some(*until).filter(|until| now < *until),
            Work::Idle => None,
        };
        let attach = self.link.as_ref().and_then(Link::attach_by);
        let first = [at, attach, self.accept_paused_until, self.store.retry_at(), self.store.sync.due()]
            .into_iter()
            .flatten()
            .min();
        first.map_or(PollTimeout::NONE, |at| {
            let millis = at.saturating_duration_since(now).as_micros().div_ceil(1000);
            PollTimeout::try_from(i32::try_from(millis).unwrap_or(i32::MAX)).unwrap_or(PollTimeout::MAX)
        })
    }

    /// Handles the descriptors that are ready: requests to end something come before output.
    fn act(&mut self, ready: &[PollSource]) {
        let is_ready = |source| ready.contains(&source);
        if is_ready(PollSource::Signals) {
            self.signalled();
        }
        if is_ready(PollSource::Sync) {
            self.store.sync.clear();
            self.ack_syncs();
        }
        if is_ready(PollSource::Listener) {
            self.accept();
        }
        if is_ready(PollSource::Link) && self.link.as_ref().is_some_and(Link::wants_input) {
            self.receive();
        }
        let Work::Running(running) = &mut self.work else { return };
        if is_ready(PollSource::Stdin) {
            running.child.stdin.write();
        }
        if !self.store.is_failing() {
            let pipes = (is_ready(PollSource::Stdout), is_ready(PollSource::Stderr));
            running.read(pipes, &self.spec.lines, &mut self.store.batch);
            self.store.commit(self.link.as_mut(), Instant::now());
        }
    }

    fn signalled(&mut self) {
        let wakeup = self.signals.read();
        if wakeup.child {
            match &mut self.work {
                Work::Running(running) => running.reap(Instant::now()),
                _ => child::reap(None),
            }
        }
        if wakeup.stop {
            log::info!("a signal asks the shim to stop");
            self.stop(self.spec.grace);
        }
    }

    /// Accepts the next server. The commands of the one before it have been executed.
    fn accept(&mut self) {
        let accepted =
            self.listener.accept().and_then(|(stream, _)| Link::new(stream, Instant::now(), self.store.end()));
        match accepted {
            Ok(link) => self.link = Some(link),
            Err(err) if err.kind() == ErrorKind::WouldBlock => {}
            Err(err) => {
                log::error!("a connection could not be accepted: {err}");
                self.accept_paused_until = Some(Instant::now() + ACCEPT_RETRY);
            }
        }
    }
}
