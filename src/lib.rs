//! rs-worker: an AI Code Worker Manager.
#![doc = ""]

pub mod clock;
pub mod thread;

pub mod journal;
pub mod shim;

pub mod adapter;
pub mod event;

pub mod http;
pub mod websocket;
