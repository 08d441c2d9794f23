//! What an operator's tools see and use: metrics, readiness, the webhook.

mod metrics;
mod ready;
mod webhook;
