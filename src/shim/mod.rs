//! The shim: one small process per running worker, which owns the CLI's pipes and the journal, and outlives the server.
//!
//! It knows nothing of adapters, JSON lines or HTTP. The module has two sides: [`process`] is the shim itself, and
//! [`client`] is the server's side, which starts shims, reads their messages, and ends the remaining processes of a
//! dead one. They share the files beside them, above all the [`protocol`], and never import each other.

mod client;
mod ladder;
mod process;
pub(crate) mod protocol;
mod socket;
mod spec;
pub mod tree;

pub(crate) use client::Greeting;
pub(crate) use client::end_tree_below;
pub use client::{FromShim, IncomingBytes, ShimSpec, end_tree, greeted, spawn};
pub(crate) use process::{Signals, main};
pub use socket::connect;
pub(crate) use socket::{SOCKET, bind};

/// Name of a worker's journal in its folder.
pub(crate) const JOURNAL: &str = "journal";
