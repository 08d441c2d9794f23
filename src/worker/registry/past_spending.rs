//! Tokens and cost of deleted workers: usage reports still include them.

use std::io::ErrorKind::NotFound;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::budgets::Spender;
use crate::private_file;
use crate::worker::run::worker::Worker;
use crate::worker::state::{DaySpent, Spent};

/// Name of the file, in the folder of the workers' folders.
const FILE: &str = ".usage-of-deleted-workers";
/// Maximum number of totals; beyond that, those of the oldest days are added up.
const ENTRIES_MAX: usize = 10_000;
/// Longest file that is written and read back, in bytes.
const FILE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The day of totals of days that are no longer listed one by one: before all days that a budget of a day counts.
pub(crate) const EARLIER: u64 = 0;

/// The totals of one day, model, project and CLI.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PastSpent {
    /// The project's folder.
    pub project: String,
    /// The CLI.
    pub cli: String,
    /// The preset that the workers were made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// The ids of the workers above them, whose agents made them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub above: Vec<String>,
    /// The id of a worker that is being deleted: if the server is killed now, the worker may still exist at its next start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaving: Option<String>,
    /// Day, model and totals.
    #[serde(flatten)]
    pub day: DaySpent,
}

impl PastSpent {
    /// Returns all but the totals.
    fn key(&self) -> impl PartialEq + '_ {
        let day = (self.day.day, &self.day.model);
        (day, &self.project, &self.cli, &self.preset, &self.above, &self.leaving)
    }

    /// Returns the properties by which budgets find the totals.
    pub(in crate::worker) fn spender(&self) -> Spender<'_> {
        let above = self.above.iter().map(String::as_str).collect();
        Spender { worker: "", project: &self.project, preset: self.preset.as_deref(), above }
    }
}

/// The totals of all deleted workers.
pub(in crate::worker) struct PastSpending {
    path: PathBuf,
    entries: Mutex<Vec<PastSpent>>,
}

