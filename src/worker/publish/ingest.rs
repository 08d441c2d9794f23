//! The one place where a worker's records are folded and their events published, in order.
//!
//! Only the holder of the [`Ingest`] folds: the reader thread while a shim runs, otherwise the thread of the
//! command that appends a record without a shim.

use std::sync::Arc;

use crossbeam_channel::Sender;

use crate::clock::Micros;
use crate::event::{Body, Event, EventBuffer, numbered};
use crate::hub::{Batch, BatchFrames, Feed, FeedSubject, FrameDemand, NarrowedFrames, Topic, UnfinishedChange};
use crate::journal::{Kind, Record, TurnEdge};
use crate::wire::{self, Output, RawLines};
use crate::worker::history::archive::Archive;
use crate::worker::publish::changes::{ChangeNotifier, PendingChange};
use crate::worker::publish::life_log;
use crate::worker::publish::moments::Moments;
use crate::worker::publish::pieces::Pieces;
use crate::worker::publish::summary::Summary;
use crate::worker::publish::tally::Tally;
use crate::worker::publish::view::Views;
use crate::worker::state::fold::Fold;

/// Size limit of a batch's frame buffer that is kept for reuse between batches, in bytes.
const FRAMES_KEPT_BYTES: usize = 1024 * 1024;

/// The fold of a worker and what it feeds.
pub(in crate::worker) struct Ingest {
    worker_id: String,
    fold: Fold,
    /// Offset after the last folded record.
    end: u64,
    archive: Arc<Archive>,
    topic: Arc<Topic>,
    feed: Arc<Feed>,
    views: Arc<Views>,
    tally: Tally,
    report: Option<ChangeNotifier>,
    moments: Moments,
    /// Wakes the thread that looks after budgets.
    budgets: Sender<()>,
    pieces: Pieces,
    /// Holds the events of one record at a time.
    buffer: EventBuffer,
    /// Volatile lines that will be repeated after a connection to the shim was lost, or its reader lagged.
    repeats: u64,
    pending: UnpublishedEvents,
}

/// Events that were folded and are not published yet.
#[derive(Default)]
struct UnpublishedEvents {
    first: Option<u64>,
    frames: EncodedFrames,
    feed_frames: Vec<u8>,
    ends_turn: bool,
    /// Status changes for the webhook and Web Push.
    changes: Vec<PendingChange>,
    /// Beginnings and ends of turns, by the turn's id.
    moments: Vec<(String, TurnEdge)>,
}

/// A fold that is due to be saved, taken out so that it is written without the lock.
pub(in crate::worker) struct ToSave {
    offset: u64,
    saved: Vec<u8>,
}

/// Frames of events, in the formats of the present subscribers.
#[derive(Default)]
struct EncodedFrames {
    listening: FrameDemand,
    plain: Vec<u8>,
    raw: Vec<u8>,
    simple: Vec<u8>,
    lines: RawLines,
}

impl EncodedFrames {
    /// Starts a new batch, for the present subscribers.
    fn begin(&mut self, listening: FrameDemand) {
        self.listening = listening;
        for frames in [&mut self.plain, &mut self.raw, &mut self.simple] {
            frames.clear();
            frames.shrink_to(FRAMES_KEPT_BYTES);
        }
        self.lines = RawLines::default();
    }

    /// Adds the frame of an event of `record`.
    fn add(&mut self, worker_id: &str, output: &Output<'_, '_>, record: &Record<'_>) {
        if self.listening.plain {
            wire::output_frame(&mut self.plain, worker_id, output);
        }
        if self.listening.raw {
            let raw = (record.kind != Kind::Ctl).then(|| self.lines.next(record.seq, record.payload)).flatten();
            wire::output_frame(&mut self.raw, worker_id, &Output { raw, ..*output });
        }
        if self.listening.simple {
            wire::simple_frame(&mut self.simple, worker_id, output);
        }
    }

    fn frames(&self) -> BatchFrames<'_> {
        let FrameDemand { plain, raw, simple } = self.listening;
        BatchFrames {
            plain: plain.then_some(&self.plain),
            raw: raw.then_some(&self.raw),
            simple: simple.then_some(&self.simple),
        }
    }
}

impl Ingest {
    /// Creates the fold of `worker_id`, and the journal offset that it has reached.
    pub(in crate::worker) fn new(
        worker_id: String,
        (fold, end): (Fold, u64),
        archive: Arc<Archive>,
        topic: Arc<Topic>,
        feed: Arc<Feed>,
        views: Arc<Views>,
        (report, moments, budgets): (Option<ChangeNotifier>, Moments, Sender<()>),
    ) -> Self {
        let tally = Tally::new(&archive.adapter().cli().kind, &fold.state().prompts);
        let (pieces, buffer, pending) = (Pieces::default(), EventBuffer::default(), UnpublishedEvents::default());
        let mut ingest = Self {
            worker_id,
            fold,
            end,
            archive,
            topic,
            feed,
            views,
            tally,
            report,
            moments,
            budgets,
            pieces,
            buffer,
            repeats: 0,
            pending,
        };
        ingest.take_unfinished();
        ingest.publish_pieces();
        ingest
    }

