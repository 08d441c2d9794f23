//! One look at a time, whose outcome all get who asked before it began.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use crate::subprocess::STOP_NOTICED;
use crate::worker::error::WorkerError;
use crate::worker::place::git::{Budget, GitError};

/// A computation that runs once at a time.
pub(in crate::worker) struct Shared<T> {
    turns: Mutex<Turns<T>>,
    ended: Condvar,
}

struct Turns<T> {
    running: bool,
    /// The number of looks that have begun.
    begun: u64,
    waiting: usize,
    /// The last outcome with its number, for as long as somebody waits.
    last: Option<(u64, Arc<T>)>,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        let turns = Turns { running: false, begun: 0, waiting: 0, last: None };
        Self { turns: Mutex::new(turns), ended: Condvar::new() }
    }
}

impl<T> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl<T> Shared<Result<T, GitError>> {
    /// The outcome of a run that began after this was called: of this caller's own, or of one that others wait for too.
    ///
    /// # Errors
    /// When none ended within the budget.
    pub(in crate::worker) fn get(
        &self,
        budget: &Budget<'_>,
        make: impl FnOnce() -> Result<T, GitError>,
    ) -> Result<Arc<Result<T, GitError>>, WorkerError> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        // A run that began before may have missed what the caller wants to see.
        let wanted = turns.begun + 1;
        turns.waiting += 1;
        while turns.running {
            let waited = self.ended.wait_timeout(turns, STOP_NOTICED).unwrap_or_else(PoisonError::into_inner).0;
            turns = waited;
            let shared = turns.last.as_ref().filter(|(number, _)| *number >= wanted).map(|(_, last)| Arc::clone(last));
            if let Some(outcome) = shared {
                turns.leave();
                return Ok(outcome);
            }
            if let Err(error) = budget.check("before this look began: another one runs") {
                turns.leave();
                return Err(error.into());
            }
        }
        let shared = turns.last.as_ref().filter(|(number, _)| *number >= wanted).map(|(_, last)| Arc::clone(last));
        if let Some(outcome) = shared {
            turns.leave();
            return Ok(outcome);
        }
        turns.running = true;
        turns.begun += 1;
        let number = turns.begun;
        drop(turns);
        let _end = Ending(self);
        let outcome = Arc::new(make());
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever waits does not get what ended because this caller's client has gone.
        if !matches!(*outcome, Err(GitError::ClientGone)) {
            turns.last = Some((number, Arc::clone(&outcome)));
        }
        Ok(outcome)
    }
}

impl<T> Turns<T> {
    fn leave(&mut self) {
        self.waiting -= 1;
        if self.waiting == 0 {
            self.last = None;
        }
    }
}

/// Ends a run, also one that panics.
struct Ending<'a, T>(&'a Shared<T>);

impl<T> Drop for Ending<'_, T> {
    fn drop(&mut self) {
        let mut turns = self.0.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.running = false;
        turns.leave();
        drop(turns);
        self.0.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    const LONG: Duration = Duration::from_secs(120);

    #[test]
    fn callers_share_a_run_that_began_after_they_asked() {
        let shared: Shared<Result<usize, GitError>> = Shared::default();
        let (runs, go_on) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let run = || {
            let number = runs.fetch_add(1, Ordering::SeqCst);
            while go_on.load(Ordering::SeqCst) == 0 {
                std::thread::yield_now();
            }
            Ok(number)
        };
        std::thread::scope(|scope| {
            let ask = || scope.spawn(|| *shared.get(&Budget::of_time(LONG), run).unwrap().as_ref().as_ref().unwrap());
            let first = ask();
            while runs.load(Ordering::SeqCst) == 0 {
                std::thread::yield_now();
            }
            let later: Vec<_> = (0..8).map(|_| ask()).collect();
            while shared.turns.lock().unwrap().waiting < 9 {
                std::thread::yield_now();
            }
            go_on.store(1, Ordering::SeqCst);
            assert_eq!(first.join().unwrap(), 0);
            assert!(later.into_iter().all(|asked| asked.join().unwrap() == 1));
        });
        assert_eq!(runs.load(Ordering::SeqCst), 2);
        assert!(shared.turns.lock().unwrap().last.is_none(), "nothing is kept");
    }

    #[test]
    fn a_run_whose_client_has_gone_is_not_shared() {
        let shared: Shared<Result<usize, GitError>> = Shared::default();
        let budget = Budget::of_time(LONG);
        assert!(shared.get(&budget, || Err(GitError::ClientGone)).unwrap().is_err());
        assert_eq!(*shared.get(&budget, || Ok(1)).unwrap().as_ref().as_ref().unwrap(), 1);
    }
}
