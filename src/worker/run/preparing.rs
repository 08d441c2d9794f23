//! Commands of the operator in a worker's worktree: its setup before the CLI starts for the first time, its teardown before
//! it is removed, and the check of its work.
//!
//! The commands are the operator's, but they run files of the repository, which agents write. So they run in the
//! worker's runner, including its sandbox, and get none of the server's keys.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::journal::{Control, SetupStep, Worktree};
use crate::projects::{Commands, Project};
use crate::shim::{end_tree, tree::TAG};
use crate::subprocess::{self, ChildEnd, Until};
use crate::thread::Thread;
use crate::worker::error::WorkerError;
use crate::worker::place::worktree::include;
use crate::worker::run::reader::short;
use crate::worker::run::worker::Worker;

/// Output of a setup that is kept in the journal, in bytes; the rest is dropped.
const OUTPUT_BYTES_MAX: usize = 1024 * 1024;
/// Maximum number of output records of one setup.
const OUTPUT_RECORDS_MAX: usize = 2000;
/// Output of a teardown that is reported when it fails, in bytes.
const TEARDOWN_BYTES_MAX: usize = 1024;
/// Time beyond the grace period after which the end of a setup is reported as failed: copying files is not interrupted.
const STOP_MARGIN: Duration = Duration::from_secs(20);

/// Commands with the folder and runner in which they run.
pub(super) struct PlannedCommands<'p> {
    pub(super) project: &'p Project,
    pub(super) commands: &'p Commands,
    pub(super) folder: PathBuf,
    /// The mark of their processes, and their name on the other side of a runner.
    pub(super) tag: &'p str,
}

/// The reason for which commands have failed.
pub(super) struct CommandFailure {
    /// The exit code of the command that failed, if it has exited.
    pub(super) code: Option<i32>,
    /// The reason, for people.
    pub(super) text: String,
}

impl From<String> for CommandFailure {
    fn from(text: String) -> Self {
        Self { code: None, text }
    }
}

impl Worker {
    /// Begins the setup of its worktree on a separate thread, which starts the CLI afterwards. Returns false when there
    /// is nothing to set up.
    pub(in crate::worker) fn begin_setup(self: &Arc<Self>) -> Result<bool, WorkerError> {
        let Some(tree) = self.state().worktree.clone() else { return Ok(false) };
        let project = self.project_file(&tree)?;
        let nothing = project.as_ref().is_none_or(|(project, _)| project.setup.list.is_empty());
        if nothing && !include::is_there(&tree) {
            return Ok(false);
        }
        if !self.setup.begin() {
            return Err(WorkerError::Conflict("the worktree is being set up already".to_owned()));
        }
        if let Err(error) = self.append_control(&Control::Preparing(SetupStep::Begun {})) {
            self.setup.end();
            return Err(error);
        }
        let worker = Arc::clone(self);
        let spawned = Thread::spawn(format!("s-{}", short(self.id())), move || {
            let outcome = worker.set_up(&tree, project.as_ref());
            worker.finish_setup(outcome);
        });
        match spawned {
            // The thread ends with the setup, which has a time limit.
            Ok(thread) => thread.detach(),
            Err(error) => self.finish_setup(Err(format!("no thread for it: {error}"))),
        }
        Ok(true)
    }

    /// Returns the project file of its worktree, with the folder in the worktree that corresponds to the project's.
    pub(super) fn project_file(&self, tree: &Worktree) -> Result<Option<(Project, PathBuf)>, WorkerError> {
        let state = self.state();
        let below = Path::new(&state.project_path).strip_prefix(&tree.path).unwrap_or(Path::new(""));
        let asked = Path::new(&tree.project).join(below);
        let found = self.launcher.settings.projects.find(&asked)?;
        Ok(found.map(|project| {
            let inner = project.path.strip_prefix(&tree.project).unwrap_or(Path::new(""));
            let folder: PathBuf = Path::new(&tree.path).join(inner).components().collect();
            (project, folder)
        }))
    }

    fn set_up(&self, tree: &Worktree, project: Option<&(Project, PathBuf)>) -> Result<(), String> {
        let text = |error: WorkerError| error.to_string();
        let step = |step| self.append_control(&Control::Preparing(step)).map_err(text);
        if include::is_there(tree) {
            let guards = |file: &Path| self.launcher.places.sandbox.guards_file(file);
            let include::CopiedFiles { files, bytes } = include::copy(tree, self.git_place(), &guards).map_err(text)?;
            step(SetupStep::Copied { files, bytes })?;
        }
        let Some((project, folder)) = project else { return Ok(()) };
        let (mut left, mut records) = (OUTPUT_BYTES_MAX, OUTPUT_RECORDS_MAX);
        let mut output = |bytes: &[u8]| {
            if left == 0 || records == 0 {
                return;
            }
            let kept = &bytes[..bytes.len().min(left)];
            (left, records) = (left - kept.len(), records - 1);
            let mut text = String::from_utf8_lossy(kept).into_owned();
            if left == 0 || records == 0 {
                text.push_str("\n(further output is not kept)");
            }
            // Output that cannot be written must not fail the setup.
            let _ = step(SetupStep::Output { text }).inspect_err(|error| log::warn!("worker {}: {error}", self.id()));
        };
        let planned = PlannedCommands { project, commands: &project.setup, folder: folder.clone(), tag: self.id() };
        let begin = |command: &str| step(SetupStep::Command { command: command.to_owned() });
        let ran = self.run_commands(&planned, &|| self.setup.is_to_stop(), &begin, &mut output);
        ran.map_err(|failure| failure.text)
    }

