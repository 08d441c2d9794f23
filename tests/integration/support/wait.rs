//! Waiting for a condition, with a deadline: the only place in the tests that pauses.

use std::thread;
use std::time::{Duration, Instant};

/// Time limit for anything that should happen at once. It is long, because it only costs time when a test fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);
/// Set this environment variable to a whole number by which all deadlines are multiplied, on a machine that is slow.
const PATIENCE: &str = "RS_WORKER_TEST_PATIENCE";
/// Pause between two checks of a condition; short compared with the conditions.
const TICK: Duration = Duration::from_millis(5);

/// Polls until `look` returns a value, and returns that.
///
/// # Panics
/// Fails when the deadline passes first; `what` names the condition.
#[track_caller]
pub(crate) fn eventually<T>(deadline: Duration, what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(deadline, look).unwrap_or_else(|| panic!("waited {deadline:?} in vain: {what}"))
}

/// Does the same as [`eventually`]; `None` when the deadline passes first.
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

/// Returns the factor of all deadlines.
pub(crate) fn patience() -> u32 {
    std::env::var(PATIENCE).ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// Sleeps for `span`, as the pace of a scripted program. Never a way to wait for another process.
pub(crate) fn pace(span: Duration) {
    thread::sleep(span);
}
