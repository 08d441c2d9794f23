//! Starting the CLIs of workers: their command lines, environments and shims.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Arc;
use std::time::Duration;

use crate::adapter::{Adapter, Launch, LaunchRequest, SessionChoice};
use crate::home::HomeEntry;
use crate::journal::{Settings, WorkerOptions};
use crate::runner::{self, Mounts, Runner};
use crate::sessions::Catalog;
use crate::shim::{self, ShimSpec};
use crate::worker::error::WorkerError;
use crate::worker::place::git::Place;
use crate::worker::place::project;
use crate::worker::place::runner::Places;
use crate::worker::place::sandbox::{Cli, Folders};
use crate::worker::publish::changes::Tell;
use crate::worker::state::State;

/// Makes the environment of a worker's CLI, or that of its runner, with the CLI's in it.
pub(crate) type MakeEnv =
    Box<dyn Fn(&dyn Adapter, &Launch, &WorkerOptions, Option<&Runner>) -> Vec<(OsString, OsString)> + Send + Sync>;

/// The settings that all workers share.
pub(crate) struct WorkerSettings {
    /// Most messages that wait for one worker.
    pub queue_max: usize,
    /// Interval at which the files of followed sessions are read where they cannot be watched.
    pub transcript_poll: Duration,
    /// Number of times that a message which failed at a usage limit is sent again; 0 is never.
    pub resend_attempts: u32,
    /// Folders that projects must lie in, resolved; empty is anywhere.
    pub project_roots: Vec<PathBuf>,
    /// The folder of the workers' git worktrees.
    pub worktree_dir: PathBuf,
}

/// Starts the CLIs of all workers.
pub(crate) struct Launcher {
    /// The program of the shim: our own.
    pub exe: PathBuf,
    /// Time between SIGTERM and SIGKILL when a process tree is ended.
    pub grace: Duration,
    /// Makes the environment of a worker's CLI.
    pub make_env: MakeEnv,
    /// The places where workers may run.
    pub places: Places,
    /// The CLIs' own sessions.
    pub sessions: Arc<Catalog>,
    /// Notifies the webhook of changes, if there is one.
    pub notify: Option<Tell>,
    /// The settings of workers.
    pub settings: WorkerSettings,
}

/// One start, worked out and not yet done.
pub(in crate::worker) struct Plan {
    pub(in crate::worker) session_id: String,
    pub(in crate::worker) resume: bool,
    pub(in crate::worker) settings: Settings,
    launch: Launch,
    env: Vec<(OsString, OsString)>,
    cwd: PathBuf,
}

impl Launcher {
    /// The folders that git needs for one request.
    pub(in crate::worker) fn git_place(&self) -> Place<'_> {
        Place { data: &self.places.data, roots: &self.settings.project_roots }
    }

    /// Works out the next start of a worker: its session goes on if it has one that can.
    pub(in crate::worker) fn plan(&self, adapter: &dyn Adapter, id: &str, state: &State) -> Result<Plan, WorkerError> {
        let runner = self.runner(state)?;
        if let Some(tree) = &state.worktree {
            project::same(&tree.project, &project::resolve(&tree.project, &self.settings.project_roots)?)?;
        }
        let project_path = PathBuf::from(self.recorded_project(runner, &state.project_path)?);
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
                (launch.program, launch.args) =
                    self.wrap(id, state, &adapter.home(), (&launch.program, &launch.args))?;
            }
        }
        let cwd = if runner.is_some_and(Runner::is_elsewhere) { PathBuf::from("/") } else { project_path };
        let (session_id, resume) = match session {
            SessionChoice::New(id) | SessionChoice::Fork { new: id, .. } => (id.to_owned(), false),
            SessionChoice::Resume(id) => (id.to_owned(), true),
        };
        Ok(Plan { session_id, resume, settings: state.next_start(), launch, env, cwd })
    }

    /// Starts the shim.
    pub(in crate::worker) fn spawn(&self, dir: &Path, worker_id: &str, plan: &Plan) -> std::io::Result<Child> {
        let spec = ShimSpec { dir, worker_id, launch: &plan.launch, cwd: &plan.cwd, env: &plan.env, grace: self.grace };
        shim::spawn(&self.exe, &spec)
    }
}

impl Launcher {
    /// The runner of a worker; `None` when it runs as it is.
    pub(in crate::worker) fn runner(&self, state: &State) -> Result<Option<&Runner>, WorkerError> {
        self.places.runners.find(state.options.runner.as_deref()).map_err(WorkerError::Conflict)
    }

