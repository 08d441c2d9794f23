//! Upkeep of workers: those that are idle for long are hibernated, those with work are started, and messages that wait
//! for a usage limit are sent when it is over.
//!
//! All of it follows from the fold and the clock, so a server that is killed in between continues at its next start.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use crate::journal::{By, Control};
use crate::metrics;
use crate::worker::error::WorkerError;
use crate::worker::registry::Registry;
use crate::worker::registry::room::RoomKeeper;
use crate::worker::registry::sleep::{AGAIN_AFTER, hibernate, is_idle, passed};
use crate::worker::run::drive::{held_by_limit, returned};
use crate::worker::run::worker::Worker;
use crate::worker::state::State;
use crate::worker::state::status::Status;

/// Time between two checks of the workers.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Margin between the end of a usage limit and the next message, for differences between clocks.
const LIMIT_MARGIN: Duration = Duration::from_secs(1);
/// Duration of silence after which text that came after the end of its turn is a complete message.
const LATE_TEXT_PAUSE: Duration = Duration::from_millis(500);

/// The body of the upkeep's thread: ends when `stop` is closed.
pub(crate) fn run(registry: &Arc<Registry>, idle_stop: Option<Duration>, stop: &Receiver<()>) {
    let mut left_alone: HashMap<String, Instant> = HashMap::new();
    let mut room = RoomKeeper::default();
    while stop.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
        left_alone.retain(|_, until| *until > Instant::now());
        registry.open_left_over();
        for worker in registry.all() {
            if left_alone.contains_key(worker.id()) {
                continue;
            }
            if !look(registry, &worker, idle_stop) {
                left_alone.insert(worker.id().to_owned(), Instant::now() + AGAIN_AFTER);
            }
        }
        room.keep(registry, &mut left_alone);
    }
}

/// Takes care of one worker; returns whether it may be checked again soon.
fn look(registry: &Registry, worker: &Arc<Worker>, idle_stop: Option<Duration>) -> bool {
    let state = worker.state();
    if let Some(held) = &state.held {
        if passed(held.until) < Some(LIMIT_MARGIN) {
            return true;
        }
        return append_note(worker, &Control::LimitOver {});
    }
    if !state.is_running() {
        return look_at_stopped(registry, worker, &state);
    }
    if state.status == Status::Idle && worker.holds_text(LATE_TEXT_PAUSE) {
        return append_note(worker, &Control::Quiet {});
    }
    match idle_stop {
        Some(limit) if is_idle(&state, limit) => {
            let reason = format!("Hibernated after {} s without work; a message starts it again", limit.as_secs());
            let is_done = hibernate(worker, limit, &reason);
            metrics::HIBERNATED_FOR_IDLENESS.add(u64::from(is_done));
            is_done
        }
        _ => true,
    }
}

/// Takes care of a worker without a process: completes what its last process left undone.
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
    // A message waited for a limit that is over now. Workers that are asleep are woken in the order of their messages.
    let by_people = matches!(state.stopped_by, Some(By::User | By::CommandLine));
    let was_limited = state.queue.front().is_some_and(|message| message.attempt > 0);
    if state.hibernated.is_none() && was_limited && !by_people && !state.queue.is_empty() {
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

/// Starts a worker whose session is gone with a new one. If that fails, the worker is failed.
fn renew(registry: &Registry, worker: &Arc<Worker>) -> bool {
    match registry.start(worker) {
        Ok(()) => true,
        Err(WorkerError::Conflict(_)) if worker.state().is_running() => true,
        Err(error) => {
            log::warn!("worker {}: it cannot be started with a new session: {error}", worker.id());
            append_note(worker, &Control::SpawnFailed { error: error.to_string(), missing: false })
        }
    }
}

fn append_note(worker: &Worker, control: &Control) -> bool {
    worker.append_control(control).inspect_err(|error| log::warn!("worker {}: {error}", worker.id())).is_ok()
}
