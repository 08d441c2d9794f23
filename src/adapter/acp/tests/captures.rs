//! Loads recordings.

use std::path::Path;

use serde_json::Value;

use crate::adapter::testing::recorded::{OwnedRecord, journal};
use crate::journal::{Kind, WorkerOptions};

/// A recording as records, with the beginning and the end of its worker and its process.
pub(super) fn load(folder: &Path, name: &str) -> Vec<OwnedRecord> {
    let lines = journal(folder, name);
    let written = lines.iter().filter(|record| record.kind == Kind::In);
    let mut written = written.map(|record| serde_json::from_slice::<Value>(&record.payload).unwrap());
    let loaded = written.find(|line| line["method"] == "session/load");
    let resume = loaded.as_ref().map(|line| line["params"]["sessionId"].as_str().unwrap());
    let created = OwnedRecord::created("acp", WorkerOptions::default());
    let mut records = vec![created, OwnedRecord::launching(resume), OwnedRecord::started()];
    records.extend(lines);
    records.push(OwnedRecord::exited());
    records
}
