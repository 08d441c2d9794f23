//! The creation of a worker: concurrent requests with one idempotency key create one worker.

use std::sync::{Arc, PoisonError};

use crate::journal::{Control, WorkerOptions};
use crate::worker::error::WorkerError;
use crate::worker::publish::life_log;
use crate::worker::publish::summary::LimitsInForce;
use crate::worker::registry::{NewWorker, Registry, ToFollow};
use crate::worker::run::commands::check_name;
use crate::worker::run::worker::Worker;

impl Registry {
    /// Returns the limits of workers that have none of their own, and whether limits are enforced.
    pub(crate) fn usual_limits(&self) -> LimitsInForce {
        let gap = self.launcher.groups.check().err();
        LimitsInForce::usual(self.launcher.settings.limits, gap.map(|reason| reason.to_string()))
    }

    /// Creates a worker and starts its CLI. The same idempotency key again returns the same worker.
    ///
    /// # Errors
    /// Fails when the limit is reached, the key was used for another request, the CLI does not accept the options, or the
    /// disk is full. Then nothing is left of it.
    pub(crate) fn create(&self, new: NewWorker) -> Result<Arc<Worker>, WorkerError> {
        check_name(&new.name)?;
        if let Some(worker) = self.made_before(&new.options)? {
            return Ok(worker);
        }
        let id = uuid::Uuid::new_v4().to_string();
        let planned = self.plan_worktree(&new, &id)?;
        self.require_parents_repository(&new, planned.as_ref().map(|(tree, _)| tree))?;
        let creating = self.creating.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(worker) = self.made_before(&new.options)? {
            return Ok(worker);
        }
        self.require_place_below_parent(&new.options)?;
        let starting = if new.follow.is_none() { Some(self.slot()?) } else { None };
        let adapter = (self.find_adapter)(&new.ai_cli_type);
        let dir = self.make_dir(&id)?;
        let (worktree, project_path) =
            planned.map_or((None, new.project_path), |(tree, path)| (Some(Box::new(tree)), path));
        let waits = worktree.is_some();
        let created = Control::Created {
            worker_id: id.clone(),
            name: new.name,
            project_path,
            ai_cli_type: new.ai_cli_type,
            options: Box::new(new.options),
            forked_from: new.forked_from,
            worktree,
        };
        let made = Worker::create(&dir, &id, &created, adapter, &self.launcher, &self.feed);
        let begun = made.and_then(|worker| {
            if !waits {
                self.begin(&worker, new.follow.as_ref())?;
            }
            // Before the guards are released, so that the next request with this key finds the worker, and counts it.
            self.write().insert(id.clone(), Arc::clone(&worker));
            Ok(worker)
        });
        drop((starting, creating));
        // git may take long, and others must not wait for it.
        let done =
            begun.and_then(|worker| if waits { self.begin_in_worktree(&worker).map(|()| worker) } else { Ok(worker) });
        let worker = done.inspect_err(|_| self.discard(&id, &dir))?;
        worker.notify_feed();
        {
            let state = worker.state();
            let named = life_log::named(worker.id(), &state.name);
            log::info!("{named} created: {} in {}", state.ai_cli_type, state.project_path);
        }
        if new.follow.is_some() {
            self.followers.add(&worker);
        }
        Ok(worker)
    }

    fn begin(&self, worker: &Arc<Worker>, follow: Option<&ToFollow>) -> Result<(), WorkerError> {
        match follow {
            Some(follow) => worker.begin_to_follow(&follow.session_id, &follow.path),
            None => worker.launch(),
        }
    }

    fn begin_in_worktree(&self, worker: &Arc<Worker>) -> Result<(), WorkerError> {
        worker.make_worktree()?;
        let _starting = self.slot()?;
        let state = worker.state();
        let begun = if state.needs_setup() { worker.begin_setup() } else { Ok(state.preparing.is_some()) };
        match begun.and_then(|begun| if begun { Ok(()) } else { worker.launch() }) {
            // The same request again, or its first message, was faster.
            Err(WorkerError::Conflict(_)) if worker.state().is_running() => Ok(()),
            begun => begun,
        }
    }

    /// Returns the worker that an earlier request with the same idempotency key has created.
    pub(in crate::worker) fn made_before(&self, options: &WorkerOptions) -> Result<Option<Arc<Worker>>, WorkerError> {
        let Some(key) = options.idempotency_key.as_deref() else { return Ok(None) };
        let has_key = |worker: &&Arc<Worker>| worker.state().options.idempotency_key.as_deref() == Some(key);
        let Some(worker) = self.read().values().find(has_key).cloned() else { return Ok(None) };
        // Journals of earlier versions have no hash.
        let hash = worker.state().options.request_hash;
        if hash.is_some() && hash != options.request_hash {
            let id = worker.id();
            let text = format!("the key {key:?} made worker {id} with another request; use a new key for a new worker");
            return Err(WorkerError::Reused { field: "idempotency_key", text });
        }
        Ok(Some(worker))
    }
}
