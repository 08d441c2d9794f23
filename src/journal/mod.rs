//! The journal: one append-only text file per worker, from which all else is derived.
//!
//! ```text
//! rs-worker-journal 1 0b5c6f0e-2f1e-4c5e-9a53-5d5f0b0d3c11
//! 1704067200000000 ctl {"type":"created",...}
//! 1704067200100000 in {"type":"user",...}
//! 1704067201000000 out {"type":"assistant",...}
//! ```
//! After one header line, one record per line: microseconds since 1970, kind, payload, separated by single spaces. A
//! payload is any bytes but a newline, so `tail`, `grep` and `jq` read the CLI's output unchanged.
//!
//! - **A record's sequence number is the byte offset of its line.** There is no index to keep or lose: any cursor is one
//!   seek, and any byte offset leads back to its record with [`Reader::align`].
//! - **One [`Writer`]** holds the lock on the file. Its appends are all or nothing on errors (a full disk). If its
//!   process dies in the middle of one, the complete records stay, and a truncated last line is cut off at the next
//!   open.
//! - **Any number of [`Reader`]s**, in any process, need no lock. They never see a truncated line. While an append
//!   fails, a reader of the bare file can see records of it that are rolled back right after. So code that passes
//!   records on (to a client, to a saved fold) reads up to an end that the writer has reported, which is never rolled
//!   back. Only code that merely displays them (export, search) reads up to the end of the file.
//! - **A damaged file is served.** A malformed line is skipped as [`Entry::Garbage`], with its place.
//!
//! Nothing here runs a thread or knows of workers, adapters or sockets. It imports only [`crate::clock`] and the limits
//! of [`crate::budgets`].

mod branch;
mod budget;
mod by;
mod control;
mod error;
mod header;
mod listing;
mod mcp;
mod opening;
mod options;
mod parent;
mod preparing;
mod reader;
mod record;
mod records;
mod remote;
mod review;
mod scan;
mod trees;
mod writer;

#[cfg(test)]
mod tests;

pub(crate) use branch::{BranchMove, MoveEnd};
pub(crate) use budget::{BudgetPrompt, BudgetRaise, BudgetStep};
pub use by::By;
pub(crate) use control::Worktree;
pub use control::{Control, EndedProcess};
pub(crate) use error::JournalError;
pub(crate) use listing::ListingChange;
pub(crate) use mcp::{McpServer, McpTransport};
pub(crate) use opening::{GroupPart, Handover, OPENING_MESSAGE};
pub use options::WorkerOptions;
pub(crate) use options::{MemoryExhaustion, RunLimits, StartSettings};
pub(crate) use parent::Parent;
pub(crate) use preparing::{CheckStep, SetupStep};
pub use reader::Reader;
pub use record::{Kind, Record, encode};
pub(crate) use record::{LINE_MAX, RECORD_MAX};
pub use records::{Entry, records};
pub(crate) use remote::{RemoteEnd, RemoteStep};
pub(crate) use review::{Anchor, AnchorLine, ReviewChange, ReviewComment, ReviewSide};
pub(crate) use trees::{CarriedChanges, RecordedTree, RestoreBegun, RestoreDone, TreeRecorded, TurnEdge, is_object_id};
pub(crate) use writer::Syncer;
pub use writer::Writer;

/// First word of a journal.
const MAGIC: &str = "rs-worker-journal";
/// The format that this build writes and reads.
const VERSION: u32 = 1;
/// Longest worker id in bytes.
const WORKER_ID_MAX: usize = 128;
