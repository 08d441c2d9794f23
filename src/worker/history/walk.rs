//! A walk over a journal: the events of its records in order, from any position.

use std::io;

use crate::event::{EventBuffer, numbered};
use crate::journal::{Entry, Reader, Record, records};
use crate::wire::{self, Output};
use crate::worker::state::fold::Fold;

/// Journal bytes that one step of a walk folds.
pub(in crate::worker) const STEP_BYTES: usize = 128 * 1024;
/// A position in a journal from which events are derived in order.
pub struct Walk {
    pub(in crate::worker) reader: Reader,
    pub(in crate::worker) fold: Fold,
    pub(in crate::worker) next: u64,
    pub(in crate::worker) from: u64,
    pub(in crate::worker) cursor: CursorCheck,
    pub(in crate::worker) buffer: Vec<u8>,
}

/// The check of the cursor at which a walk continues: the event before its first one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::worker) enum CursorCheck {
    /// No check is needed, or it has passed.
    Passed,
    /// The event has not been found yet.
    Due,
    /// The event does not exist.
    Lost,
}

/// An event on a walk.
pub struct WalkedEvent<'w> {
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
    Event(&'w WalkedEvent<'w>),
}

impl WalkedEvent<'_> {
    /// Its `type`.
    pub fn event_type(&self) -> &'static str {
        self.output.event.body.name()
    }

    /// Returns the event as `{"seq", "type", "content", "timestamp", ...}`, with more members if its output has them.
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = format!("{{\"seq\":{}", self.seq).into_bytes();
        let begin = json.len();
        wire::append_event(&mut json, self.output.event, &self.output.time.iso());
        // The object's opening brace is replaced by a comma: it always has fields.
        if let Some(brace) = json.get_mut(begin) {
            *brace = b',';
        }
        wire::append_members(&mut json, self.output.more);
        json
    }
}

impl Walk {
    /// Returns whether no event matches the cursor at which the walk was to continue. The walk has yielded nothing
    /// then, and ends.
    pub fn is_lost(&self) -> bool {
        self.cursor == CursorCheck::Lost
    }

    /// Yields the events of some more records, none at or after the offset `until`, which is the start of a record.
    /// Returns the offset that it reached.
    ///
    /// # Errors
    /// Fails when the journal cannot be read.
    pub fn step(&mut self, until: u64, visit: &mut dyn FnMut(&WalkedEvent<'_>)) -> io::Result<u64> {
        self.step_records(until, &mut |step| match step {
            Step::Record(_) => {}
            Step::Event(walked) => visit(walked),
        })
    }

    /// Does the same as [`step`](Self::step), and passes on each record before its events.
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
            // The end of a record is a cursor too: the next record begins at `from` then.
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
                // Events without a number are live only.
                let Some(seq) = seq else { continue };
                has_cursor |= seq + 1 == from;
                if seq >= from {
                    let output = Output { seq: Some(seq), time: record.time, event, raw: None, more: None };
                    visit(Step::Event(&WalkedEvent { seq, output, record: &record }));
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

    /// The cursor is invalid: the walk ends here.
    fn lose(&mut self) -> u64 {
        self.cursor = CursorCheck::Lost;
        self.next
    }
}