impl PastSpending {
    /// Reads the file of an earlier server in the folder `base`. A file that can't be read counts as empty.
    pub(in crate::worker) fn load(base: &Path) -> Self {
        let path = base.join(FILE);
        let entries = match private_file::read(&path, FILE_BYTES_MAX as u64) {
            Ok(None) => Vec::new(),
            Ok(Some(bytes)) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                log::warn!("{} can't be read: {error}; the usage of deleted workers begins anew", path.display());
                Vec::new()
            }),
            Err(error) => {
                log::warn!("{} can't be read: {error}; the usage of deleted workers begins anew", path.display());
                Vec::new()
            }
        };
        Self { path, entries: Mutex::new(entries) }
    }

    /// Returns all totals.
    pub(in crate::worker) fn entries(&self) -> Vec<PastSpent> {
        self.lock().clone()
    }

    /// Passes all totals to a function, which must not wait.
    pub(in crate::worker) fn for_each(&self, see: impl FnMut(&PastSpent)) {
        self.lock().iter().for_each(see);
    }

    /// Adds a worker that is about to be deleted. Its totals are in the file before its journal is gone.
    pub(in crate::worker) fn add(&self, worker: &Worker) {
        let state = worker.state();
        let earlier = DaySpent { day: EARLIER, spent: state.budget.earlier, ..DaySpent::default() };
        let earlier = (state.budget.earlier != Spent::default()).then_some(&earlier);
        let mut entries = self.lock();
        for day in state.spending.days().iter().chain(earlier) {
            entries.push(PastSpent {
                project: state.project().to_owned(),
                cli: state.ai_cli_type.clone(),
                preset: state.options.preset.clone(),
                above: state.spender(worker.id()).above.into_iter().map(str::to_owned).collect(),
                leaving: Some(worker.id().to_owned()),
                day: day.clone(),
            });
        }
        if entries.iter().any(|entry| entry.leaving.as_deref() == Some(worker.id())) {
            self.save(&mut entries);
        }
    }

    /// Adds the totals of workers that are gone to those of others. Forgets those of workers that exist after all.
    pub(in crate::worker) fn settle(&self, exists: impl Fn(&str) -> bool) {
        let mut entries = self.lock();
        if entries.iter().all(|entry| entry.leaving.is_none()) {
            return;
        }
        let (leaving, mut settled): (Vec<_>, Vec<_>) = entries.drain(..).partition(|entry| entry.leaving.is_some());
        for entry in leaving.into_iter().filter(|entry| !entry.leaving.as_deref().is_some_and(&exists)) {
            merge(&mut settled, PastSpent { leaving: None, ..entry });
        }
        *entries = settled;
        self.save(&mut entries);
    }

    /// Writes the file, within its bounds.
    fn save(&self, entries: &mut Vec<PastSpent>) {
        // Plain data with string keys always has a JSON form.
        let mut bytes = serde_json::to_vec(entries).unwrap_or_default();
        while entries.len() > ENTRIES_MAX || bytes.len() > FILE_BYTES_MAX {
            shorten(entries);
            bytes = serde_json::to_vec(entries).unwrap_or_default();
        }
        // A folder that is gone is not made: it may be on a disk that comes back.
        let is_there = self.path.parent().is_some_and(Path::is_dir);
        let written = if is_there { private_file::replace(&self.path, &bytes) } else { Err(NotFound.into()) };
        if let Err(error) = written {
            log::error!(
                "{} can't be written: {error}; a restart forgets the usage of deleted workers",
                self.path.display()
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<PastSpent>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds up the older half of the totals without their days and models. Budgets of all time still count them; those of a day
/// count none of them. Where that saves nothing, the oldest ones are dropped.
fn shorten(entries: &mut Vec<PastSpent>) {
    let before = entries.len();
    entries.sort_by_key(|entry| entry.day.day);
    let newer = entries.split_off(before.div_ceil(2));
    let mut kept: Vec<PastSpent> = Vec::new();
    for mut entry in entries.drain(..) {
        (entry.day.day, entry.day.model) = (EARLIER, String::new());
        merge(&mut kept, entry);
    }
    kept.extend(newer);
    if kept.len() == before {
        let dropped = before.div_ceil(2);
        log::warn!("the usage of deleted workers has too many projects: {dropped} of its totals are dropped");
        kept.drain(..dropped);
    }
    *entries = kept;
}

fn merge(entries: &mut Vec<PastSpent>, entry: PastSpent) {
    match entries.iter_mut().find(|known| known.key() == entry.key()) {
        Some(known) => known.day.spent.add(&entry.day.spent),
        None => entries.push(entry),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn spent(day: u64, model: usize, project: &str) -> PastSpent {
        PastSpent {
            project: project.to_owned(),
            cli: "c".to_owned(),
            preset: None,
            above: Vec::new(),
            leaving: None,
            day: DaySpent { day, model: format!("m{model}"), spent: Spent { turns: 1, ..Spent::default() } },
        }
    }

    fn turns(entries: &[PastSpent]) -> u64 {
        entries.iter().map(|entry| entry.day.spent.turns).sum()
    }

    #[test]
    fn full_file_keeps_all_sums_and_is_read_again() {
        let scratch = Scratch::new();
        let past = PastSpending::load(scratch.path());
        // Long enough that the bytes are the first bound that is reached.
        let project = format!("/{}", "p".repeat(2_000));
        let mut all: Vec<PastSpent> = (0..6_000).map(|at| spent(20_000 + at as u64 / 100, at, &project)).collect();
        past.save(&mut all);
        assert_eq!(turns(&all), 6_000);
        let today = all.iter().filter(|entry| entry.day.day == 20_059).count();
        assert_eq!(today, 100, "the present day is kept as it is");
        assert_eq!(turns(&PastSpending::load(scratch.path()).entries()), 6_000);
    }

    #[test]
    fn too_many_projects_drop_the_oldest_totals() {
        let mut all: Vec<PastSpent> = (0..100).map(|at| spent(at as u64, at, &format!("/{at}"))).collect();
        shorten(&mut all);
        assert_eq!((all.len(), all[0].day.day), (50, 50));
    }

    #[test]
    fn worker_that_outlived_its_deletion_counts_once() {
        let scratch = Scratch::new();
        let past = PastSpending::load(scratch.path());
        let leaving = |id: &str| PastSpent { leaving: Some(id.to_owned()), ..spent(1, 1, "/p") };
        *past.lock() = vec![spent(1, 1, "/p"), leaving("gone"), leaving("there")];
        assert_eq!(turns(&past.entries()), 3);
        past.settle(|id| id == "there");
        assert_eq!((past.entries().len(), turns(&past.entries())), (1, 2));
        assert_eq!(PastSpending::load(scratch.path()).entries(), past.entries());
    }
}
