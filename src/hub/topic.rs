//! The stream of one worker and who listens to it.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::outbox::{CatchUp, Frames, Offer, Outbox, Step};
use crate::metrics;

/// Most bytes of volatile frames kept for subscribers that come in the middle of a message.
const PARTIAL_BYTES_MAX: usize = 256 * 1024;

/// Frames of consecutive records.
#[derive(Clone, Debug)]
pub struct Batch<'f> {
    /// Offset of the first record.
    pub first: u64,
    /// Offset after the last record.
    pub end: u64,
    /// The frames of their events. Absent when nobody listened as they were folded: who has come since reads the journal.
    pub frames: Option<&'f [u8]>,
    /// Whether a message that was being streamed is whole now, so that its pieces are of no use any more.
    pub ends_message: bool,
    /// The frames of the pieces that have come since, for subscribers that come in the middle of the message.
    pub pieces: &'f [u8],
}

/// How the subscribers of a topic do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscribers {
    /// How many there are.
    pub count: usize,
    /// How many of them are behind, and read the journal.
    pub behind: usize,
    /// Bytes that wait in the fullest of their queues.
    pub fullest: usize,
}

/// Where a subscriber that is behind is served from.
pub trait Source: Send + Sync {
    /// Begins to read at the event `from`. With `raw`, frames carry the CLI's own lines.
    ///
    /// # Errors
    /// When the journal cannot be read.
    fn replay(&self, from: u64, raw: bool) -> io::Result<Box<dyn Replay>>;

    /// The frame that tells a subscriber that it has everything up to `seq`.
    fn replay_complete(&self, seq: u64, frames: &mut Vec<u8>);
}

/// A read in progress.
pub trait Replay: Send {
    /// Appends the frames of some more records, none at or after the offset `until`, and tells the offset that it
    /// reached.
    ///
    /// # Errors
    /// When the journal cannot be read.
    fn page(&mut self, until: u64, frames: &mut Vec<u8>) -> io::Result<u64>;
}

/// The stream of one worker.
pub struct Topic {
    inner: Mutex<Inner>,
    /// Signalled for those who wait with [`Topic::wait_past`].
    grown: Condvar,
}

struct Inner {
    /// Offset after the last published record.
    end: u64,
    entries: Vec<Entry>,
    next_key: u64,
    /// Frames of the message that is being streamed.
    partial: Vec<u8>,
    /// How many wait with [`Topic::wait_past`].
    waiting: usize,
    /// The worker is gone.
    closed: bool,
}

struct Entry {
    key: u64,
    outbox: Arc<Outbox>,
    subscription: Arc<Subscription>,
    mode: Mode,
    /// How much of [`Inner::partial`] it has got, so that it gets the rest once when it has caught up.
    pieces_had: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Gets every batch as it is published.
    Live,
    /// Is served from the journal, from this event on; its outbox knows.
    Behind(u64),
    /// Is always served from the journal, and has all of it now.
    Resting(u64),
}

