//! Adds the counts of a worker's fold to those of the process ([`metrics`]): collected over a batch of records and
//! added at its end, because a CLI may print hundreds of thousands of lines a second.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Micros;
use crate::event::{Body, Event, TurnEnd, Usage};
use crate::journal::{By, Kind, Record};
use crate::metrics::{self, CliCounts, STREAMS};
use crate::worker::state::{OpenPrompt, PROMPTS_MAX};

/// The counts of one worker's batch.
pub(in crate::worker) struct Tally {
    counts: Arc<CliCounts>,
    records: u64,
    events: u64,
    deltas: u64,
    bytes: [u64; STREAMS.len()],
    /// Open prompts and when they were asked, oldest first.
    asked: VecDeque<(String, Micros)>,
}

impl Tally {
    /// Creates the counts for a worker of the CLI `kind` with these open prompts.
    pub(in crate::worker) fn new(kind: &str, open: &[OpenPrompt]) -> Self {
        let counts = metrics::of_cli(kind);
        let asked = open.iter().map(|prompt| (prompt.request_id.clone(), Micros(prompt.time))).collect();
        Self { counts, records: 0, events: 0, deltas: 0, bytes: [0; STREAMS.len()], asked }
    }

    /// Sets the open prompts.
    pub(in crate::worker) fn reset(&mut self, open: &[OpenPrompt]) {
        self.asked = open.iter().map(|prompt| (prompt.request_id.clone(), Micros(prompt.time))).collect();
    }

    /// Counts a record of the journal.
    pub(in crate::worker) fn record(&mut self, record: &Record<'_>) {
        self.records += 1;
        self.line(record);
    }

    /// Counts a line, of the journal or a volatile one.
    pub(in crate::worker) fn line(&mut self, record: &Record<'_>) {
        let bytes = record.payload.len() as u64;
        match record.kind {
            Kind::In => self.bytes[0] += bytes + 1,
            Kind::Out => self.bytes[1] += bytes + 1,
            Kind::OutPart => self.bytes[1] += bytes,
            Kind::Err => self.bytes[2] += bytes + 1,
            Kind::ErrPart => self.bytes[2] += bytes,
            Kind::Ctl => {}
        }
    }

    /// Counts an event. Rare events are counted at once.
    pub(in crate::worker) fn event(&mut self, time: Micros, event: &Event<'_>) {
        match &event.body {
            Body::Delta { .. } => {
                self.deltas += 1;
                return;
            }
            Body::TurnCompleted(TurnEnd { stop_reason, usage, cost_usd, is_error, .. }) => {
                let outcome = if *is_error { 2 } else { usize::from(stop_reason == "interrupted") };
                self.counts.turns[outcome].add(1);
                self.spent(&usage.unwrap_or_default(), cost_usd.unwrap_or_default());
            }
            Body::PermissionRequest { request_id, .. } => self.ask(0, request_id, time),
            Body::Question { request_id, .. } => self.ask(1, request_id, time),
            Body::PermissionResolved { request_id, by, .. } | Body::QuestionResolved { request_id, by, .. } => {
                self.resolve(request_id, *by, time);
            }
            _ => {}
        }
        self.events += 1;
    }

    fn spent(&self, usage: &Usage, cost_usd: f64) {
        let Usage { input_tokens, output_tokens, cache_read_tokens, cache_write_tokens } = *usage;
        let tokens = [input_tokens, output_tokens, cache_read_tokens, cache_write_tokens];
        self.counts.tokens.iter().zip(tokens).for_each(|(counter, count)| counter.add(count));
        self.counts.cost_nano_usd.add(crate::worker::state::nano_usd(cost_usd));
    }

    fn ask(&mut self, kind: usize, request_id: &str, time: Micros) {
        self.counts.prompts[kind].add(1);
        self.asked.retain(|(asked, _)| asked != request_id);
        if self.asked.len() == PROMPTS_MAX {
            self.asked.pop_front();
        }
        self.asked.push_back((request_id.to_owned(), time));
    }

    fn resolve(&mut self, request_id: &str, by: By, time: Micros) {
        let decided = !matches!(by, By::Cli | By::Budget);
        self.counts.resolved[usize::from(!decided)].add(1);
        let Some(at) = self.asked.iter().position(|(asked, _)| asked == request_id) else { return };
        if let (Some((_, asked)), true) = (self.asked.remove(at), decided) {
            metrics::ANSWER_TIME.observe(Duration::from_micros(time.0.saturating_sub(asked.0)));
        }
    }

    /// Adds the collected counts to those of the process.
    pub(in crate::worker) fn add(&mut self) {
        let Self { counts, records, events, deltas, bytes, .. } = self;
        counts.records.add(std::mem::take(records));
        counts.events.add(std::mem::take(events));
        counts.deltas.add(std::mem::take(deltas));
        counts.bytes.iter().zip(bytes).for_each(|(counter, count)| counter.add(std::mem::take(count)));
    }
}
