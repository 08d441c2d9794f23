//! The detection of installed CLIs and their versions.
//!
//! [`Probes`] checks all of them on separate threads, so that neither the start nor `/api/ai-clis` waits for a slow
//! CLI; [`find_binary`] and [`version`] are the two checks. It knows programs, not adapters.

mod known;
pub(crate) mod login;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use nix::unistd::{AccessFlags, access};

use crate::subprocess::{self, Bounds};

pub(crate) use known::{ProbeTarget, Probes};

/// Time that a program may take to print its version: node programs on a busy machine take seconds.
pub(crate) const VERSION_TIMEOUT: Duration = Duration::from_secs(10);
/// Most bytes of a version's output that are looked at; the rest is read and dropped.
const VERSION_BYTES_MAX: usize = 4096;
/// Longest version, in bytes.
const VERSION_LEN_MAX: usize = 64;
/// The environment that a program gets when it is asked for its version: enough to run it, and no key of anybody.
const VERSION_ENV: [&str; 12] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_CACHE_HOME",
    "XDG_STATE_HOME",
];

/// The reason that a program can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FindError {
    /// In no folder of PATH.
    NotOnPath {
        /// Its name.
        name: String,
    },
    /// The file does not exist.
    NoFile {
        /// The path at which it should be.
        path: PathBuf,
    },
    /// The file is there and cannot be executed.
    NotExecutable {
        /// Its path.
        path: PathBuf,
    },
}

impl fmt::Display for FindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOnPath { name } => write!(f, "{name} was not found on PATH"),
            Self::NoFile { path } => write!(f, "no such file: {}", path.display()),
            Self::NotExecutable { path } => {
                write!(f, "{} is not an executable file; try: chmod +x {}", path.display(), path.display())
            }
        }
    }
}

impl std::error::Error for FindError {}

/// Finds a program: an absolute path as it is, a relative one with a slash from the working directory, a plain name in
/// the absolute folders of `path` (the value of PATH), in their order. What is given back is absolute.
///
/// # Errors
/// Fails when there is no such file, or it cannot be executed.
pub(crate) fn find_binary(name: &str, path: Option<&OsStr>) -> Result<PathBuf, FindError> {
    if name.contains('/') {
        let file = std::path::absolute(name).unwrap_or_else(|_| PathBuf::from(name));
        return match (file.exists(), is_executable(&file)) {
            (_, true) => Ok(file),
            (true, false) => Err(FindError::NotExecutable { path: file }),
            (false, false) => Err(FindError::NoFile { path: file }),
        };
    }
    let mut refused = None;
    // A relative folder in PATH would name another file for every project.
    for folder in std::env::split_paths(path.unwrap_or_default()).filter(|folder| folder.is_absolute()) {
        let file = folder.join(name);
        if !name.is_empty() && file.is_file() {
            if is_executable(&file) {
                return Ok(file);
            }
            refused.get_or_insert(file);
        }
    }
    Err(match refused {
        Some(path) => FindError::NotExecutable { path },
        None => FindError::NotOnPath { name: name.to_owned() },
    })
}

fn is_executable(file: &Path) -> bool {
    file.is_file() && access(file, AccessFlags::X_OK).is_ok()
}

/// Runs `program` with `args` and reads its version from the first line that it prints to stdout: the first word of it
/// that looks like one, without a leading `v`. `None` when there is none, it cannot be run, or `timeout` passes.
///
/// It runs in `/` with no stdin, in a process group of its own that is killed and waited for before this returns.
pub(crate) fn version(program: &Path, args: &[String], timeout: Duration) -> Option<String> {
    version_unless(program, args, timeout, &AtomicBool::new(false))
}

/// The part of the server's environment that a CLI receives when it is only asked something: no key and no token.
pub(crate) fn own_env() -> impl Iterator<Item = (&'static str, OsString)> {
    VERSION_ENV.iter().filter_map(|&name| Some((name, std::env::var_os(name)?)))
}

/// Works like [`version`], and also gives up when `stop` is set.
fn version_unless(program: &Path, args: &[String], timeout: Duration, stop: &AtomicBool) -> Option<String> {
    let mut command = Command::new(program);
    command.args(args).current_dir("/").env_clear().envs(own_env());
    let answer = subprocess::ask(&mut command, Bounds { time: timeout, bytes: VERSION_BYTES_MAX }, stop);
    let answer = answer.inspect_err(|error| log::debug!("{} cannot be run: {error}", program.display())).ok()?;
    parse_version(&answer.output)
}

/// The version in the first line that is not empty: `2.1.197` in `2.1.197 (Claude Code)`, `0.169.0` in
/// `codex-cli v0.169.0`.
fn parse_version(output: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(output);
    let line = text.lines().find(|line| !line.trim().is_empty())?;
    let words = line.split(|c: char| c.is_whitespace() || matches!(c, ',' | '(' | ')' | '"' | '/'));
    let mut versions = words.filter_map(|word| {
        let word = word.strip_prefix('v').unwrap_or(word).trim_end_matches(['.', ':', ';']);
        let (major, rest) = word.split_once('.')?;
        let digits = !major.is_empty() && major.bytes().all(|byte| byte.is_ascii_digit());
        let plain = word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'+' | b'_'));
        (digits && plain && rest.starts_with(|c: char| c.is_ascii_digit()) && word.len() <= VERSION_LEN_MAX)
            .then(|| word.to_owned())
    });
    versions.next()
}

/// Returns whether `version` comes before `oldest`: their numbers are compared one by one, and what follows them is
/// not.
pub(crate) fn is_older(version: &str, oldest: &str) -> bool {
    let numbers = |text: &str| -> Vec<u64> {
        let parts = text.split('.').map(|part| part.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default());
        parts.map_while(|part| part.parse().ok()).collect()
    };
    numbers(version) < numbers(oldest)
}

#[cfg(test)]
mod tests;
