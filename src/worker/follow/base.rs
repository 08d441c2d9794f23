//! The history before a fork, which a worker that follows the fork receives first.

use std::collections::VecDeque;

use crate::clock::Micros;
use crate::journal::{Control, Kind, LINE_MAX, encode};
use crate::sessions::{ForkBase, ForkShare};
use crate::transcript::{PeekedLine, Position, SeenLines, Tail};
use crate::worker::follow::append::append;
use crate::worker::run::worker::Worker;

/// The earlier sessions whose shared lines have not been copied yet, oldest first.
pub(in crate::worker) struct Bases {
    left: VecDeque<(ForkBase, Tail)>,
    missing: Option<Control>,
}

impl Bases {
    pub(in crate::worker) fn new(bases: Vec<ForkBase>) -> Self {
        let gone = bases.iter().rfind(|base| base.transcript.is_none());
        let missing = gone.map(|base| missing(&base.session_id, "its transcript is not here"));
        let tail = |base: ForkBase| {
            let path = base.transcript.clone()?;
            Some((base, Tail::new(path, Position::default(), LINE_MAX)))
        };
        Self { left: bases.into_iter().filter_map(tail).collect(), missing }
    }

    pub(in crate::worker) fn is_empty(&self) -> bool {
        self.left.is_empty() && self.missing.is_none()
    }

    /// Appends a batch of the first session's lines to the journal; `Ok(false)` when the worker no longer follows.
    /// After a restart, lines that the journal already has are skipped.
    ///
    /// # Errors
    /// Fails when the journal can't be written; the batch is tried again.
    pub(in crate::worker) fn take(
        &mut self,
        worker: &Worker,
        seen: &mut SeenLines,
    ) -> Result<bool, crate::worker::error::WorkerError> {
        let mut batch = Vec::new();
        if let Some(missing) = &self.missing {
            encode(&mut batch, Micros::now(), Kind::Ctl, &missing.to_json());
        }
        let mut keys = Vec::new();
        let mut ended = true;
        if let Some((base, tail)) = self.left.front_mut() {
            match tail.look() {
                Ok(looked) => ended = !looked.more || looked.missing || read(base, tail, seen, &mut batch, &mut keys),
                Err(error) => {
                    encode(
                        &mut batch,
                        Micros::now(),
                        Kind::Ctl,
                        &missing(&base.session_id, &error.to_string()).to_json(),
                    );
                }
            }
        }
        if !batch.is_empty() && !append(worker, &batch)? {
            return Ok(false);
        }
        self.missing = None;
        for key in keys {
            seen.note(key);
        }
        if let Some((_, tail)) = self.left.front_mut() {
            tail.commit();
        }
        if ended {
            self.left.pop_front();
        }
        Ok(true)
    }
}

/// Encodes the shared lines of one read; returns whether it was the last of them.
fn read(base: &ForkBase, tail: &Tail, seen: &SeenLines, batch: &mut Vec<u8>, keys: &mut Vec<u64>) -> bool {
    let (mut offset, inode, mut at) = (tail.position().offset, tail.position().inode, None);
    for (line, whole) in tail.lines() {
        let end = offset + line.len() as u64 + u64::from(whole);
        let shares = base.shares(line);
        if shares == ForkShare::After {
            return true;
        }
        let peeked = PeekedLine::of(line);
        let is_new = peeked.key.is_none_or(|key| !seen.has(key) && !keys.contains(&key));
        if shares == ForkShare::Yes && is_new && !line.is_empty() {
            if at != Some(offset) {
                let file = format!("fork-base {}", base.session_id);
                let place = Control::Transcript { file, offset, inode, parent_tool_call_id: None };
                encode(batch, Micros::now(), Kind::Ctl, &place.to_json());
            }
            let now = Micros::now();
            let time = peeked.time.filter(|&time| time < now).unwrap_or(now);
            encode(batch, time, if whole { Kind::Out } else { Kind::OutPart }, line);
            keys.extend(peeked.key);
            at = Some(end);
        }
        offset = end;
    }
    false
}

fn missing(session_id: &str, why: &str) -> Control {
    let text = format!("The session was forked from {session_id}; the history before that can't be shown: {why}");
    Control::FollowNoted { code: "fork_base_missing".to_owned(), text }
}
