//! The events of a worker at any place of its journal: for clients that are behind, pages of history, and exports.
//!
//! Nothing here holds a lock while it reads files, so it runs on the caller's thread.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::adapter::Adapter;
use crate::clock::Micros;
use crate::event::EventBuffer;
use crate::hub::{FrameKind, JournalSource, Replay};
use crate::journal::{Entry, JournalError, Reader, Record, records};
use crate::wire::{self, Output};
use crate::worker::history::blocks::{BlockScope, Blocks, EventKey, SharedBlocks};
use crate::worker::history::checkpoint::{Checkpoints, SPACING_BYTES};
use crate::worker::history::cursor::Cursor;
use crate::worker::history::walk::{CursorCheck, STEP_BYTES, Walk, WalkedEvent};
use crate::worker::state::fold::Fold;

/// Journal bytes that are folded at once when there are no subscribers.
pub(in crate::worker) const FOLD_BYTES: usize = 1024 * 1024;
/// Journal bytes of the first window in which the newest events are searched; each further window is twice as long.
const WINDOW_BYTES: usize = 64 * 1024;
/// Bytes of JSON in one page of history; a page that reaches the limit has fewer events than requested.
const PAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A worker's journal with its saved folds.
pub struct Archive {
    worker_id: String,
    journal: PathBuf,
    adapter: Arc<dyn Adapter>,
    checkpoints: Checkpoints,
    blocks: SharedBlocks,
}

/// One event of a page, as JSON.
pub struct PageEvent {
    /// Its sequence number.
    pub seq: u64,
    /// `{"seq", "type", "content", "timestamp", ...}`.
    pub json: Vec<u8>,
    /// Its text, if its blocks are requested.
    text: Option<(EventKey, String)>,
}

impl PageEvent {
    fn new(walked: &WalkedEvent<'_>, scope: BlockScope) -> Self {
        let Output { event, time, .. } = walked.output;
        let text = scope.markdown(event).map(|text| ((walked.seq, time), text.to_owned()));
        Self { seq: walked.seq, json: walked.to_json(), text }
    }

    /// Adds its blocks, if they are requested.
    fn with_blocks(mut self, blocks: &Blocks) -> Self {
        if let Some((key, text)) = self.text.take() {
            wire::append_members(&mut self.json, blocks.read(key, &text).as_deref());
        }
        self
    }
}

/// Events of a page, oldest first.
pub struct Page {
    /// The events.
    pub events: VecDeque<PageEvent>,
    /// True if there are more events beyond the page, in the direction of reading.
    pub has_more: bool,
    /// True if no event matches the cursor at which the page was to continue. The page is empty then.
    pub is_lost: bool,
}

/// The selection of events for a page.
#[derive(Clone, Copy)]
pub struct Selection<'f> {
    /// Maximum number of events.
    pub limit: usize,
    /// Returns whether events of a `type` are taken.
    pub filter: &'f dyn Fn(&str) -> bool,
    /// The events that get their blocks.
    pub blocks: BlockScope,
}

impl Archive {
    /// Opens the archive of the worker `worker_id` in the folder `dir`.
    ///
    /// # Errors
    /// Fails when the folder cannot be read or written.
    pub fn open(dir: &Path, worker_id: &str, adapter: Arc<dyn Adapter>, journal_end: u64) -> io::Result<Self> {
        let (journal, states) = (dir.join("journal"), dir.join("states"));
        let mut checkpoints = Checkpoints::open(&states, worker_id, journal_end)?;
        if !fits(&checkpoints, &Reader::open(&journal).map_err(into_io)?)? {
            log::warn!("worker {worker_id}: its saved states are of another journal and are made anew");
            std::fs::remove_file(&states)?;
            checkpoints = Checkpoints::open(&states, worker_id, journal_end)?;
        }
        Ok(Self { worker_id: worker_id.to_owned(), journal, adapter, checkpoints, blocks: SharedBlocks::default() })
    }

    /// Returns the saved folds.
    pub const fn checkpoints(&self) -> &Checkpoints {
        &self.checkpoints
    }

    /// Returns the blocks of the worker's events.
    pub fn blocks(&self) -> Arc<Blocks> {
        self.blocks.get()
    }

    /// Returns the adapter that reads this journal.
    pub fn adapter(&self) -> &Arc<dyn Adapter> {
        &self.adapter
    }

    /// Returns the offset of the first record: the earliest cursor.
    ///
    /// # Errors
    /// Fails when the journal cannot be read.
    pub fn start(&self) -> io::Result<u64> {
        Ok(Reader::open(&self.journal).map_err(into_io)?.start())
    }

