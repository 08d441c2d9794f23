//! A worker's place in lists, as people arrange it.

use serde::{Deserialize, Serialize};

/// A change of a worker's place in lists; absent fields stay as they were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ListingChange {
    /// True if it comes before all that are not pinned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned: Option<bool>,
    /// True if lists hide it. It is kept as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archived: Option<bool>,
    /// Time until which lists hide it, in microseconds since the Unix epoch; 0 for not at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snoozed_until: Option<u64>,
}

impl ListingChange {
    /// Returns whether nothing changes.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
