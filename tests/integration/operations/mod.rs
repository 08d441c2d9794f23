//! What an operator's tools see and use: metrics, readiness, the webhook; and what the program needs around it: nothing.

mod empty_root;
mod metrics;
mod ready;
mod webhook;
