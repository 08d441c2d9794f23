//! Starting a shim.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use crate::adapter::Launch;
use crate::shim::spec::{LineKinds, Spec, SpecLinePattern};

/// Name of the file in the worker's folder that a shim's own log goes to.
const LOG: &str = "shim.log";
/// Permissions of the log: its owner alone.
const LOG_MODE: u32 = 0o600;

/// The worker whose CLI a shim runs, and the command.
#[derive(Clone, Copy, Debug)]
pub struct ShimSpec<'a> {
    /// The worker's folder. Its journal must exist and not be locked.
    pub dir: &'a Path,
    /// The worker's id.
    pub worker_id: &'a str,
    /// The adapter's part.
    pub launch: &'a Launch,
    /// The CLI's working directory.
    pub cwd: &'a Path,
    /// The whole environment of shim and CLI; `launch.env` is added to it. It stays out of command lines and files.
    pub env: &'a [(OsString, OsString)],
    /// Time between SIGTERM and SIGKILL, unless a stop names another.
    pub grace: Duration,
    /// The control group that the CLI is started in.
    pub cgroup: Option<&'a Path>,
}

/// Starts a shim with the program `exe`, this build's own. The shim then opens the journal, listens, and starts the CLI,
/// in this order; so [`connect`](crate::shim::connect) is to be tried until it works or the shim has ended. The journal
/// records the outcome, or else [`LOG`].
///
/// The caller must `wait` for the returned process some time, or it stays a zombie until the server ends.
///
/// # Errors
/// Fails when the log cannot be opened or the system cannot start a process.
pub fn spawn(exe: &Path, spec: &ShimSpec<'_>) -> io::Result<Child> {
    let log = OpenOptions::new().append(true).create(true).mode(LOG_MODE).open(spec.dir.join(LOG))?;
    let launch = spec.launch;
    let mut argv: Vec<OsString> = Vec::new();
    if !launch.program.as_os_str().is_empty() {
        argv.push(launch.program.clone().into());
        argv.extend(launch.args.iter().map(OsString::from));
    }
    let args = Spec {
        dir: spec.dir.to_owned(),
        worker_id: spec.worker_id.to_owned(),
        cwd: spec.cwd.to_owned(),
        grace: spec.grace,
        lines: line_kinds(launch),
        keep: launch.one_process_per_turn,
        eof_first: launch.stop_by_eof,
        cgroup: spec.cgroup.map(Path::to_owned),
        argv,
    };
    // Ends at once, like `/dev/null`, which an empty root does not have.
    let (no_input, _) = io::pipe()?;
    Command::new(exe)
        .args(args.to_args())
        .env_clear()
        .envs(spec.env.iter().map(|(name, value)| (name, value)))
        .envs(launch.env.iter().map(|(name, value)| (name, value)))
        .stdin(no_input)
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
}

/// Returns the line patterns of the adapter.
fn line_kinds(launch: &Launch) -> LineKinds {
    let ends = launch.message_ends.iter();
    let ends = ends.map(|end| SpecLinePattern { begins: end.begins.clone(), lacks: end.lacks.clone() });
    LineKinds { volatile: launch.volatile.clone(), message_ends: ends.collect() }
}
