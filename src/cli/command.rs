//! The form of a command in their table.

/// One command.
pub(super) struct Subcommand {
    pub(super) name: &'static str,
    /// The arguments after the name.
    pub(super) usage: &'static str,
    /// One line.
    pub(super) about: &'static str,
    /// Options of its own.
    pub(super) options: &'static [&'static str],
    /// True if its first argument is a worker.
    pub(super) takes_worker: bool,
    /// Details and examples.
    pub(super) more: &'static str,
}
