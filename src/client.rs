//! Commands of the command line that need no server.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::config::Config;
use crate::data_dir::{DataDir, DataDirError};
use crate::journal::{By, Control};
use crate::shim::protocol::{ShimCommand, Versions, control_line, encode_command};
use crate::shim::tree::Process;
use crate::shim::{self, Greeting, SOCKET};
use crate::terminal;

/// Time that the end of a process tree may take beyond the grace period.
const STOP_MARGIN: Duration = Duration::from_secs(10);
/// Time in which a shim must send its greeting.
const GREETING_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause between two looks whether a shim has ended.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Ends the process trees of all workers that an earlier server has left running. Returns their number.
///
/// # Errors
/// Fails when a server runs (it stops its workers itself), or a tree does not end.
pub(crate) fn stop_all(config: &Config) -> Result<usize, String> {
    let base = &config.workers_base_dir;
    if !base.is_dir() {
        return Ok(0);
    }
    let _data = DataDir::take(base).map_err(|error| match error {
        DataDirError::InUse { pid, .. } => {
            let pid = pid.map_or_else(String::new, |pid| format!(" (pid {pid})"));
            format!("a server runs{pid}: stop its workers there, or stop it first")
        }
        error @ DataDirError::Io { .. } => error.to_string(),
    })?;
    let folders = std::fs::read_dir(base).map_err(|error| format!("{}: {error}", base.display()))?;
    let mut stopped = 0;
    let mut living = Vec::new();
    for folder in folders.filter_map(Result::ok) {
        end_terminals(&folder.path(), config.stop_grace);
        if let Some(process) = ask_to_stop(&folder.path(), config.stop_grace) {
            living.push((folder.path(), process));
        }
    }
    let deadline = Instant::now() + config.stop_grace + STOP_MARGIN;
    for (folder, process) in living {
        // A shim removes its socket a moment before its end.
        while folder.join(SOCKET).exists() || process.as_ref().is_some_and(Process::lives) {
            if Instant::now() >= deadline {
                return Err(format!("the shim of {} has not ended; look into its shim.log", folder.display()));
            }
            std::thread::sleep(LOOK_EVERY);
        }
        stopped += 1;
    }
    Ok(stopped)
}

/// Ends the terminals of the worker in `folder`.
fn end_terminals(folder: &Path, grace: Duration) {
    let Some(worker_id) = folder.file_name().and_then(|name| name.to_str()) else { return };
    let terminals = std::fs::read_dir(folder.join(terminal::FOLDER)).into_iter().flatten().flatten();
    for terminal in terminals {
        if let Ok(id) = terminal.file_name().into_string() {
            terminal::end(&terminal.path(), &terminal::tag(worker_id, &id), grace);
        }
    }
}

/// Asks the shim in `folder`, if there is one, to end its tree; returns its process, if it has named it.
fn ask_to_stop(folder: &Path, grace: Duration) -> Option<Option<Process>> {
    let mut socket = shim::connect(folder).ok()?;
    // One that does not say where its journal ends is waited for in vain, which is reported.
    let greeting = socket.set_read_timeout(Some(GREETING_TIMEOUT)).and_then(|()| shim::greeted(&socket, Versions::OWN));
    let Ok(Greeting { version, pid, end }) = greeting else { return Some(None) };
    let process = Process::read(pid);
    let mut requested = Vec::new();
    control_line(&mut requested, &Control::StopRequested { by: By::CommandLine, reason: None });
    let mut bytes = Vec::new();
    let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
    for command in
        [ShimCommand::Attach { version, offset: end }, ShimCommand::Append(&requested), ShimCommand::Stop { grace_ms }]
    {
        encode_command(&mut bytes, 1, &command);
    }
    // A shim that is just ending takes no more commands, and need not.
    let _ = std::io::Write::write_all(&mut socket, &bytes);
    Some(process)
}
