//! The state of a running setup or check of one worker's worktree: one at a time, which can be stopped and waited for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

/// A setup or a check that may be under way.
#[derive(Debug, Default)]
pub(in crate::worker) struct Setup {
    stop: AtomicBool,
    runs: Mutex<bool>,
    ended: Condvar,
}

impl Setup {
    /// Claims the setup for the caller, who must [`Self::end`] it; false while another one runs.
    pub(in crate::worker) fn begin(&self) -> bool {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if *runs {
            return false;
        }
        self.stop.store(false, Ordering::Relaxed);
        *runs = true;
        true
    }

    /// Marks the setup as ended, and wakes all waiting callers.
    pub(in crate::worker) fn end(&self) {
        *self.runs.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.ended.notify_all();
    }

    /// Returns whether one is under way.
    pub(in crate::worker) fn is_under_way(&self) -> bool {
        *self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether its end was requested.
    pub(in crate::worker) fn is_to_stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Requests its end.
    pub(in crate::worker) fn ask_to_stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Requests its end and waits for that at most until `deadline`; returns whether none runs.
    pub(in crate::worker) fn stop(&self, deadline: Instant) -> bool {
        self.ask_to_stop();
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        while *runs {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            (runs, _) = self.ended.wait_timeout(runs, left).unwrap_or_else(PoisonError::into_inner);
        }
        true
    }
}
