//! What an operator's tools see and use: metrics, readiness, the webhook, trusted proxies; and what the program needs around
//! it: nothing.

mod empty_root;
mod metrics;
mod proxies;
mod ready;
mod webhook;
