//! The file of the budgets: JSON, private, replaced as a whole.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::{BUDGETS_MAX, Budget, BudgetLimits, BudgetMistake};
use crate::private_file;

/// Name of the file with the budgets, in the data folder.
pub(crate) const FILE: &str = ".budgets";
/// The file's form. A file of another form is not used.
const VERSION: u32 = 1;
/// The largest file that is written and read, in bytes.
const FILE_BYTES_MAX: usize = 2 * 1024 * 1024;

#[derive(Serialize, Deserialize)]
struct BudgetFile {
    version: u32,
    budgets: Vec<Budget>,
}

/// The reason why budgets were not changed.
#[derive(Debug)]
pub(crate) enum BudgetBookError {
    /// The budget has a mistake.
    Mistake(BudgetMistake),
    /// No budget has this id.
    NotFound(String),
    /// The limit on the number of budgets is reached.
    Full(String),
    /// The file can't be written.
    File(String),
}

impl fmt::Display for BudgetBookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mistake(mistake) => f.write_str(&mistake.text),
            Self::NotFound(text) | Self::Full(text) | Self::File(text) => f.write_str(text),
        }
    }
}

/// All budgets.
pub(crate) struct BudgetBook {
    file: PathBuf,
    budgets: Mutex<Arc<Vec<Budget>>>,
    /// Held while the budgets are changed, so that an older file never replaces a newer one.
    changing: Mutex<()>,
}

impl fmt::Debug for BudgetBook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BudgetBook").field("file", &self.file).finish_non_exhaustive()
    }
}

impl BudgetBook {
    /// Reads the budgets of a data folder.
    ///
    /// # Errors
    /// Fails when the file can't be used: without its limits no worker may run.
    pub(crate) fn open(data: &Path) -> Result<Self, String> {
        let file = data.join(FILE);
        let budgets = load(&file).map_err(|reason| {
            format!("the budgets in {} can't be used: {reason}; repair or remove the file", file.display())
        })?;
        Ok(Self { file, budgets: Mutex::new(Arc::new(budgets)), changing: Mutex::default() })
    }

    /// All budgets, oldest first.
    pub(crate) fn all(&self) -> Arc<Vec<Budget>> {
        Arc::clone(&self.lock())
    }

    /// Adds a budget, when it is on the disk.
    ///
    /// # Errors
    /// Fails when it has a mistake, there are too many, or the file can't be written.
    pub(crate) fn add(&self, budget: Budget) -> Result<(), BudgetBookError> {
        budget.check().map_err(BudgetBookError::Mistake)?;
        let _changing = self.change();
        let mut budgets = self.all().to_vec();
        if budgets.len() >= BUDGETS_MAX {
            let text = format!("there are {BUDGETS_MAX} budgets, which is the most: remove some first");
            return Err(BudgetBookError::Full(text));
        }
        budgets.push(budget);
        self.save(&budgets)?;
        *self.lock() = Arc::new(budgets);
        Ok(())
    }

    /// Changes the budget with this id, when it is on the disk; returns it as it is then.
    ///
    /// # Errors
    /// As [`BudgetBook::add`], and when the id is unknown.
    pub(crate) fn update(&self, id: &str, change: impl FnOnce(&mut Budget)) -> Result<Budget, BudgetBookError> {
        // Held from the look to the end, so that of two changes at once none is lost.
        let _changing = self.change();
        let mut budgets = self.all().to_vec();
        let Some(budget) = budgets.iter_mut().find(|budget| budget.id == id) else { return Err(not_found(id)) };
        let before = budget.clone();
        change(budget);
        budget.check().map_err(BudgetBookError::Mistake)?;
        if (&before.scope, before.period, before.limits) != (&budget.scope, budget.period, budget.limits) {
            budget.revision = before.revision + 1;
        }
        let changed = budget.clone();
        self.save(&budgets)?;
        *self.lock() = Arc::new(budgets);
        Ok(changed)
    }

