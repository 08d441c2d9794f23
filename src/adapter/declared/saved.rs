//! Saved states of both families. A state is of one file of an adapter: another file may read the same lines differently.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::file::AdapterFile;
use crate::adapter::kit::saved;

/// Changes whenever a saved state can no longer be read.
const STATE_VERSION: u32 = 2;

/// A state with the fingerprint of the adapter's file.
#[derive(Serialize, Deserialize)]
struct OfFile<S> {
    file: u64,
    state: S,
}

/// Returns a state as JSON.
pub(super) fn save(file: &AdapterFile, state: &impl Serialize) -> Value {
    saved::save(STATE_VERSION, &OfFile { file: file.fingerprint, state })
}

/// Reads a saved state; `None` when another version, or another file, made it.
pub(super) fn restore<S: DeserializeOwned>(file: &AdapterFile, saved: &Value) -> Option<S> {
    let saved: OfFile<S> = saved::restore(STATE_VERSION, saved)?;
    (saved.file == file.fingerprint).then_some(saved.state)
}
