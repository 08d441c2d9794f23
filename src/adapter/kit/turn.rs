//! Turns: their ids, and their ends in words.

use super::text::cut;

/// The id of the turn that the record at `seq` began.
pub(in crate::adapter) fn id(seq: u64) -> String {
    format!("turn-{seq}")
}

/// Describes a turn that ended by itself.
pub(in crate::adapter) fn completed(duration_ms: Option<u64>) -> String {
    let ms = duration_ms.unwrap_or(0);
    format!("Turn completed in {}.{} s", ms / 1_000, ms % 1_000 / 100)
}

/// Describes a turn that failed; the reason is repeated up to `max` bytes.
pub(in crate::adapter) fn failed(reason: &str, max: usize) -> String {
    format!("Turn failed: {}", cut(reason.to_owned(), max))
}
