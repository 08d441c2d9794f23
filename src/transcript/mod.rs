//! Transcripts: the files in which CLIs keep their sessions, followed while they grow.
//!
//! A [`Tail`] reads one file by offset, in batches of bounded size, and never a line twice or half of one, whatever is
//! done to the file: cut, written anew, renamed, replaced. [`Seen`] knows the lines that were read, because a CLI writes
//! some again (after a compaction, or when it writes its file anew). [`Watch`] tells when to look, and [`holders`] which
//! processes have a session, so that no second one begins to write it.
//!
//! None of this knows workers, adapters or journals. Who follows (a module of [`worker`](crate::worker)) keeps the
//! [`Position`] where it keeps the lines, so that both survive together.

pub(crate) mod holders;
pub(crate) mod line;
pub(crate) mod tail;
pub(crate) mod watch;

pub(crate) use line::{Peeked, Seen};
pub(crate) use tail::{Change, Mark, Position, Tail};
pub(crate) use watch::Watch;
