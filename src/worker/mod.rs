//! Workers: one CLI session each, bound to a project directory.
//!
//! ```text
//! shim ──socket──> reader ──> ingest (fold) ──> hub, views, saved folds      data, down
//! commands ─> mailbox ─socket──> shim ──> journal ──> (back as records)        commands, up
//! ```
//! [`Registry`] holds all workers; [`Worker`] is one of them. [`State`](state::State) is a fold over its journal. The archive
//! derives events from any place of the journal. Each worker with a running shim has a reader thread (`reader`); one thread
//! serves all read-only workers, which follow sessions that run elsewhere (`follow`).
//!
//! # Rooms
//!
//! A room imports only those above it (`tests/integration/house` checks it).
//!
//! | room | contents |
//! | --- | --- |
//! | [`state`] | the fold over a journal. Pure |
//! | [`error`] | the reasons for which a command fails |
//! | [`history`] | reading back: pages, saved folds, search, exports |
//! | [`place`] | project folder, runner, sandbox, git repository and worktree |
//! | [`publish`] | from record to subscribers |
//! | [`run`] | one worker: mailbox, queue, prompts, start and stop |
//! | [`follow`] | sessions that run elsewhere |
//! | [`registry`] | all workers |

pub(crate) mod error;
mod follow;
pub(crate) mod history;
pub(crate) mod place;
pub(crate) mod publish;
pub(crate) mod registry;
pub(crate) mod run;
pub(crate) mod state;

pub(crate) use error::WorkerError;
pub(crate) use place::worktree::NewWorktree;
pub(crate) use registry::{NewWorker, Registry, ToFollow};
pub(crate) use run::prompts::Decision;
pub(crate) use run::queue::NewMessage;
pub(crate) use run::worker::Worker;
