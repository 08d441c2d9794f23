//! The processes of a worker, as `/proc` shows them: everything that descends from its shim, and everything that carries
//! the worker's tag in its environment, with all that descends from those.
//!
//! The shim is a child subreaper, so what its descendants leave behind becomes its own child and stays in the tree; the
//! tag finds the processes that are left when the shim itself has died. Used by the shim and by the server. No threads, no state.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Read;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The environment variable that marks every process of a worker; its value is the worker's id.
pub const TAG: &str = "RS_WORKER_ID";
/// Bytes of an environment that are looked at for the tag: more than the kernel passes to a program (a quarter of the
/// default stack limit for arguments and environment together).
const ENVIRON_MAX: u64 = 4 * 1024 * 1024;
/// Bytes read of `/proc/<pid>/stat`: 52 numbers and a name of at most 64 bytes.
const STAT_MAX: u64 = 2048;

/// Pause between two looks whether a process has ended.
const END_LOOK: Duration = Duration::from_millis(2);

/// One living process. Its identity is `pid` together with `start_time`: a pid alone is given out again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Process id.
    pub pid: i32,
    /// Its start, in clock ticks since boot (field 22 of `/proc/<pid>/stat`).
    pub start_time: u64,
    /// Its parent's process id.
    pub parent: i32,
    /// Its process group.
    pub group: i32,
    /// Its name, as in `/proc/<pid>/comm`; what is not UTF-8 in it is replaced.
    pub name: String,
    /// Ended; waits for its parent to reap it.
    pub zombie: bool,
}

impl Process {
    /// Reads the process with this id; `None` when there is none.
    pub fn read(pid: i32) -> Option<Self> {
        let mut stat = Vec::with_capacity(512);
        File::open(format!("/proc/{pid}/stat")).ok()?.take(STAT_MAX).read_to_end(&mut stat).ok()?;
        Self::parse(pid, &stat)
    }

    /// Parses `/proc/<pid>/stat`. The name is in parentheses and may itself hold parentheses, spaces and newlines, so the
    /// last one counts.
    fn parse(pid: i32, stat: &[u8]) -> Option<Self> {
        let open = stat.iter().position(|&byte| byte == b'(')?;
        let close = stat.iter().rposition(|&byte| byte == b')')?;
        let name = String::from_utf8_lossy(stat.get(open + 1..close)?).into_owned();
        let mut fields = std::str::from_utf8(stat.get(close + 1..)?).ok()?.split_ascii_whitespace();
        let zombie = matches!(fields.next()?, "Z" | "X" | "x");
        let parent = fields.next()?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        // Fields 3, 4 and 5 are read; `nth` passes over 6 to 21.
        let start_time = fields.nth(16)?.parse().ok()?;
        Some(Self { pid, start_time, parent, group, name, zombie })
    }

    /// Returns whether this very process (not another one with its id) still runs.
    pub fn lives(&self) -> bool {
        Self::read(self.pid).is_some_and(|now| now.start_time == self.start_time && !now.zombie)
    }

    /// Waits until it has ended, at most until `deadline`; returns whether it has.
    pub fn wait_end(&self, deadline: Instant) -> bool {
        while self.lives() {
            if Instant::now() >= deadline {
                return false;
            }
            thread::sleep(END_LOOK);
        }
        true
    }

    /// Sends it a signal, unless its id belongs to another process by now; returns whether the signal was sent.
    pub fn signal(&self, signal: Signal) -> bool {
        self.lives() && kill(Pid::from_raw(self.pid), signal).is_ok()
    }

    fn is_tagged(&self, tag: &[u8]) -> bool {
        let mut environ = Vec::new();
        File::open(format!("/proc/{}/environ", self.pid))
            .and_then(|file| file.take(ENVIRON_MAX).read_to_end(&mut environ))
            .is_ok_and(|_| environ.split(|&byte| byte == 0).any(|variable| variable == tag))
    }
}

/// The living processes of worker `worker_id`, without the calling one. `root` is the shim's process id where it lives;
/// without it the tag alone decides.
pub fn find(root: Option<i32>, worker_id: &str) -> Vec<Process> {
    let own = std::process::id().cast_signed();
    let all = processes();
    let tag = format!("{TAG}={worker_id}").into_bytes();
    let mut members: HashSet<i32> = root.into_iter().collect();
    add_descendants(&all, &mut members);
    for process in &all {
        if process.pid != own && !process.zombie && !members.contains(&process.pid) && process.is_tagged(&tag) {
            members.insert(process.pid);
        }
    }
    add_descendants(&all, &mut members);
    all.into_iter()
        .filter(|process| {
            process.pid != own && Some(process.pid) != root && !process.zombie && members.contains(&process.pid)
        })
        .collect()
}

/// Adds to `members` every process whose parent is a member, until there is none left to add.
fn add_descendants(all: &[Process], members: &mut HashSet<i32>) {
    loop {
        let before = members.len();
        for process in all {
            if members.contains(&process.parent) {
                members.insert(process.pid);
            }
        }
        if members.len() == before {
            return;
        }
    }
}

/// Every process that `/proc` shows, zombies too (their children may live for a moment before they get a new parent).
fn processes() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| Process::read(entry.file_name().to_str()?.parse().ok()?)).collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{Process, TAG, find};

    #[test]
    fn a_name_with_spaces_and_parentheses_is_read_whole() {
        let stat =
            b"42 (a) b (c) S 1 7 7 0 -1 4194304 93 0 0 0 0 0 0 0 20 0 1 0 12345 2297856 200 18446744073709551615";
        let process = Process::parse(42, stat).unwrap();
        assert_eq!((process.name.as_str(), process.parent, process.group), ("a) b (c", 1, 7));
        assert_eq!((process.start_time, process.zombie), (12345, false));
        assert_eq!(Process::parse(42, b"42 (sh"), None);
        assert_eq!(Process::parse(42, b"42 (sh) S 1"), None);
    }

    #[test]
    fn a_tagged_process_is_found_until_it_has_ended() {
        let id = format!("tree-test-{}", std::process::id());
        let mut child = Command::new("sleep").arg("600").env(TAG, &id).spawn().unwrap();
        let pid = child.id().cast_signed();
        // The tag shows once the child has exchanged our program for its own.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while find(None, &id).is_empty() && std::time::Instant::now() < deadline {
            std::thread::yield_now();
        }
        let found = find(None, &id);
        assert_eq!(found.iter().map(|process| process.pid).collect::<Vec<_>>(), [pid]);
        assert!(found[0].lives());
        assert!(find(None, "another-worker").is_empty());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(find(None, &id).is_empty());
        assert!(!found[0].lives());
    }
}