    /// The fold.
    pub(in crate::worker) fn fold(&self) -> &Fold {
        &self.fold
    }

    /// Offset after the last folded record.
    pub(in crate::worker) fn end(&self) -> u64 {
        self.end
    }

    /// Starts again from another fold, which has reached the journal offset `end`.
    pub(in crate::worker) fn reset(&mut self, fold: Fold, end: u64) {
        self.views.replace(fold.state(), end);
        self.topic.reset(end, fold.state().last_activity);
        self.pending = UnpublishedEvents::default();
        self.tally.reset(&fold.state().prompts);
        (self.fold, self.end) = (fold, end);
        self.pieces.end_all();
        self.repeats = 0;
        self.take_unfinished();
        self.publish_pieces();
    }

    /// Folds the next record.
    pub(in crate::worker) fn record(&mut self, record: &Record<'_>) {
        if self.repeats > 0 && self.pending.first.is_none() {
            self.publish_pieces();
        }
        let reports = self.report.is_some();
        let Self { fold, pending, pieces, worker_id, tally, buffer, .. } = self;
        tally.record(record);
        if pending.first.is_none() {
            pending.first = Some(record.seq);
            pending.frames.begin(self.topic.listening());
        }
        let name = fold.state().name.clone();
        life_log::record(worker_id, &name, &self.archive.adapter().cli().kind, record);
        let mut events = buffer.take();
        fold.record(record, &mut events);
        let time = record.time;
        for (seq, event) in numbered(record, &events) {
            tally.event(time, event);
            life_log::event(worker_id, &name, event);
            if reports {
                pending.changes.extend(PendingChange::of(seq, time, event));
            }
            let output = Output { seq, time, event, raw: None, more: None };
            match &event.body {
                Body::Delta { .. } => {
                    if let Some(event) = with_offset(pieces, worker_id, time, event) {
                        pending.frames.add(worker_id, &Output { event: &event, ..output }, record);
                    }
                    continue;
                }
                Body::Assistant { message_id, parent_tool_call_id: None } => {
                    pieces.end(message_id.as_deref(), "assistant");
                }
                Body::Thinking { message_id, parent_tool_call_id: None } => {
                    pieces.end(message_id.as_deref(), "thinking");
                }
                Body::TurnStarted { turn_id } => pending.moments.push((turn_id.to_string(), TurnEdge::Begin)),
                Body::TurnCompleted(_) => {
                    if let Some(turn) = fold.state().trees.turns.back() {
                        pending.moments.push((turn.turn_id.clone(), TurnEdge::End));
                    }
                    pieces.end_all();
                    pending.ends_turn = true;
                }
                Body::Exit { .. } => pieces.end_all(),
                _ => {}
            }
            pending.frames.add(worker_id, &output, record);
            if event.body.is_prompt() {
                wire::output_frame(&mut pending.feed_frames, worker_id, &output);
            }
        }
        buffer.put_back(events);
        self.end = record.end();
    }

    /// Skips a malformed line of the journal.
    pub(in crate::worker) fn skip(&mut self, len: u64) {
        self.end += len;
    }

    /// Takes a volatile line; events that were folded before it are published first.
    pub(in crate::worker) fn volatile(&mut self, record: &Record<'_>) {
        self.publish();
        let repeats = self.repeats > 0;
        let Self { fold, pending, pieces, worker_id, tally, buffer, .. } = self;
        tally.line(record);
        pending.frames.begin(if repeats { FrameDemand::default() } else { self.topic.listening() });
        let mut events = buffer.take();
        fold.volatile(record, &mut events);
        let time = record.time;
        for event in &events {
            tally.event(time, event);
            if let Some(event) = with_offset(pieces, worker_id, time, event) {
                pending.frames.add(
                    worker_id,
                    &Output { seq: None, time, event: &event, raw: None, more: None },
                    record,
                );
            }
        }
        buffer.put_back(events);
        self.tally.add();
        if !repeats {
            let changes = self.pieces.take_changes();
            if !changes.is_empty() {
                self.topic.publish_volatile(self.pending.frames.frames(), &changes);
            }
            return;
        }
        self.repeats -= 1;
        if self.repeats == 0 {
            self.pieces.repeated();
            self.publish_pieces();
        }
    }

    /// Announces that the next `lines` volatile lines repeat the unfinished messages from their beginning. Some of them
    /// may have come before; new parts are published together.
    pub(in crate::worker) fn repeat(&mut self, lines: u64) {
        self.publish();
        self.pieces.repeat();
        self.take_unfinished();
        self.repeats = lines;
        if lines == 0 {
            self.pieces.repeated();
            self.publish_pieces();
        }
    }

    /// Accepts that volatile lines may be repeated without notice, by a shim of an older build: their messages are sent
    /// again.
    pub(in crate::worker) fn restart_pieces(&mut self) {
        self.publish();
        self.pieces.end_all();
        self.take_unfinished();
        self.publish_pieces();
    }

