//! rs-worker: an AI Code Worker Manager.

pub mod clock;
pub mod thread;

pub mod journal;
pub mod shim;

pub mod adapter;
pub mod event;
pub mod hub;
pub mod wire;
pub mod worker;
