//! The running searches, whose number is limited.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::error::ApiError;

/// Maximum number of concurrent searches: each uses a processor and a few MiB while it reads.
const SEARCHES_MAX: usize = 4;

/// The running searches.
#[derive(Default)]
pub(crate) struct Searches {
    running: AtomicUsize,
}

/// One of them, held until it is dropped.
pub(super) struct SearchSlot<'s>(&'s Searches);

impl Searches {
    /// Begins a search, unless too many are running.
    pub(super) fn begin(&self) -> Result<SearchSlot<'_>, ApiError> {
        let running = SearchSlot(self);
        if self.running.fetch_add(1, Ordering::Relaxed) >= SEARCHES_MAX {
            let text = format!("{SEARCHES_MAX} searches run already; try again in a moment");
            return Err(ApiError::Detail(503, text));
        }
        Ok(running)
    }
}

impl Drop for SearchSlot<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}
