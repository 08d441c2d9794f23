//! Control groups (`man 7 cgroups`): the memory that they leave to this process, and the limits of workers. A leaf module.
//!
//! Memory is read from version 2 and from the memory controller of version 1. WorkerLimits are set with version 2 alone, below
//! the group that was delegated to the server.

mod limit;
mod memory;
mod own;

pub(crate) use limit::{Delegation, WorkerLimits, allowed, inside, kills};
pub(crate) use memory::available;
