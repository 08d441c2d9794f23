//! What an operator's tools see and use: metrics, readiness, the webhook, trusted proxies.

mod metrics;
mod proxies;
mod ready;
mod webhook;