    /// Folds everything before the offset `until`; returns the fold and the position of the first record that does not
    /// end before `until`.
    ///
    /// # Errors
    /// Fails when the journal cannot be read.
    pub(in crate::worker) fn fold(&self, until: u64) -> io::Result<(Fold, u64)> {
        let reader = Reader::open(&self.journal).map_err(into_io)?;
        let (mut end, mut fold) = self.restore(&reader, until)?;
        let (mut buffer, mut unused) = (Vec::new(), EventBuffer::default());
        while end < until {
            let reached = reader.read(end, SPACING_BYTES as usize, &mut buffer)?;
            if reached == end {
                break;
            }
            for entry in records(&buffer, end) {
                match entry {
                    Entry::Record(record) if record.end() <= until => {
                        let mut events = unused.take();
                        fold.record(&record, &mut events);
                        unused.put_back(events);
                    }
                    Entry::Record(record) => return Ok((fold, record.seq)),
                    Entry::Garbage { seq, len } => log::warn!(
                        "worker {}: {len} bytes at offset {seq} of its journal are no record and are passed over",
                        self.worker_id
                    ),
                }
            }
            end = reached;
            // Without saved folds (a journal of another version, an imported one), every position would require folding
            // from the beginning. The very end is not saved, because a failed append there may be rolled back.
            if until.saturating_sub(end) >= FOLD_BYTES as u64 && self.checkpoints.is_due(end, false) {
                self.checkpoints.save(end, &fold.save());
            }
        }
        Ok((fold, end))
    }

    /// Returns the last saved fold at or before `offset`, or the fold before the first record.
    fn restore(&self, reader: &Reader, offset: u64) -> io::Result<(u64, Fold)> {
        let saved = self.checkpoints.find(offset)?;
        let restored = saved.and_then(|(offset, saved)| Some((offset, Fold::restore(&self.adapter, &saved)?)));
        Ok(restored.unwrap_or_else(|| (reader.start(), Fold::new(Arc::clone(&self.adapter)))))
    }

    /// Returns whether the history, which ends at `end`, can be continued after `cursor`, as far as its record alone
    /// shows. [`Archive::walk_after`] finds out whether that record has an event of this number.
    ///
    /// # Errors
    /// Fails when the journal cannot be read.
    pub fn holds(&self, cursor: Cursor, end: u64) -> io::Result<bool> {
        if cursor.seq >= end {
            return Ok(false);
        }
        let Some(at) = cursor.at else { return Ok(true) };
        let reader = Reader::open(&self.journal).map_err(into_io)?;
        if cursor.seq < reader.start() {
            return Ok(true);
        }
        // A damaged line has no time to compare.
        Ok(reader.time_at(reader.align(cursor.seq)?)?.is_none_or(|time| time == at))
    }

    /// Returns a walk that begins with the event `from`, or with the next one.
    ///
    /// # Errors
    /// Fails when the journal cannot be read, or `from` is past its end.
    pub fn walk(&self, from: u64) -> io::Result<Walk> {
        let reader = Reader::open(&self.journal).map_err(into_io)?;
        let record = reader.align(from)?;
        let (next, fold) = self.restore(&reader, record)?;
        Ok(Walk { reader, fold, next, from, cursor: CursorCheck::Passed, buffer: Vec::new() })
    }

    /// Returns a walk that continues after the cursor `from - 1`. It stops with [`Walk::is_lost`] when the cursor is
    /// neither an event nor the end of a record.
    ///
    /// # Errors
    /// As [`Archive::walk`].
    pub fn walk_after(&self, from: u64) -> io::Result<Walk> {
        Ok(Walk { cursor: CursorCheck::Due, ..self.walk(from)? })
    }

    /// Appends the `resync_required` frame: the cursor is invalid, and the stream restarts at the first event.
    pub fn resync_frame(&self, frames: &mut Vec<u8>) {
        let earliest = self.start().unwrap_or_default();
        let frame = serde_json::json!({
            "type": "resync_required",
            "worker_id": self.worker_id,
            "earliest_seq": earliest,
        });
        wire::json_frame(frames, &frame);
    }

    /// Returns the payload of the record at the event `seq`.
    ///
    /// # Errors
    /// Fails when the journal cannot be read, or there is no record.
    pub fn payload_at(&self, seq: u64) -> io::Result<Vec<u8>> {
        let reader = Reader::open(&self.journal).map_err(into_io)?;
        let mut buffer = Vec::new();
        let at = reader.align(seq)?;
        reader.read(at, 1, &mut buffer)?;
        match records(&buffer, at).next() {
            Some(Entry::Record(record)) => Ok(record.payload.to_vec()),
            _ => Err(io::Error::new(io::ErrorKind::NotFound, format!("no record at {seq}"))),
        }
    }

    /// Returns the oldest events of a selection after the cursor `from - 1` and before the event `until`.
    ///
    /// # Errors
    /// Fails when the journal cannot be read.
    pub fn page_after(&self, from: u64, until: u64, selection: &Selection<'_>) -> io::Result<Page> {
        let blocks = self.blocks();
        let mut walk = self.walk_after(from)?;
        let mut events = VecDeque::new();
        let mut bytes = 0;
        let mut has_more = false;
        while !has_more && !walk.is_lost() && walk.next < until {
            walk.step(until, &mut |walked| {
                // The last record may hold events on both sides of `until`.
                if has_more || walked.seq >= until || !(selection.filter)(walked.event_type()) {
                    return;
                }
                if events.len() == selection.limit || (bytes >= PAGE_BYTES_MAX && !events.is_empty()) {
                    has_more = true;
                    return;
                }
                let event = PageEvent::new(walked, selection.blocks).with_blocks(&blocks);
                bytes += event.json.len();
                events.push_back(event);
            })?;
        }
        Ok(Page { events, has_more, is_lost: walk.is_lost() })
    }

