//! Runs of git in a Git directory of the server: with the server's configuration and environment, within the budget of
//! one request.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::error::GitError;
use crate::subprocess::{self, ChildEnd, ProgramOutcome, STOP_NOTICED, Until};

/// Size limit of short answers, in bytes.
pub(in crate::worker) const SHORT_BYTES: usize = 64 * 1024;
/// Most private memory of one git process, in KiB. A repository can name objects of any size.
const MEMORY_KIB_MAX: u64 = 1024 * 1024;
/// Maximum number of git processes at once, for all workers together; others wait within their budgets.
const RUNS_MAX: usize = 4;
/// Most programs at once that talk with other machines, apart from those: another machine may be slow.
const REMOTE_RUNS_MAX: usize = 4;
/// The variables that git inherits from the server: the places of programs, and no key, token or home directory.
pub(super) const KEPT_ENV: [&str; 3] = ["PATH", "TMPDIR", "LD_LIBRARY_PATH"];
/// Keeps git from everything that is not in the Git directory of ours.
const OWN_ENV: [(&str, &str); 13] = [
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_CONFIG_GLOBAL", "/dev/null"),
    ("GIT_ATTR_NOSYSTEM", "1"),
    ("GIT_OPTIONAL_LOCKS", "0"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_NO_LAZY_FETCH", "1"),
    ("GIT_NO_REPLACE_OBJECTS", "1"),
    ("GIT_TRACE2", "0"),
    ("GIT_TRACE2_EVENT", "0"),
    ("GIT_TRACE2_PERF", "0"),
    ("GIT_ALLOW_PROTOCOL", "none"),
    ("LC_ALL", "C"),
    // glibc would free the buffers of each object and allocate them again for the next, which takes most of the time.
    ("MALLOC_TRIM_THRESHOLD_", "16777216"),
];

/// The limits of one whole request, however many git processes it takes.
#[derive(Clone, Copy)]
pub(crate) struct GitBudget<'a> {
    deadline: Instant,
    limit: Duration,
    gone: &'a dyn Fn() -> bool,
}

impl<'a> GitBudget<'a> {
    /// Creates a budget of this duration, for a client that may disconnect.
    pub(crate) fn new(limit: Duration, gone: &'a dyn Fn() -> bool) -> Self {
        Self { deadline: Instant::now() + limit, limit, gone }
    }

    /// The same bounds for a program, of whose output so many bytes are kept.
    pub(in crate::worker) fn until(&self, bytes: usize) -> Until<'a> {
        Until { deadline: self.deadline, bytes, stop: self.gone }
    }

    /// Checks that there is time left and the client is still there.
    ///
    /// # Errors
    /// Fails when the time is over or the client has disconnected. `action` is the next step that was planned.
    pub(crate) fn check(&self, action: &str) -> Result<(), GitError> {
        if (self.gone)() {
            return Err(GitError::ClientGone);
        }
        if Instant::now() < self.deadline {
            return Ok(());
        }
        Err(GitError::TimedOut { action: action.to_owned(), limit: self.limit })
    }
}

impl GitBudget<'static> {
    /// Creates a budget for a request that is completed even when its client disconnects.
    pub(crate) fn of_time(limit: Duration) -> Self {
        Self::new(limit, &|| false)
    }
}

/// The output of git.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct GitOutput {
    /// Its stdout, up to the limit.
    pub output: Vec<u8>,
    /// True if there was more.
    pub cut: bool,
    /// Its exit code; 0 when the output was cut.
    pub code: i32,
}

/// Makes the command that runs git with its memory bounded. `git` and `sh` are the server's own, found in its PATH.
pub(super) fn command(gitdir: &Path, top: &Path, args: &[&str]) -> Command {
    let mut command = Command::new("/bin/sh");
    let script = format!("ulimit -d {MEMORY_KIB_MAX} 2>/dev/null; exec git \"$@\"");
    command.args(["-c", &script, "git", "--no-pager"]).args(args).env_clear();
    command.envs(KEPT_ENV.iter().filter_map(|name| Some((name, std::env::var_os(name)?)))).envs(OWN_ENV);
    command.env("HOME", gitdir).env("GIT_DIR", gitdir).env("GIT_WORK_TREE", top).current_dir(top);
    command
}

/// Runs git and returns its output if the exit code is among `codes`.
pub(super) fn run(
    command: &mut Command,
    action: &str,
    (input, bytes): (Option<File>, usize),
    codes: &[i32],
    budget: &GitBudget<'_>,
) -> Result<GitOutput, GitError> {
    run_among(&LOCAL, command, (action, codes), (input, bytes), budget).map(|(answer, _)| answer)
}

/// Runs git, or another program that talks with another machine, as [`run`] does. Returns its stderr too.
pub(super) fn run_remote(
    command: &mut Command,
    (action, codes): (&str, &[i32]),
    (input, bytes): (Option<File>, usize),
    budget: &GitBudget<'_>,
) -> Result<(GitOutput, Vec<u8>), GitError> {
    run_among(&REMOTE, command, (action, codes), (input, bytes), budget)
}

fn run_among(
    slots: &'static Slots,
    command: &mut Command,
    (action, codes): (&str, &[i32]),
    (input, bytes): (Option<File>, usize),
    budget: &GitBudget<'_>,
) -> Result<(GitOutput, Vec<u8>), GitError> {
    let _slot = slots.take(action, budget)?;
    budget.check(action)?;
    let ProgramOutcome { stdout, stderr, end } =
        subprocess::run(command, input, budget.until(bytes)).map_err(GitError::io("git cannot be run"))?;
    match end {
        ChildEnd::Exited(code) if codes.contains(&code) => Ok((GitOutput { output: stdout, cut: false, code }, stderr)),
        ChildEnd::Cut => Ok((GitOutput { output: stdout, cut: true, code: 0 }, stderr)),
        ChildEnd::Exited(127) => Err(GitError::NotInstalled),
        ChildEnd::Exited(code) => Err(GitError::failed(action, &stderr, format!("it exited with {code}"))),
        ChildEnd::Signaled(signal) => {
            Err(GitError::failed(action, &stderr, format!("it was killed by signal {signal}")))
        }
        ChildEnd::TimedOut => Err(GitError::TimedOut { action: action.to_owned(), limit: budget.limit }),
        ChildEnd::Stopped => Err(GitError::ClientGone),
    }
}

static LOCAL: Slots = Slots::new(RUNS_MAX);
static REMOTE: Slots = Slots::new(REMOTE_RUNS_MAX);

/// Places for programs that run at once.
struct Slots {
    running: Mutex<usize>,
    ended: Condvar,
    most: usize,
}

impl Slots {
    const fn new(most: usize) -> Self {
        Self { running: Mutex::new(0), ended: Condvar::new(), most }
    }

    fn take(&'static self, action: &str, budget: &GitBudget<'_>) -> Result<Slot, GitError> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        while *running >= self.most {
            budget.check(action)?;
            running = self.ended.wait_timeout(running, STOP_NOTICED).unwrap_or_else(PoisonError::into_inner).0;
        }
        *running += 1;
        Ok(Slot(self))
    }
}

/// One of the places, until it is dropped.
struct Slot(&'static Slots);

impl Drop for Slot {
    fn drop(&mut self) {
        *self.0.running.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.ended.notify_one();
    }
}
