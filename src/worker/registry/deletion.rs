//! The deletion of workers: on request, or because they could not be created.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::hub::FeedSubject;
use crate::journal::By;
use crate::wire;
use crate::worker::error::WorkerError;
use crate::worker::place::sandbox::remove_tree;
use crate::worker::publish::life_log;
use crate::worker::registry::Registry;
use crate::worker::registry::import::UNFINISHED;
use crate::worker::run::worker::Worker;

impl Registry {
    /// Ends a worker's process tree and removes its data, and its worktree if no work is lost, or with `force`. All
    /// reasons for a refusal are checked before anything is stopped. Returns what is left, for people.
    ///
    /// # Errors
    /// Fails when its worktree has work that would be lost or cannot be removed: then its agent keeps running. When its
    /// process tree does not end, or when lost work is found only after the end: the text says that the agent has been
    /// stopped.
    pub(crate) fn delete(&self, worker: &Arc<Worker>, force: bool) -> Result<Option<String>, WorkerError> {
        let mut kept = self.prepare_deletion(worker, force)?;
        let ran = worker.end_terminals() > 0 || worker.state().is_running();
        worker.stop_to_delete(By::User)?;
        if ran {
            // Its work until the stop counts too.
            kept.extend(self.prepare_deletion(worker, force).map_err(WorkerError::after_the_stop)?);
        }
        {
            let mut core = worker.core();
            if core.mailbox.is_some() {
                return Err(WorkerError::Conflict("the worker was started again meanwhile".to_owned()));
            }
            if core.deleted {
                return Err(WorkerError::Conflict("the worker is being deleted by another request".to_owned()));
            }
            core.deleted = true;
        }
        // A terminal may have been opened until this moment.
        worker.end_terminals();
        if let Err(error) = worker.stop_check() {
            worker.core().deleted = false;
            return Err(error);
        }
        let torn_down = self.tear_down_worktree(worker);
        let left = self.remove_worktree(worker).map_err(|error| {
            worker.core().deleted = false;
            if ran { error.after_the_stop() } else { error }
        })?;
        // Before the worker is gone: if the server is killed here, the worker still exists and can be deleted again.
        worker.forget_trees();
        // Meanwhile no message is admitted: its usage moves from one sum to the other.
        let paused = self.launcher.budgets.pause();
        self.write().remove(worker.id());
        self.launcher.agents.tokens.agents().end(worker.id());
        self.report_deletion(worker);
        // Before its journal is gone: a kill in between loses no usage, and counts none twice.
        self.past_spending.add(worker);
        remove(worker.dir())?;
        self.past_spending.settle(|_| false);
        drop(paused);
        let kept = kept.into_iter().collect::<Vec<_>>().join(", ");
        let kept = (!kept.is_empty()).then(|| format!("commits that only its worktree had are kept as {kept}"));
        let left: Vec<String> = torn_down.into_iter().chain(left).chain(kept).collect();
        Ok((!left.is_empty()).then(|| left.join("; ")))
    }

    fn report_deletion(&self, worker: &Worker) {
        log::info!("{} deleted", life_log::named(worker.id(), &worker.state().name));
        let mut frames = Vec::new();
        wire::json_frame(&mut frames, &serde_json::json!({"type": "worker_deleted", "worker_id": worker.id()}));
        worker.topic().close(&frames, false);
        let state = worker.state();
        let subject = FeedSubject { worker: worker.id(), project: state.project(), narrowed: None };
        self.feed.publish(subject, &frames);
    }

    /// Removes what is left of a worker that could not be created.
    pub(in crate::worker) fn discard(&self, id: &str, dir: &Path) {
        let known = self.write().remove(id);
        if let Some(worker) = known {
            worker.core().deleted = true;
            self.launcher.agents.tokens.agents().end(id);
            self.report_deletion(&worker);
            if let Err(error) = self.remove_worktree(&worker) {
                log::error!("the worktree of worker {id}, which could not be made, is left: {error}");
            }
            worker.forget_trees();
        }
        if let Err(error) = remove(dir) {
            log::error!("{} cannot be removed: {error}", dir.display());
        }
    }
}

/// Removes a worker's folder with its contents.
fn remove(dir: &Path) -> std::io::Result<()> {
    // The journal is removed first: a folder without one is not a worker, even if the rest stays. Removing by name
    // needs no file descriptor, of which there may be none left.
    for name in ["journal", UNFINISHED, "states", "shim.log", "shim.sock"] {
        match fs::remove_file(dir.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    match fs::remove_dir(dir).or_else(|_| remove_tree(dir)) {
        // Another request was faster.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
