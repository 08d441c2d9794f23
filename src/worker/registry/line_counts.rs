//! The size of each worker's changes, counted by git after its turns, for lists.
//!
//! One thread reads one worker at a time and pauses after each, so that workers that end turns all the time cost a
//! bounded part of one processor. A worker without a turn since its last count is skipped.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError};

use crate::clock::Micros;
use crate::worker::place::git::GitBudget;
use crate::worker::registry::Registry;
use crate::worker::run::worker::Worker;

/// Time between two rounds over the workers.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Minimum time between two counts of one worker.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// Time limit of one count.
const LOOK_TIME: Duration = Duration::from_secs(10);
/// The pause after a count, as a multiple of its duration.
const REST: u32 = 4;
/// Age of the last record up to which a worker is counted after the server's start.
const RECENT: Duration = Duration::from_secs(3 * 24 * 3_600);

/// A worker that was counted.
struct CountedWorker {
    /// Its turns at the last count; `None` before the first.
    turns: Option<u64>,
    looked: Option<Instant>,
}

/// The body of the thread: ends when `stop` is closed.
pub(crate) fn run(registry: &Arc<Registry>, stop: &Receiver<()>) {
    let mut seen: HashMap<String, CountedWorker> = HashMap::new();
    while stop.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
        let workers = registry.all();
        seen.retain(|id, _| workers.iter().any(|worker| worker.id() == id));
        for worker in workers {
            let known = seen.entry(worker.id().to_owned()).or_insert_with(|| first_sight(&worker));
            let turns = worker.state().turns;
            if known.turns == Some(turns) || known.looked.is_some_and(|at| at.elapsed() < AGAIN_AFTER) {
                continue;
            }
            let begun = Instant::now();
            *known = CountedWorker { turns: Some(turns), looked: Some(begun) };
            look(&worker, stop);
            if stop.recv_timeout(begun.elapsed() * REST) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    }
}

/// A worker that was not used for long is counted after its next turn.
fn first_sight(worker: &Worker) -> CountedWorker {
    let state = worker.state();
    let age = Duration::from_micros(Micros::now().0.saturating_sub(state.last_activity));
    let is_known = state.turns == 0 || (age > RECENT && !state.is_running());
    CountedWorker { turns: is_known.then_some(state.turns), looked: None }
}

fn look(worker: &Worker, stop: &Receiver<()>) {
    let stopped = || stop.try_recv() == Err(TryRecvError::Disconnected);
    match worker.count_changed_lines(GitBudget::new(LOOK_TIME, &stopped)) {
        Ok(found) => {
            if worker.views().set_changed(found) {
                worker.notify_feed();
            }
        }
        Err(error) => log::debug!("worker {}: its changes are not counted: {error}", worker.id()),
    }
}
