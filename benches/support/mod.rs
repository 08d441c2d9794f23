//! Shared parts of the benches.

pub(crate) mod crowd;
pub(crate) mod http;
pub(crate) mod plot;
pub(crate) mod printer;
pub(crate) mod process;
pub(crate) mod relay;
pub(crate) mod report;
pub(crate) mod responder;
pub(crate) mod server;
pub(crate) mod stats;
pub(crate) mod stream;

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The time that anything may take before the bench gives up.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

/// This program, for its other roles.
pub(crate) fn own_program() -> PathBuf {
    std::env::current_exe().unwrap()
}

/// Nanoseconds of the wall clock: the one clock that all processes share.
pub(crate) fn nanos() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
}

/// Waits for something to become true.
#[track_caller]
pub(crate) fn wait_for(what: &str, mut is_true: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_true() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The machine, in a line: figures of different machines cannot be compared.
pub(crate) fn machine() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let cpu = value("model name").unwrap_or_else(|| "unknown processor".to_owned());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?").to_owned();
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel = kernel.trim();
    let now = rs_worker::testing::clock::Micros::now().iso();
    let date = now.as_str().split('T').next().unwrap_or_default();
    format!("{cores} cores of {cpu}, Linux {kernel}, {date}, load {load} at the start")
}
