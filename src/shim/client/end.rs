//! Ending the processes of a worker whose shim has died.

use std::time::{Duration, Instant};

use crate::journal::EndedProcess;
use crate::shim::ladder::{KILL_TICK, Ladder, LadderStep};
use crate::shim::tree;

/// Ends the processes of worker `worker_id` after its shim has died, found by the tag alone: SIGTERM, `grace`, SIGKILL.
/// Blocks until none lives, at most for `grace` and `KILL_BOUND`. Returns the ended processes, which their new parents reap.
pub fn end_tree(worker_id: &str, grace: Duration) -> Vec<EndedProcess> {
    end_tree_below(None, worker_id, grace)
}

/// The same for all that descends from the process `root` as well, which is not ended itself.
pub(crate) fn end_tree_below(root: Option<i32>, worker_id: &str, grace: Duration) -> Vec<EndedProcess> {
    let mut ladder = Ladder::new(Instant::now(), grace, false);
    while let LadderStep::Wait(until) = ladder.step(Instant::now(), None, || tree::find(root, worker_id)) {
        // The system reports the end of children only, so this is the one place that polls.
        std::thread::sleep(until.saturating_duration_since(Instant::now()).min(KILL_TICK));
    }
    ladder.ended(None)
}
