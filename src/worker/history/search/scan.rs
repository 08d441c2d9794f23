//! One journal, read from its end to its beginning in blocks.

use std::collections::VecDeque;
use std::io;
use std::ops::ControlFlow;

use memchr::memmem;
use serde_json::Value;

use super::hit::{Hit, HitKey, MatchedRange, Query, SearchedWorker};
use super::needle::{Needle, each_line};
use crate::adapter::Texts;
use crate::event::{Body, Event};
use crate::journal::Reader;
use crate::worker::history::archive::into_io;
use crate::worker::history::walk::WalkedEvent;

/// Journal bytes of the first block of each worker; a block is twice as long as the one before.
const BLOCK_BYTES_MIN: usize = 32 * 1024;
/// Journal bytes of the longest blocks: those read between two checks of the clock.
const BLOCK_BYTES_MAX: usize = 1024 * 1024;
/// Distance in journal bytes between two candidate records from which on the second is derived from its own saved fold.
const JUMP_BYTES: u64 = crate::worker::history::checkpoint::SPACING_BYTES;
/// Characters of a snippet before the match.
const BEFORE_CHARS: usize = 60;
/// Characters of a snippet after the match.
const AFTER_CHARS: usize = 120;

/// The beginning of the journal's own records, in lower case.
const CONTROL: &[u8] = b" ctl {\"type\":\"";
/// These records may produce events with an unfinished message of the CLI, whose pieces are records before them.
const ENDS: [&[u8]; 2] = [b"exited\"", b"shim_lost\""];
/// The same, in a line of a CLI.
const INTERRUPTED: &[u8] = b"\"interrupted\"";

/// The position of one worker's backward scan.
///
/// Its file is open only while it is read: a search has one scan for each worker.
pub(super) struct Backwards {
    worker: SearchedWorker,
    /// The end of the part that is not searched.
    end: u64,
    /// The time of the last record before it; never later than that of an earlier record.
    time: u64,
    block: usize,
}

impl Backwards {
    /// Starts at all that is older than `before`; `None` when there is nothing.
    pub(super) fn open(worker: &SearchedWorker, before: Option<&HitKey>) -> io::Result<Option<Self>> {
        let reader = reader(worker)?;
        let known = worker.end;
        let end = match before {
            None => known,
            // An event of the record at this byte is the next one, or of the record before.
            Some(before) if before.worker_id == worker.id => {
                let record = reader.align(before.seq.saturating_sub(1).min(known))?;
                reader.next(record)?.unwrap_or(record).min(known)
            }
            Some(before) => {
                let later = |time| time > before.time || (time == before.time && *worker.id > *before.worker_id);
                boundary(&reader, known, &later)?
            }
        };
        let time = before.map_or(u64::MAX, |before| before.time);
        let mut it = Self { worker: worker.clone(), end, time, block: BLOCK_BYTES_MIN };
        Ok(it.look_ahead(&reader)?.then_some(it))
    }

    /// Returns the bound: no event that it has not yielded has this position or a later one.
    pub(super) fn key(&self) -> HitKey {
        HitKey { time: self.time, worker_id: self.worker.id.clone(), seq: self.end }
    }

