//! Signals as something to poll, and the signal mask that goes with it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::procfs;

/// The causes of a wakeup by signals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wakeup {
    /// A child may have ended.
    pub(crate) child: bool,
    /// A signal asks the shim to stop.
    pub(crate) stop: bool,
}

/// Stops ignoring the signals that nohup and background jobs of scripts ignore: programs inherit ignored signals but not
/// handled ones, so a CLI starts with every signal at its default.
fn reset_ignored() {
    for number in procfs::ignored_signals() {
        // Rust itself ignores SIGPIPE, and has it at its default in children.
        let resettable = Signal::try_from(number).is_ok_and(|signal| signal != Signal::SIGPIPE);
        if resettable && !signal_hook::consts::FORBIDDEN.contains(&number) {
            let unread = Arc::new(AtomicBool::new(false));
            if let Err(error) = signal_hook::flag::register(number, unread) {
                log::warn!("signal {number} stays ignored: {error}");
            }
        }
    }
}

/// Signals that wait to be read. SIGHUP is among them so that it does nothing: the shim outlives terminals. So is SIGXFSZ: a
/// journal that reaches the process's file size limit is then a failed write like any other, which is retried. (SIGPIPE is
/// ignored by every Rust program.)
#[derive(Debug)]
pub(crate) struct Signals {
    fd: SignalFd,
    blocked: SigSet,
}

impl Signals {
    /// Blocks the signals on this thread and all that it starts.
    ///
    /// # Errors
    /// Fails when the system has no file descriptor to give.
    pub(crate) fn new() -> io::Result<Self> {
        let mut blocked = SigSet::empty();
        for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGXFSZ] {
            blocked.add(signal);
        }
        blocked.thread_block()?;
        reset_ignored();
        let fd = SignalFd::with_flags(&blocked, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        Ok(Self { fd, blocked })
    }

    /// Runs `spawn` with no signal blocked, as a program expects to be started: a child inherits the mask. A SIGTERM in
    /// this moment ends the shim at once; the server then ends what was started, by its tag. A SIGCHLD in it is lost:
    /// the caller looks for ended children afterwards.
    pub(crate) fn unblocked<T>(&self, spawn: impl FnOnce() -> T) -> T {
        let _ = SigSet::empty().thread_set_mask();
        let result = spawn();
        let _ = self.blocked.thread_set_mask();
        result
    }

    /// Reads the signals that have come.
    pub(crate) fn read(&self) -> Wakeup {
        let mut wakeup = Wakeup::default();
        while let Ok(Some(info)) = self.fd.read_signal() {
            match Signal::try_from(info.ssi_signo.cast_signed()) {
                Ok(Signal::SIGCHLD) => wakeup.child = true,
                Ok(Signal::SIGTERM | Signal::SIGINT) => wakeup.stop = true,
                _ => {}
            }
        }
        wakeup
    }

    /// Readable when a signal has come.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