    /// The folder of a new project as its runner has it: one of this machine must be there, lie in the allowed roots, and
    /// be none of the server's own folders, nor hold one where an agent is kept from them; one of another machine is not
    /// looked at, but its name must lie in the roots.
    ///
    /// # Errors
    /// When it does not.
    pub(crate) fn project(&self, runner: Option<&Runner>, path: &str) -> Result<String, WorkerError> {
        let resolved = self.resolved_project(runner, path)?;
        if runner.is_none() {
            self.places.sandbox.check_open(Path::new(&resolved))?;
        }
        Ok(resolved)
    }

    /// The same, where only an agent that is kept from the server is refused: without a runner, a worker that was made
    /// before a setting was changed goes on.
    fn resolved_project(&self, runner: Option<&Runner>, path: &str) -> Result<String, WorkerError> {
        let resolved = project_for(runner, path, &self.settings.project_roots)?;
        if runner.is_some_and(|runner| !runner.is_elsewhere()) {
            self.places.sandbox.check(Path::new(&resolved))?;
        }
        Ok(resolved)
    }

    /// The folder of a worker's project. Looked at again at every start: a link may be there by now, or the roots may be
    /// others.
    pub(in crate::worker) fn recorded_project(
        &self,
        runner: Option<&Runner>,
        path: &str,
    ) -> Result<String, WorkerError> {
        let resolved = self.resolved_project(runner, path)?;
        project::same(path, &resolved)?;
        Ok(resolved)
    }

    /// The command line that runs a program where the worker runs; `home` is what the CLI keeps in the home directory.
    pub(in crate::worker) fn wrap(
        &self,
        id: &str,
        state: &State,
        home: &[HomeEntry],
        (program, args): (&Path, &[String]),
    ) -> Result<(PathBuf, Vec<String>), WorkerError> {
        let Some(runner) = self.runner(state)? else { return Ok((program.to_owned(), args.to_vec())) };
        let program = program.to_str().ok_or_else(|| {
            WorkerError::Invalid(format!("the path {} is not valid UTF-8, which a runner needs", program.display()))
        })?;
        let mut command = vec![program];
        command.extend(args.iter().map(String::as_str));
        let facts = self.places.facts(id);
        let project = self.recorded_project(runner.into(), &state.project_path)?;
        let also = self.repository(runner, state)?;
        let mounts = match runner.mount_words() {
            Some(words) => {
                let worker = self.places.data.join(id);
                let also = also.as_deref().map(Path::new);
                let folders = Folders { worker: &worker, project: Path::new(&project), also };
                let program = places_of(program, runner, state);
                self.places.sandbox.lay(words, folders, Cli { home, program: &program })?
            }
            None => Mounts::default(),
        };
        let place = runner::Place { id, project: &project, also: also.as_deref(), facts: &facts, mounts: &mounts };
        let mut argv = runner.wrap(place, &command).map_err(WorkerError::Invalid)?.into_iter();
        Ok((argv.next().unwrap_or_default().into(), argv.collect()))
    }

    /// The folder of the repository of which a worker's project is a worktree.
    fn repository(&self, runner: &Runner, state: &State) -> Result<Option<String>, WorkerError> {
        let Some(tree) = &state.worktree else { return Ok(None) };
        let folder = format!("{}/.git", tree.project);
        project::same(&tree.project, &project::resolve(&tree.project, &self.settings.project_roots)?)?;
        if !runner.is_elsewhere() {
            self.places.sandbox.check(Path::new(&folder))?;
            project::identity(Path::new(&folder))?;
        }
        Ok(Some(folder))
    }
}

/// Returns the places of a CLI's program on this machine; none where the runner or the worker may choose another.
fn places_of(program: &str, runner: &Runner, state: &State) -> Vec<PathBuf> {
    let own_path = state.options.env.iter().any(|(name, _)| name == "PATH");
    let found: Vec<PathBuf> = if program.contains('/') {
        vec![PathBuf::from(program)]
    } else {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).map(|folder| folder.join(program)).filter(|place| place.is_file()).collect()
    };
    let unsure = (own_path && !program.contains('/')) || found.iter().any(|place| runner.opens(place));
    if unsure { Vec::new() } else { found }
}

fn project_for(runner: Option<&Runner>, path: &str, roots: &[PathBuf]) -> Result<String, WorkerError> {
    if !runner.is_some_and(Runner::is_elsewhere) {
        return project::resolve(path, roots);
    }
    if !runner::is_plain_path(path) {
        return Err(WorkerError::Invalid(format!(
            "the project folder's path must be absolute, without .. in it: {path}"
        )));
    }
    if !roots.is_empty() && !roots.iter().any(|root| Path::new(path).starts_with(root)) {
        return Err(WorkerError::Invalid(format!("the project folder is outside of PROJECT_ROOTS: {path}")));
    }
    Ok(path.to_owned())
}
