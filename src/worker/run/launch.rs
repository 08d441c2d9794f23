//! Starting the CLIs of workers: their command lines, environments and shims.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Arc;
use std::time::Duration;

use crate::access::{AgentSecret, Tokens};
use crate::adapter::{Adapter, AgentAccess, Launch, LaunchRequest, SessionChoice};
use crate::cgroup::{Delegation, WorkerLimits};
use crate::home::HomeEntry;
use crate::journal::{Control, RunLimits, StartSettings, WorkerOptions};
use crate::projects::Projects;
use crate::runner::{self, Mounts, Runner};
use crate::sessions::Catalog;
use crate::shim::{self, ShimSpec};
use crate::worker::error::WorkerError;
use crate::worker::place::git::MirrorFolder;
use crate::worker::place::project;
use crate::worker::place::runner::Places;
use crate::worker::place::sandbox::{Folders, SandboxCli};
use crate::worker::publish::changes::ChangeNotifier;
use crate::worker::publish::moments::Moments;
use crate::worker::run::budget_gate::BudgetGate;
use crate::worker::state::State;

/// Makes the environment of a worker's CLI, or that of its runner, with the CLI's in it.
pub(crate) type MakeEnv =
    Box<dyn Fn(&dyn Adapter, &Launch, &WorkerOptions, Option<&Runner>) -> Vec<(OsString, OsString)> + Send + Sync>;

/// Makes the environment of a program that a person runs in a worker's folder, or that of its runner: like that of the
/// CLI, without any key of the server.
pub(crate) type MakeShellEnv =
    Box<dyn Fn(&dyn Adapter, &WorkerOptions, Option<&Runner>) -> Vec<(OsString, OsString)> + Send + Sync>;

/// Makes the environment of an operator's command, with these variables added, or that of its runner.
pub(crate) type MakeCommandEnv =
    Box<dyn Fn(&[(String, String)], Option<&Runner>) -> Vec<(OsString, OsString)> + Send + Sync>;

/// The settings that all workers share.
pub(crate) struct WorkerSettings {
    /// Maximum number of queued messages of one worker.
    pub queue_max: usize,
    /// Interval at which the files of followed sessions are read where they cannot be watched.
    pub transcript_poll: Duration,
    /// Number of times that a message which failed at a usage limit is sent again; 0 means never.
    pub resend_attempts: u32,
    /// True if the files of projects are recorded at the beginning and the end of each turn.
    pub turn_trees: bool,
    /// Folders that projects must be in, resolved; empty means anywhere.
    pub project_roots: Vec<PathBuf>,
    /// The folder of the workers' git worktrees.
    pub worktree_dir: PathBuf,
    /// The operator's project files.
    pub projects: Projects,
    /// The limits of workers that have none of their own.
    pub limits: WorkerLimits,
    /// Number of workers that one worker's agent may make.
    pub children_max: usize,
    /// Number of workers that may be above one of those.
    pub depth_max: usize,
}

/// The access of workers' agents to this server.
pub(crate) struct AgentGate {
    /// The address of the server on this machine.
    pub base: String,
    /// That of its MCP server.
    pub url: String,
    /// The tokens that let agents in.
    pub tokens: Arc<Tokens>,
}

/// Starts the CLIs of all workers.
pub(crate) struct Launcher {
    /// The program of the shim: the running executable.
    pub exe: PathBuf,
    /// Time between SIGTERM and SIGKILL when a process tree is ended.
    pub grace: Duration,
    /// Makes the environment of a worker's CLI.
    pub make_env: MakeEnv,
    /// Makes the environment of terminals.
    pub make_shell_env: MakeShellEnv,
    /// Makes the environment of an operator's command.
    pub make_command_env: MakeCommandEnv,
    /// The places where workers may run.
    pub places: Places,
    /// The CLIs' own sessions.
    pub sessions: Arc<Catalog>,
    /// Notifies the webhook of changes, if there is one.
    pub notify: Option<ChangeNotifier>,
    /// The budgets, which messages must fit in.
    pub budgets: BudgetGate,
    /// The beginnings and ends of turns.
    pub moments: Moments,
    /// The control group below which workers have theirs.
    pub groups: Delegation,
    /// The settings of workers.
    pub settings: WorkerSettings,
    /// The access of workers' agents to this server.
    pub agents: AgentGate,
}

