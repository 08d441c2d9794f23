//! The hub: from one worker's reader thread to any number of connections, without a thread or a copy in between.
//!
//! A [`Topic`] belongs to a worker. Its reader thread publishes each batch of events as bytes that are ready for the
//! wire, and writes them to the socket of each subscriber that keeps up, without blocking ([`Outbox::offer`]). A
//! subscriber whose socket or queue is full is not dropped and loses nothing: it is marked as behind, and its
//! connection's own writer thread serves it from the journal (`CatchUp`) until it has caught up. So a slow client costs
//! the worker one failed non-blocking write, and the server a cursor.
//!
//! The hub knows nothing of workers, events or JSON: to it a batch is bytes and the journal offsets that they cover. It
//! stores the text of unfinished messages, which is not in the journal yet: a subscriber that joins, or catches up, in
//! the middle of one gets the missing text in one piece.
//!
//! Frames with the blocks of messages take time to make, so no publisher makes them: a subscriber that asks for them is
//! always served by its connection's writer thread, and costs the publisher a mark. Its reader of the journal stays
//! open.
//!
//! Locks, in this order: topic, then outbox. Neither is held across a call that can block.

mod feed;
mod outbox;
mod topic;
mod unfinished;

pub(crate) use feed::{Feed, FeedMember, FeedSubject, NarrowedFrames, Snapshot};
pub use outbox::Outbox;
pub(crate) use outbox::Translate;
pub(crate) use topic::Subscription;
pub use topic::{Batch, BatchFrames, FrameDemand, FrameKind, JournalSource, Replay, Topic};
pub use unfinished::{MissedText, PublishedMessage, UnfinishedChange};
