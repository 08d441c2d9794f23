//! The arguments of commands.

/// The arguments after the command's name.
#[derive(Default)]
pub(super) struct Args {
    pub(super) words: Vec<String>,
    pub(super) json: bool,
    pub(super) follow: bool,
    pub(super) names: bool,
    pub(super) worker: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) project: Option<String>,
    pub(super) limit: Option<usize>,
    pub(super) worktree: bool,
    pub(super) force: bool,
    pub(super) with_history: bool,
    pub(super) cli: Option<String>,
    pub(super) url: Option<String>,
    pub(super) token: Option<String>,
}
