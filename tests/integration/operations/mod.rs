//! What an operator's tools see and use: metrics, readiness, search, import, the webhook, trusted proxies; and what the
//! program needs around it: nothing.

mod empty_root;
mod import;
mod metrics;
mod proxies;
mod ready;
mod search;
mod webhook;
