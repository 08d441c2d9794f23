//! Workers: one CLI session each, bound to a project directory.
//!
//! ```text
//! shim ──socket──> reader ──> ingest (fold) ──> hub, views, saved folds      data, down
//! commands ──> link ──socket──> shim ──> journal ──> (back as records)        commands, up
//! ```
//! [`Registry`] has all of them; [`Worker`] is one; [`State`](state::State) is what
//! is known of it, a fold over its journal; [`Archive`](archive::Archive) tells its events from any place. One reader
//! thread runs for each worker whose shim lives (`reader`), and one for all read-only workers, which follow sessions that
//! run elsewhere (`follow`).

pub mod archive;
pub mod changes;
pub mod checkpoint;
pub mod commands;
mod drive;
pub mod error;
mod files;
pub mod fold;
#[cfg(test)]
mod fold_tests;
mod follow;
mod follow_file;
mod follow_holder;
pub mod git;
pub mod history;
pub mod import;
mod ingest;
pub mod launch;
mod link;
pub mod place;
pub mod project;
mod reader;
pub mod registry;
pub mod search;
pub mod stall;
pub mod state;
pub mod status;
mod stop;
mod take_over;
mod tally;
pub mod upkeep;
pub mod view;
#[expect(clippy::module_inception, reason = "a worker is what this folder is about")]
pub mod worker;
pub mod worktree;

pub use commands::NewMessage;
pub use error::WorkerError;
pub use registry::{NewWorker, Registry, ToFollow};
pub use worker::Worker;
pub use worktree::NewWorktree;
