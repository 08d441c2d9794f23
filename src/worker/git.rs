//! git, asked about projects that may be anybody's: bounded, without the server's secrets, and without running the
//! programs that a repository names.
//!
//! A repository's own configuration can name programs: hooks, a file system monitor, filters. An agent can write it, so
//! none of them is run here. Filters of the user's own configuration (as of Git LFS) are.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::error::WorkerError;
use crate::subprocess::{self, Answer, Bounds};

/// Bounds of a question whose answer is short.
pub const SHORT: Bounds = Bounds { time: Duration::from_secs(10), bytes: 64 * 1024 };
/// What git gets of the server's environment: where it and people's own settings are, and no key or token.
const GIT_ENV: [&str; 7] = ["PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "LD_LIBRARY_PATH", "XDG_CONFIG_HOME"];
/// Settings that no repository may decide: what would run programs of its, or reach into other repositories.
const SETTINGS: [&str; 8] = [
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "submodule.recurse=false",
    "-c",
    "protocol.allow=never",
];
/// Filters of one repository that are switched off; one with more is not touched.
const FILTERS_MAX: usize = 100;

/// Runs git in `folder`, for what does not look into files. Its stderr is thrown away.
///
/// # Errors
/// When it cannot be run.
pub fn ask(folder: &Path, args: &[&str], bounds: Bounds) -> Result<Answer, WorkerError> {
    let (mut command, never) = (command(folder, args), AtomicBool::new(false));
    subprocess::ask(&mut command, bounds, &never).map_err(cannot_run)
}

/// As [`ask`], for what looks into files: without the filters that the repository names.
///
/// # Errors
/// When it cannot be run, or the repository's filters cannot be switched off.
pub fn ask_of_files(folder: &Path, args: &[&str], bounds: Bounds) -> Result<Answer, WorkerError> {
    let off = filters_off(folder)?;
    ask(folder, &with_settings(&off, args), bounds)
}

/// Runs git in `folder` for something that must work: its output, or what it says of why not.
///
/// # Errors
/// When it cannot be run; [`WorkerError::Conflict`] when it fails.
pub(super) fn run(folder: &Path, args: &[&str], bounds: Bounds) -> Result<String, WorkerError> {
    let off = filters_off(folder)?;
    let (mut command, never) = (command(folder, &with_settings(&off, args)), AtomicBool::new(false));
    let answer = subprocess::ask_both(&mut command, bounds, &never).map_err(cannot_run)?;
    let said = String::from_utf8_lossy(&answer.output).into_owned();
    match answer.code {
        Some(0) => Ok(said),
        Some(_) => Err(WorkerError::Conflict(format!("git says: {}", said.trim()))),
        None => Err(WorkerError::Unavailable(format!("git has not ended within {} seconds", bounds.time.as_secs()))),
    }
}

/// One line of an answer that must be text; `None` when git fails.
///
/// # Errors
/// When it cannot be run.
pub(super) fn line(folder: &Path, args: &[&str]) -> Result<Option<String>, WorkerError> {
    let answer = ask(folder, args, SHORT)?;
    let text = String::from_utf8(answer.output).ok().filter(|_| answer.code == Some(0) && !answer.cut);
    Ok(text.map(|text| text.strip_suffix('\n').unwrap_or(&text).to_owned()))
}

fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new("git");
    let kept = |name: &&'static str| -> Option<(&'static str, OsString)> { Some((name, std::env::var_os(name)?)) };
    command.env_clear().envs(GIT_ENV.iter().filter_map(kept));
    command.arg("-C").arg(folder).args(SETTINGS).args(args);
    command.env("GIT_OPTIONAL_LOCKS", "0").env("GIT_TERMINAL_PROMPT", "0").env("GIT_NO_LAZY_FETCH", "1");
    command.env("LC_ALL", "C");
    command
}

fn with_settings<'a>(settings: &'a [String], args: &[&'a str]) -> Vec<&'a str> {
    settings.iter().flat_map(|setting| ["-c", setting]).chain(args.iter().copied()).collect()
}

/// Settings that switch the filters off which the repository itself names: git runs those programs whenever it writes or
/// compares files.
fn filters_off(folder: &Path) -> Result<Vec<String>, WorkerError> {
    let listed = ask(folder, &["config", "-z", "--show-scope", "--name-only", "--get-regexp", "^filter\\."], SHORT)?;
    let text = String::from_utf8_lossy(&listed.output).into_owned();
    let mut parts = text.split('\0');
    let mut off = Vec::new();
    while let (Some(scope), Some(name)) = (parts.next(), parts.next()) {
        let ours = matches!(scope, "system" | "global" | "command");
        if !ours && let Some((driver, _)) = name.rsplit_once('.').filter(|(driver, _)| !driver.contains(['=', '\n'])) {
            off.extend(["smudge=", "clean=", "process=", "required=false"].map(|end| format!("{driver}.{end}")));
        } else if !ours {
            return Err(WorkerError::Conflict(format!(
                "the repository has a filter with a name that is refused: {name}"
            )));
        }
        if off.len() > FILTERS_MAX * 4 || listed.cut {
            return Err(WorkerError::Conflict("the repository names too many filters".to_owned()));
        }
    }
    Ok(off)
}

fn cannot_run(error: io::Error) -> WorkerError {
    match error.kind() {
        io::ErrorKind::NotFound => WorkerError::Unavailable("git is not installed on the server".to_owned()),
        _ => io::Error::other(format!("git cannot be run: {error}")).into(),
    }
}
