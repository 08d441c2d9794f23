//! Patterns of names.

/// Returns whether `name` is what `pattern` says; a `*` at its end stands for any ending.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |beginning| name.starts_with(beginning))
}
