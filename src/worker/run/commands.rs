//! Commands that clients can send to a worker.
//!
//! Each command returns when its effect is in the journal and folded, or returns an error. The
//! [`Registry`](crate::worker::registry::Registry), which knows the limit, decides whether a worker may be started.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::adapter::{Action, Command};
use crate::cgroup::WorkerLimits;
use crate::clock::Micros;
use crate::journal::{By, Control, ListingChange};
use crate::shim::protocol;
use crate::thread::Thread;
use crate::worker::error::WorkerError;
use crate::worker::run::drive::perform;
use crate::worker::run::mailbox::{CommandBatch, Mailbox};
use crate::worker::run::reader::{self, Begin, short};
use crate::worker::run::worker::Worker;
use crate::worker::state::State;
use crate::worker::state::status::Status;

/// Longest wait of a start for the shim of the last run to end.
const LAST_END_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest name, in characters.
pub(crate) const NAME_CHARS_MAX: usize = 200;

impl Worker {
    /// Starts the CLI: a new shim, and the session resumed if there is one. Returns when the start is in the journal.
    pub(in crate::worker) fn launch(self: &Arc<Self>) -> Result<(), WorkerError> {
        self.require_journal()?;
        if !self.wait_for_end(Instant::now() + LAST_END_TIMEOUT) {
            return Err(WorkerError::Conflict("the worker is running already".to_owned()));
        }
        let plan = self.launcher.plan(&**self.adapter(), self.id(), &self.state())?;
        let launching = Control::Launching {
            session_id: Some(plan.session_id.clone()),
            resume: plan.resume,
            settings: Some(plan.settings.clone()),
            limits: plan.limits.clone(),
        };
        let mut controls = vec![launching.to_json()];
        controls.extend(plan.agent_token.as_ref().map(Control::to_json));
        let mut core = self.core();
        if core.deleted {
            return Err(WorkerError::NotFound(format!("Worker not found: {}", self.id())));
        }
        if core.mailbox.is_some() {
            return Err(WorkerError::Conflict("the worker is running already".to_owned()));
        }
        self.append_with(&mut core, &controls.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
        self.admit_agent(core.ingest.fold().state());
        self.begin_run(&mut core, Begin::Launch(Box::new(plan)))
    }

    /// Records that the worker follows a session that runs elsewhere.
    pub(in crate::worker) fn begin_to_follow(&self, session_id: &str, path: &Path) -> Result<(), WorkerError> {
        let path = path.to_str().ok_or_else(|| {
            WorkerError::Invalid(format!("the path of the session's transcript is not valid UTF-8: {}", path.display()))
        })?;
        self.append(&CommandBatch::of(&Control::Following { session_id: session_id.to_owned(), path: path.to_owned() }))
    }

    /// Attaches to the shim that an earlier server left, or records that it is gone.
    pub(in crate::worker) fn reattach(self: &Arc<Self>) -> Result<(), WorkerError> {
        self.admit_agent(&self.state());
        self.begin_run(&mut self.core(), Begin::Attach)
    }

    /// Lets the agent of the present run in by its token, if it has one, and that of no earlier run.
    fn admit_agent(&self, state: &State) {
        let agents = self.launcher.agents.tokens.agents();
        match &state.agent_token {
            Some(sha256) => agents.admit(self.id(), sha256, Micros::now().0),
            None => agents.end(self.id()),
        }
    }

    /// Reconnects to a running shim whose connection was lost.
    pub(in crate::worker) fn reattached(self: &Arc<Self>) -> Result<Arc<Mailbox>, WorkerError> {
        let mut core = self.core();
        if core.mailbox.is_none() {
            self.begin_run(&mut core, Begin::Attach)?;
        }
        core.mailbox.clone().ok_or_else(|| WorkerError::Unavailable("the worker's shim cannot be reached".to_owned()))
    }

    fn begin_run(
        self: &Arc<Self>,
        core: &mut crate::worker::run::worker::Core,
        begin: Begin,
    ) -> Result<(), WorkerError> {
        let (mailbox, commands) = Mailbox::new();
        let mailbox = Arc::new(mailbox);
        let launching = matches!(begin, Begin::Launch(_));
        core.mailbox = Some(Arc::clone(&mailbox));
        let worker = Arc::clone(self);
        let started = Thread::spawn(format!("w-{}", short(self.id())), move || {
            reader::run(&worker, begin, &mailbox, &commands);
        });
        match started {
            // The thread ends with its shim, which outlives the server; a server that stops leaves it behind.
            Ok(thread) => thread.detach(),
            Err(error) => {
                core.mailbox = None;
                let error = format!("no thread for the worker: {error}");
                // A shim of an earlier server keeps running, and owns the journal.
                if launching {
                    self.append_with(
                        core,
                        &[&Control::SpawnFailed { error: error.clone(), missing: false }.to_json()],
                    )?;
                }
                return Err(WorkerError::Unavailable(error));
            }
        }
        Ok(())
    }

    /// Ends the running turn. Does nothing when there is none.
    ///
    /// # Errors
    /// Fails when the CLI does not support it.
    pub(crate) fn interrupt(&self, by: By) -> Result<(), WorkerError> {
        if !matches!(self.state().status, Status::Busy | Status::Stalled | Status::Waiting) {
            return Ok(());
        }
        // Only the server asks, about a budget: nothing runs.
        if self.state().turn_id.is_none() && self.state().budget_prompt().is_some() {
            return Ok(());
        }
        let action = self.encode(&Command::Interrupt)?;
        self.act(CommandBatch::of(&Control::InterruptRequested { by }), &action)
    }

    /// Renames the worker.
    ///
    /// # Errors
    /// Fails when the name is empty or too long.
    pub(crate) fn rename(&self, name: &str) -> Result<(), WorkerError> {
        check_name(name)?;
        self.append(&CommandBatch::of(&Control::Renamed { name: name.to_owned() }))
    }

    /// Sets the worker's place in lists.
    ///
    /// # Errors
    /// Fails when the journal can't be written.
    pub(crate) fn arrange(&self, change: ListingChange) -> Result<(), WorkerError> {
        if change.is_empty() {
            return Ok(());
        }
        self.append(&CommandBatch::of(&Control::Listed(change)))
    }

    /// Changes the folder of a stopped worker whose folder has moved.
    ///
    /// # Errors
    /// Fails when it runs, follows a session, has a git worktree, or the folder is not allowed.
    pub(crate) fn move_to(&self, project_path: &str) -> Result<(), WorkerError> {
        let state = self.state();
        if state.status.is_running() || state.follow.is_some() {
            let text = "project_path can be changed while the worker is stopped only: stop it first";
            return Err(WorkerError::Conflict(text.to_owned()));
        }
        if state.worktree.is_some() {
            let text = "the worker works in a git worktree of its own, whose path cannot be changed";
            return Err(WorkerError::Conflict(text.to_owned()));
        }
        let project_path = self.launcher.project(self.launcher.runner(&state)?, project_path)?;
        self.append(&CommandBatch::of(&Control::Moved { project_path }))
    }

    /// Changes model and permission mode. A running CLI is asked for the change, and may refuse it.
    ///
    /// # Errors
    /// Fails when the CLI does not support it.
    pub(crate) fn configure(&self, model: Option<&str>, permission_mode: Option<&str>) -> Result<(), WorkerError> {
        let running = self.mailbox().is_some();
        for (model, mode) in [(model, None), (None, permission_mode)] {
            let command = match (model, mode) {
                (Some(model), _) => Command::SetModel(Some(model)),
                (_, Some(mode)) => Command::SetPermissionMode(mode),
                _ => continue,
            };
            let record =
                Control::Configured { model: model.map(str::to_owned), permission_mode: mode.map(str::to_owned) };
            if running {
                let action = self.encode(&command)?;
                self.act(CommandBatch::of(&record), &action)?;
            } else {
                self.append(&CommandBatch::of(&record))?;
            }
        }
        Ok(())
    }

    /// Sets the limits of the next start.
    ///
    /// # Errors
    /// Fails when the journal can't be written.
    pub(crate) fn set_limits(&self, limits: WorkerLimits) -> Result<(), WorkerError> {
        self.append(&CommandBatch::of(&Control::Limited { limits }))
    }

    /// Records that a turn is considered stalled.
    pub(in crate::worker) fn stall(&self, reason: String) -> Result<(), WorkerError> {
        self.append(&CommandBatch::of(&Control::Stalled { reason }))
    }

    /// Records what the server found out without the CLI.
    pub(in crate::worker) fn append_control(&self, control: &Control) -> Result<(), WorkerError> {
        self.append(&CommandBatch::of(control))
    }

    /// Returns whether the CLI still works in the background while it is idle.
    pub(in crate::worker) fn has_background_work(&self) -> bool {
        self.core().ingest.fold().session().has_background_work()
    }

    /// Returns whether a tool of the running turn runs.
    pub(in crate::worker) fn runs_tool(&self) -> bool {
        !self.core().ingest.fold().state().budget.tools.is_empty()
    }

    /// Returns whether its session can be forked, if only its CLI knows; `None` before the CLI has reported it.
    pub(crate) fn can_fork(&self) -> Option<bool> {
        self.core().ingest.fold().session().can_fork()
    }

    /// Returns whether its CLI has begun a text that is in no event yet, and has been silent for `pause` since.
    pub(in crate::worker) fn holds_text(&self, pause: Duration) -> bool {
        let core = self.core();
        core.heard.elapsed() >= pause && core.ingest.fold().session().holds_text()
    }

    pub(in crate::worker) fn encode(&self, command: &Command<'_>) -> Result<Action, WorkerError> {
        Ok(self.core().ingest.fold().session().encode(command)?)
    }

    /// Makes the shim execute a command, with `batch` in the journal before it, and waits until it is folded.
    pub(in crate::worker) fn act(&self, batch: CommandBatch, action: &Action) -> Result<(), WorkerError> {
        let mailbox = self
            .mailbox()
            .ok_or_else(|| WorkerError::Conflict("the worker is not running: start it first".to_owned()))?;
        match action {
            Action::Write(lines) => mailbox.append(&batch.input(lines)).map(drop),
            other => {
                perform(self, &mailbox, batch, other)?;
                mailbox.call(&protocol::ShimCommand::Sync).map(drop)
            }
        }
    }
}

/// Checks a worker's name.
///
/// # Errors
/// Fails when it is empty or too long.
pub(crate) fn check_name(name: &str) -> Result<(), WorkerError> {
    if name.trim().is_empty() {
        return Err(WorkerError::Invalid("name must not be empty".to_owned()).in_field("name"));
    }
    if name.chars().count() > NAME_CHARS_MAX {
        return Err(
            WorkerError::Invalid(format!("name must have at most {NAME_CHARS_MAX} characters")).in_field("name")
        );
    }
    Ok(())
}
