//! Room for running workers: memory (`MEMORY_RESERVE`) and places (`MAX_WORKERS`).
//!
//! While less memory is available than the reserve, idle workers are hibernated, idle longest first. Each is given time to
//! show in the available memory before the next one follows. Messages for hibernated workers wait for room in the order in
//! which they came. One worker may always run, however little memory there is: waiting would not make more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Registry;
use super::sleep;
use crate::cgroup;
use crate::config::MemoryReserve;
use crate::journal::Control;
use crate::metrics;
use crate::procfs;
use crate::shim::tree;
use crate::worker::error::WorkerError;
use crate::worker::run::worker::Worker;
use crate::worker::state::State;
use crate::worker::state::status::Status;

/// Time in which the memory of a stopped worker becomes available.
const FREED_AFTER: Duration = Duration::from_secs(2);
/// Time in which a started CLI takes the memory that it needs.
const TAKEN_AFTER: Duration = Duration::from_secs(8);
/// Memory of a worker whose CLI has not been measured yet.
const USUAL_BYTES: u64 = 256 << 20;

/// The part of the machine's memory that one worker is expected to need at most, as a divisor.
const NEED_SHARE: u64 = 4;

/// The room of one server.
pub(in crate::worker) struct Room {
    reserve: MemoryReserve,
    /// The memory of each worker's processes when it was hibernated.
    measured: Mutex<HashMap<String, u64>>,
    /// Starts that the available memory does not show yet: the time and the expected memory.
    starts: Mutex<Vec<(Instant, u64)>>,
}

/// The reason that a worker can't be woken now.
enum NoRoom {
    Place(String),
    Memory(String),
}

impl NoRoom {
    fn text(&self) -> &str {
        let (Self::Place(text) | Self::Memory(text)) = self;
        text
    }
}

impl Room {
    pub(super) fn new(reserve: MemoryReserve) -> Self {
        Self { reserve, measured: Mutex::default(), starts: Mutex::default() }
    }

    /// Returns the available memory and the reserve in bytes; `None` when there is no reserve.
    pub(crate) fn memory(&self) -> Option<(u64, u64)> {
        if self.reserve == MemoryReserve::Off {
            return None;
        }
        let memory = cgroup::available()?;
        Some((memory.available, self.reserve.of(memory.total)?))
    }

    /// Returns the memory that a worker is expected to need.
    fn need_of(&self, worker: &Worker) -> u64 {
        let measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner).get(worker.id()).copied();
        bounded_need(measured, cgroup::available().map_or(u64::MAX, |memory| memory.total))
    }

    /// Returns the memory that workers which have just been started are still going to take.
    fn expected(&self) -> u64 {
        let mut starts = self.starts.lock().unwrap_or_else(PoisonError::into_inner);
        starts.retain(|(at, _)| at.elapsed() < TAKEN_AFTER);
        starts.iter().map(|(_, bytes)| bytes).sum()
    }

    fn note_start(&self, worker: &Worker) {
        let need = self.need_of(worker);
        self.starts.lock().unwrap_or_else(PoisonError::into_inner).push((Instant::now(), need));
    }

    /// Measures a worker that is about to be hibernated.
    fn measure(&self, worker: &Worker, state: &State) {
        let Some(pids) = state.process.pids() else { return };
        let tree = tree::find(Some(pids.shim_pid), worker.id());
        let bytes: u64 = tree.iter().filter_map(|process| procfs::memory_bytes(process.pid)).sum();
        if bytes > 0 {
            self.measured.lock().unwrap_or_else(PoisonError::into_inner).insert(worker.id().to_owned(), bytes);
        }
    }
}

/// Returns the expected need of a worker of which so much was measured, on a machine with so much memory. Memory that processes
/// share is measured once for each, so an agent can make it any number: one that never fits would hold up all messages.
fn bounded_need(measured: Option<u64>, total: u64) -> u64 {
    measured.unwrap_or(USUAL_BYTES).min(total / NEED_SHARE)
}

impl Registry {
    /// Returns the available memory and the reserve in bytes; `None` when there is no reserve.
    pub(crate) fn memory(&self) -> Option<(u64, u64)> {
        self.room.memory()
    }

    /// Starts a worker that is asleep and has messages, if there is room. Else its journal gets the reason, which clients
    /// see until it is started.
    ///
    /// # Errors
    /// Fails when it can't be started for another reason than room.
    pub(super) fn wake(&self, worker: &Arc<Worker>) -> Result<(), WorkerError> {
        self.try_wake(worker).map(|_| ())
    }

    fn try_wake(&self, worker: &Arc<Worker>) -> Result<Option<NoRoom>, WorkerError> {
        let no_room = match self.lacks_memory(worker) {
            Some(text) => NoRoom::Memory(text),
            None => match self.start(worker) {
                Ok(()) => {
                    self.room.note_start(worker);
                    return Ok(None);
                }
                // Another request was faster.
                Err(WorkerError::Conflict(_)) if worker.state().is_running() => return Ok(None),
                Err(WorkerError::Limit(text)) => NoRoom::Place(text),
                Err(error) => return Err(error),
            },
        };
        // The figures of a reason change all the time; the first ones stay until the kind of reason changes.
        let kind = |text: &str| text.split(':').next().unwrap_or_default().to_owned();
        let is_known = worker.state().wake_held.as_deref().is_some_and(|held| kind(held) == kind(no_room.text()));
        if !is_known {
            let reason = no_room.text().to_owned();
            log::info!("worker {}: {reason}", worker.id());
            worker.append_control(&Control::WakeHeld { reason })?;
        }
        Ok(Some(no_room))
    }

