//! The stop ladder: how a worker's whole process tree is ended.
//!
//! Closing stdin (where a CLI ends by that), then SIGTERM to everything, then, when the grace period is over, everything
//! is frozen and killed, again and again until no process of the tree lives. A [`Ladder`] is a state machine without
//! threads or sleeps: the shim steps it from its loop, [`end_tree`](super::end_tree) from a loop of its own.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::tree::Process;
use crate::journal::EndedProcess;

/// Time between two looks at the tree while its processes may still end unasked.
const TERM_TICK: Duration = Duration::from_millis(50);
/// Time between two looks at the tree while it is being killed.
pub(super) const KILL_TICK: Duration = Duration::from_millis(10);
/// Longest time of killing. A killed process ends within milliseconds unless the kernel holds it (a dead network file
/// system) or it belongs to another user; past this time it is reported as surviving.
const KILL_BOUND: Duration = Duration::from_secs(5);
/// Rounds of freezing before a kill: each catches what was forked during the one before it.
const FREEZE_ROUNDS_MAX: usize = 16;
/// Longest grace period, so that times stay in what a clock can hold: one day.
const GRACE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Most processes that an exit record names.
const ENDED_MAX: usize = 256;

/// The step that the ladder has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rung {
    /// Stdin is closed; signals follow at `until`.
    Eof { until: Instant },
    /// SIGTERM was sent; killing begins at `until`.
    Term { until: Instant },
    /// Killing, given up at `until`.
    Kill { until: Instant },
}

/// The caller's next step, as [`Ladder::step`] wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LadderStep {
    /// Step again then, or earlier when a child has ended.
    Wait(Instant),
    /// No process of the tree lives, or the living ones cannot be ended.
    Done,
}

/// A stop that is under way.
#[derive(Debug)]
pub(super) struct Ladder {
    rung: Rung,
    /// The latest moment at which killing begins.
    kill_at: Instant,
    /// The signalled processes, by identity, with the last signal.
    signalled: HashMap<(i32, u64), (String, Signal)>,
    /// The CLI's group as a whole got its SIGTERM. A second one makes some programs drop what they are saving.
    group_is_signalled: bool,
}

impl Ladder {
    /// Begins at `now`. With `eof_first` (the caller closes stdin) the first half of `grace` passes without a signal.
    pub(super) fn new(now: Instant, grace: Duration, eof_first: bool) -> Self {
        let grace = grace.min(GRACE_MAX);
        let kill_at = now + grace;
        let rung = if eof_first { Rung::Eof { until: now + grace / 2 } } else { Rung::Term { until: kill_at } };
        Self { rung, kill_at, signalled: HashMap::new(), group_is_signalled: false }
    }

    /// Applies a second stop, which can only shorten the time that the first one granted.
    pub(super) fn shorten(&mut self, now: Instant, grace: Duration) {
        let grace = grace.min(GRACE_MAX);
        self.kill_at = self.kill_at.min(now + grace);
        match &mut self.rung {
            Rung::Eof { until } => *until = (*until).min(now + grace / 2),
            Rung::Term { until } => *until = (*until).min(self.kill_at),
            Rung::Kill { .. } => {}
        }
    }

    /// Takes the steps that are due. `cli` is the CLI's process group while its leader is not reaped (so that the group's id cannot
    /// have been given to others); `find` lists the tree.
    pub(super) fn step(&mut self, now: Instant, cli: Option<i32>, find: impl Fn() -> Vec<Process>) -> LadderStep {
        if let Rung::Eof { until } = self.rung {
            // Nothing is left to wait for once the CLI has ended by itself.
            if cli.is_some() && now < until {
                return LadderStep::Wait(until);
            }
            self.rung = Rung::Term { until: self.kill_at };
        }
        let tree = find();
        if tree.is_empty() {
            return LadderStep::Done;
        }
        if let Rung::Term { until } = self.rung {
            if now < until {
                self.terminate(&tree, cli);
                return LadderStep::Wait(until.min(now + TERM_TICK));
            }
            self.rung = Rung::Kill { until: now + KILL_BOUND };
        }
        match self.rung {
            Rung::Kill { until } if now >= until => {
                self.report_survivors(&tree);
                LadderStep::Done
            }
            _ => {
                self.kill(tree, &find);
                LadderStep::Wait(now + KILL_TICK)
            }
        }
    }

    /// Sends SIGTERM, once to each process; to the CLI's group as a whole first, which misses no member. SIGCONT lets a stopped
    /// one act on it.
    fn terminate(&mut self, tree: &[Process], cli: Option<i32>) {
        let group = cli.filter(|_| !std::mem::replace(&mut self.group_is_signalled, true));
        if let Some(group) = group {
            let _ = killpg(Pid::from_raw(group), Signal::SIGTERM);
            let _ = killpg(Pid::from_raw(group), Signal::SIGCONT);
        }
        for process in tree {
            if self.signalled.contains_key(&identity(process)) {
                continue;
            }
            if group == Some(process.group) {
                self.record(process, Signal::SIGTERM);
            } else if process.signal(Signal::SIGTERM) {
                self.record(process, Signal::SIGTERM);
                process.signal(Signal::SIGCONT);
            }
        }
    }

    /// Freezes the tree until a look at it shows nothing new, so that nobody forks while the others die; then SIGKILL,
    /// which frozen processes obey too.
    fn kill(&mut self, mut tree: Vec<Process>, find: &impl Fn() -> Vec<Process>) {
        let mut frozen = std::collections::HashSet::new();
        for _ in 0..FREEZE_ROUNDS_MAX {
            let mut anything_new = false;
            for process in &tree {
                anything_new |= frozen.insert(identity(process)) && process.signal(Signal::SIGSTOP);
            }
            if !anything_new {
                break;
            }
            tree = find();
        }
        for process in &tree {
            if process.signal(Signal::SIGKILL) {
                self.record(process, Signal::SIGKILL);
            }
        }
    }

    fn record(&mut self, process: &Process, signal: Signal) {
        self.signalled.insert(identity(process), (process.name.clone(), signal));
    }

    fn report_survivors(&mut self, tree: &[Process]) {
        for process in tree {
            let refused = kill(Pid::from_raw(process.pid), None).err();
            let why = refused.map_or("still running".to_owned(), |errno| errno.desc().to_owned());
            log::error!("process {} ({}) of the worker could not be ended: {why}", process.pid, process.name);
            let name = format!("{} (not ended: {why})", process.name);
            self.signalled.insert(identity(process), (name, Signal::SIGKILL));
        }
    }

    /// Returns the ended processes without the CLI itself, in the order of process ids.
    pub(super) fn ended(self, cli: Option<(i32, u64)>) -> Vec<EndedProcess> {
        let mut ended: Vec<EndedProcess> = self
            .signalled
            .into_iter()
            .filter(|(identity, _)| Some(*identity) != cli)
            .map(|((pid, _), (name, signal))| EndedProcess { pid, name, signal: signal.as_str().to_owned() })
            .collect();
        ended.sort_by_key(|process| process.pid);
        ended.truncate(ENDED_MAX);
        ended
    }
}

fn identity(process: &Process) -> (i32, u64) {
    (process.pid, process.start_time)
}
