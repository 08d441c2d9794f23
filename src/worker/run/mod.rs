//! One worker: its mailbox for a shim, its queue and prompts, the commands that clients send to it.

pub(crate) mod admission;
pub(crate) mod budget_gate;
pub(in crate::worker) mod checking;
pub(crate) mod commands;
pub(in crate::worker) mod drive;
pub(in crate::worker) mod files;
pub(crate) mod landing;
pub(crate) mod launch;
mod looks;
pub(in crate::worker) mod mailbox;
pub(in crate::worker) mod options;
pub(in crate::worker) mod preparing;
pub(in crate::worker) mod prompts;
pub(in crate::worker) mod queue;
pub(in crate::worker) mod reader;
pub(crate) mod remote;
pub(crate) mod restore;
pub(crate) mod review;
pub(in crate::worker) mod setup;
pub(in crate::worker) mod stop;
pub(crate) mod terminals;
pub(in crate::worker) mod turns;
pub(crate) mod worker;
