//! A session that runs elsewhere becomes a worker's own, and no two processes write one session.

use std::path::Path;
use std::sync::Arc;

use super::error::WorkerError;
use super::follow_holder;
use super::registry::Registry;
use super::status::Process;
use super::worker::Worker;
use crate::transcript::holders;

impl Registry {
    /// Makes a read-only worker a full one: its CLI is started and resumes the session. With `force` also when another
    /// process seems to have the session.
    ///
    /// # Errors
    /// [`WorkerError::Held`] when another process has the session; and as [`Registry::start`].
    pub fn take_over(&self, worker: &Arc<Worker>, force: bool) -> Result<(), WorkerError> {
        let _claim = worker.claim("take-over".to_owned());
        let state = worker.state();
        let Some(follow) = &state.follow else {
            return Err(WorkerError::Conflict("the worker's session is its own already".to_owned()));
        };
        if !force {
            let session_id = state.session_id.as_deref().unwrap_or_default();
            let transcript = Path::new(&follow.path);
            self.check_free(&state.ai_cli_type, session_id, Some(transcript))?;
            if let Some(ago) = holders::written_lately(transcript) {
                let text = format!(
                    "the session was written {} ms ago, so something works on it: end that first, or wait a moment \
                     (or send \"force\": true)",
                    ago.as_millis()
                );
                return Err(WorkerError::Held { pid: None, text });
            }
        }
        let _starting = self.slot()?;
        let follows = matches!(state.process, Process::Following);
        if follows {
            self.followers().finish(worker)?;
        }
        let launched = worker.launch();
        if launched.is_err() && matches!(worker.state().process, Process::Following) {
            self.followers().add(worker);
        }
        launched
    }

    /// Sees to it that no other process has a session.
    ///
    /// # Errors
    /// [`WorkerError::Held`] with the process.
    pub fn check_free(
        &self,
        ai_cli_type: &str,
        session_id: &str,
        transcript: Option<&Path>,
    ) -> Result<(), WorkerError> {
        let Some(pid) = follow_holder::find(self.launcher(), ai_cli_type, session_id, transcript) else {
            return Ok(());
        };
        let text = format!(
            "process {pid} has the session open, and two processes that write one session do it harm: end that process \
             first (or send \"force\": true)"
        );
        Err(WorkerError::Held { pid: Some(pid), text })
    }
}
