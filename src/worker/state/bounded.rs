//! Limits of what the state stores.

use std::collections::VecDeque;

use super::REASON_BYTES_MAX;

/// Appends an item and drops the first one if there are `max` already.
pub(super) fn push_bounded<T>(queue: &mut VecDeque<T>, item: T, max: usize) {
    if queue.len() == max {
        queue.pop_front();
    }
    queue.push_back(item);
}

/// Returns the first [`REASON_BYTES_MAX`] bytes of a text, in whole characters.
pub(super) fn shortened(text: &str) -> String {
    text.chars()
        .scan(0, |bytes, c| {
            *bytes += c.len_utf8();
            (*bytes <= REASON_BYTES_MAX).then_some(c)
        })
        .collect()
}
