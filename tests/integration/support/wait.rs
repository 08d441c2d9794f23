//! Waiting for a condition, with a deadline: the only place in the tests that pauses.

use std::thread;
use std::time::{Duration, Instant};

/// Time that a test waits for anything that should happen at once. Long, because it only costs time when a test fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);
/// Set this environment variable to a whole number by which all deadlines are multiplied, on a machine that is slow.
const PATIENCE: &str = "RS_WORKER_TEST_PATIENCE";
/// Pause between two looks at a condition; short beside what the conditions take.
const TICK: Duration = Duration::from_millis(5);

/// Polls until `look` gives a value, and returns it.
///
/// # Panics
/// When the deadline passes first; `what` says what was waited for.
#[track_caller]
pub(crate) fn eventually<T>(deadline: Duration, what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(deadline, look).unwrap_or_else(|| panic!("waited {deadline:?} in vain: {what}"))
}

/// As [`eventually`], and `None` when the deadline passes first.
pub(crate) fn within<T>(deadline: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + deadline * patience();
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() >= end {
            return None;
        }
        thread::sleep(TICK);
    }
}

/// The factor of all deadlines.
pub(crate) fn patience() -> u32 {
    std::env::var(PATIENCE).ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// The pace of a scripted program: lets `span` pass. Never a way to wait for another process.
pub(crate) fn pace(span: Duration) {
    thread::sleep(span);
}
