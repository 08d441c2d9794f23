//! Patterns of names.

/// Returns whether `name` matches `pattern`; a `*` at its end matches any ending.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |beginning| name.starts_with(beginning))
}