    /// Raises the limits of a budget for a prompt that was made for `revision`. Does nothing when they were changed since,
    /// as when the same answer comes again after a crash.
    ///
    /// # Errors
    /// Fails when the file can't be written.
    pub(crate) fn raise(&self, (id, revision): (&str, u64), limits: BudgetLimits) -> Result<(), BudgetBookError> {
        let raise = |budget: &mut Budget| {
            if budget.revision == revision {
                budget.limits = limits;
            }
        };
        match self.update(id, raise) {
            // There is nothing left to raise.
            Ok(_) | Err(BudgetBookError::NotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Removes a budget.
    ///
    /// # Errors
    /// Fails when there is none, or the file can't be written.
    pub(crate) fn remove(&self, id: &str) -> Result<(), BudgetBookError> {
        let _changing = self.change();
        let mut budgets = self.all().to_vec();
        let before = budgets.len();
        budgets.retain(|budget| budget.id != id);
        if budgets.len() == before {
            return Err(not_found(id));
        }
        self.save(&budgets)?;
        *self.lock() = Arc::new(budgets);
        Ok(())
    }

    fn save(&self, budgets: &[Budget]) -> Result<(), BudgetBookError> {
        let stored = BudgetFile { version: VERSION, budgets: budgets.to_vec() };
        let text = serde_json::to_vec_pretty(&stored).map_err(|error| BudgetBookError::File(error.to_string()))?;
        if text.len() > FILE_BYTES_MAX {
            let text = format!("the budgets would have more than {FILE_BYTES_MAX} bytes: remove some first");
            return Err(BudgetBookError::Full(text));
        }
        let failed = |error: io::Error| BudgetBookError::File(format!("{}: {error}", self.file.display()));
        private_file::replace(&self.file, &text).map_err(failed)
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Vec<Budget>>> {
        self.budgets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn not_found(id: &str) -> BudgetBookError {
    BudgetBookError::NotFound(format!("Budget not found: {id}"))
}

fn load(file: &Path) -> Result<Vec<Budget>, String> {
    let max = u64::try_from(FILE_BYTES_MAX).unwrap_or(u64::MAX);
    let Some(bytes) = private_file::read(file, max + 1).map_err(|error| error.to_string())? else {
        return Ok(Vec::new());
    };
    if bytes.len() > FILE_BYTES_MAX {
        return Err(format!("it has more than {FILE_BYTES_MAX} bytes"));
    }
    let stored: BudgetFile = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    if stored.version != VERSION {
        return Err(format!("it is of version {}, not {VERSION}", stored.version));
    }
    if stored.budgets.len() > BUDGETS_MAX {
        return Err(format!("it has more than {BUDGETS_MAX} budgets"));
    }
    match stored.budgets.iter().find_map(|budget| Some((budget, budget.check().err()?))) {
        Some((budget, mistake)) => Err(format!("budget {:?}: {}", budget.name, mistake.text)),
        None => Ok(stored.budgets),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::budgets::BudgetScope;
    use crate::budgets::tests::budget;
    use crate::scratch::Scratch;

    #[test]
    fn budgets_outlive_the_server_in_a_private_file() {
        let scratch = Scratch::new();
        let book = BudgetBook::open(scratch.path()).unwrap();
        book.add(budget(BudgetScope::Project("/src".to_owned()))).unwrap();
        book.add(Budget { id: "c".to_owned(), ..budget(BudgetScope::All) }).unwrap();
        assert_eq!(book.update("c", |budget| budget.note = "n".to_owned()).unwrap().revision, 0);
        assert_eq!(book.update("c", |budget| budget.limits.turns = Some(9)).unwrap().revision, 1);
        assert!(matches!(book.update("c", |budget| budget.name.clear()), Err(BudgetBookError::Mistake(_))));
        book.remove("b").unwrap();
        assert!(matches!(book.remove("b"), Err(BudgetBookError::NotFound(_))));
        let mode = scratch.path().join(FILE).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let read = BudgetBook::open(scratch.path()).unwrap().all();
        assert_eq!((read.len(), &*read[0].id, read[0].limits.turns), (1, "c", Some(9)));
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
    fn unreadable_budgets_are_kept_and_refused() {
        let scratch = Scratch::new();
        private_file::create(&scratch.path().join(FILE), b"{").unwrap();
        assert!(BudgetBook::open(scratch.path()).unwrap_err().contains("repair or remove"));
        assert_eq!(std::fs::read(scratch.path().join(FILE)).unwrap(), b"{");
    }
}
