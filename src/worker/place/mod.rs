//! The place where a worker runs: its project folder, runner, sandbox, git repository and worktree.

pub(crate) mod git;
pub(crate) mod look;
pub(crate) mod project;
pub(crate) mod runner;
pub(crate) mod sandbox;
pub(crate) mod worktree;