impl Topic {
    /// A topic whose published records end at `end`.
    pub fn new(end: u64) -> Self {
        let inner = Inner { end, entries: Vec::new(), next_key: 0, partial: Vec::new(), waiting: 0, closed: false };
        Self { inner: Mutex::new(inner), grown: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Offset after the last published record: what stands before it can be read from the journal.
    pub fn end(&self) -> u64 {
        self.lock().end
    }

    /// Waits until there is something published past the offset `from`, or `time` has passed, and tells the offset after
    /// the last published record then. `None` when there will never be more.
    pub fn wait_past(&self, from: u64, time: Duration) -> Option<u64> {
        let deadline = Instant::now() + time;
        let mut inner = self.lock();
        inner.waiting += 1;
        while !inner.closed && inner.end <= from {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            (inner, _) = self.grown.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner);
        }
        inner.waiting -= 1;
        (!inner.closed || inner.end > from).then_some(inner.end)
    }

    /// Sets the end back to `end`, because the journal was read further than it goes. Who has got what was taken back is
    /// closed, and comes again with a cursor that the journal knows.
    pub fn reset(&self, end: u64) {
        let mut inner = self.lock();
        inner.end = end;
        inner.partial.clear();
        for entry in inner.entries.drain(..) {
            entry.outbox.finish();
        }
    }

    /// Whether anybody keeps up, so that a batch's frames are worth making.
    pub fn has_live(&self) -> bool {
        self.lock().entries.iter().any(|entry| entry.mode == Mode::Live)
    }

    /// How its subscribers do.
    pub fn subscribers(&self) -> Subscribers {
        let inner = self.lock();
        Subscribers {
            count: inner.entries.len(),
            behind: inner.entries.iter().filter(|entry| matches!(entry.mode, Mode::Behind(_))).count(),
            fullest: inner.entries.iter().map(|entry| entry.outbox.queued_bytes()).max().unwrap_or(0),
        }
    }

    /// Hands a batch to all who keep up. Never blocks.
    pub fn publish(&self, batch: &Batch<'_>) {
        let frames = batch.frames.map(Frames::new);
        let mut guard = self.lock();
        let inner = &mut *guard;
        inner.end = batch.end;
        if inner.waiting > 0 {
            self.grown.notify_all();
        }
        if batch.ends_message {
            inner.partial.clear();
            inner.entries.iter_mut().for_each(|entry| entry.pieces_had = 0);
        }
        inner.add_partial(batch.pieces);
        let pieces = inner.partial.len();
        inner.entries.retain_mut(|entry| match entry.mode {
            Mode::Behind(_) => true,
            Mode::Resting(from) => {
                entry.fall_behind(from);
                true
            }
            Mode::Live => match &frames {
                Some(frames) if frames.is_empty() => true,
                Some(frames) => match entry.outbox.offer(frames) {
                    Offer::Taken => {
                        entry.pieces_had = pieces;
                        true
                    }
                    Offer::Full => {
                        metrics::LAGS.add(1);
                        entry.fall_behind(batch.first);
                        true
                    }
                    Offer::Closed => false,
                },
                None => {
                    entry.fall_behind(batch.first);
                    true
                }
            },
        });
    }

    /// Hands volatile frames to all who keep up; others do without, since the whole message follows. Never blocks.
    pub fn publish_volatile(&self, frames: &[u8]) {
        let mut guard = self.lock();
        let inner = &mut *guard;
        inner.add_partial(frames);
        let (frames, pieces) = (Frames::new(frames), inner.partial.len());
        inner.entries.retain_mut(|entry| {
            let offered = if entry.mode == Mode::Live { entry.outbox.offer(&frames) } else { Offer::Full };
            if offered == Offer::Taken {
                entry.pieces_had = pieces;
            }
            offered != Offer::Closed
        });
    }

    /// Subscribes `outbox` from the event `from` on: it is served from the journal first, and goes live when it has
    /// caught up. With `announce` it is told when that is.
    pub fn subscribe(
        self: &Arc<Self>,
        outbox: &Arc<Outbox>,
        source: Arc<dyn Source>,
        from: u64,
        raw: bool,
        announce: bool,
    ) -> Arc<Subscription> {
        let mut inner = self.lock();
        let key = inner.next_key;
        inner.next_key += 1;
        let subscription = Arc::new(Subscription {
            topic: Arc::downgrade(self),
            key,
            source,
            raw,
            reading: Mutex::new(Reading { replay: None, announce }),
        });
        let mut entry = Entry {
            key,
            outbox: Arc::clone(outbox),
            subscription: Arc::clone(&subscription),
            mode: Mode::Resting(from),
            pieces_had: 0,
        };
        entry.fall_behind(from);
        inner.entries.push(entry);
        subscription
    }

    /// Ends all subscriptions, after `frame`; `last` says whether their connections end too.
    pub fn close(&self, frame: &[u8], last: bool) {
        let mut inner = self.lock();
        inner.closed = true;
        self.grown.notify_all();
        for entry in inner.entries.drain(..) {
            if last {
                entry.outbox.finish_with(frame);
            } else {
                entry.outbox.reply(frame);
            }
        }
    }
}

impl Inner {
    /// Keeps frames of a message that is being streamed, while there is room.
    fn add_partial(&mut self, frames: &[u8]) {
        if self.partial.len() + frames.len() <= PARTIAL_BYTES_MAX {
            self.partial.extend_from_slice(frames);
        }
    }
}

impl Entry {
    fn fall_behind(&mut self, from: u64) {
        self.mode = Mode::Behind(from);
        self.outbox.fall_behind(Arc::clone(&self.subscription) as Arc<dyn CatchUp>);
    }
}

/// One subscriber's place in a topic. It ends when [`Subscription::cancel`] is called or its connection closes.
pub struct Subscription {
    topic: Weak<Topic>,
    key: u64,
    source: Arc<dyn Source>,
    raw: bool,
    /// Used by the connection's writer thread alone.
    reading: Mutex<Reading>,
}

struct Reading {
    replay: Option<Box<dyn Replay>>,
    announce: bool,
}

impl Subscription {
    /// Ends it.
    pub fn cancel(&self) {
        if let Some(topic) = self.topic.upgrade() {
            topic.lock().entries.retain(|entry| entry.key != self.key);
        }
    }

    fn catch_up(&self, topic: &Topic, frames: &mut Vec<u8>) -> io::Result<Step> {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let (until, from) = {
            let inner = topic.lock();
            let Some(entry) = inner.entries.iter().find(|entry| entry.key == self.key) else {
                return Ok(Step::Done);
            };
            let Mode::Behind(from) = entry.mode else { return Ok(Step::Done) };
            (inner.end, from)
        };
        let replay = match &mut reading.replay {
            Some(replay) => replay,
            none => none.insert(self.source.replay(from, self.raw)?),
        };
        let reached = replay.page(until, frames)?;
        let mut inner = topic.lock();
        let inner = &mut *inner;
        if reached < inner.end {
            return Ok(Step::More);
        }
        let Some(entry) = inner.entries.iter_mut().find(|entry| entry.key == self.key) else {
            return Ok(Step::Done);
        };
        // What is appended here is written before any batch that is offered from now on: see `CatchUp::step`.
        if reading.announce {
            reading.announce = false;
            self.source.replay_complete(inner.end.saturating_sub(1), frames);
        }
        if self.raw {
            entry.mode = Mode::Resting(reached);
        } else {
            reading.replay = None;
            entry.mode = Mode::Live;
            frames.extend_from_slice(&inner.partial[entry.pieces_had..]);
            entry.pieces_had = inner.partial.len();
        }
        Ok(Step::Done)
    }
}

impl CatchUp for Subscription {
    fn step(&self, frames: &mut Vec<u8>) -> Step {
        let Some(topic) = self.topic.upgrade() else { return Step::Done };
        self.catch_up(&topic, frames).unwrap_or_else(|error| {
            log::error!("a journal cannot be read for a client: {error}");
            Step::Failed
        })
    }
}

#[cfg(test)]
mod tests;
