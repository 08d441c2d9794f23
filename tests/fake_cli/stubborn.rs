//! A process that a kind stop does not reach: its own session, signals blocked, and it holds whatever pipes it got.

use std::fs;
use std::io;
use std::process::{Child, Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};
use nix::unistd::setsid;

/// The signals that it does not let through. Blocked, since ignoring them needs `unsafe`; the effect is the same.
const BLOCKED: [Signal; 4] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT];
/// Time that a new one may take to block its signals.
const READY: Duration = Duration::from_secs(20);

/// Blocks the signals in this thread and those that it starts later.
pub(crate) fn block_signals() -> io::Result<()> {
    let set: SigSet = BLOCKED.into_iter().collect();
    Ok(set.thread_block()?)
}

/// Becomes one, and stays until SIGKILL. As an `orphan` it starts another one first and ends, so that the other's
/// parent is gone.
pub(crate) fn run(orphan: bool) -> io::Result<ExitCode> {
    block_signals()?;
    if orphan {
        spawn(false)?;
        return Ok(ExitCode::SUCCESS);
    }
    setsid()?;
    loop {
        thread::park();
    }
}

/// Starts one with this process's stdout and stderr, and waits until nothing but SIGKILL ends it.
pub(crate) fn spawn(orphan: bool) -> io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("stubborn").args(orphan.then_some("orphan"));
    let mut child = command.stdin(std::process::Stdio::null()).spawn()?;
    if orphan {
        child.wait()?;
        return Ok(child);
    }
    let deadline = Instant::now() + READY;
    while !is_ready(child.id()) {
        if Instant::now() > deadline {
            return Err(io::Error::other("the stubborn process does not start"));
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(child)
}

/// Returns whether a process leads a session of its own; it blocks its signals before that.
fn is_ready(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default();
    fields.split_whitespace().nth(3) == Some(pid.to_string().as_str())
}
