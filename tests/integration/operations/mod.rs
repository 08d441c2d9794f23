//! What an operator's tools see and use: metrics, readiness.

mod metrics;
mod ready;
