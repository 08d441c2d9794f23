//! Loads recordings.

use std::path::Path;

use crate::adapter::testing::recorded::{OwnedRecord, journal};

/// A recording as records, with the beginning and the end of its process.
pub(super) fn load(folder: &Path, name: &str) -> Vec<OwnedRecord> {
    let mut records = vec![OwnedRecord::started()];
    records.extend(journal(folder, name));
    records.push(OwnedRecord::exited());
    records
}
