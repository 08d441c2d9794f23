//! The operator's tools: metrics, readiness, search, import, the log, the webhook, trusted proxies; and the bare machine
//! on which the program runs.

mod bare;
mod empty_root;
mod hook;
mod import;
mod log;
mod long_import;
mod metrics;
mod proxies;
mod ready;
mod search;
mod webhook;
