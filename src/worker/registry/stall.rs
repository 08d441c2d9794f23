//! The watch over silent turns.
//!
//! A CLI that retries in silence, a model that thinks for long, and a hang look the same on stdout. After
//! `WORKER_TIMEOUT` seconds of silence in a turn the worker is reported as stalled, with the known facts: the duration
//! of the silence, whether its process is alive, and whether it has used the processor. If the CLI writes a transcript
//! as well, the report includes whether that has grown: then the agent works and only its output is silent. If not, and
//! the process has not used the processor, it waits. It recovers with the next line.
//!
//! A CLI that does not answer the handshake for that long is stalled too, whatever else it prints, until the answer
//! comes.

use std::collections::HashMap;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use crate::clock::Micros;
use crate::procfs;
use crate::worker::registry::Registry;
use crate::worker::run::worker::Worker;
use crate::worker::state::FILES_MAX;
use crate::worker::state::status::Status;

/// Time between two checks of the workers.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Longest delay between the output and the same lines in the transcript; it was up to 165 ms.
const LAG: Duration = Duration::from_secs(1);
/// A process that has used the processor for less than this part of the silence waits.
const WAITING_SHARE: u32 = 20;

/// Returns the time of the last write to the transcript of a worker's session, including its sub-agents; `None` when it
/// is unknown.
fn transcript_written(worker: &Worker) -> Option<SystemTime> {
    let state = worker.state();
    let session_id = state.session_id.as_deref()?;
    let path = worker.launcher.sessions.transcript(Some(&state.ai_cli_type), session_id)?.transcript?;
    let own = fs::metadata(&path).and_then(|metadata| metadata.modified()).ok();
    let entries = path.with_extension("").join("subagents").read_dir().into_iter().flatten().flatten();
    let sub_agents = entries.take(FILES_MAX).filter_map(|entry| entry.metadata().ok()?.modified().ok());
    own.into_iter().chain(sub_agents).max()
}

/// The body of the watch's thread: ends when `stop` is closed.
pub(crate) fn watch(registry: &Arc<Registry>, timeout: Duration, stop: &Receiver<()>) {
    // The processor time, in milliseconds, of each silent worker when its silence was first seen.
    let mut silent: HashMap<String, u64> = HashMap::new();
    let pause = LOOK_EVERY.min(timeout / 2);
    while stop.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
        let workers = registry.all();
        silent.retain(|id, _| workers.iter().any(|worker| worker.id() == id));
        for worker in workers {
            look(&worker, timeout, pause, &mut silent);
        }
    }
}

fn look(worker: &Worker, timeout: Duration, pause: Duration, silent: &mut HashMap<String, u64>) {
    let state = worker.state();
    if let (Status::Starting, Some((what, since)), Some(_)) = (state.status, state.awaited(), state.process.pids()) {
        let silence = Duration::from_micros(Micros::now().0.saturating_sub(since));
        if silence >= timeout {
            let text = format!(
                "{what} for {} s; it goes on when the answer comes, and a restart tries again",
                silence.as_secs()
            );
            stall(worker, text);
        }
        return;
    }
    let pid = state.process.pids().map(|pids| pids.pid);
    let silence = worker.core().heard.elapsed();
    let (Status::Busy, Some(pid)) = (state.status, pid) else {
        silent.remove(worker.id());
        return;
    };
    if silence < pause * 2 {
        silent.remove(worker.id());
        return;
    }
    let now = procfs::cpu_ms(pid);
    let before = *silent.entry(worker.id().to_owned()).or_insert(now.unwrap_or(0));
    if silence < timeout {
        return;
    }
    let evidence = match now {
        None => "its process is gone".to_owned(),
        Some(now) => {
            let used = now.saturating_sub(before);
            let process = format!("its process lives and has used {used} ms of processor time since");
            let grew = transcript_written(worker).map(|at| at.elapsed().is_ok_and(|ago| ago + LAG < silence));
            let waits = Duration::from_millis(used) < silence / WAITING_SHARE;
            match (grew, waits) {
                (Some(true), _) => format!("its transcript has grown in the meantime, so the agent works; {process}"),
                (Some(false), true) => {
                    format!(
                        "its transcript has not grown either, and the process waits without the processor; {process}"
                    )
                }
                (Some(false), false) => {
                    format!("its transcript has not grown either, but the process works; {process}")
                }
                (None, _) => process,
            }
        }
    };
    let reason = format!("no output for {} s; {evidence}", silence.as_secs());
    silent.remove(worker.id());
    stall(worker, reason);
}

fn stall(worker: &Worker, reason: String) {
    if let Err(error) = worker.stall(reason) {
        log::warn!("worker {}: {error}", worker.id());
    }
}
