//! The journal: one append-only text file a worker, from which all else is derived.

mod control;
mod record;

pub use control::{Control, Ended, WorkerOptions};
pub use record::{Kind, Record, encode};
