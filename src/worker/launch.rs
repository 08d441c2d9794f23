//! What a start of a worker needs from the server: its own program, the stop ladder's grace, and an environment.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Arc;
use std::time::Duration;

use crate::adapter::{Adapter, Launch, LaunchRequest, SessionChoice};
use crate::journal::WorkerOptions;
use crate::runner::Runner;
use crate::sessions::Catalog;
use crate::shim::{self, ShimSpec};

use super::changes::Tell;
use super::error::WorkerError;
use super::place::Places;
use super::project;
use super::state::State;

/// Makes the environment of a worker's CLI, or that of its runner, with the CLI's in it.
pub type MakeEnv =
    Box<dyn Fn(&dyn Adapter, &Launch, &WorkerOptions, Option<&Runner>) -> Vec<(OsString, OsString)> + Send + Sync>;

/// What all workers' starts have in common.
pub struct Launcher {
    /// The program that is the shim: our own.
    pub exe: PathBuf,
    /// Time between SIGTERM and SIGKILL when a process tree is ended.
    pub grace: Duration,
    /// The environment of a worker's CLI.
    pub make_env: MakeEnv,
    /// Most messages that wait for one worker.
    pub queue_max: usize,
    /// Where the CLIs keep their sessions.
    pub sessions: Arc<Catalog>,
    /// How often the files of followed sessions are looked at where they cannot be watched.
    pub transcript_poll: Duration,
    /// How often a message that failed at a usage limit is sent again; 0 is never.
    pub resend_attempts: u32,
    /// Folders that projects must lie in, resolved; empty is anywhere.
    pub project_roots: Vec<PathBuf>,
    /// Where workers may run.
    pub places: Places,
    /// Who is told of changes, if anybody is.
    pub tell: Option<Tell>,
    /// Where the workers' git worktrees are.
    pub worktree_dir: PathBuf,
}

/// One start, worked out and not yet done.
pub(super) struct Plan {
    pub(super) session_id: String,
    pub(super) resume: bool,
    launch: Launch,
    env: Vec<(OsString, OsString)>,
    cwd: PathBuf,
}

impl Launcher {
    /// Works out the next start of a worker: its session goes on if it has one that can.
    pub(super) fn plan(&self, adapter: &dyn Adapter, id: &str, state: &State) -> Result<Plan, WorkerError> {
        let runner = self.runner(state)?;
        if let Some(tree) = &state.worktree {
            project::resolve(&tree.project, &self.project_roots)?;
        }
        let project_path = PathBuf::from(self.project(runner, &state.project_path)?);
        let fresh = uuid::Uuid::new_v4().to_string();
        let session = match (&state.session_id, &state.options.resume_session) {
            (Some(id), _) if state.session_used => SessionChoice::Resume(id),
            (_, Some(from)) if state.options.fork => SessionChoice::Fork { from, new: &fresh },
            (_, Some(id)) => SessionChoice::Resume(id),
            _ => SessionChoice::New(&fresh),
        };
        let mut launch =
            adapter.launch(&LaunchRequest { project_path: &project_path, options: &state.options, session })?;
        let env = (self.make_env)(adapter, &launch, &state.options, runner);
        if runner.is_some() {
            // The CLI's variables are packed by now; the runner's own program gets none of them.
            launch.env.clear();
            if !launch.program.as_os_str().is_empty() {
                (launch.program, launch.args) = self.wrap(id, state, &launch.program, &launch.args)?;
            }
        }
        let cwd = if runner.is_some_and(Runner::is_elsewhere) { PathBuf::from("/") } else { project_path };
        let (session_id, resume) = match session {
            SessionChoice::New(id) | SessionChoice::Fork { new: id, .. } => (id.to_owned(), false),
            SessionChoice::Resume(id) => (id.to_owned(), true),
        };
        Ok(Plan { session_id, resume, launch, env, cwd })
    }

    /// Starts the shim.
    pub(super) fn spawn(&self, dir: &Path, worker_id: &str, plan: &Plan) -> std::io::Result<Child> {
        let spec = ShimSpec { dir, worker_id, launch: &plan.launch, cwd: &plan.cwd, env: &plan.env, grace: self.grace };
        shim::spawn(&self.exe, &spec)
    }
}
