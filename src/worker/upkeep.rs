//! What is done for workers while nobody asks: those that are idle for long are hibernated, those that have something to
//! do again are started, and what waits for a usage limit goes on when it is over.
//!
//! All of it follows from the fold and the clock, so a server that is killed in between goes on with it at its next start.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::drive::held_by_limit;
use super::registry::Registry;
use super::state::{IDLE, State};
use super::status::Status;
use super::worker::Worker;
use crate::clock::Micros;
use crate::journal::Control;
use crate::shim::tree;

/// How often the workers are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long after the end of a usage limit messages go on: clocks differ a little.
const LIMIT_MARGIN: Duration = Duration::from_secs(1);
/// How long a worker that could not be hibernated or started is left alone.
const AGAIN_AFTER: Duration = Duration::from_secs(10);

/// The body of the upkeep's thread: ends when `stop` is closed.
pub fn run(registry: &Arc<Registry>, idle_stop: Option<Duration>, stop: &Receiver<()>) {
    let mut left_alone: HashMap<String, Instant> = HashMap::new();
    while stop.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
        left_alone.retain(|_, until| *until > Instant::now());
        for worker in registry.all() {
            if left_alone.contains_key(worker.id()) {
                continue;
            }
            if !look(registry, &worker, idle_stop) {
                left_alone.insert(worker.id().to_owned(), Instant::now() + AGAIN_AFTER);
            }
        }
    }
}

/// Looks after one worker; whether it may be looked at again soon.
fn look(registry: &Registry, worker: &Arc<Worker>, idle_stop: Option<Duration>) -> bool {
    let state = worker.state();
    if let Some(held) = &state.held {
        if passed(held.until) < Some(LIMIT_MARGIN) {
            return true;
        }
        return go_on(worker, &Control::LimitOver {});
    }
    if !state.is_running() {
        return look_at_stopped(registry, worker, &state);
    }
    match idle_stop {
        Some(limit) if is_idle(&state, limit) => hibernate(worker, limit),
        _ => true,
    }
}

/// A worker without a process: what its last one left undone is made up for.
fn look_at_stopped(registry: &Registry, worker: &Arc<Worker>, state: &State) -> bool {
    if let Some(batch) = held_by_limit(worker, state) {
        return batch.and_then(|batch| worker.append(&batch)).is_ok();
    }
    // Somebody's message met a worker that was just being hibernated, or waited for a limit that is over now.
    let by_people = matches!(state.stopped_by.as_deref(), Some("user" | "command line"));
    let was_limited = state.queue.front().is_some_and(|message| message.attempt > 0);
    let waited = state.hibernated.is_some() || (was_limited && !by_people);
    if waited && !state.queue.is_empty() {
        return match registry.start(worker) {
            Ok(()) => true,
            Err(error) => {
                log::warn!("worker {}: messages wait, but it cannot be started: {error}", worker.id());
                false
            }
        };
    }
    true
}

fn go_on(worker: &Worker, control: &Control) -> bool {
    worker.append_control(control).inspect_err(|error| log::warn!("worker {}: {error}", worker.id())).is_ok()
}

/// How long ago that was; `None` when it is to come.
fn passed(time: u64) -> Option<Duration> {
    Micros::now().0.checked_sub(time).map(Duration::from_micros)
}

/// Whether it has nothing to do, and has had nothing for so long. The journal's time counts, so that the wait goes on over
/// a restart of the server.
fn is_idle(state: &State, limit: Duration) -> bool {
    state.status == Status::Idle && state.queue.is_empty() && passed(state.last_activity) >= Some(limit)
}

/// Stops an idle worker, unless something of it goes on: its session is kept. Whether it may be looked at again soon.
fn hibernate(worker: &Arc<Worker>, limit: Duration) -> bool {
    // Meanwhile no message goes to the CLI.
    let hold = worker.hold_queue();
    let state = worker.state();
    let resumes = worker.adapter().cli().capabilities.iter().any(|word| word == "resume");
    if !is_idle(&state, limit) || !resumes || worker.has_background_work() || has_other_processes(worker, &state) {
        return false;
    }
    let reason = format!("Hibernated after {} s without work; a message starts it again", limit.as_secs());
    log::info!("worker {}: {reason}", worker.id());
    let stopped = worker.stop_because(IDLE, Some(reason));
    drop(hold);
    stopped.inspect_err(|error| log::warn!("worker {}: {error}", worker.id())).is_ok()
}

/// Whether it has a process outside the CLI's own process group. CLIs run commands in groups of their own, so such a one
/// is a command that goes on in the background; their servers for tools and languages are in the CLI's group.
fn has_other_processes(worker: &Worker, state: &State) -> bool {
    let Some(pids) = state.process.pids() else { return false };
    tree::find(Some(pids.shim_pid), worker.id()).iter().any(|process| process.group != pids.pid)
}
