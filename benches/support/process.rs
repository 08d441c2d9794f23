//! Facts about a process from the kernel.

use std::path::Path;
use std::time::Duration;

/// Resident memory of a process in KiB.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    /// All resident pages, those of the program's file included, which all processes of it share.
    pub(crate) resident: f64,
    /// The same, with shared pages divided among those that share them.
    pub(crate) share: f64,
    /// Pages that are its own.
    pub(crate) private: f64,
}

/// The memory of a process.
pub(crate) fn memory(pid: u32) -> Memory {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let value = |name: &str| -> f64 {
        let lines = text.lines().filter(|line| line.starts_with(name));
        lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok()).sum()
    };
    Memory { resident: value("Rss:"), share: value("Pss:"), private: value("Private_Clean:") + value("Private_Dirty:") }
}

/// Processor time that a process has used.
pub(crate) fn cpu_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<u64> = after_name.split_whitespace().map(|word| word.parse().unwrap_or(0)).collect();
    let ticks = fields.get(11).unwrap_or(&0) + fields.get(12).unwrap_or(&0);
    // The kernel reports hundredths of a second to user space, independent of its own tick.
    Duration::from_millis(ticks * 10)
}

/// The shims that serve workers below `data`.
pub(crate) fn shims(data: &Path) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let data = data.to_string_lossy().into_owned();
    pids.filter(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut words = line.split(|&byte| byte == 0).map(String::from_utf8_lossy);
        words.nth(1).is_some_and(|word| word == "shim") && String::from_utf8_lossy(&line).contains(&data)
    })
    .collect()
}

/// Waits until a process does nothing, so that what it does at its start is not measured.
pub(crate) fn wait_until_quiet(pids: &[u32]) {
    let all = || pids.iter().map(|&pid| cpu_time(pid)).sum::<Duration>();
    let mut before = all();
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(250));
        let now = all();
        if now == before {
            return;
        }
        before = now;
    }
}
