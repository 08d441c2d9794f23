//! The stream of one worker and who listens to it.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::outbox::{CatchUp, CatchUpStep, Frames, Offer, Outbox};
use super::unfinished::{Had, MissedText, UnfinishedChange, UnfinishedMessages};
use crate::metrics;

/// The kind of frames that a subscriber asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameKind {
    /// Includes the CLI's own lines.
    pub raw: bool,
    /// Includes the blocks of messages.
    pub blocks: bool,
    /// Frames for clients of the reference: without pieces of messages, and with `output` frames only for the agent's
    /// words and actions. Such frames have neither lines nor blocks.
    pub simple: bool,
}

/// Subscribers that keep up, by what their frames hold: the kinds of frames that are worth making.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameDemand {
    /// Some get plain frames.
    pub plain: bool,
    /// Some get frames with the CLI's own lines.
    pub raw: bool,
    /// Some get simple frames.
    pub simple: bool,
}

/// The same frames in all kinds. A kind is absent when nobody listened to it as they were made: who has come since is
/// served otherwise.
#[derive(Clone, Copy, Default)]
pub struct BatchFrames<'f> {
    /// Plain frames.
    pub plain: Option<&'f [u8]>,
    /// Frames with the CLI's own lines.
    pub raw: Option<&'f [u8]>,
    /// Simple frames.
    pub simple: Option<&'f [u8]>,
}

/// Frames of consecutive records.
#[derive(Clone, Copy)]
pub struct Batch<'f> {
    /// Offset of the first record.
    pub first: u64,
    /// Offset after the last record.
    pub end: u64,
    /// The time of the last record, in microseconds since 1970.
    pub time: u64,
    /// The frames of their events, and of pieces of messages between them.
    pub frames: BatchFrames<'f>,
    /// Their changes of the messages that are being written.
    pub changes: &'f [UnfinishedChange],
}

/// The state of a topic's subscribers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscribers {
    /// Their number.
    pub count: usize,
    /// Number of those that are behind, and read the journal.
    pub behind: usize,
    /// Bytes that wait in the fullest of their queues.
    pub fullest: usize,
}

/// The journal from which a subscriber that is behind is served.
pub trait JournalSource: Send + Sync {
    /// Begins to read at the event `from`.
    ///
    /// # Errors
    /// Fails when the journal cannot be read.
    fn replay(&self, from: u64, kind: FrameKind) -> io::Result<Box<dyn Replay>>;

    /// The frame that announces to a subscriber that it has everything up to `seq`, the end of a record of this `time`.
    fn replay_complete(&self, seq: u64, time: u64, frames: &mut Vec<u8>);
}

/// A read in progress.
pub trait Replay: Send {
    /// Appends the frames of some more records, none at or after the offset `until`, and returns the offset that it
    /// reached.
    ///
    /// # Errors
    /// Fails when the journal cannot be read.
    fn page(&mut self, until: u64, frames: &mut Vec<u8>) -> io::Result<u64>;
}

/// The stream of one worker.
pub struct Topic {
    inner: Mutex<TopicInner>,
    /// Signalled for those who wait with [`Topic::wait_past`].
    grown: Condvar,
}

struct TopicInner {
    /// Offset after the last published record.
    end: u64,
    /// Its time, in microseconds since 1970.
    time: u64,
    entries: Vec<TopicMember>,
    next_key: u64,
    /// The messages that are being written.
    unfinished: UnfinishedMessages,
    /// Number of those that wait with [`Topic::wait_past`].
    waiting: usize,
    /// The worker is gone.
    closed: bool,
}

