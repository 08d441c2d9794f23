//! Appends to the journals of workers that follow a session.

use crate::worker::error::WorkerError;
use crate::worker::run::worker::Worker;
use crate::worker::state::status::ProcessState;

/// Appends records to the journal of a worker that follows a session; returns whether it still follows.
pub(in crate::worker) fn append(worker: &Worker, lines: &[u8]) -> Result<bool, WorkerError> {
    let mut core = worker.core();
    let follows = matches!(core.ingest.fold().state().process, ProcessState::Following);
    if core.deleted || core.mailbox.is_some() || !follows {
        return Ok(false);
    }
    worker.append_lines(&mut core, lines)?;
    let ends_turn = core.ingest.take_turn_end();
    let saved = core.ingest.save_if_due(ends_turn, false);
    drop(core);
    if let Some(saved) = saved {
        saved.write(&worker.archive);
    }
    Ok(true)
}
