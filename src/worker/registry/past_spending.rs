//! Tokens and cost of deleted workers: usage reports still include them.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::budgets::Spender;
use crate::private_file;
use crate::worker::run::worker::Worker;
use crate::worker::state::DaySpent;

/// Name of the file, in the folder of the workers' folders.
const FILE: &str = ".usage-of-deleted-workers";
/// Maximum number of totals; beyond that, those of the oldest days are dropped.
const ENTRIES_MAX: usize = 10_000;
/// Longest file that is read back, in bytes.
const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;

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
    /// The ids of the workers above those that were deleted: their budgets still count them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub above: Vec<String>,
    /// Day, model and totals.
    #[serde(flatten)]
    pub day: DaySpent,
}

impl PastSpent {
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
        let entries = match private_file::read(&path, FILE_BYTES_MAX) {
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
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Passes all totals to a function, which must not wait.
    pub(in crate::worker) fn for_each(&self, see: impl FnMut(&PastSpent)) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(see);
    }

    /// Adds a worker that is deleted.
    pub(in crate::worker) fn add(&self, worker: &Worker) {
        let state = worker.state();
        if state.spending.days().is_empty() {
            return;
        }
        let parent = state.options.parent.as_deref();
        let above: Vec<String> = parent.map_or_else(Vec::new, |parent| parent.ids().map(str::to_owned).collect());
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        for day in state.spending.days() {
            let entry = PastSpent {
                project: state.project().to_owned(),
                cli: state.ai_cli_type.clone(),
                preset: state.options.preset.clone(),
                above: above.clone(),
                day: day.clone(),
            };
            merge(&mut entries, entry);
        }
        if entries.len() > ENTRIES_MAX {
            let surplus = entries.len() - ENTRIES_MAX;
            entries.sort_by_key(|entry| entry.day.day);
            entries.drain(..surplus);
        }
        // Plain data with string keys always has a JSON form.
        let bytes = serde_json::to_vec(&*entries).unwrap_or_default();
        if let Err(error) = private_file::replace(&self.path, &bytes) {
            log::error!(
                "{} can't be written: {error}; a restart forgets the usage of this worker",
                self.path.display()
            );
        }
    }
}

fn merge(entries: &mut Vec<PastSpent>, entry: PastSpent) {
    let is_same = |known: &&mut PastSpent| {
        (known.day.day, &known.day.model, &known.project, &known.cli, &known.preset, &known.above)
            == (entry.day.day, &entry.day.model, &entry.project, &entry.cli, &entry.preset, &entry.above)
    };
    match entries.iter_mut().find(is_same) {
        Some(known) => known.day.spent.add(&entry.day.spent),
        None => entries.push(entry),
    }
}
