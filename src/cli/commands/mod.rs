//! The table of commands, from which help, completions, manual page and command dispatch are generated.

mod changes;
mod control;
mod program;
mod serve;
mod talk;
mod workers;

use super::command::Subcommand;

/// The parts of the table, in the order of the help.
const PARTS: [&[Subcommand]; 6] =
    [serve::COMMANDS, workers::COMMANDS, talk::COMMANDS, changes::COMMANDS, control::COMMANDS, program::COMMANDS];

/// Returns all commands, in the order of the help.
pub(super) fn all() -> impl Iterator<Item = &'static Subcommand> {
    PARTS.into_iter().flatten()
}
