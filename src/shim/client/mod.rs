//! The server's side: starting a shim, reading what it sends, and ending the processes of a worker whose shim has died.

mod end;
mod greeting;
mod incoming;
mod spawn;

pub use end::end_tree;
pub(crate) use end::end_tree_below;
pub(crate) use greeting::Greeting;
pub use greeting::greeted;
pub use incoming::{FromShim, IncomingBytes};
pub use spawn::{ShimSpec, spawn};
