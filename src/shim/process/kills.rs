//! Evidence that the kernel has killed a CLI because memory ran out.

use std::path::Path;

use super::child::Exit;
use crate::cgroup;
use crate::journal::MemoryExhaustion;
use crate::procfs;

/// The exit code of a wrapper, such as a sandbox, whose program was ended by SIGKILL.
const KILLED_INSIDE: i32 = 137;

/// The kernel's counts of processes that it has killed for memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct MemoryKills {
    /// In the worker's control group.
    worker: Option<u64>,
    /// On the machine, in any group.
    machine: Option<u64>,
}

impl MemoryKills {
    /// Reads the counts; `group` is that of the worker.
    pub(super) fn read(group: Option<&Path>) -> Self {
        Self { worker: group.and_then(cgroup::kills), machine: procfs::memory_kills() }
    }

    /// Returns the memory whose lack has ended a process, given the counts at its end. The machine's count alone does not
    /// say which process the kernel has killed, so it counts only for a process that nobody else has asked to end.
    pub(super) fn explain(self, end: Self, exit: &Exit, is_asked_to_end: bool) -> Option<MemoryExhaustion> {
        let is_killed = exit.signal.as_deref() == Some("SIGKILL") || exit.code == Some(KILLED_INSIDE);
        if !is_killed || is_asked_to_end {
            return None;
        }
        let has_grown = |before: Option<u64>, now: Option<u64>| now > before.or(now);
        if has_grown(self.worker, end.worker) {
            return Some(MemoryExhaustion::Worker);
        }
        has_grown(self.machine, end.machine).then_some(MemoryExhaustion::Machine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: MemoryKills = MemoryKills { worker: Some(1), machine: Some(5) };

    fn exit(code: Option<i32>, signal: Option<&str>) -> Exit {
        Exit { code, signal: signal.map(str::to_owned) }
    }

    #[test]
    fn counts_of_the_kernel_explain_a_kill() {
        let killed = exit(None, Some("SIGKILL"));
        let after = |worker, machine| MemoryKills { worker, machine };
        let explain = |after| BEFORE.explain(after, &killed, false);
        assert_eq!(explain(after(Some(2), Some(6))), Some(MemoryExhaustion::Worker));
        assert_eq!(explain(after(Some(1), Some(6))), Some(MemoryExhaustion::Machine));
        assert_eq!(explain(after(None, Some(6))), Some(MemoryExhaustion::Machine));
        assert_eq!(explain(after(Some(1), Some(5))), None);
        assert_eq!(explain(after(None, None)), None);
        assert_eq!(MemoryKills::default().explain(after(Some(2), Some(6)), &killed, false), None);
    }

    #[test]
    fn other_ends_are_not_explained_by_memory() {
        let after = MemoryKills { worker: Some(2), machine: Some(6) };
        for (code, signal) in [(Some(1), None), (None, Some("SIGTERM")), (None, None)] {
            assert_eq!(BEFORE.explain(after, &exit(code, signal), false), None);
        }
        assert_eq!(BEFORE.explain(after, &exit(Some(KILLED_INSIDE), None), false), Some(MemoryExhaustion::Worker));
        assert_eq!(BEFORE.explain(after, &exit(None, Some("SIGKILL")), true), None);
    }
}
