//! Workers that go away: deleted by people, or discarded because they could not be made.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::journal::By;
use crate::wire;
use crate::worker::error::WorkerError;
use crate::worker::place::sandbox::remove_tree;
use crate::worker::publish::life_log;
use crate::worker::registry::Registry;
use crate::worker::registry::import::UNFINISHED;
use crate::worker::run::worker::Worker;

impl Registry {
    /// Ends a worker's process tree and removes all that is kept of it, and its worktree if nothing is lost with that, or
    /// with `force`. Whatever can refuse is examined before anything is stopped. Returns what is left, for people.
    ///
    /// # Errors
    /// When its worktree has what would be lost or cannot be removed: then its agent goes on. When its tree does not end, or
    /// when the same is found after the end: the text says that the agent has been stopped.
    pub(crate) fn delete(&self, worker: &Arc<Worker>, force: bool) -> Result<Option<String>, WorkerError> {
        let mut kept = self.prepare_deletion(worker, force)?;
        let ran = worker.state().is_running();
        worker.stop_to_delete(By::User)?;
        if ran {
            // What it did until it was stopped counts too.
            kept.extend(self.prepare_deletion(worker, force).map_err(WorkerError::after_the_stop)?);
        }
        {
            let mut core = worker.core();
            if core.mailbox.is_some() {
                return Err(WorkerError::Conflict("the worker was started again meanwhile".to_owned()));
            }
            core.deleted = true;
        }
        let left = self.remove_worktree(worker).map_err(|error| {
            worker.core().deleted = false;
            if ran { error.after_the_stop() } else { error }
        })?;
        self.write().remove(worker.id());
        self.say_deleted(worker);
        remove(worker.dir())?;
        self.past_spending.add(worker);
        let kept = kept.into_iter().collect::<Vec<_>>().join(", ");
        let kept = (!kept.is_empty()).then(|| format!("commits that only its worktree had are kept as {kept}"));
        let left: Vec<String> = left.into_iter().chain(kept).collect();
        Ok((!left.is_empty()).then(|| left.join("; ")))
    }

    fn say_deleted(&self, worker: &Worker) {
        log::info!("{} deleted", life_log::named(worker.id(), &worker.state().name));
        let mut frames = Vec::new();
        wire::json_frame(&mut frames, &serde_json::json!({"type": "worker_deleted", "worker_id": worker.id()}));
        worker.topic().close(&frames, false);
        self.feed.publish(&frames);
    }

    /// Removes what is left of a worker that could not be made.
    pub(in crate::worker) fn discard(&self, id: &str, dir: &Path) {
        let known = self.write().remove(id);
        if let Some(worker) = known {
            worker.core().deleted = true;
            self.say_deleted(&worker);
            if let Err(error) = self.remove_worktree(&worker) {
                log::error!("the worktree of worker {id}, which could not be made, is left: {error}");
            }
        }
        if let Err(error) = remove(dir) {
            log::error!("{} cannot be removed: {error}", dir.display());
        }
    }
}

/// Removes a worker's folder with all that is in it.
fn remove(dir: &Path) -> std::io::Result<()> {
    // The journal goes first: a folder without one is no worker, whatever becomes of the rest. And what is removed by
    // name needs no file descriptor, of which there may be none left.
    for name in ["journal", UNFINISHED, "states", "shim.log", "shim.sock"] {
        match fs::remove_file(dir.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    match fs::remove_dir(dir).or_else(|_| remove_tree(dir)) {
        // Somebody was quicker.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
