//! The sleep of an idle worker: whether it may sleep, and the hibernation itself.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Micros;
use crate::journal::By;
use crate::shim::tree;
use crate::worker::run::worker::Worker;
use crate::worker::state::State;
use crate::worker::state::status::Status;

/// Pause before a failed hibernation or start is retried.
pub(super) const AGAIN_AFTER: Duration = Duration::from_secs(10);

/// Returns the time since then; `None` when it is in the future.
pub(super) fn passed(time: u64) -> Option<Duration> {
    Micros::now().0.checked_sub(time).map(Duration::from_micros)
}

/// Returns whether it has been idle for so long. The journal's time counts, so that the wait continues over a restart
/// of the server.
pub(super) fn is_idle(state: &State, limit: Duration) -> bool {
    state.status == Status::Idle && state.queue.is_empty() && passed(state.last_activity) >= Some(limit)
}

/// Returns whether an idle worker may be hibernated: its CLI can resume its session, and no part of it is still active.
pub(super) fn may_sleep(worker: &Worker, state: &State) -> bool {
    let resumes = worker.adapter().cli().capabilities.iter().any(|word| word == "resume");
    resumes && is_idle(state, Duration::ZERO) && !worker.has_background_work() && !has_other_processes(worker, state)
}

/// Stops an idle worker, unless a part of it is still active, and keeps its session. Returns whether it did.
pub(super) fn hibernate(worker: &Arc<Worker>, limit: Duration, reason: &str) -> bool {
    // Meanwhile no message goes to the CLI.
    let hold = worker.hold_queue();
    let state = worker.state();
    if !is_idle(&state, limit) || !may_sleep(worker, &state) {
        return false;
    }
    log::info!("worker {}: {reason}", worker.id());
    let stopped = worker.stop_because(By::Idle, Some(reason.to_owned()));
    drop(hold);
    stopped.inspect_err(|error| log::warn!("worker {}: {error}", worker.id())).is_ok()
}

/// Returns whether it has a process outside the CLI's own process group. CLIs run commands in separate groups, so such
/// a process is a command in the background; the CLIs' tool and language servers are in the CLI's group.
fn has_other_processes(worker: &Worker, state: &State) -> bool {
    let Some(pids) = state.process.pids() else { return false };
    tree::find(Some(pids.shim_pid), worker.id()).iter().any(|process| process.group != pids.pid)
}
