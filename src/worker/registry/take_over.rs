//! The takeover of a session that runs elsewhere, without two processes writing to one session.

use std::path::Path;
use std::sync::Arc;

use crate::transcript::holders::{self, SessionHolder};
use crate::worker::error::{HELD_BY_DAEMON, HELD_BY_PROCESS, WRITTEN_LATELY, WorkerError};
use crate::worker::follow::holder;
use crate::worker::registry::Registry;
use crate::worker::run::worker::Worker;
use crate::worker::state::status::ProcessState;

impl Registry {
    /// Makes a read-only worker a full one: its CLI is started and resumes the session. `force` ignores another process
    /// that seems to hold the session.
    ///
    /// # Errors
    /// [`WorkerError::Held`] when another process holds the session; and as [`Registry::start`].
    pub(crate) fn take_over(&self, worker: &Arc<Worker>, force: bool) -> Result<(), WorkerError> {
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
                return Err(WorkerError::Held { pid: None, code: WRITTEN_LATELY, text });
            }
        }
        let _starting = self.slot()?;
        let follows = matches!(state.process, ProcessState::Following);
        if follows {
            self.followers().finish(worker)?;
        }
        let launched = worker.launch();
        if launched.is_err() && matches!(worker.state().process, ProcessState::Following) {
            self.followers().add(worker);
        }
        launched
    }

    /// Checks that no other process holds a session.
    ///
    /// # Errors
    /// [`WorkerError::Held`] with the process.
    pub(crate) fn check_free(
        &self,
        ai_cli_type: &str,
        session_id: &str,
        transcript: Option<&Path>,
    ) -> Result<(), WorkerError> {
        let Some(SessionHolder { pid, is_daemon }) = holder::find(self.launcher(), ai_cli_type, session_id, transcript)
        else {
            return Ok(());
        };
        if is_daemon {
            let text = format!(
                "the CLI's daemon (process {pid}) has the session open for its terminals: quit those, and the daemon lets \
                 go about a minute later; do not end the daemon, which runs other sessions too"
            );
            return Err(WorkerError::Held { pid: Some(pid), code: HELD_BY_DAEMON, text });
        }
        let text = format!(
            "process {pid} has the session open, and two processes that write one session do it harm: end that process \
             first (or send \"force\": true)"
        );
        Err(WorkerError::Held { pid: Some(pid), code: HELD_BY_PROCESS, text })
    }
}
