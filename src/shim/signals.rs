//! Signals as something to poll, and the signal mask that goes with it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// What the shim is told by signals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// A child may have ended.
    pub(super) child: bool,
    /// Somebody wants the shim to stop.
    pub(super) stop: bool,
}

/// Signals that wait to be read. SIGHUP is among them so that it does nothing: the shim outlives terminals. (SIGPIPE is
/// ignored by every Rust program.)
#[derive(Debug)]
pub(super) struct Signals {
    fd: SignalFd,
    blocked: SigSet,
}

impl Signals {
    /// Blocks the signals on this thread and all that it starts.
    ///
    /// # Errors
    /// When the system has no file descriptor to give.
    pub(super) fn new() -> io::Result<Self> {
        let mut blocked = SigSet::empty();
        for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
            blocked.add(signal);
        }
        blocked.thread_block()?;
        let fd = SignalFd::with_flags(&blocked, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        Ok(Self { fd, blocked })
    }

    /// Runs `spawn` with no signal blocked, as a program expects to be started: a child inherits the mask. A SIGTERM in
    /// this moment ends the shim at once; the server then ends what was started, by its tag. A SIGCHLD in it is lost:
    /// the caller looks for ended children afterwards.
    pub(super) fn unblocked<T>(&self, spawn: impl FnOnce() -> T) -> T {
        let _ = SigSet::empty().thread_set_mask();
        let result = spawn();
        let _ = self.blocked.thread_set_mask();
        result
    }

    /// Reads what has come.
    pub(super) fn read(&self) -> Told {
        let mut told = Told::default();
        while let Ok(Some(info)) = self.fd.read_signal() {
            match Signal::try_from(info.ssi_signo.cast_signed()) {
                Ok(Signal::SIGCHLD) => told.child = true,
                Ok(Signal::SIGTERM | Signal::SIGINT) => told.stop = true,
                _ => {}
            }
        }
        told
    }

    /// Readable when a signal has come.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
