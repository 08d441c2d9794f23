//! Upkeep of workers: long idle ones are hibernated, those that have something to do again are started, and messages
//! that wait for a usage limit are sent when it is over.
//!
//! All of it follows from the fold and the clock, so a server that is killed in between goes on with it at its next start.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use crate::clock::Micros;
use crate::journal::{By, Control};
use crate::shim::tree;
use crate::worker::error::WorkerError;
use crate::worker::registry::Registry;
use crate::worker::run::drive::{held_by_limit, returned};
use crate::worker::run::worker::Worker;
use crate::worker::state::State;
use crate::worker::state::status::Status;

/// Time between two looks at the workers.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Margin between the end of a usage limit and the next message: clocks differ a little.
const LIMIT_MARGIN: Duration = Duration::from_secs(1);
/// Silence after which text that came after the end of its turn is a whole message.
const LATE_TEXT_PAUSE: Duration = Duration::from_millis(500);
/// Pause before a failed hibernation or start is retried.
const AGAIN_AFTER: Duration = Duration::from_secs(10);

/// The body of the upkeep's thread: ends when `stop` is closed.
pub(crate) fn run(registry: &Arc<Registry>, idle_stop: Option<Duration>, stop: &Receiver<()>) {
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
    if state.status == Status::Idle && worker.holds_text(LATE_TEXT_PAUSE) {
        return go_on(worker, &Control::Quiet {});
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
    if let Some(batch) = returned(worker, state) {
        return batch.and_then(|batch| worker.append(&batch)).is_ok();
    }
    if state.renew {
        return renew(registry, worker);
    }
    // Somebody's message met a worker that was just being hibernated, or waited for a limit that is over now.
    let by_people = matches!(state.stopped_by, Some(By::User | By::CommandLine));
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

/// Starts a worker whose session is gone with a new one. Where that is not possible it has failed.
fn renew(registry: &Registry, worker: &Arc<Worker>) -> bool {
    match registry.start(worker) {
        Ok(()) => true,
        Err(WorkerError::Conflict(_)) if worker.state().is_running() => true,
        Err(error) => {
            log::warn!("worker {}: it cannot be started with a new session: {error}", worker.id());
            go_on(worker, &Control::SpawnFailed { error: error.to_string(), missing: false })
        }
    }
}

fn go_on(worker: &Worker, control: &Control) -> bool {
    worker.append_control(control).inspect_err(|error| log::warn!("worker {}: {error}", worker.id())).is_ok()
}

/// Time since then; `None` when it is in the future.
fn passed(time: u64) -> Option<Duration> {
    Micros::now().0.checked_sub(time).map(Duration::from_micros)
}

/// Returns whether it has had nothing to do for so long. The journal's time counts, so that the wait continues over a
/// restart of the server.
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
    let stopped = worker.stop_because(By::Idle, Some(reason));
    drop(hold);
    stopped.inspect_err(|error| log::warn!("worker {}: {error}", worker.id())).is_ok()
}

/// Returns whether it has a process outside the CLI's own process group. CLIs run commands in groups of their own, so
/// such a process is a command in the background; their servers for tools and languages are in the CLI's group.
fn has_other_processes(worker: &Worker, state: &State) -> bool {
    let Some(pids) = state.process.pids() else { return false };
    tree::find(Some(pids.shim_pid), worker.id()).iter().any(|process| process.group != pids.pid)
}
