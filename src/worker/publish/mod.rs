//! Folds records, encodes their events once, and publishes them to subscribers.

pub(crate) mod changes;
pub(in crate::worker) mod ingest;
pub(in crate::worker) mod life_log;
pub(crate) mod moments;
pub(in crate::worker) mod pieces;
pub(crate) mod summary;
pub(in crate::worker) mod tally;
pub(crate) mod view;
