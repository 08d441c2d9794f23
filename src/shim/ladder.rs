//! The stop ladder: how a worker's whole process tree is ended.
//!
//! Closing stdin (where a CLI ends by that), then SIGTERM to everything, then, when the grace period is over, everything
//! is frozen and killed, again and again until nothing of the tree lives. A [`Ladder`] is a state machine without
//! threads or sleeps: the shim steps it from its loop, [`end_tree`] from a loop of its own.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::tree::{self, Process};
use crate::journal::Ended;

/// How often the tree is looked at while its processes are given time to end.
const TERM_TICK: Duration = Duration::from_millis(50);
/// How often the tree is looked at while it is being killed.
const KILL_TICK: Duration = Duration::from_millis(10);
/// How long killing goes on. A killed process is gone within milliseconds unless the kernel holds it (a dead network
/// file system) or it belongs to another user; past this time it is reported as surviving.
const KILL_BOUND: Duration = Duration::from_secs(5);
/// Rounds of freezing before a kill: each catches what was forked during the one before it.
const FREEZE_ROUNDS_MAX: usize = 16;
/// Longest grace period, so that times stay in what a clock can hold: one day.
const GRACE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Most processes that an exit record names.
const ENDED_MAX: usize = 256;

/// Where the ladder stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rung {
    /// Stdin is closed; signals follow at `until`.
    Eof { until: Instant },
    /// SIGTERM was sent; killing begins at `until`.
    Term { until: Instant },
    /// Killing, given up at `until`.
    Kill { until: Instant },
}

/// What [`Ladder::step`] wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Step again then, or earlier when a child has ended.
    Wait(Instant),
    /// Nothing of the tree lives, or what does cannot be ended.
    Done,
}

/// A stop that is under way.
#[derive(Debug)]
pub(super) struct Ladder {
    rung: Rung,
    /// When killing begins at the latest.
    kill_at: Instant,
    /// What was signalled, by identity, with the last signal.
    signalled: HashMap<(i32, u64), (String, Signal)>,
    /// Whether the CLI's group as a whole got its SIGTERM. A second one makes some programs drop what they are saving.
    group_was_told: bool,
}

impl Ladder {
    /// Begins at `now`. With `eof_first` (the caller closes stdin) the first half of `grace` passes without a signal.
    pub(super) fn new(now: Instant, grace: Duration, eof_first: bool) -> Self {
        let grace = grace.min(GRACE_MAX);
        let kill_at = now + grace;
        let rung = if eof_first { Rung::Eof { until: now + grace / 2 } } else { Rung::Term { until: kill_at } };
        Self { rung, kill_at, signalled: HashMap::new(), group_was_told: false }
    }

    /// A second stop can only shorten what the first one granted.
    pub(super) fn shorten(&mut self, now: Instant, grace: Duration) {
        let grace = grace.min(GRACE_MAX);
        self.kill_at = self.kill_at.min(now + grace);
        match &mut self.rung {
            Rung::Eof { until } => *until = (*until).min(now + grace / 2),
            Rung::Term { until } => *until = (*until).min(self.kill_at),
            Rung::Kill { .. } => {}
        }
    }

    /// Does what is due. `cli` is the CLI's process group while its leader is not reaped (so that the group's id cannot
    /// have been given to others); `find` lists the tree.
    pub(super) fn step(&mut self, now: Instant, cli: Option<i32>, find: impl Fn() -> Vec<Process>) -> Step {
        if let Rung::Eof { until } = self.rung {
            // When the CLI has ended by itself, waiting for that is over.
            if cli.is_some() && now < until {
                return Step::Wait(until);
            }
            self.rung = Rung::Term { until: self.kill_at };
        }
        let tree = find();
        if tree.is_empty() {
            return Step::Done;
        }
        if let Rung::Term { until } = self.rung {
            if now < until {
                self.terminate(&tree, cli);
                return Step::Wait(until.min(now + TERM_TICK));
            }
            self.rung = Rung::Kill { until: now + KILL_BOUND };
        }
        match self.rung {
            Rung::Kill { until } if now >= until => {
                self.report_survivors(&tree);
                Step::Done
            }
            _ => {
                self.kill(tree, &find);
                Step::Wait(now + KILL_TICK)
            }
        }
    }

    /// SIGTERM, once to each process; to the CLI's group as a whole first, which misses no member. SIGCONT lets a stopped
    /// one act on it.
    fn terminate(&mut self, tree: &[Process], cli: Option<i32>) {
        let group = cli.filter(|_| !std::mem::replace(&mut self.group_was_told, true));
        if let Some(group) = group {
            let _ = killpg(Pid::from_raw(group), Signal::SIGTERM);
            let _ = killpg(Pid::from_raw(group), Signal::SIGCONT);
        }
        for process in tree {
            if self.signalled.contains_key(&identity(process)) {
                continue;
            }
            if group == Some(process.group) {
                self.note(process, Signal::SIGTERM);
            } else if process.signal(Signal::SIGTERM) {
                self.note(process, Signal::SIGTERM);
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
                self.note(process, Signal::SIGKILL);
            }
        }
    }

    fn note(&mut self, process: &Process, signal: Signal) {
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

    /// What was ended, without the CLI itself, in the order of process ids.
    pub(super) fn ended(self, cli: Option<(i32, u64)>) -> Vec<Ended> {
        let mut ended: Vec<Ended> = self
            .signalled
            .into_iter()
            .filter(|(identity, _)| Some(*identity) != cli)
            .map(|((pid, _), (name, signal))| Ended { pid, name, signal: signal.as_str().to_owned() })
            .collect();
        ended.sort_by_key(|process| process.pid);
        ended.truncate(ENDED_MAX);
        ended
    }
}

fn identity(process: &Process) -> (i32, u64) {
    (process.pid, process.start_time)
}

/// Ends what is left of worker `worker_id` after its shim has died, found by the tag alone: SIGTERM, `grace`, SIGKILL.
/// Blocks until nothing lives, at most for `grace` and `KILL_BOUND`. Returns what was ended; its children are reaped
/// by whoever is their parent now.
pub fn end_tree(worker_id: &str, grace: Duration) -> Vec<Ended> {
    let mut ladder = Ladder::new(Instant::now(), grace, false);
    while let Step::Wait(until) = ladder.step(Instant::now(), None, || tree::find(None, worker_id)) {
        // Nobody tells of the end of a process that is not a child, so this is the one place that looks again and again.
        std::thread::sleep(until.saturating_duration_since(Instant::now()).min(KILL_TICK));
    }
    ladder.ended(None)
}
