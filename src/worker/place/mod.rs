//! The place where a worker runs: its project folder, runner, sandbox, git repository and worktree.

pub(crate) mod git;
pub(in crate::worker) mod ignored;
pub(crate) mod land;
pub(crate) mod look;
pub(crate) mod project;
pub(crate) mod remote;
pub(crate) mod runner;
pub(crate) mod sandbox;
pub(in crate::worker) mod snapshot;
pub(crate) mod worktree;