/// A start that is prepared but not executed yet.
pub(in crate::worker) struct LaunchPlan {
    pub(in crate::worker) session_id: String,
    pub(in crate::worker) resume: bool,
    pub(in crate::worker) settings: StartSettings,
    pub(in crate::worker) limits: Option<Box<RunLimits>>,
    cgroup: Option<PathBuf>,
    /// The record of the agent's token.
    pub(in crate::worker) agent_token: Option<Control>,
    launch: Launch,
    env: Vec<(OsString, OsString)>,
    cwd: PathBuf,
}

/// A program in a terminal that is prepared but not started yet.
pub(in crate::worker) struct TerminalPlan {
    pub(in crate::worker) argv: Vec<String>,
    pub(in crate::worker) env: Vec<(OsString, OsString)>,
    pub(in crate::worker) cwd: PathBuf,
}

impl Launcher {
    /// The folders that git needs for one request.
    pub(in crate::worker) fn git_place(&self) -> MirrorFolder<'_> {
        MirrorFolder { data: &self.places.data, roots: &self.settings.project_roots }
    }

    /// Prepares the next start of a worker: resumes its session if it has one that can be resumed.
    pub(in crate::worker) fn plan(
        &self,
        adapter: &dyn Adapter,
        id: &str,
        state: &State,
    ) -> Result<LaunchPlan, WorkerError> {
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
        let secret = if state.options.mcp { Some(AgentSecret::new()?) } else { None };
        let agent_token = secret.map(|AgentSecret { secret, sha256 }| {
            let access =
                AgentAccess { url: &self.agents.url, base: &self.agents.base, secret: &secret, program: &self.exe };
            let server = adapter.give_access(&mut launch, &access).map(Box::new);
            Control::AgentTokenMade { sha256, server }
        });
        let env = (self.make_env)(adapter, &launch, &state.options, runner);
        if runner.is_some() {
            // The CLI's variables are already packed; the runner's own program gets none of them.
            launch.env.clear();
            if !launch.program.as_os_str().is_empty() {
                (launch.program, launch.args) =
                    self.wrap((id, id), state, &adapter.home(), (&launch.program, &launch.args))?;
            }
        }
        let cwd = if runner.is_some_and(Runner::is_elsewhere) { PathBuf::from("/") } else { project_path };
        let (session_id, resume) = match session {
            SessionChoice::New(id) | SessionChoice::Fork { new: id, .. } => (id.to_owned(), false),
            SessionChoice::Resume(id) => (id.to_owned(), true),
        };
        let (limits, cgroup) = self.limit(id, state, runner);
        Ok(LaunchPlan {
            session_id,
            resume,
            settings: state.next_start(),
            limits,
            cgroup,
            agent_token,
            launch,
            env,
            cwd,
        })
    }

    /// Returns the limits of a worker's next start, and its control group where they are enforced.
    fn limit(&self, id: &str, state: &State, runner: Option<&Runner>) -> (Option<Box<RunLimits>>, Option<PathBuf>) {
        let limits = state.options.limits.or(self.settings.limits);
        if limits.is_empty() {
            return (None, None);
        }
        let group = match runner.filter(|runner| runner.starts_elsewhere()) {
            Some(runner) => {
                let entry = &runner.entry;
                Err(format!("the runner {entry} starts the CLI outside of the server's control group; limit it there"))
            }
            None => self.groups.group_of(id, &limits).map_err(|reason| reason.to_string()),
        };
        let unenforced = group.as_ref().err().cloned();
        if let Some(reason) = &unenforced {
            log::warn!("worker {id}: its limits are not enforced: {reason}");
        }
        (Some(Box::new(RunLimits { limits, unenforced })), group.ok())
    }

    /// Prepares a terminal: `words` in the worker's folder and runner. `tag` identifies it where the runner needs a
    /// name.
    pub(in crate::worker) fn plan_terminal(
        &self,
        adapter: &dyn Adapter,
        id: &str,
        tag: &str,
        state: &State,
        words: &[&str],
    ) -> Result<TerminalPlan, WorkerError> {
        let runner = self.runner(state)?;
        let project = self.recorded_project(runner, &state.project_path)?;
        let env = (self.make_shell_env)(adapter, &state.options, runner);
        let (argv, cwd) = match runner {
            None => (words.iter().map(|&word| word.to_owned()).collect(), PathBuf::from(project)),
            Some(runner) => {
                let naming = CommandNames { id, name: tag, is_terminal: true };
                let argv = self.wrapped(runner, naming, state, &adapter.home(), words)?;
                (argv, PathBuf::from(if runner.is_elsewhere() { "/" } else { &project }))
            }
        };
        Ok(TerminalPlan { argv, env, cwd })
    }

    /// Starts the shim.
    pub(in crate::worker) fn spawn(&self, dir: &Path, worker_id: &str, plan: &LaunchPlan) -> std::io::Result<Child> {
        let spec = ShimSpec {
            dir,
            worker_id,
            launch: &plan.launch,
            cwd: &plan.cwd,
            env: &plan.env,
            grace: self.grace,
            cgroup: plan.cgroup.as_deref(),
        };
        shim::spawn(&self.exe, &spec)
    }
}

