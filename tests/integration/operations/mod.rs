//! What an operator's tools see and use: metrics, readiness, search, import.

mod import;
mod metrics;
mod ready;
mod search;