    /// Reads the unfinished messages from the journal.
    fn take_unfinished(&mut self) {
        let time = Micros(self.fold.state().last_activity);
        let Self { fold, pieces, worker_id, buffer, .. } = self;
        let mut events = buffer.take();
        fold.session().unfinished(&mut events);
        for event in &events {
            with_offset(pieces, worker_id, time, event);
        }
        buffer.put_back(events);
    }

    /// Publishes the pieces for which no frames were made, those of each message as one.
    fn publish_pieces(&mut self) {
        let changes = self.pieces.take_changes();
        if changes.is_empty() {
            return;
        }
        let mut frames = Vec::new();
        for change in &changes {
            if let UnfinishedChange::Piece { message, offset, text, time, .. } = change {
                message.piece(*offset, text, *time, &mut frames);
            }
        }
        let both = BatchFrames { plain: Some(&frames), raw: Some(&frames), simple: Some(&[]) };
        self.topic.publish_volatile(both, &changes);
    }

    /// Publishes everything that was folded since the last call. Never blocks.
    pub(in crate::worker) fn publish(&mut self) {
        let pending = &mut self.pending;
        let Some(first) = pending.first.take() else { return };
        self.tally.add();
        let changed = self.views.update(self.fold.state(), self.end);
        // The frames before that of the worker are the same for all.
        let mut common = usize::MAX;
        self.topic.publish(&Batch {
            first,
            end: self.end,
            time: self.fold.state().last_activity,
            frames: pending.frames.frames(),
            changes: &self.pieces.take_changes(),
        });
        if changed {
            // One that waits is enough.
            let _ = self.budgets.try_send(());
            common = pending.feed_frames.len();
            append_worker_frame(&mut pending.feed_frames, &self.views.summary(&self.worker_id));
        }
        // Readers of the views find the turn there.
        for (turn_id, at) in pending.moments.drain(..) {
            self.moments.report(&self.worker_id, &turn_id, at);
        }
        let changes = std::mem::take(&mut pending.changes);
        // A followed session is read from its beginning, and its past is not news.
        if let (Some(report), None) = (&self.report, &self.fold.state().follow) {
            changes.into_iter().for_each(|change| report(change.of_worker(self.views.summary(&self.worker_id))));
        }
        if !pending.feed_frames.is_empty() {
            let (state, frames) = (self.fold.state(), &pending.feed_frames);
            let narrowed = |is_seen: &dyn Fn(&str) -> bool| {
                let mut narrowed = frames[..common].to_vec();
                append_worker_frame(&mut narrowed, &self.views.summary(&self.worker_id).narrowed(is_seen));
                narrowed
            };
            let narrowed: Option<NarrowedFrames<'_>> =
                if changed && state.has_origin() { Some(&narrowed) } else { None };
            self.feed.publish(FeedSubject { worker: &self.worker_id, project: state.project(), narrowed }, frames);
            pending.feed_frames.clear();
        }
    }

    /// Sends the worker's present state to all lists.
    pub(in crate::worker) fn notify_feed(&self) {
        let (state, summary) = (self.fold.state(), self.views.summary(&self.worker_id));
        let mut frame = Vec::new();
        append_worker_frame(&mut frame, &summary);
        let narrowed = |is_seen: &dyn Fn(&str) -> bool| {
            let mut narrowed = Vec::new();
            append_worker_frame(&mut narrowed, &summary.clone().narrowed(is_seen));
            narrowed
        };
        let narrowed: Option<NarrowedFrames<'_>> = if state.has_origin() { Some(&narrowed) } else { None };
        self.feed.publish(FeedSubject { worker: &self.worker_id, project: state.project(), narrowed }, &frame);
    }

    /// Returns whether a turn has ended since the last call.
    pub(in crate::worker) fn take_turn_end(&mut self) -> bool {
        std::mem::take(&mut self.pending.ends_turn)
    }

    /// Returns the fold if it is time to save it, which is preferably at the end of a turn. Always when it is `last`
    /// for now.
    pub(in crate::worker) fn save_if_due(&self, ends_turn: bool, last: bool) -> Option<ToSave> {
        (last || self.archive.checkpoints().is_due(self.end, ends_turn))
            .then(|| ToSave { offset: self.end, saved: self.fold.save() })
    }
}

/// Returns the part of a delta that was not published before, with its offset.
fn with_offset<'e>(pieces: &mut Pieces, worker_id: &str, time: Micros, event: &'e Event<'_>) -> Option<Event<'e>> {
    let Body::Delta { message_id, of, .. } = &event.body else { return None };
    let (offset, text) = pieces.add(worker_id, (message_id.as_deref(), of), &event.content, time)?;
    let message_id = message_id.as_deref().map(Into::into);
    Some(Event::new(text, Body::Delta { message_id, of, offset: Some(offset) }))
}

/// Appends the frame that describes one worker to a list.
pub(in crate::worker) fn append_worker_frame(frames: &mut Vec<u8>, summary: &Summary) {
    wire::json_frame(frames, &serde_json::json!({"type": "worker", "worker": summary}));
}

impl ToSave {
    /// Writes the saved fold.
    pub(in crate::worker) fn write(&self, archive: &Archive) {
        archive.checkpoints().save(self.offset, &self.saved);
    }
}