impl Launcher {
    /// Returns the runner of a worker; `None` when it runs without one.
    pub(in crate::worker) fn runner(&self, state: &State) -> Result<Option<&Runner>, WorkerError> {
        self.places.runners.find(state.options.runner.as_deref()).map_err(WorkerError::Conflict)
    }

    /// Checks the folder of a new project for its runner and returns it. A folder on this machine must exist, be in the
    /// allowed roots, and not be one of the server's own folders; if the runner keeps agents from these, it must not
    /// contain one either. A folder on another machine is not examined, but its path must be in the roots.
    ///
    /// # Errors
    /// Fails when a check fails.
    pub(crate) fn project(&self, runner: Option<&Runner>, path: &str) -> Result<String, WorkerError> {
        let resolved = self.resolved_project(runner, path)?;
        if runner.is_none() {
            self.places.sandbox.check_open(Path::new(&resolved))?;
        }
        Ok(resolved)
    }

    /// Checks less: only agents that a runner keeps from the server are refused, so that a worker without a runner
    /// continues if it was created before a setting was changed.
    fn resolved_project(&self, runner: Option<&Runner>, path: &str) -> Result<String, WorkerError> {
        let resolved = project_for(runner, path, &self.settings.project_roots)?;
        if runner.is_some_and(|runner| !runner.is_elsewhere()) {
            self.places.sandbox.check(Path::new(&resolved))?;
        }
        Ok(resolved)
    }

    /// Returns the folder of a worker's project, checked again at every start: it may have become a link, or the roots
    /// may have changed.
    pub(in crate::worker) fn recorded_project(
        &self,
        runner: Option<&Runner>,
        path: &str,
    ) -> Result<String, WorkerError> {
        let resolved = self.resolved_project(runner, path)?;
        project::same(path, &resolved)?;
        Ok(resolved)
    }

    /// Returns the command line that runs a program in the worker's runner; `home` has the CLI's entries of the home
    /// directory, and `name` is the program's name on the other side.
    pub(in crate::worker) fn wrap(
        &self,
        (id, name): (&str, &str),
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
        let mut argv =
            self.wrapped(runner, CommandNames { id, name, is_terminal: false }, state, home, &command)?.into_iter();
        Ok((argv.next().unwrap_or_default().into(), argv.collect()))
    }

    fn wrapped(
        &self,
        runner: &Runner,
        naming: CommandNames<'_>,
        state: &State,
        home: &[HomeEntry],
        command: &[&str],
    ) -> Result<Vec<String>, WorkerError> {
        let facts = self.places.facts(naming.id);
        let project = self.recorded_project(runner.into(), &state.project_path)?;
        let also = self.repository(runner, state)?;
        let mounts = match runner.mount_words() {
            Some(words) => {
                let worker = self.places.data.join(naming.id);
                let also = also.as_deref().map(Path::new);
                let folders = Folders { worker: &worker, project: Path::new(&project), also };
                let program = places_of(command.first().copied().unwrap_or_default(), runner, state);
                self.places.sandbox.mount(words, folders, SandboxCli { home, program: &program })?
            }
            None => Mounts::default(),
        };
        let id = naming.name;
        let place =
            runner::CommandInput { id, project: &project, also: also.as_deref(), facts: &facts, mounts: &mounts };
        if naming.is_terminal { runner.wrap_terminal(place, command) } else { runner.wrap(place, command) }
            .map_err(WorkerError::Invalid)
    }

    /// Returns the folder of the repository of which a worker's project is a worktree.
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

/// The names of a command in its runner.
#[derive(Clone, Copy)]
struct CommandNames<'n> {
    /// The worker's id.
    id: &'n str,
    /// Its own name on the other side: the worker's id, or the tag of a program beside its CLI.
    name: &'n str,
    /// True if it has a terminal.
    is_terminal: bool,
}

/// Returns the paths of a CLI's program on this machine; none where the runner or the worker may choose another.
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
