//! Facts about a process from `/proc` (`man 5 proc`). A leaf module.

use std::fs;

use nix::sys::resource::{Resource, getrlimit};
use serde::Serialize;

use crate::clock::Micros;

/// Clock ticks in a second: `USER_HZ`, which Linux has fixed at 100 for user space.
const TICKS_PER_SECOND: u64 = 100;

/// Facts of one process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Facts {
    /// Its id.
    pub pid: i32,
    /// The time when it started.
    pub started_at: Option<Micros>,
    /// Its resident memory in bytes.
    pub memory_bytes: Option<u64>,
    /// Processor time so far, in milliseconds.
    pub cpu_ms: Option<u64>,
    /// Its command line.
    pub argv: Vec<String>,
}

impl Facts {
    /// The facts of the process `pid`; `None` when there is none.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        let stat = stat_fields(pid)?;
        let started = number(&stat, 22).and_then(|ticks| Some(boot_time()? + ticks * 1_000_000 / TICKS_PER_SECOND));
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let argv = command.split(|&byte| byte == 0).filter(|arg| !arg.is_empty());
        Some(Self {
            pid,
            started_at: started.map(Micros),
            memory_bytes: memory_bytes(pid),
            cpu_ms: cpu_ms_of(&stat),
            argv: argv.map(|arg| String::from_utf8_lossy(arg).into_owned()).collect(),
        })
    }
}

/// Returns the numbers of the signals that this process ignores, as nohup and shells leave it to programs that they start.
pub(crate) fn ignored_signals() -> Vec<i32> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let digits = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap_or_default();
    let mask = u64::from_str_radix(digits.trim(), 16).unwrap_or_default();
    (1..=64).filter(|number| mask & (1 << (number - 1)) != 0).collect()
}

/// The standard metrics of this process.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OwnProcess {
    /// Processor time so far, in seconds.
    pub cpu_seconds: f64,
    /// The time when it started, in seconds since the Unix epoch.
    pub started_seconds: f64,
    /// Its address space in bytes.
    pub virtual_bytes: u64,
    /// Its resident memory in bytes.
    pub resident_bytes: u64,
    /// Its threads.
    pub threads: u64,
    /// Its open file descriptors, and how many it may have.
    pub descriptors: (u64, u64),
}

impl OwnProcess {
    /// Reads `/proc/self`; `None` where it does not exist.
    pub(crate) fn read() -> Option<Self> {
        let pid = std::process::id().cast_signed();
        let stat = stat_fields(pid)?;
        let (descriptors_max, _) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
        // Reading the folder takes a descriptor, which is closed again when the count is returned.
        let descriptors = (fs::read_dir("/proc/self/fd").ok()?.count() as u64).saturating_sub(1);
        Some(Self {
            cpu_seconds: (number(&stat, 14)? + number(&stat, 15)?) as f64 / TICKS_PER_SECOND as f64,
            started_seconds: boot_time()? as f64 / 1e6 + number(&stat, 22)? as f64 / TICKS_PER_SECOND as f64,
            virtual_bytes: number(&stat, 23)?,
            resident_bytes: memory_bytes(pid)?,
            threads: number(&stat, 20)?,
            descriptors: (descriptors, descriptors_max),
        })
    }
}

/// Processor time of a process so far, in milliseconds; `None` when there is no such process.
pub(crate) fn cpu_ms(pid: i32) -> Option<u64> {
    cpu_ms_of(&stat_fields(pid)?)
}

/// The time when a process started, in clock ticks since boot; `None` when there is no such process.
pub(crate) fn start_time(pid: i32) -> Option<u64> {
    number(&stat_fields(pid)?, 22)
}

/// Resident memory of a process in bytes: `VmRSS`.
pub(crate) fn memory_bytes(pid: i32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// Memory in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    /// All of it.
    pub total: u64,
    /// The part that programs can get without swapping.
    pub available: u64,
}

/// Returns the machine's memory; `None` where `/proc` cannot be read.
pub(crate) fn machine_memory() -> Option<Memory> {
    let info = fs::read_to_string("/proc/meminfo").ok()?;
    let of = |name: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.split_ascii_whitespace().next()?.parse::<u64>().ok()? * 1024)
    };
    Some(Memory { total: of("MemTotal:")?, available: of("MemAvailable:")? })
}

/// Returns the number of processes that the kernel has killed for memory since the machine's start.
pub(crate) fn memory_kills() -> Option<u64> {
    let counts = fs::read_to_string("/proc/vmstat").ok()?;
    counts.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}

/// The fields of `/proc/<pid>/stat` from the third one on: the second, the name, may hold anything.
fn stat_fields(pid: i32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(stat.rsplit_once(')')?.1.to_owned())
}

/// A field by the number that the manual gives it.
fn number(fields: &str, field: usize) -> Option<u64> {
    fields.split_ascii_whitespace().nth(field - 3)?.parse().ok()
}

fn cpu_ms_of(fields: &str) -> Option<u64> {
    Some((number(fields, 14)? + number(fields, 15)?) * 1_000 / TICKS_PER_SECOND)
}

/// The time when the machine started, in microseconds since the Unix epoch.
fn boot_time() -> Option<u64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let seconds: u64 = stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(seconds * 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_facts_of_this_process_make_sense() {
        let facts = Facts::of(std::process::id().cast_signed()).unwrap();
        assert!(facts.memory_bytes.unwrap() > 100_000);
        assert!(facts.started_at.unwrap() <= Micros::now());
        assert!(!facts.argv.is_empty());
        assert_eq!(Facts::of(-1), None);
    }

    #[test]
    fn own_descriptors_and_memory_are_reported() {
        let _one = fs::File::open("/proc/self/stat").unwrap();
        let own = OwnProcess::read().unwrap();
        assert!(own.virtual_bytes > own.resident_bytes && own.resident_bytes > 100_000, "{own:?}");
        assert!(own.threads >= 1 && (1..own.descriptors.1).contains(&own.descriptors.0), "{own:?}");
        assert!(own.started_seconds > 1e9 && own.cpu_seconds < 1e6, "{own:?}");
    }
}
