//! From records to subscribers: folds them, encodes their events once, and publishes them.

pub(crate) mod changes;
pub(in crate::worker) mod ingest;
pub(in crate::worker) mod life_log;
pub(in crate::worker) mod pieces;
pub(in crate::worker) mod tally;
pub(crate) mod view;
