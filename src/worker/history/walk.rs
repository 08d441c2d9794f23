//! A walk over a journal: the events of its records in order, from any place on.

use std::io;

use crate::event::{EventBuffer, numbered};
use crate::journal::{Entry, Reader, Record, records};
use crate::wire::{self, Output};
use crate::worker::state::fold::Fold;

/// Journal bytes that one step of a walk folds.
pub(in crate::worker) const STEP_BYTES: usize = 128 * 1024;
/// A place in a journal from which events are told in order.
pub struct Walk {
    pub(in crate::worker) reader: Reader,
    pub(in crate::worker) fold: Fold,
    pub(in crate::worker) next: u64,
    pub(in crate::worker) from: u64,
    pub(in crate::worker) cursor: CursorCheck,
    pub(in crate::worker) buffer: Vec<u8>,
}

/// The knowledge of a walk about the cursor that it continues from: the event before its first one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::worker) enum CursorCheck {
    /// It is not to be checked, or is right.
    Passed,
    /// The event is looked for.
    Due,
    /// There is no such event.
    Lost,
}

/// An event on a walk.
pub struct Walked<'w> {
    /// Its sequence number.
    pub seq: u64,
    /// The event with its time.
    pub output: Output<'w, 'w>,
    /// The record that it came from.
    pub record: &'w Record<'w>,
}

/// One step of a walk.
pub enum Step<'w> {
    /// A record.
    Record(&'w Record<'w>),
    /// One of its events.
    Event(&'w Walked<'w>),
}

impl Walked<'_> {
    /// Its `type`.
    pub fn event_type(&self) -> &'static str {
        self.output.event.body.name()
    }

    /// The event as `{"seq", "type", "content", "timestamp", ...}`, with more members if its output has them.
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = format!("{{\"seq\":{}", self.seq).into_bytes();
        let begin = json.len();
        wire::append_event(&mut json, self.output.event, &self.output.time.iso());
        // The object's own brace gives way to a comma: it always has fields.
        if let Some(brace) = json.get_mut(begin) {
            *brace = b',';
        }
        wire::append_members(&mut json, self.output.more);
        json
    }
}

impl Walk {
    /// Returns whether there is no event at the cursor that it was to continue from. It has yielded none then, and
    /// ends.
    pub fn is_lost(&self) -> bool {
        self.cursor == CursorCheck::Lost
    }

    /// Tells the events of some more records, none at or after the offset `until`, which is a record's. Returns the
    /// offset that it reached.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn step(&mut self, until: u64, visit: &mut dyn FnMut(&Walked<'_>)) -> io::Result<u64> {
        self.step_records(until, &mut |step| match step {
            Step::Record(_) => {}
            Step::Event(walked) => visit(walked),
        })
    }

    /// As [`step`](Self::step), and tells each record before its events.
    ///
    /// # Errors
    /// As there.
    pub fn step_records(&mut self, until: u64, visit: &mut dyn FnMut(Step<'_>)) -> io::Result<u64> {
        let left = usize::try_from(until.saturating_sub(self.next)).unwrap_or(usize::MAX);
        if left == 0 {
            return Ok(self.next);
        }
        let reached = self.reader.read(self.next, left.min(STEP_BYTES), &mut self.buffer)?;
        let mut buffer = EventBuffer::default();
        for entry in records(&self.buffer, self.next) {
            let from = self.from;
            // The end of a record is a cursor too: the next one begins at `from` then.
            let is_cursors = self.cursor == CursorCheck::Due && entry.seq() < from && from < entry.end();
            let mut has_cursor = false;
            let Entry::Record(record) = entry else {
                if is_cursors {
                    return Ok(self.lose());
                }
                continue;
            };
            if record.seq >= from {
                visit(Step::Record(&record));
            }
            let mut events = buffer.take();
            self.fold.record(&record, &mut events);
            for (seq, event) in numbered(&record, &events) {
                // What has no number is live only.
                let Some(seq) = seq else { continue };
                has_cursor |= seq + 1 == from;
                if seq >= from {
                    let output = Output { seq: Some(seq), time: record.time, event, raw: None, more: None };
                    visit(Step::Event(&Walked { seq, output, record: &record }));
                }
            }
            buffer.put_back(events);
            if is_cursors && !has_cursor {
                return Ok(self.lose());
            }
        }
        self.next = reached;
        Ok(reached)
    }

    /// The cursor is of no use: the walk ends where it is.
    fn lose(&mut self) -> u64 {
        self.cursor = CursorCheck::Lost;
        self.next
    }
}
