//! The gate between the queue and the CLI: no message is delivered to a worker that is under a budget which is used up.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::budgets::{Budget, BudgetBook, BudgetUsage, Sums};
use crate::clock::Micros;
use crate::worker::state::State;

/// Messages that were admitted and whose turn is not seen yet, by worker.
pub(in crate::worker) type AdmittedMessages = HashMap<String, String>;

/// Sums what all workers under a budget have used. It takes the lock of no worker's core.
pub(in crate::worker) type SumUp = Box<dyn Fn(&Budget, Micros, &AdmittedMessages) -> Sums + Send + Sync>;

/// The settings of budgets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BudgetSettings {
    /// Longest wait for a running tool before a turn is interrupted.
    pub tool_wait: Duration,
    /// The cost that a token counts for which no cost was reported, in billionths of a US dollar.
    pub token_nano_usd: u64,
}

/// The gate.
pub(crate) struct BudgetGate {
    book: Arc<BudgetBook>,
    settings: BudgetSettings,
    /// Absent until all workers are loaded: before that no sum is complete, and nothing is admitted.
    sum_up: OnceLock<SumUp>,
    admitted: Mutex<AdmittedMessages>,
    wake: (Sender<()>, Receiver<()>),
}

impl BudgetGate {
    /// Creates a gate that is closed, if there are budgets, until [`BudgetGate::open`].
    pub(crate) fn new(book: Arc<BudgetBook>, settings: BudgetSettings) -> Self {
        let (sum_up, admitted) = (OnceLock::new(), Mutex::default());
        Self { book, settings, sum_up, admitted, wake: bounded(1) }
    }

    /// Opens it: all workers are loaded.
    pub(in crate::worker) fn open(&self, sum_up: SumUp) {
        // A second call changes nothing.
        let _ = self.sum_up.set(sum_up);
    }

    /// The budgets.
    pub(crate) fn book(&self) -> &BudgetBook {
        &self.book
    }

    /// The settings of budgets.
    pub(crate) const fn settings(&self) -> BudgetSettings {
        self.settings
    }

    /// Admits nothing until the guard is dropped.
    pub(in crate::worker) fn pause(&self) -> MutexGuard<'_, AdmittedMessages> {
        self.lock()
    }

    /// Returns the sender that wakes the thread that looks after budgets.
    pub(in crate::worker) fn waker(&self) -> Sender<()> {
        self.wake.0.clone()
    }

    /// Wakes the thread that looks after budgets. Never blocks.
    pub(crate) fn wake(&self) {
        // One that waits is enough.
        let _ = self.wake.0.try_send(());
    }

    /// Receives when the thread is to look.
    pub(in crate::worker) fn woken(&self) -> &Receiver<()> {
        &self.wake.1
    }

    /// Returns what is used of a budget; `None` until all workers are loaded.
    pub(crate) fn usage(&self, budget: &Budget, now: Micros) -> Option<BudgetUsage> {
        self.usage_with(budget, now, &self.lock())
    }

    fn usage_with(&self, budget: &Budget, now: Micros, admitted: &AdmittedMessages) -> Option<BudgetUsage> {
        let sums = (self.sum_up.get()?)(budget, now, admitted);
        Some(sums.usage(budget.limits, self.settings.token_nano_usd))
    }

    /// Admits a message to an idle worker's CLI. Of several workers at once, each sees those that were admitted before it.
    pub(in crate::worker) fn admits(&self, worker: &str, state: &State, message_id: &str) -> bool {
        let mut admitted = self.lock();
        admitted.remove(worker);
        if self.holding(worker, state, &admitted).is_some() {
            drop(admitted);
            self.wake();
            return false;
        }
        if !self.book.all().is_empty() {
            admitted.insert(worker.to_owned(), message_id.to_owned());
        }
        true
    }

    /// Returns the name of the budget for which a worker's queue waits.
    pub(crate) fn holds(&self, worker: &str, state: &State) -> Option<String> {
        let mut admitted = self.lock().clone();
        admitted.remove(worker);
        self.holding(worker, state, &admitted)
    }

    fn holding(&self, worker: &str, state: &State, admitted: &AdmittedMessages) -> Option<String> {
        let budgets = self.book.all();
        if let Some((_, details)) = state.budget_prompt() {
            let asked = budgets.iter().find(|budget| budget.id == details.budget_id);
            return Some(asked.map_or_else(String::new, |budget| budget.name.clone()));
        }
        let now = Micros::now();
        let mut counted = budgets
            .iter()
            .filter(|budget| budget.covers(&state.spender(worker)) && !state.budget.passes.contains(&budget.id));
        let is_used_up = |budget: &&Budget| self.usage_with(budget, now, admitted).is_none_or(|usage| usage.is_over());
        counted.find(is_used_up).map(|budget| budget.name.clone())
    }

    /// Forgets the admissions of workers that are gone.
    pub(in crate::worker) fn retain(&self, is_known: impl Fn(&str) -> bool) {
        self.lock().retain(|worker, _| is_known(worker));
    }

    fn lock(&self) -> MutexGuard<'_, AdmittedMessages> {
        self.admitted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
