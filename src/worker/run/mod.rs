//! One worker: its mailbox for a shim, its queue and prompts, the commands that clients send to it.

pub(crate) mod admission;
pub(crate) mod commands;
pub(in crate::worker) mod drive;
pub(in crate::worker) mod files;
pub(crate) mod launch;
mod looks;
pub(in crate::worker) mod mailbox;
pub(in crate::worker) mod options;
pub(in crate::worker) mod prompts;
pub(in crate::worker) mod queue;
pub(in crate::worker) mod reader;
pub(in crate::worker) mod stop;
pub(crate) mod worker;
