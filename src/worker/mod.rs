//! Workers: one CLI session each.

pub mod archive;
pub mod checkpoint;
pub mod fold;
pub mod state;
pub mod status;
