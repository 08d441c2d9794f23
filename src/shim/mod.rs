//! The shim: one small process per running worker.
pub mod protocol;
