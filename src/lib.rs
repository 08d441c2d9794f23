//! rs-worker: an AI Code Worker Manager.
#![doc = ""]

pub mod clock;
pub mod config;
pub mod thread;

#[cfg(test)]
mod scratch;

pub mod journal;
pub mod shim;

pub mod adapter;
pub mod event;
