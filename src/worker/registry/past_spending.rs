//! Tokens and cost of workers that were deleted: a bill does not shrink when a worker goes.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::private_file;
use crate::worker::run::worker::Worker;
use crate::worker::state::DaySpent;

/// Name of the file, in the folder of the workers' folders.
const FILE: &str = ".usage-of-deleted-workers";
/// Totals that are kept; those of the oldest days are forgotten beyond that.
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
    /// Day, model and totals.
    #[serde(flatten)]
    pub day: DaySpent,
}

/// The totals of all workers that were deleted.
pub(in crate::worker) struct PastSpending {
    path: PathBuf,
    entries: Mutex<Vec<PastSpent>>,
}

impl PastSpending {
    /// Reads what an earlier server has left in the folder `base`. A file that can't be read counts as empty.
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

    /// All of them.
    pub(in crate::worker) fn entries(&self) -> Vec<PastSpent> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Adds a worker that is deleted.
    pub(in crate::worker) fn add(&self, worker: &Worker) {
        let state = worker.state();
        if state.spending.days().is_empty() {
            return;
        }
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        for day in state.spending.days() {
            let entry =
                PastSpent { project: state.project().to_owned(), cli: state.ai_cli_type.clone(), day: day.clone() };
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
        (known.day.day, &known.day.model, &known.project, &known.cli)
            == (entry.day.day, &entry.day.model, &entry.project, &entry.cli)
    };
    match entries.iter_mut().find(is_same) {
        Some(known) => known.day.spent.add(&entry.day.spent),
        None => entries.push(entry),
    }
}
