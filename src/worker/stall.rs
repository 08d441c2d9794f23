//! The watch over turns that have gone silent.
//!
//! A CLI that retries in silence, a model that thinks for long, and a hang look the same on stdout. After
//! `WORKER_TIMEOUT` seconds of silence in a turn the worker is called stalled, with what is known: how long it has been
//! silent, whether its process lives, and whether it has used the processor. It recovers with the next line.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::registry::Registry;
use super::status::Status;
use super::worker::Worker;
use crate::procfs;

/// How often the workers are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The body of the watch's thread: ends when `stop` is closed.
pub fn watch(registry: &Arc<Registry>, timeout: Duration, stop: &Receiver<()>) {
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
            format!("its process lives and has used {used} ms of processor time since")
        }
    };
    let reason = format!("no output for {} s; {evidence}", silence.as_secs());
    silent.remove(worker.id());
    if let Err(error) = worker.stall(reason) {
        log::warn!("worker {}: {error}", worker.id());
    }
}
