//! Lists of what a fold remembers, which never grow without end.

/// Appends `item`; drops the oldest when there would be more than `max`.
pub(in crate::adapter) fn push_bounded<T>(items: &mut Vec<T>, item: T, max: usize) {
    if items.len() >= max {
        items.remove(0);
    }
    items.push(item);
}