    /// Searches one more block and passes its newest matches to `found`. Returns the number of bytes of the block, or
    /// that it was the last one.
    pub(super) fn step(
        &mut self,
        needle: &Needle,
        query: &Query,
        buffer: &mut Vec<u8>,
        found: &mut dyn FnMut(Hit),
    ) -> io::Result<(usize, ControlFlow<()>)> {
        let reader = reader(&self.worker)?;
        let begin = reader.chunk_before(self.end, self.block)?;
        let len = usize::try_from(self.end - begin).unwrap_or(usize::MAX);
        let mut hits = VecDeque::new();
        for (from, until, records) in self.groups(&reader, begin, len, needle, buffer)? {
            let mut walk = self.worker.archive.walk(from)?;
            let mut at = from;
            while at < until {
                let reached = walk.step(until, &mut |walked| {
                    if records.as_ref().is_none_or(|records| records.binary_search(&walked.record.seq).is_ok()) {
                        hits.extend(self.hit(walked, needle, query));
                        // A block passes on the newest results of a page, and one more to show that the page is not the
                        // last one.
                        if hits.len() > query.limit + 1 {
                            hits.pop_front();
                        }
                    }
                })?;
                if reached == at {
                    break;
                }
                at = reached;
            }
        }
        hits.into_iter().for_each(found);
        self.end = begin;
        self.block = self.block.saturating_mul(2).min(BLOCK_BYTES_MAX);
        let more = if self.look_ahead(&reader)? { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
        Ok((len, more))
    }

    /// The parts of a block that may contain matches: begin, end, and the candidate records; `None` for all records.
    #[expect(clippy::type_complexity, reason = "it has one caller, which takes it apart at once")]
    fn groups(
        &self,
        reader: &Reader,
        begin: u64,
        len: usize,
        needle: &Needle,
        buffer: &mut Vec<u8>,
    ) -> io::Result<Vec<(u64, u64, Option<Vec<u64>>)>> {
        if self.worker.archive.adapter().texts() == Texts::InPieces {
            return Ok(vec![(begin, self.end, None)]);
        }
        reader.read(begin, len, buffer)?;
        buffer.make_ascii_lowercase();
        let mut places: Vec<u64> = Vec::new();
        let mut take = |place: usize| places.push(begin + place as u64);
        let is_end = |rest: &[u8]| ENDS.iter().any(|end| rest.starts_with(end));
        each_line(buffer, &memmem::Finder::new(CONTROL), &is_end, &mut take);
        each_line(buffer, &memmem::Finder::new(INTERRUPTED), &|_| true, &mut take);
        needle.candidates(buffer, &mut take);
        places.sort_unstable();
        places.dedup();
        let mut groups: Vec<(u64, u64, Option<Vec<u64>>)> = Vec::new();
        for place in places {
            let end = reader.next(place)?.unwrap_or(self.end);
            match groups.last_mut() {
                Some((_, until, Some(records))) if place - *until < JUMP_BYTES => {
                    *until = end;
                    records.push(place);
                }
                _ => groups.push((place, end, Some(vec![place]))),
            }
        }
        Ok(groups)
    }

    fn hit(&self, walked: &WalkedEvent<'_>, needle: &Needle, query: &Query) -> Option<Hit> {
        let kind = walked.event_type();
        if !query.kinds.contains(&kind) {
            return None;
        }
        let key =
            HitKey { time: walked.record.time.0.min(self.time), worker_id: self.worker.id.clone(), seq: walked.seq };
        if query.before.as_ref().is_some_and(|before| key >= *before) {
            return None;
        }
        let (field, text, range) = find(needle, walked.output.event)?;
        let from = range.start.saturating_sub(BEFORE_CHARS);
        let snippet = text.chars().skip(from).take(range.end + AFTER_CHARS - from).collect();
        Some(Hit {
            worker_name: self.worker.name.clone(),
            kind,
            timestamp: walked.record.time,
            field,
            snippet,
            matched: MatchedRange { start: range.start - from, end: range.end - from },
            seq: walked.seq,
            worker_id: key.worker_id.clone(),
            key,
        })
    }

    /// Finds the time of the record before; returns whether there is one.
    fn look_ahead(&mut self, reader: &Reader) -> io::Result<bool> {
        let mut at = self.end;
        while at > reader.start() {
            at = reader.align(at - 1)?;
            if let Some(time) = reader.time_at(at)? {
                self.time = self.time.min(time.0);
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn reader(worker: &SearchedWorker) -> io::Result<Reader> {
    Reader::open(&worker.dir.join("journal")).map_err(into_io)
}

/// Finds the first record before `end` whose time is `later`, and all that follow; times grow along a journal.
fn boundary(reader: &Reader, end: u64, later: &dyn Fn(u64) -> bool) -> io::Result<u64> {
    let (mut low, mut high) = (reader.start(), end);
    while low < high {
        let record = reader.align(low + (high - low) / 2)?;
        if reader.time_at(record)?.is_some_and(|time| later(time.0)) {
            high = record;
        } else {
            low = reader.next(record)?.unwrap_or(high);
        }
    }
    Ok(low)
}

/// Finds the query in an event: in its readable text, else in a tool's structured input or output.
fn find<'e>(needle: &Needle, event: &'e Event<'_>) -> Option<(&'static str, &'e str, std::ops::Range<usize>)> {
    if let Some(range) = needle.find(&event.content) {
        return Some(("content", &event.content, range));
    }
    let (field, value) = match &event.body {
        Body::ToolCall { input, .. } | Body::PermissionRequest { input, .. } => ("input", input),
        Body::ToolResult { output, .. } => ("output", output),
        Body::Question { questions, .. } => ("questions", questions),
        _ => return None,
    };
    find_inside(needle, value).map(|(text, range)| (field, text, range))
}

/// Returns the first text inside a value that matches. serde_json rejects values nested too deeply for this recursion.
fn find_inside<'v>(needle: &Needle, value: &'v Value) -> Option<(&'v str, std::ops::Range<usize>)> {
    match value {
        Value::String(text) => Some((text.as_str(), needle.find(text)?)),
        Value::Array(list) => list.iter().find_map(|value| find_inside(needle, value)),
        Value::Object(fields) => fields.values().find_map(|value| find_inside(needle, value)),
        _ => None,
    }
}
