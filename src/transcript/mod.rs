//! Transcripts: the files in which CLIs keep their sessions, followed while they grow.
//!
//! A [`Tail`] reads one file by offset, in batches of bounded size, and never a line twice or half of one, whatever
//! happens to the file: truncated, rewritten, renamed, replaced. [`SeenLines`] knows the lines that were read, because a CLI
//! writes some again (after a compaction, or when it rewrites its file). [`Watch`] reports when to read, and
//! [`holders`] which processes have a session, so that no second one begins to write it.
//!
//! None of this knows workers, adapters or journals. The follower (a module of [`worker`](crate::worker)) stores the
//! [`Position`] together with the lines, so that both survive together.

pub(crate) mod holders;
pub(crate) mod line;
pub(crate) mod tail;
pub(crate) mod watch;

pub(crate) use line::{PeekedLine, SeenLines};
pub(crate) use tail::{Position, Tail, TailChange, TailMark};
pub(crate) use watch::Watch;
