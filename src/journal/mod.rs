//! The journal: one append-only text file a worker, from which all else is derived.
//!
//! ```text
//! rs-worker-journal 1 0b5c6f0e-2f1e-4c5e-9a53-5d5f0b0d3c11
//! 1704067200000000 ctl {"type":"created",...}
//! 1704067200100000 in {"type":"user",...}
//! 1704067201000000 out {"type":"assistant",...}
//! ```
//! After one header line, one record a line: microseconds since 1970, kind, payload, with one space between. A payload is
//! any bytes but a newline, so `tail`, `grep` and `jq` read what the CLI printed as it printed it.
//!
//! - **A record's sequence number is the byte offset of its line.** There is no index to keep or lose: any cursor is one
//!   seek, and any byte offset leads back to its record with [`Reader::align`].
//! - **One [`Writer`]** holds the lock on the file. Its appends are all or nothing against errors (a full disk). Against
//!   the death of the process in the middle of one, they are whole records: a torn last line is cut off at the next open.
//! - **Any number of [`Reader`]s**, in any process, need no lock. They never see a torn line. In the moment that an
//!   append fails, a reader of the bare file can see records of it that are taken back right after; so who passes
//!   records on (to a client, to a fold that is kept) reads up to an end that the writer has reported, which is never
//!   taken back, and only who looks (export, search) reads up to the end of the file.
//! - **A damaged file is served.** What is no record is passed over as [`Entry::Garbage`], with its place.
//!
//! Nothing here runs a thread or knows of workers, adapters or sockets. It imports [`crate::clock`] alone.

mod by;
mod control;
mod error;
mod header;
mod listing;
mod reader;
mod record;
mod records;
mod scan;
mod writer;

#[cfg(test)]
mod tests;

pub use by::By;
pub use control::{Control, Ended, WorkerOptions};
pub(crate) use control::{McpServer, McpTransport, Settings, Worktree};
pub(crate) use error::JournalError;
pub(crate) use listing::ListingChange;
pub use reader::Reader;
pub use record::{Kind, Record, encode};
pub(crate) use record::{LINE_MAX, RECORD_MAX};
pub use records::{Entry, records};
pub(crate) use writer::Syncer;
pub use writer::Writer;

/// First word of a journal.
const MAGIC: &str = "rs-worker-journal";
/// The format that this build writes and reads.
const VERSION: u32 = 1;
/// Longest worker id in bytes.
const WORKER_ID_MAX: usize = 128;
