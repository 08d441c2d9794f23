//! All budgets, in a [list](PrivateList) whose entries have revisions.

use std::path::Path;
use std::sync::Arc;

use super::{Budget, BudgetLimits};
use crate::private_list::{ListError, PrivateList};

/// All budgets.
#[derive(Debug)]
pub(crate) struct BudgetBook(PrivateList<Budget>);

impl BudgetBook {
    /// Reads the budgets of a data folder.
    ///
    /// # Errors
    /// Fails when the file can't be used: without its limits no worker may run.
    pub(crate) fn open(data: &Path) -> Result<Self, String> {
        PrivateList::open_required(data).map(Self)
    }

    /// All budgets, oldest first.
    pub(crate) fn all(&self) -> Arc<Vec<Budget>> {
        self.0.all()
    }

    /// Adds a budget, when it is on the disk.
    ///
    /// # Errors
    /// As [`PrivateList::add`].
    pub(crate) fn add(&self, budget: Budget) -> Result<(), ListError> {
        self.0.add(budget)
    }

    /// Changes the budget with this id, when it is on the disk; returns it as it is then.
    ///
    /// # Errors
    /// As [`PrivateList::update`].
    pub(crate) fn update(&self, id: &str, change: impl FnOnce(&mut Budget)) -> Result<Budget, ListError> {
        self.0.update(id, |budget| {
            let before = budget.clone();
            change(budget);
            if (&before.scope, before.period, before.limits) != (&budget.scope, budget.period, budget.limits) {
                budget.revision = before.revision + 1;
            }
        })
    }

    /// Raises the limits of a budget for a prompt that was made for `revision`. Does nothing when they were changed since,
    /// as when the same answer comes again after a crash.
    ///
    /// # Errors
    /// Fails when the file can't be written.
    pub(crate) fn raise(&self, (id, revision): (&str, u64), limits: BudgetLimits) -> Result<(), ListError> {
        let raise = |budget: &mut Budget| {
            if budget.revision == revision {
                budget.limits = limits;
            }
        };
        match self.update(id, raise) {
            // There is nothing left to raise.
            Ok(_) | Err(ListError::NotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Removes a budget.
    ///
    /// # Errors
    /// As [`PrivateList::remove`].
    pub(crate) fn remove(&self, id: &str) -> Result<(), ListError> {
        self.0.remove(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budgets::BudgetScope;
    use crate::budgets::tests::budget;
    use crate::scratch::Scratch;

    #[test]
    fn revision_grows_with_limits_and_not_with_notes() {
        let scratch = Scratch::new();
        let book = BudgetBook::open(scratch.path()).unwrap();
        book.add(budget(BudgetScope::Project("/src".to_owned()))).unwrap();
        assert_eq!(book.update("b", |budget| budget.note = "n".to_owned()).unwrap().revision, 0);
        assert_eq!(book.update("b", |budget| budget.limits.turns = Some(9)).unwrap().revision, 1);
        assert!(matches!(book.update("b", |budget| budget.name.clear()), Err(ListError::Mistake(_))));
        let read = BudgetBook::open(scratch.path()).unwrap().all();
        assert_eq!((read.len(), read[0].limits.turns, read[0].revision), (1, Some(9), 1));
    }

    #[test]
    fn repeated_raise_changes_nothing() {
        let scratch = Scratch::new();
        let book = BudgetBook::open(scratch.path()).unwrap();
        book.add(budget(BudgetScope::All)).unwrap();
        for turns in [6, 12] {
            book.raise(("b", 0), BudgetLimits { turns: Some(turns), ..BudgetLimits::default() }).unwrap();
        }
        assert_eq!(book.all()[0].limits.turns, Some(6));
        book.raise(("gone", 0), BudgetLimits::default()).unwrap();
    }

    #[test]
    fn unreadable_budgets_refuse_the_start() {
        let scratch = Scratch::new();
        crate::private_file::create(&scratch.path().join(".budgets"), b"{").unwrap();
        assert!(BudgetBook::open(scratch.path()).unwrap_err().contains("repair or remove"));
    }
}
