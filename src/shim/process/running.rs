//! A running CLI: its process, the splitting of its output, and the way down the stop ladder.

use std::io::{ErrorKind, Read};
use std::path::Path;
use std::time::{Duration, Instant};

use super::child::{self, Child, Exit};
use super::kills::MemoryKills;
use super::pump::{Pump, PumpStream, RecordBatch};
use crate::clock::Micros;
use crate::journal::{Control, LINE_MAX};
use crate::shim::ladder::{Ladder, LadderStep};
use crate::shim::spec::LineKinds;
use crate::shim::tree;

/// Bytes of stderr that the exit record repeats.
const STDERR_TAIL: usize = 4096;

/// One process of the CLI, from its start until nothing of its tree lives and its pipes are drained.
#[derive(Debug)]
pub(super) struct CliProcess {
    pub(super) child: Child,
    out: Pump,
    err: Pump,
    stderr_tail: Vec<u8>,
    ladder: Option<Ladder>,
    /// The time of the ladder's next step.
    step_at: Option<Instant>,
    tree_has_ended: bool,
    /// The kernel's counts at the start.
    kills: MemoryKills,
    /// A stop was requested before the CLI had ended.
    is_asked_to_end: bool,
}

impl CliProcess {
    /// Takes over a process that was just started.
    pub(super) fn new(child: Child, kills: MemoryKills) -> Self {
        let (out, err) = (Pump::new(PumpStream::Out, LINE_MAX), Pump::new(PumpStream::Err, LINE_MAX));
        let stderr_tail = Vec::new();
        Self {
            child,
            out,
            err,
            stderr_tail,
            ladder: None,
            step_at: None,
            tree_has_ended: false,
            kills,
            is_asked_to_end: false,
        }
    }

    /// Reads once from each pipe that is `ready` (stdout, stderr), into `batch`.
    pub(super) fn read(&mut self, ready: (bool, bool), kinds: &LineKinds, batch: &mut RecordBatch) {
        // Once the tree has ended, an empty pipe stays empty, even if a stranger holds it open.
        let last_look = self.tree_has_ended;
        let (out, err) = (ready.0 || last_look, ready.1 || last_look);
        if out {
            read_pipe(&mut self.child.stdout, &mut self.out, kinds, batch, last_look, |_| {});
        }
        if err {
            let tail = &mut self.stderr_tail;
            read_pipe(&mut self.child.stderr, &mut self.err, kinds, batch, last_look, |bytes| keep_tail(tail, bytes));
        }
    }

    /// Returns whether [`CliProcess::read`] has something to do without waiting for a pipe.
    pub(super) fn drains(&self) -> bool {
        self.tree_has_ended && (self.child.stdout.is_some() || self.child.stderr.is_some())
    }

    /// Begins to end the tree, or shortens the grace period of an end that has begun.
    pub(super) fn stop(&mut self, now: Instant, grace: Duration, eof_first: bool) {
        self.is_asked_to_end |= self.child.exit.is_none();
        match &mut self.ladder {
            Some(ladder) => ladder.shorten(now, grace),
            None => {
                if eof_first {
                    self.child.stdin.close();
                }
                self.ladder = Some(Ladder::new(now, grace, eof_first));
            }
        }
        self.step_at = Some(now);
    }

    /// Reaps children that have ended.
    pub(super) fn reap(&mut self, now: Instant) {
        let lived = self.child.exit.is_none();
        child::reap(Some(&mut self.child));
        if self.ladder.is_some() || lived != self.child.exit.is_none() {
            self.step_at = Some(now);
        }
    }

    /// The time at which [`CliProcess::step`] must be called.
    pub(super) fn step_at(&self) -> Option<Instant> {
        self.step_at.filter(|_| !self.tree_has_ended)
    }

    /// Steps the ladder when it is time. The end of the CLI begins one, for the processes that it has left behind.
    pub(super) fn step(&mut self, now: Instant, grace: Duration, worker_id: &str) {
        if self.step_at().is_none_or(|at| now < at) {
            return;
        }
        child::reap(Some(&mut self.child));
        let ladder = self.ladder.get_or_insert_with(|| Ladder::new(now, grace, false));
        let shim = std::process::id().cast_signed();
        match ladder.step(now, self.child.group(), || tree::find(Some(shim), worker_id)) {
            LadderStep::Wait(at) => self.step_at = Some(at),
            LadderStep::Done => {
                child::reap(Some(&mut self.child));
                // Still not ended: the kernel holds it, or it is another user's. The ladder has logged it.
                self.child.exit.get_or_insert(Exit { code: None, signal: None });
                self.tree_has_ended = true;
                self.child.stdin.close();
            }
        }
    }

    /// Returns whether no process of its tree lives and all output is read.
    pub(super) fn is_over(&self) -> bool {
        self.tree_has_ended && self.child.stdout.is_none() && self.child.stderr.is_none()
    }

    /// The exit record.
    pub(super) fn into_exited(self, shim_stays: bool, group: Option<&Path>) -> Control {
        let exit = self.child.exit.unwrap_or(Exit { code: None, signal: None });
        let out_of_memory = self.kills.explain(MemoryKills::read(group), &exit, self.is_asked_to_end);
        let cli = (self.child.pid, self.child.start_time);
        Control::Exited {
            exit_code: exit.code,
            signal: exit.signal,
            stderr_tail: text_of(&self.stderr_tail),
            ended: self.ladder.map(|ladder| ladder.ended(Some(cli))).unwrap_or_default(),
            shim_stays,
            out_of_memory,
        }
    }
}

/// Reads once. The pipe is dropped at its end, and on the `last_look` when it is empty.
fn read_pipe<P: Read>(
    pipe: &mut Option<P>,
    pump: &mut Pump,
    kinds: &LineKinds,
    batch: &mut RecordBatch,
    last_look: bool,
    mut look: impl FnMut(&[u8]),
) {
    let Some(open) = pipe else { return };
    let space = pump.space();
    match open.read(space) {
        Ok(count) if count > 0 => {
            look(&space[..count]);
            return pump.filled(count, Micros::now(), kinds, batch);
        }
        Err(err) if err.kind() == ErrorKind::Interrupted => return,
        Err(err) if err.kind() == ErrorKind::WouldBlock && !last_look => return,
        _ => {}
    }
    pump.finish(Micros::now(), batch);
    *pipe = None;
}

fn keep_tail(tail: &mut Vec<u8>, bytes: &[u8]) {
    tail.extend_from_slice(&bytes[bytes.len().saturating_sub(STDERR_TAIL)..]);
    tail.drain(..tail.len().saturating_sub(STDERR_TAIL));
}

/// The tail as text. A character that its beginning cuts in two is left out, other bytes that are not UTF-8 are replaced.
fn text_of(tail: &[u8]) -> String {
    let cut =
        if tail.len() < STDERR_TAIL { 0 } else { tail.iter().take(3).take_while(|&&byte| byte & 0xc0 == 0x80).count() };
    String::from_utf8_lossy(&tail[cut..]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{STDERR_TAIL, keep_tail, text_of};

    #[test]
    fn end_of_stderr_is_kept_from_a_whole_character_on() {
        let mut tail = Vec::new();
        for _ in 0..3000 {
            keep_tail(&mut tail, "é\n".as_bytes());
        }
        assert_eq!(tail.len(), STDERR_TAIL);
        let text = text_of(&tail);
        assert!(!text.contains('\u{fffd}') && text.ends_with("é\né\n"));
        assert_eq!(text_of(b"\xa9ok"), "\u{fffd}ok");
    }
}