    /// Returns the newest events of a selection before the event `before`.
    ///
    /// # Errors
    /// Fails when the journal cannot be read.
    pub fn page_before(&self, before: u64, selection: &Selection<'_>) -> io::Result<Page> {
        let blocks = self.blocks();
        let reader = Reader::open(&self.journal).map_err(into_io)?;
        let mut page = Page { events: VecDeque::new(), has_more: false, is_lost: false };
        let mut end = before;
        let mut window = WINDOW_BYTES;
        let mut bytes = 0;
        while end > reader.start() && !page.has_more {
            let begin = reader.chunk_before(reader.align(end)?, window)?;
            let begin = if begin >= end { reader.start() } else { begin };
            let mut found = self.window(begin, end, selection)?;
            while let Some(event) = found.pop_back() {
                if page.events.len() == selection.limit || (bytes >= PAGE_BYTES_MAX && !page.events.is_empty()) {
                    page.has_more = true;
                    break;
                }
                let event = event.with_blocks(&blocks);
                bytes += event.json.len();
                page.events.push_front(event);
            }
            end = begin;
            window = window.saturating_mul(2).min(STEP_BYTES * 64);
        }
        Ok(page)
    }

    /// Returns the newest events of a selection from `begin` up to the event `before`, and one more.
    fn window(&self, begin: u64, before: u64, selection: &Selection<'_>) -> io::Result<VecDeque<PageEvent>> {
        let mut walk = self.walk(begin)?;
        let mut events: VecDeque<PageEvent> = VecDeque::new();
        while walk.next < before {
            // The last record may hold events on both sides of `before`.
            let until = walk.reader.size()?;
            let reached = walk.step(until, &mut |walked| {
                if walked.seq < before && (selection.filter)(walked.event_type()) {
                    if events.len() > selection.limit {
                        events.pop_front();
                    }
                    events.push_back(PageEvent::new(walked, selection.blocks));
                }
            })?;
            if reached >= until {
                break;
            }
        }
        Ok(events)
    }
}

/// Returns whether the last saved fold was taken at the end of a record of this journal. If an older journal was
/// restored and has grown past that position, another record is there, or one with another time.
fn fits(checkpoints: &Checkpoints, journal: &Reader) -> io::Result<bool> {
    let Some((offset, saved)) = checkpoints.find(u64::MAX)? else { return Ok(true) };
    let Some(time) = Fold::saved_time(&saved) else { return Ok(false) };
    if journal.align(offset)? != offset {
        return Ok(false);
    }
    Ok(journal.time_at(journal.align(offset - 1)?)?.is_none_or(|found| found == time))
}

/// Serves subscribers from an archive.
struct ArchiveFrames {
    archive: Arc<Archive>,
    walk: Walk,
    raw: bool,
    simple: bool,
    /// The blocks of messages, if they are requested.
    blocks: Option<Arc<Blocks>>,
}

impl Replay for ArchiveFrames {
    fn page(&mut self, until: u64, frames: &mut Vec<u8>) -> io::Result<u64> {
        let worker_id = &self.archive.worker_id;
        let mut lines = self.raw.then(wire::RawLines::default);
        let simple = self.simple;
        let reached = self.walk.step(until, &mut |walked| {
            if simple {
                return wire::simple_frame(frames, worker_id, &walked.output);
            }
            let Record { seq, kind, payload, .. } = *walked.record;
            let lines = lines.as_mut().filter(|_| kind != crate::journal::Kind::Ctl);
            let raw = lines.and_then(|lines| lines.next(seq, payload));
            let blocks = self.blocks.as_ref().and_then(|blocks| blocks.of(walked, BlockScope::Messages));
            let output = Output { raw, more: blocks.as_deref(), ..walked.output };
            wire::output_frame(frames, worker_id, &output);
        })?;
        if self.walk.is_lost() {
            self.archive.resync_frame(frames);
            self.walk = self.archive.walk(0)?;
            return Ok(self.walk.next);
        }
        Ok(reached)
    }
}

impl JournalSource for Arc<Archive> {
    fn replay(&self, from: u64, kind: FrameKind) -> io::Result<Box<dyn Replay>> {
        let FrameKind { raw, blocks, simple } = kind;
        let blocks = blocks.then(|| self.blocks());
        Ok(Box::new(ArchiveFrames { archive: Self::clone(self), walk: self.walk_after(from)?, raw, simple, blocks }))
    }

    fn replay_complete(&self, seq: u64, time: u64, frames: &mut Vec<u8>) {
        let frame = serde_json::json!({
            "type": "replay_complete",
            "worker_id": self.worker_id,
            "seq": seq,
            "timestamp": Micros(time),
        });
        wire::json_frame(frames, &frame);
    }
}

/// Converts a journal's error where only an I/O error fits.
pub(in crate::worker) fn into_io(error: JournalError) -> io::Error {
    io::Error::other(error)
}
