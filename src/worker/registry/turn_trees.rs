//! The threads that record the files of projects at the beginnings and ends of turns, while the agents work.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, TryRecvError, select};

use crate::worker::place::git::GitBudget;
use crate::worker::publish::moments::TurnMoment;
use crate::worker::registry::Registry;

/// Number of threads that record.
pub(crate) const THREADS: usize = 2;
/// Time limit of one recording.
const RECORD_TIME: Duration = Duration::from_secs(20);

/// The body of each thread: ends when `stop` is closed.
pub(crate) fn run(registry: &Arc<Registry>, stop: &Receiver<()>) {
    let moments = registry.launcher().moments.waiting();
    let stopped = || stop.try_recv() == Err(TryRecvError::Disconnected);
    loop {
        let moment = select! {
            recv(moments) -> moment => moment,
            recv(stop) -> _ => return,
        };
        let Ok(TurnMoment { worker_id, turn_id, at }) = moment else { return };
        let Ok(worker) = registry.get(&worker_id) else { continue };
        if let Err(error) = worker.record_turn(&turn_id, at, GitBudget::new(RECORD_TIME, &stopped)) {
            log::info!("worker {worker_id}: the files at the {at:?} of turn {turn_id} are not recorded: {error}");
        }
    }
}
