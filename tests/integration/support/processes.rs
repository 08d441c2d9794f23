//! Finds and ends the processes of a test, by marks in their environment and command line.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::wait;

/// Time limit for a process to vanish after SIGKILL.
const KILLED: Duration = Duration::from_secs(120);

/// A process in `/proc`. Two are the same when pid and start time are: the rest changes during its life.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    /// Process id.
    pub(crate) pid: i32,
    /// Clock ticks since boot at its start.
    pub(crate) start_time: u64,
    /// Its parent.
    pub(crate) parent: i32,
    /// `R`, `S`, `Z`, ...
    pub(crate) state: char,
    /// Its session.
    pub(crate) session: i32,
    /// Its command line, joined by spaces.
    pub(crate) command: String,
}

impl PartialEq for Process {
    fn eq(&self, other: &Self) -> bool {
        (self.pid, self.start_time) == (other.pid, other.start_time)
    }
}

/// Returns one process, unless it is gone.
pub(crate) fn process(pid: i32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, so the fields are counted from the last parenthesis.
    let fields: Vec<&str> = stat.get(stat.rfind(')')? + 2..)?.split(' ').collect();
    let number = |at: usize| fields.get(at)?.parse::<i32>().ok();
    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    Some(Process {
        pid,
        start_time: fields.get(19)?.parse().ok()?,
        parent: number(1)?,
        state: fields.first()?.chars().next()?,
        session: number(3)?,
        command: String::from_utf8_lossy(&command).trim_end_matches('\0').replace('\0', " "),
    })
}

/// Returns whether that very process runs (a zombie does not).
pub(crate) fn is_alive(wanted: &Process) -> bool {
    process(wanted.pid).is_some_and(|found| found.start_time == wanted.start_time && found.state != 'Z')
}

/// Returns the running processes of which any environment entry or the command line satisfies a test, other than this
/// one. `marked` gets the bytes of an entry as in `NAME=value`; `commanded` gets the command line.
pub(crate) fn find(marked: impl Fn(&[u8]) -> bool, commanded: impl Fn(&str) -> bool) -> Vec<Process> {
    let own = std::process::id() as i32;
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|&pid| pid != own)
        .filter_map(|pid| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let process = process(pid).filter(|process| process.state != 'Z')?;
            let found = environment.split(|&byte| byte == 0).any(&marked) || commanded(&process.command);
            found.then_some(process)
        })
        .collect()
}

/// Returns the running processes that carry `NAME=value` in their environment.
pub(crate) fn with_env(name: &str, value: &str) -> Vec<Process> {
    let entry = format!("{name}={value}");
    find(|bytes| bytes == entry.as_bytes(), |_| false)
}

/// Returns the running processes of a test: those with its tag in the environment or its directory on the command line.
pub(crate) fn of_test(tag: &str, dir: &Path) -> Vec<Process> {
    let dir = dir.display().to_string();
    find(|bytes| bytes == tag.as_bytes(), |command| command.contains(&dir))
}

/// Sends a signal to a process if it still is the same one; returns whether it did.
pub(crate) fn signal(process: &Process, signal: Signal) -> bool {
    is_alive(process) && kill(Pid::from_raw(process.pid), signal).is_ok()
}

/// Sends SIGKILL to each, and waits until all are gone; returns those that are left.
pub(crate) fn end(processes: &[Process]) -> Vec<Process> {
    for process in processes {
        signal(process, Signal::SIGKILL);
    }
    let mut left = processes.to_vec();
    let _ = wait::within(KILLED, || {
        left.retain(is_alive);
        left.is_empty().then_some(())
    });
    left
}
