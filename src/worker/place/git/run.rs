//! Runs of git in a Git directory of ours: with our configuration and environment, within the budget of one request.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::error::GitError;
use crate::subprocess::{self, End, Outcome, STOP_NOTICED, Until};

/// Bytes of an answer that is short.
pub(in crate::worker) const SHORT_BYTES: usize = 64 * 1024;
/// Most private memory of one git process, in KiB. A repository can name objects of any size.
const MEMORY_KIB_MAX: u64 = 1024 * 1024;
/// Most git processes at once, for all workers together; others wait within their budgets.
const RUNS_MAX: usize = 4;
/// The variables that git inherits from the server: the places of programs, and no key, token or home directory.
const KEPT_ENV: [&str; 3] = ["PATH", "TMPDIR", "LD_LIBRARY_PATH"];
/// Keeps git from everything that is not in the Git directory of ours.
const OWN_ENV: [(&str, &str); 12] = [
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
];

/// The bounds of one whole request, however many git processes it takes.
#[derive(Clone, Copy)]
pub(crate) struct Budget<'a> {
    deadline: Instant,
    limit: Duration,
    gone: &'a dyn Fn() -> bool,
}

impl<'a> Budget<'a> {
    /// A budget of so much time from now on, for a client that may leave.
    pub(crate) fn new(limit: Duration, gone: &'a dyn Fn() -> bool) -> Self {
        Self { deadline: Instant::now() + limit, limit, gone }
    }

    /// Checks that there is time left and the client is still there.
    ///
    /// # Errors
    /// When the time is over or the client has gone. `action` is what was to be done next.
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

impl Budget<'static> {
    /// A budget of a request that is done also when its client leaves.
    pub(crate) fn of_time(limit: Duration) -> Self {
        Self::new(limit, &|| false)
    }
}

/// git's answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Its stdout, within the bound.
    pub output: Vec<u8>,
    /// There was more.
    pub cut: bool,
    /// Its exit code; 0 when it was cut.
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

/// Runs git and returns what it printed, whatever its exit code is among `codes`.
pub(super) fn run(
    command: &mut Command,
    action: &str,
    (input, bytes): (Option<File>, usize),
    codes: &[i32],
    budget: &Budget<'_>,
) -> Result<Answer, GitError> {
    let _slot = Slot::take(action, budget)?;
    budget.check(action)?;
    let until = Until { deadline: budget.deadline, bytes, stop: budget.gone };
    let Outcome { stdout, stderr, end } =
        subprocess::run(command, input, until).map_err(GitError::io("git cannot be run"))?;
    match end {
        End::Exited(code) if codes.contains(&code) => Ok(Answer { output: stdout, cut: false, code }),
        End::Cut => Ok(Answer { output: stdout, cut: true, code: 0 }),
        End::Exited(127) => Err(GitError::NotInstalled),
        End::Exited(code) => Err(GitError::failed(action, &stderr, format!("it exited with {code}"))),
        End::Signaled(signal) => Err(GitError::failed(action, &stderr, format!("it was killed by signal {signal}"))),
        End::TimedOut => Err(GitError::TimedOut { action: action.to_owned(), limit: budget.limit }),
        End::Stopped => Err(GitError::ClientGone),
    }
}

static RUNNING: Mutex<usize> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();

/// One of the places for git processes, until it is dropped.
struct Slot;

impl Slot {
    fn take(action: &str, budget: &Budget<'_>) -> Result<Self, GitError> {
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        while *running >= RUNS_MAX {
            budget.check(action)?;
            running = ENDED.wait_timeout(running, STOP_NOTICED).unwrap_or_else(PoisonError::into_inner).0;
        }
        *running += 1;
        Ok(Self)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        ENDED.notify_one();
    }
}
