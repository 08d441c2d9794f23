//! The one place where a worker's records are folded and their events published, in order.
//!
//! Whoever holds the [`Ingest`] is the only one who folds: the reader thread while a shim lives, else the thread of the
//! command that appends a record itself.

use std::sync::Arc;

use super::archive::Archive;
use super::changes::Noted;
use super::fold::Fold;
use super::launch::Launcher;
use super::tally::Tally;
use super::view::{Summary, Views};
use crate::event::Body;
use crate::hub::{Batch, Feed, Topic};
use crate::journal::Record;
use crate::wire::{self, Output};

/// Most bytes of a batch's frames that are kept for reuse between batches.
const FRAMES_KEPT_BYTES: usize = 1024 * 1024;

/// The fold of a worker and what it feeds.
pub(super) struct Ingest {
    worker_id: String,
    fold: Fold,
    /// Offset after the last folded record.
    end: u64,
    archive: Arc<Archive>,
    topic: Arc<Topic>,
    feed: Arc<Feed>,
    views: Arc<Views>,
    tally: Tally,
    launcher: Arc<Launcher>,
    pending: Pending,
}

/// What was folded and is not published yet.
#[derive(Default)]
struct Pending {
    first: Option<u64>,
    listening: bool,
    frames: Vec<u8>,
    feed_frames: Vec<u8>,
    /// Frames of the deltas after the last whole message.
    pieces: Vec<u8>,
    ends_message: bool,
    ends_turn: bool,
    /// Changes that somebody is told.
    changes: Vec<Noted>,
}

/// A fold that is to be saved, taken out so that it is written without the lock.
pub(super) struct ToSave {
    offset: u64,
    saved: Vec<u8>,
}

impl Pending {
    /// A message is whole now: its pieces are of no use any more.
    fn end_message(&mut self) {
        self.ends_message = true;
        self.pieces.clear();
    }
}

impl Ingest {
    /// The fold of `worker_id`, and the journal offset to which it has got.
    pub(super) fn new(
        worker_id: String,
        (fold, end): (Fold, u64),
        archive: Arc<Archive>,
        topic: Arc<Topic>,
        feed: Arc<Feed>,
        views: Arc<Views>,
        launcher: Arc<Launcher>,
    ) -> Self {
        let tally = Tally::new(&archive.adapter().cli().kind, &fold.state().prompts);
        Self { worker_id, fold, end, archive, topic, feed, views, tally, launcher, pending: Pending::default() }
    }

    /// The fold.
    pub(super) fn fold(&self) -> &Fold {
        &self.fold
    }

    /// Offset after the last folded record.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Begins anew from another fold, which has got to the journal offset `end`.
    pub(super) fn reset(&mut self, fold: Fold, end: u64) {
        self.views.replace(fold.state(), end);
        self.topic.reset(end);
        self.pending = Pending::default();
        self.tally.reset(&fold.state().prompts);
        (self.fold, self.end) = (fold, end);
    }

    /// Folds the next record.
    pub(super) fn record(&mut self, record: &Record<'_>) {
        let tells = self.launcher.tell.is_some();
        let Self { fold, pending, worker_id, tally, .. } = self;
        tally.record(record);
        if pending.first.is_none() {
            pending.first = Some(record.seq);
            pending.listening = self.topic.has_live();
        }
        fold.record(record, &mut |seq, time, event| {
            tally.event(time, event);
            if tells {
                pending.changes.extend(Noted::of(seq, time, event));
            }
            let output = Output { seq, time, event, raw: None };
            match event.body {
                Body::Assistant { .. } | Body::Thinking { .. } => pending.end_message(),
                Body::TurnCompleted { .. } => {
                    pending.end_message();
                    pending.ends_turn = true;
                }
                Body::Delta { .. } => wire::output_frame(&mut pending.pieces, worker_id, &output),
                _ => {}
            }
            if pending.listening {
                wire::output_frame(&mut pending.frames, worker_id, &output);
            }
            if event.body.is_prompt() {
                wire::output_frame(&mut pending.feed_frames, worker_id, &output);
            }
        });
        self.end = record.end();
    }

    /// Passes over a line of the journal that is no record.
    pub(super) fn skip(&mut self, len: u64) {
        self.end += len;
    }

    /// Takes a volatile line: what was folded before it is published first.
    pub(super) fn volatile(&mut self, record: &Record<'_>) {
        self.publish();
        let Self { fold, worker_id, tally, .. } = self;
        tally.line(record);
        let mut frames = Vec::new();
        fold.volatile(record, &mut |time, event| {
            tally.event(time, event);
            let output = Output { seq: None, time, event, raw: None };
            wire::output_frame(&mut frames, worker_id, &output);
        });
        self.tally.add();
        if !frames.is_empty() {
            self.topic.publish_volatile(&frames);
        }
    }

    /// Publishes what was folded since the last time. Never blocks.
    pub(super) fn publish(&mut self) {
        let pending = &mut self.pending;
        let Some(first) = pending.first.take() else { return };
        self.tally.add();
        let changed = self.views.update(self.fold.state(), self.end);
        self.topic.publish(&Batch {
            first,
            end: self.end,
            frames: pending.listening.then_some(pending.frames.as_slice()),
            ends_message: std::mem::take(&mut pending.ends_message),
            pieces: &pending.pieces,
        });
        if changed {
            append_worker_frame(&mut pending.feed_frames, &self.views.summary(&self.worker_id));
        }
        let changes = std::mem::take(&mut pending.changes);
        // A session that runs elsewhere is read with all that it has had: that is no news.
        if let (Some(tell), None) = (&self.launcher.tell, &self.fold.state().follow) {
            changes.into_iter().for_each(|change| tell(change.of_worker(self.views.summary(&self.worker_id))));
        }
        if !pending.feed_frames.is_empty() {
            self.feed.publish(&pending.feed_frames);
            pending.feed_frames.clear();
        }
        pending.pieces.clear();
        pending.frames.clear();
        pending.frames.shrink_to(FRAMES_KEPT_BYTES);
    }

    /// Tells all lists how the worker is now.
    pub(super) fn tell_feed(&self) {
        let mut frame = Vec::new();
        append_worker_frame(&mut frame, &self.views.summary(&self.worker_id));
        self.feed.publish(&frame);
    }

    /// Whether a turn has ended since this was asked last.
    pub(super) fn take_turn_end(&mut self) -> bool {
        std::mem::take(&mut self.pending.ends_turn)
    }

    /// The fold as it is now, if it is time to save it: the end of a turn is a good one. Always when it is `last` for now.
    pub(super) fn save_if_due(&self, ends_turn: bool, last: bool) -> Option<ToSave> {
        (last || self.archive.checkpoints().is_due(self.end, ends_turn))
            .then(|| ToSave { offset: self.end, saved: self.fold.save() })
    }
}

/// Appends the frame that tells a list of one worker.
pub(super) fn append_worker_frame(frames: &mut Vec<u8>, summary: &Summary) {
    wire::json_frame(frames, &serde_json::json!({"type": "worker", "worker": summary}));
}

impl ToSave {
    /// Writes it.
    pub(super) fn write(&self, archive: &Archive) {
        archive.checkpoints().save(self.offset, &self.saved);
    }
}
