//! One computation at a time, whose result is shared by all callers that asked for the same before it began.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use crate::subprocess::STOP_NOTICED;
use crate::worker::error::WorkerError;
use crate::worker::place::git::{GitBudget, GitError};

/// A computation that runs once at a time.
pub(in crate::worker) struct SharedRuns<K, T> {
    turns: Mutex<SharedTurns<K, T>>,
    ended: Condvar,
}

struct SharedTurns<K, T> {
    running: bool,
    /// The number of runs that have begun.
    begun: u64,
    waiting: usize,
    /// The last result with its number and its question, for as long as a caller waits.
    last: Option<(u64, K, Arc<T>)>,
}

impl<K, T> Default for SharedRuns<K, T> {
    fn default() -> Self {
        let turns = SharedTurns { running: false, begun: 0, waiting: 0, last: None };
        Self { turns: Mutex::new(turns), ended: Condvar::new() }
    }
}

impl<K, T> fmt::Debug for SharedRuns<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl<K: PartialEq, T> SharedRuns<K, Result<T, GitError>> {
    /// Returns the result of a run that began after this call: of this caller's own run, or of one that other callers
    /// wait for too.
    ///
    /// # Errors
    /// Fails when none ended within the budget.
    pub(in crate::worker) fn get(
        &self,
        question: K,
        budget: &GitBudget<'_>,
        make: impl FnOnce() -> Result<T, GitError>,
    ) -> Result<Arc<Result<T, GitError>>, WorkerError> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        // A run that began earlier may have missed recent changes.
        let wanted = turns.begun + 1;
        turns.waiting += 1;
        while turns.running {
            let waited = self.ended.wait_timeout(turns, STOP_NOTICED).unwrap_or_else(PoisonError::into_inner).0;
            turns = waited;
            if let Some(outcome) = turns.shared(wanted, &question) {
                turns.leave();
                return Ok(outcome);
            }
            if let Err(error) = budget.check("before this look began: another one runs") {
                turns.leave();
                return Err(error.into());
            }
        }
        if let Some(outcome) = turns.shared(wanted, &question) {
            turns.leave();
            return Ok(outcome);
        }
        turns.running = true;
        turns.begun += 1;
        let number = turns.begun;
        drop(turns);
        let _end = RunGuard(self);
        let outcome = Arc::new(make());
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        // Waiting callers don't get the result of a run that ended because the client of its caller has disconnected.
        if !matches!(*outcome, Err(GitError::ClientGone)) {
            turns.last = Some((number, question, Arc::clone(&outcome)));
        }
        Ok(outcome)
    }
}

impl<K: PartialEq, T> SharedTurns<K, T> {
    /// Returns the last result, if it answers the same question and its run began late enough.
    fn shared(&self, wanted: u64, question: &K) -> Option<Arc<T>> {
        let fits = |(number, asked, _): &&(u64, K, Arc<T>)| *number >= wanted && asked == question;
        self.last.as_ref().filter(fits).map(|(.., last)| Arc::clone(last))
    }
}

impl<K, T> SharedTurns<K, T> {
    fn leave(&mut self) {
        self.waiting -= 1;
        if self.waiting == 0 {
            self.last = None;
        }
    }
}

/// The guard that ends a run, even one that panics.
struct RunGuard<'a, K, T>(&'a SharedRuns<K, T>);

impl<K, T> Drop for RunGuard<'_, K, T> {
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
        let shared: SharedRuns<u8, Result<usize, GitError>> = SharedRuns::default();
        let (runs, go_on) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let run = || {
            let number = runs.fetch_add(1, Ordering::SeqCst);
            while go_on.load(Ordering::SeqCst) == 0 {
                std::thread::yield_now();
            }
            Ok(number)
        };
        std::thread::scope(|scope| {
            let ask =
                || scope.spawn(|| *shared.get(0, &GitBudget::of_time(LONG), run).unwrap().as_ref().as_ref().unwrap());
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
    fn callers_with_other_questions_get_runs_of_their_own() {
        let shared: SharedRuns<u8, Result<usize, GitError>> = SharedRuns::default();
        let waiting = || shared.turns.lock().unwrap().waiting;
        let runs = AtomicUsize::new(0);
        let answer = |question: u8| {
            let run = || {
                runs.fetch_add(1, Ordering::SeqCst);
                while question == 0 && waiting() < 5 {
                    std::thread::yield_now();
                }
                Ok(usize::from(question))
            };
            *shared.get(question, &GitBudget::of_time(LONG), run).unwrap().as_ref().as_ref().unwrap()
        };
        let ask = &answer;
        std::thread::scope(|scope| {
            let first = scope.spawn(|| ask(0));
            while runs.load(Ordering::SeqCst) == 0 {
                std::thread::yield_now();
            }
            let later: Vec<_> = [1, 2, 1, 2].into_iter().map(|it| (it, scope.spawn(move || ask(it)))).collect();
            assert_eq!(first.join().unwrap(), 0);
            assert!(later.into_iter().all(|(it, asked)| asked.join().unwrap() == usize::from(it)));
        });
    }

    #[test]
    fn a_run_whose_client_has_gone_is_not_shared() {
        let shared: SharedRuns<u8, Result<usize, GitError>> = SharedRuns::default();
        let budget = GitBudget::of_time(LONG);
        assert!(shared.get(0, &budget, || Err(GitError::ClientGone)).unwrap().is_err());
        assert_eq!(*shared.get(0, &budget, || Ok(1)).unwrap().as_ref().as_ref().unwrap(), 1);
    }
}
