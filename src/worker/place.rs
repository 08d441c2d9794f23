//! Where a worker's command runs: the runner that the settings and the worker name, its command lines, and the end of
//! what it has started on the other side.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use nix::unistd::{Gid, Uid};

use super::error::WorkerError;
use super::launch::Launcher;
use super::project;
use super::state::State;
use super::worker::Worker;
use crate::config::{Config, DOTENV};
use crate::runner::{self, Place, Runner, Runners};
use crate::subprocess::{self, Bounds};
use crate::worker_env::runner_env;

/// Bounds of the command that ends what is left on the other side.
const STOP: Bounds = Bounds { time: Duration::from_secs(20), bytes: 2 * 1024 };
/// What a runner is told to hide instead of a file that is not there.
const NOTHING: &str = "/dev/null";

/// Where workers may run.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// The runners.
    pub runners: Runners,
    /// The home directory of the server's user.
    pub home: String,
    /// The folder of the workers' folders.
    pub data: PathBuf,
    /// Where a token that was made is kept.
    pub token_file: PathBuf,
    /// The file of settings.
    pub env_file: PathBuf,
}

impl Places {
    /// What the settings say.
    ///
    /// # Errors
    /// When they name a runner that is not declared or not there; the text says what to do.
    pub fn new(config: &Config) -> Result<Self, String> {
        let declared = runner::load(&config.runners_dir).map_err(|error| format!("RUNNERS_DIR: {error}"))?;
        let entries = config.runner.iter().flat_map(|entries| entries.split(','));
        let entries: Vec<String> = entries.map(|entry| entry.trim().to_owned()).filter(|it| !it.is_empty()).collect();
        let runners = Runners::new(&entries, &declared)?;
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = |program: &str| {
            program.contains('/') || std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
        };
        if let Some(missing) = runners.all().find(|runner| !found(runner.program())) {
            let (entry, program) = (&missing.entry, missing.program());
            return Err(format!("RUNNER: {entry} needs the program {program}, which is not in PATH: install it"));
        }
        let data = &config.workers_base_dir;
        Ok(Self {
            runners,
            home: std::env::var("HOME").unwrap_or_default(),
            data: data.canonicalize().map_err(|error| format!("WORKERS_BASE_DIR: {}: {error}", data.display()))?,
            token_file: config.auth_token_file.clone(),
            env_file: config.working_dir.join(DOTENV),
        })
    }

    fn facts(&self) -> BTreeMap<&'static str, String> {
        let path = |path: &Path| path.display().to_string();
        let file = |file: &Path| if file.exists() { path(file) } else { NOTHING.to_owned() };
        BTreeMap::from([
            ("home", self.home.clone()),
            ("data", path(&self.data)),
            ("token_file", file(&self.token_file)),
            ("env_file", file(&self.env_file)),
            ("uid", Uid::current().to_string()),
            ("gid", Gid::current().to_string()),
        ])
    }
}

impl Launcher {
    /// The runner of a worker; `None` when it runs as it is.
    pub(super) fn runner(&self, state: &State) -> Result<Option<&Runner>, WorkerError> {
        self.places.runners.find(state.options.runner.as_deref()).map_err(WorkerError::Conflict)
    }

    /// The folder of a project as its runner has it. Looked at again at every start: a link may stand there by now, or the
    /// roots may be others.
    pub(super) fn project(&self, runner: Option<&Runner>, path: &str) -> Result<String, WorkerError> {
        project_for(runner, path, &self.project_roots)
    }

    /// The command line that runs a program where the worker runs.
    pub(super) fn wrap(
        &self,
        id: &str,
        state: &State,
        program: &Path,
        args: &[String],
    ) -> Result<(PathBuf, Vec<String>), WorkerError> {
        let Some(runner) = self.runner(state)? else { return Ok((program.to_owned(), args.to_vec())) };
        let program = program.to_str().ok_or_else(|| {
            WorkerError::Invalid(format!("{} is no text, and cannot go to a runner", program.display()))
        })?;
        let mut command = vec![program];
        command.extend(args.iter().map(String::as_str));
        let facts = self.places.facts();
        let also = state.worktree.as_ref().map(|tree| format!("{}/.git", tree.project));
        let place = Place { id, project: &state.project_path, also: also.as_deref(), facts: &facts };
        let mut argv = runner.wrap(place, &command).map_err(WorkerError::Invalid)?.into_iter();
        Ok((argv.next().unwrap_or_default().into(), argv.collect()))
    }
}

/// The folder of a project as a runner has it: one of this machine must be there, and lie in the allowed roots; one of
/// another machine is not looked at, but its name must lie in them.
///
/// # Errors
/// When it does not.
pub fn project_for(runner: Option<&Runner>, path: &str, roots: &[PathBuf]) -> Result<String, WorkerError> {
    if !runner.is_some_and(Runner::is_elsewhere) {
        return project::resolve(path, roots);
    }
    if !runner::is_plain_path(path) {
        return Err(WorkerError::Invalid(format!("project_path must be absolute, without .. in it: {path}")));
    }
    if !roots.is_empty() && !roots.iter().any(|root| Path::new(path).starts_with(root)) {
        return Err(WorkerError::Invalid(format!("project_path is outside of PROJECT_ROOTS: {path}")));
    }
    Ok(path.to_owned())
}

impl Worker {
    /// Ends what the worker may have left on the other side of its runner. The processes of this machine have ended.
    pub(super) fn stop_elsewhere(&self) -> Result<(), WorkerError> {
        let state = self.state();
        let Ok(Some(runner)) = self.launcher.runner(&state) else { return Ok(()) };
        let facts = self.launcher.places.facts();
        let place = Place { id: self.id(), project: &state.project_path, also: None, facts: &facts };
        let argv = runner.stop(place);
        let Some((program, args)) = argv.split_first() else { return Ok(()) };
        let mut command = Command::new(program);
        let env: Vec<(OsString, OsString)> = runner_env(runner.needs(), std::env::vars_os());
        command.args(args).env_clear().envs(env);
        let failed = match subprocess::ask_both(&mut command, STOP, &AtomicBool::new(false)) {
            Ok(answer) if answer.code == Some(0) => return Ok(()),
            Ok(answer) => {
                let said = String::from_utf8_lossy(&answer.output).trim().to_owned();
                answer.code.map_or_else(
                    || format!("{program} took too long"),
                    |code| format!("{program} ended with {code}: {said}"),
                )
            }
            Err(error) => format!("{program}: {error}"),
        };
        let entry = &runner.entry;
        Err(WorkerError::Unavailable(format!(
            "the worker has stopped on this machine, but that it has at {entry} is not known ({failed}); stop it again"
        )))
    }
}