struct TopicMember {
    key: u64,
    outbox: Arc<Outbox>,
    subscription: Arc<Subscription>,
    mode: DeliveryMode,
    /// The parts of unfinished messages that it had before it fell behind, so that it gets the rest once.
    had: Had,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum DeliveryMode {
    /// Gets every batch as it is published.
    Live,
    /// Is served from the journal, from this event on; its outbox knows.
    Behind(u64),
}

impl Topic {
    /// A topic whose published records end at `end`; the last one is of this `time`.
    pub fn new(end: u64, time: u64) -> Self {
        let unfinished = UnfinishedMessages::default();
        let inner = TopicInner { end, time, entries: Vec::new(), next_key: 0, unfinished, waiting: 0, closed: false };
        Self { inner: Mutex::new(inner), grown: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, TopicInner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Offset after the last published record: everything before it can be read from the journal.
    pub fn end(&self) -> u64 {
        self.lock().end
    }

    /// Waits until something is published past the offset `from`, or `time` has passed, and returns the offset after the
    /// last published record. `None` when there will never be more.
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

    /// Sets the end back to `end`, that of a record of this `time`, because the journal was read further than it goes. Who has got what was taken back is
    /// closed, and comes again with a cursor that the journal knows.
    pub fn reset(&self, end: u64, time: u64) {
        let mut inner = self.lock();
        (inner.end, inner.time) = (end, time);
        inner.unfinished.clear();
        for entry in inner.entries.drain(..) {
            entry.outbox.finish();
        }
    }

    /// Returns the kinds of subscribers that keep up.
    pub fn listening(&self) -> FrameDemand {
        let inner = self.lock();
        let is_live = |entry: &&TopicMember| {
            let kind = entry.subscription.kind;
            entry.mode == DeliveryMode::Live && (kind.simple || !kind.blocks)
        };
        let mut listening = FrameDemand::default();
        for FrameKind { raw, simple, .. } in inner.entries.iter().filter(is_live).map(|entry| entry.subscription.kind) {
            listening.simple |= simple;
            listening.raw |= raw && !simple;
            listening.plain |= !raw && !simple;
        }
        listening
    }

    /// Returns the state of its subscribers.
    pub fn subscribers(&self) -> Subscribers {
        let inner = self.lock();
        Subscribers {
            count: inner.entries.len(),
            behind: inner.entries.iter().filter(|entry| matches!(entry.mode, DeliveryMode::Behind(_))).count(),
            fullest: inner.entries.iter().map(|entry| entry.outbox.queued_bytes()).max().unwrap_or(0),
        }
    }

    /// Hands a batch to all who keep up. Never blocks.
    pub fn publish(&self, batch: &Batch<'_>) {
        let mut inner = self.lock();
        (inner.end, inner.time) = (batch.end, batch.time);
        if inner.waiting > 0 {
            self.grown.notify_all();
        }
        inner.hand_out(batch.frames, batch.first, batch.changes);
    }

    /// Hands pieces of messages, which are not in the journal, to all who keep up; others get them when they have caught
    /// up, as far as the message is not whole by then. Never blocks.
    pub fn publish_volatile(&self, frames: BatchFrames<'_>, changes: &[UnfinishedChange]) {
        let mut inner = self.lock();
        let end = inner.end;
        inner.hand_out(frames, end, changes);
    }

    /// Subscribes `outbox` from the event `from` on: it is served from the journal first, and goes live when it has
    /// caught up. With `announce` it gets a frame when that is so.
    pub fn subscribe(
        self: &Arc<Self>,
        outbox: &Arc<Outbox>,
        source: Arc<dyn JournalSource>,
        from: u64,
        kind: FrameKind,
        announce: bool,
    ) -> Arc<Subscription> {
        let mut inner = self.lock();
        let key = inner.next_key;
        inner.next_key += 1;
        let subscription = Arc::new(Subscription {
            topic: Arc::downgrade(self),
            key,
            source,
            kind,
            reading: Mutex::new(ReplayState { replay: None, announce, versions: Vec::new() }),
        });
        let mut entry = TopicMember {
            key,
            outbox: Arc::clone(outbox),
            subscription: Arc::clone(&subscription),
            mode: DeliveryMode::Behind(from),
            had: Had::new(),
        };
        entry.fall_behind(from, Had::new());
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

impl TopicInner {
    /// Offers frames to all who keep up. Who does not take them is behind from the event `from` on.
    fn hand_out(&mut self, frames: BatchFrames<'_>, from: u64, changes: &[UnfinishedChange]) {
        let BatchFrames { plain, raw, simple } = frames;
        let (plain, raw, simple) = (plain.map(Frames::new), raw.map(Frames::new), simple.map(Frames::new));
        let unfinished = &self.unfinished;
        self.entries.retain_mut(|entry| {
            if entry.mode != DeliveryMode::Live {
                return true;
            }
            let frames = match entry.subscription.kind {
                FrameKind { simple: true, .. } => &simple,
                FrameKind { blocks: true, .. } => &None,
                FrameKind { raw: true, .. } => &raw,
                FrameKind { .. } => &plain,
            };
            let offered = match frames {
                Some(frames) if frames.is_empty() => return true,
                Some(frames) => entry.outbox.offer(frames),
                None => Offer::Full,
            };
            if offered == Offer::Full {
                metrics::LAGS.add(u64::from(frames.is_some()));
                entry.fall_behind(from, unfinished.had());
            }
            offered != Offer::Closed
        });
        self.unfinished.apply(changes);
    }
}

impl TopicMember {
    fn fall_behind(&mut self, from: u64, had: Had) {
        (self.mode, self.had) = (DeliveryMode::Behind(from), had);
        self.outbox.fall_behind(Arc::clone(&self.subscription) as Arc<dyn CatchUp>);
    }
}

/// One subscriber's place in a topic. It ends when [`Subscription::cancel`] is called or its connection closes.
pub struct Subscription {
    topic: Weak<Topic>,
    key: u64,
    source: Arc<dyn JournalSource>,
    kind: FrameKind,
    /// Used by the connection's writer thread alone.
    reading: Mutex<ReplayState>,
}

struct ReplayState {
    replay: Option<Box<dyn Replay>>,
    announce: bool,
    /// The versions of blocks that the subscriber has, by the number of the message.
    versions: Vec<(u64, u64)>,
}

impl ReplayState {
    /// Appends what was missed of messages, with their blocks.
    fn append_missed(&mut self, missed: &[MissedText], frames: &mut Vec<u8>) {
        for piece in missed {
            let has = self.versions.iter_mut().find(|(serial, _)| *serial == piece.serial);
            let seen = has.as_ref().map_or(0, |(_, version)| *version);
            let version = piece.message.piece_with_blocks(piece, seen, frames);
            match has {
                Some(has) => has.1 = version,
                None => self.versions.push((piece.serial, version)),
            }
        }
    }
}

impl Subscription {
    /// Ends it.
    pub fn cancel(&self) {
        if let Some(topic) = self.topic.upgrade() {
            let mut inner = topic.lock();
            inner.entries.retain(|entry| entry.key != self.key);
            if self.kind.blocks && !inner.entries.iter().any(|entry| entry.subscription.kind.blocks) {
                inner.unfinished.forget_blocks();
            }
        }
    }

    fn catch_up(&self, topic: &Topic, frames: &mut Vec<u8>) -> io::Result<CatchUpStep> {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let (until, from) = {
            let inner = topic.lock();
            let Some(entry) = inner.entries.iter().find(|entry| entry.key == self.key) else {
                return Ok(CatchUpStep::Done);
            };
            let DeliveryMode::Behind(from) = entry.mode else { return Ok(CatchUpStep::Done) };
            (inner.end, from)
        };
        let reached = match &mut reading.replay {
            // It has only missed pieces of messages, which the journal does not have.
            None if from >= until => until,
            Some(replay) => replay.page(until, frames)?,
            none => none.insert(self.source.replay(from, self.kind)?).page(until, frames)?,
        };
        let mut locked = topic.lock();
        let inner = &mut *locked;
        if reached < inner.end {
            return Ok(CatchUpStep::More);
        }
        let Some(entry) = inner.entries.iter_mut().find(|entry| entry.key == self.key) else {
            return Ok(CatchUpStep::Done);
        };
        // Frames appended here are written before any batch that is offered from now on: see `CatchUp::step`.
        if reading.announce {
            reading.announce = false;
            self.source.replay_complete(inner.end.saturating_sub(1), inner.time, frames);
        }
        entry.mode = DeliveryMode::Live;
        let had = std::mem::take(&mut entry.had);
        if self.kind.simple {
            reading.replay = None;
            return Ok(CatchUpStep::Done);
        }
        if !self.kind.blocks {
            reading.replay = None;
            inner.unfinished.append_rest(&had, frames);
            return Ok(CatchUpStep::Done);
        }
        // Nothing is offered to it: what is published from now on marks it as behind once more.
        let missed = inner.unfinished.missed(&had);
        reading.versions.retain(|(serial, _)| inner.unfinished.has(*serial));
        drop(locked);
        reading.append_missed(&missed, frames);
        Ok(CatchUpStep::Done)
    }
}

impl CatchUp for Subscription {
    fn step(&self, frames: &mut Vec<u8>) -> CatchUpStep {
        let Some(topic) = self.topic.upgrade() else { return CatchUpStep::Done };
        self.catch_up(&topic, frames).unwrap_or_else(|error| {
            log::error!("a journal cannot be read for a client: {error}");
            CatchUpStep::Failed
        })
    }
}

#[cfg(test)]
mod tests;
