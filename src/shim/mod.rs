//! The shim: one small process per running worker, which owns the CLI's pipes and the journal, and outlives the server.
//!
//! It knows nothing of adapters, JSON lines or HTTP. Two programs meet here: [`process`] is the shim itself, and [`client`]
//! is the server's side of it, which starts shims, reads what they send, and ends the processes of one that has died. They
//! share the files beside them, above all the [`protocol`], and never import each other.

mod client;
mod ladder;
mod process;
pub(crate) mod protocol;
mod socket;
mod spec;
pub mod tree;

pub(crate) use client::Greeting;
pub use client::{FromShim, Incoming, ShimSpec, end_tree, greeted, spawn};
pub(crate) use process::main;
pub(crate) use socket::SOCKET;
pub use socket::connect;

/// Name of a worker's journal in its folder.
pub(crate) const JOURNAL: &str = "journal";