    /// Runs commands until one fails. None of the processes that they start survives.
    pub(super) fn run_commands(
        &self,
        planned: &PlannedCommands<'_>,
        stop: &dyn Fn() -> bool,
        begin: &dyn Fn(&str) -> Result<(), String>,
        output: &mut dyn FnMut(&[u8]),
    ) -> Result<(), CommandFailure> {
        let time = planned.commands.time;
        let deadline = Instant::now() + time;
        for one in &planned.commands.list {
            begin(&one.to_string())?;
            let mut command = self.command(planned, &one.argv).map_err(|error| error.to_string())?;
            let end = subprocess::stream(&mut command, Until { deadline, bytes: 0, stop }, output);
            end_tree(planned.tag, self.launcher.grace);
            let (code, why) = match end {
                Ok(ChildEnd::Exited(0)) => continue,
                Ok(ChildEnd::Exited(code)) => (Some(code), format!("exited with code {code}")),
                Ok(ChildEnd::Signaled(signal)) => (None, format!("was ended by signal {signal}")),
                Ok(ChildEnd::TimedOut) => (None, format!("the time limit of {} s is over", time.as_secs())),
                Ok(ChildEnd::Stopped | ChildEnd::Cut) => return Err("it was stopped".to_owned().into()),
                Err(error) => (None, format!("cannot be run: {error}")),
            };
            return Err(CommandFailure { code, text: format!("{one}: {why}") });
        }
        Ok(())
    }

    /// Returns a command with the worker's runner applied.
    fn command(&self, planned: &PlannedCommands<'_>, argv: &[String]) -> Result<Command, WorkerError> {
        let mut state = (*self.state()).clone();
        state.project_path = planned.folder.to_string_lossy().into_owned();
        let runner = self.launcher.runner(&state)?;
        let folder = self.launcher.recorded_project(runner, &state.project_path)?;
        let (program, args) = argv.split_first().map_or(("", &[][..]), |(program, args)| (program.as_str(), args));
        let (program, args) = self.launcher.wrap((self.id(), planned.tag), &state, &[], (Path::new(program), args))?;
        let mut command = Command::new(program);
        let env = (self.launcher.make_command_env)(&planned.project.env, runner);
        command.args(args).env_clear().envs(env).env("PWD", &folder).env(TAG, planned.tag).current_dir(&folder);
        Ok(command)
    }

    /// Records the end of a setup, and starts the CLI after a successful one.
    fn finish_setup(self: &Arc<Self>, outcome: Result<(), String>) {
        let outcome = outcome.and_then(|()| {
            let done = self.append_control(&Control::Preparing(SetupStep::Done {}));
            done.and_then(|()| self.launch()).map_err(|error| format!("the CLI cannot be started: {error}"))
        });
        if let Err(error) = outcome
            && let Err(error) = self.append_control(&Control::Preparing(SetupStep::Failed { error }))
        {
            log::warn!("worker {}: the end of its setup could not be recorded: {error}", self.id());
        }
        self.setup.end();
    }

    /// Ends a setup in progress, with all processes that it has started.
    pub(in crate::worker) fn stop_setup(&self) -> Result<(), WorkerError> {
        if self.setup.stop(Instant::now() + self.launcher.grace + STOP_MARGIN) {
            return Ok(());
        }
        Err(WorkerError::Unavailable("the setup has not ended yet; try again".to_owned()))
    }

    /// Runs the teardown of the project file, if there is one. Returns its error, for people; the worktree is removed
    /// regardless.
    pub(in crate::worker) fn tear_down(&self, tree: &Worktree) -> Option<String> {
        let failed = |why: String| Some(format!("the teardown of its worktree failed: {why}"));
        let (project, folder) = match self.project_file(tree) {
            Ok(found) => found.filter(|(project, _)| !project.teardown.list.is_empty())?,
            Err(error) => return failed(error.to_string()),
        };
        if !folder.is_dir() {
            return None;
        }
        let mut tail = Vec::new();
        let mut output = |bytes: &[u8]| {
            tail.extend_from_slice(bytes);
            tail.drain(..tail.len().saturating_sub(TEARDOWN_BYTES_MAX));
        };
        let planned = PlannedCommands { project: &project, commands: &project.teardown, folder, tag: self.id() };
        let error = self.run_commands(&planned, &|| false, &|_| Ok(()), &mut output).err()?.text;
        let tail = String::from_utf8_lossy(&tail).trim().to_owned();
        failed(if tail.is_empty() { error } else { format!("{error}: {tail}") })
    }
}
