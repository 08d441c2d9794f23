//! rs-worker: an AI Code Worker Manager.

pub mod banner;
pub mod clock;
pub mod config;
pub mod data_dir;
pub mod logging;
pub mod procfs;
pub mod subprocess;
pub mod thread;
pub mod token;
pub mod worker_env;

#[cfg(test)]
mod scratch;

pub mod journal;
pub mod shim;

pub mod adapter;
pub mod event;

pub mod http;
pub mod websocket;

pub mod hub;
pub mod wire;
pub mod worker;

pub mod api;
pub mod assets;
pub mod client;
pub mod server;