    /// Returns the reason that there is too little memory to wake a worker.
    fn lacks_memory(&self, worker: &Worker) -> Option<String> {
        let (available, reserve) = self.room.memory()?;
        let need = self.room.need_of(worker);
        let free = available.saturating_sub(self.room.expected());
        if free >= reserve.saturating_add(need) || !self.any_may_free_memory(worker) {
            return None;
        }
        Some(format!(
            "The message waits for memory: {} MiB are available, and {} MiB are needed beside the reserve of {} MiB \
             (MEMORY_RESERVE)",
            free >> 20,
            need >> 20,
            reserve >> 20
        ))
    }

    /// Returns whether another worker is about to free memory: one that works, or one that is idle and may be hibernated.
    fn any_may_free_memory(&self, waiting: &Worker) -> bool {
        self.all().iter().filter(|worker| worker.id() != waiting.id()).any(|worker| {
            let state = worker.state();
            match state.status {
                Status::Preparing | Status::Starting | Status::Busy | Status::Stopping => state.is_running(),
                Status::Idle => state.is_running() && sleep::may_sleep(worker, &state),
                Status::Waiting | Status::Stalled | Status::Stopped | Status::Failed => false,
            }
        })
    }
}

/// Makes room, from the thread of the upkeep.
#[derive(Debug, Default)]
pub(super) struct RoomKeeper {
    slept_at: Option<Instant>,
}

impl RoomKeeper {
    /// Hibernates an idle worker where room is needed, and wakes those whose messages wait. Workers in `left_alone` could
    /// not be hibernated or started a moment ago; those that cannot now are added.
    pub(super) fn keep(&mut self, registry: &Arc<Registry>, left_alone: &mut HashMap<String, Instant>) {
        if let Some((available, reserve)) = registry.room.memory()
            && available < reserve
        {
            let (available, reserve) = (available >> 20, reserve >> 20);
            let reason = format!(
                "Asleep to free memory: {available} MiB were available, and {reserve} MiB are reserved (MEMORY_RESERVE); \
                 a message wakes it"
            );
            self.sleep_one(registry, &reason, &metrics::HIBERNATED_FOR_MEMORY, left_alone);
        }
        for worker in waiting(registry) {
            if left_alone.contains_key(worker.id()) {
                continue;
            }
            match registry.try_wake(&worker) {
                Ok(None) => {}
                Ok(Some(NoRoom::Place(_))) => {
                    let max = registry.max_running();
                    let reason = format!(
                        "Asleep to make room: {max} workers ran (MAX_WORKERS), and a message waited for another one; a \
                         message wakes it"
                    );
                    self.sleep_one(registry, &reason, &metrics::HIBERNATED_FOR_PLACE, left_alone);
                    break;
                }
                // Those behind it do not overtake it, and an idle worker does not keep it waiting.
                Ok(Some(NoRoom::Memory(_))) => {
                    let reason = "Asleep to free memory: a message waited for another worker \
                                  (MEMORY_RESERVE); a message wakes it";
                    self.sleep_one(registry, reason, &metrics::HIBERNATED_FOR_MEMORY, left_alone);
                    break;
                }
                Err(error) => {
                    log::warn!("worker {}: messages wait, but it cannot be started: {error}", worker.id());
                    left_alone.insert(worker.id().to_owned(), Instant::now() + sleep::AGAIN_AFTER);
                }
            }
        }
    }

    /// Hibernates the worker that is idle longest of those that may be.
    fn sleep_one(
        &mut self,
        registry: &Registry,
        reason: &str,
        counter: &metrics::Counter,
        left_alone: &mut HashMap<String, Instant>,
    ) {
        if self.slept_at.is_some_and(|at| at.elapsed() < FREED_AFTER) {
            return;
        }
        let mut idle: Vec<_> = registry.all();
        idle.retain(|worker| {
            let state = worker.state();
            state.is_running() && sleep::is_idle(&state, Duration::ZERO) && !left_alone.contains_key(worker.id())
        });
        idle.sort_by_key(|worker| worker.state().last_activity);
        for worker in idle {
            registry.room.measure(&worker, &worker.state());
            if sleep::hibernate(&worker, Duration::ZERO, reason) {
                counter.add(1);
                self.slept_at = Some(Instant::now());
                return;
            }
            left_alone.insert(worker.id().to_owned(), Instant::now() + sleep::AGAIN_AFTER);
        }
    }
}

/// Returns the workers that are asleep and have messages, in the order in which the messages came.
fn waiting(registry: &Registry) -> Vec<Arc<Worker>> {
    let mut waiting: Vec<_> = registry
        .all()
        .into_iter()
        .filter_map(|worker| {
            let state = worker.state();
            let is_asleep = !state.is_running() && state.hibernated.is_some();
            let first = state.queue.front().filter(|_| is_asleep && state.held.is_none())?.time;
            Some((first, worker))
        })
        .collect();
    waiting.sort_by_key(|(first, _)| *first);
    waiting.into_iter().map(|(_, worker)| worker).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absurd_measure_of_a_worker_fits_the_machine() {
        let total = 8 << 30;
        assert_eq!(bounded_need(Some(u64::MAX), total), 2 << 30);
        assert_eq!(bounded_need(Some(300 << 20), total), 300 << 20);
        assert_eq!(bounded_need(None, total), USUAL_BYTES);
        assert_eq!(bounded_need(None, 0), 0);
    }
}
