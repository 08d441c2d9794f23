//! What an operator's tools see and use: metrics, readiness, search.

mod metrics;
mod ready;
mod search;
