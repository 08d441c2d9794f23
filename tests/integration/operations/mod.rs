//! What an operator's tools see and use: metrics.

mod metrics;
