//! The searches that run, which are few at once.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::error::ApiError;

/// Most searches at once: each holds a processor and a few MiB while it reads.
const SEARCHES_MAX: usize = 4;

/// The searches that run.
#[derive(Default)]
pub(crate) struct Searches {
    running: AtomicUsize,
}

/// One of them, until it is dropped.
pub(super) struct Running<'s>(&'s Searches);

impl Searches {
    /// Begins a search, if there are not too many.
    pub(super) fn begin(&self) -> Result<Running<'_>, ApiError> {
        let running = Running(self);
        if self.running.fetch_add(1, Ordering::Relaxed) >= SEARCHES_MAX {
            let text = format!("{SEARCHES_MAX} searches run already; try again in a moment");
            return Err(ApiError::Detail(503, text));
        }
        Ok(running)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}
