//! The server's side: starts a terminal's process, and ends it.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::sys::socket::{getsockopt, sockopt};

use super::emulator::Size;
use super::spec::HostSpec;
use crate::shim::{self, tree::Process};

/// Name in a worker's folder of the folder of its terminals.
pub(crate) const FOLDER: &str = "terminals";
/// Name of the log file of a terminal's process, in its folder.
const LOG: &str = "terminal.log";
/// Permissions of the log: accessible only to its owner.
const LOG_MODE: u32 = 0o600;
/// The request that ends a terminal.
const END: &[u8] = b"{\"type\":\"end\"}\n";
/// Time that the end of a terminal may take beyond the grace period.
const END_MARGIN: Duration = Duration::from_secs(10);
/// Pause between two checks whether a terminal has ended.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The program of a terminal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TerminalSpec<'a> {
    /// The terminal's folder, which exists.
    pub(crate) dir: &'a Path,
    /// The tag of its processes.
    pub(crate) tag: &'a str,
    /// The command line.
    pub(crate) argv: &'a [OsString],
    /// The working directory.
    pub(crate) cwd: &'a Path,
    /// The whole environment of the process and the program. It is not visible in command lines or files.
    pub(crate) env: &'a [(OsString, OsString)],
    /// The initial size.
    pub(crate) size: Size,
    /// Time between SIGTERM and SIGKILL.
    pub(crate) grace: Duration,
}

/// Returns the tag of a terminal's processes, which differs from the worker's.
pub(crate) fn tag(worker_id: &str, id: &str) -> String {
    format!("{worker_id}-t-{id}")
}

/// Starts the process of a terminal with the executable `exe`, this build's own. The caller must eventually wait for
/// the returned process, which otherwise stays a zombie until the server exits.
///
/// # Errors
/// Fails when the log cannot be opened or the system cannot start a process.
pub(crate) fn spawn(exe: &Path, terminal: &TerminalSpec<'_>) -> io::Result<Child> {
    let log = OpenOptions::new().append(true).create(true).mode(LOG_MODE).open(terminal.dir.join(LOG))?;
    let spec = HostSpec {
        dir: terminal.dir.to_owned(),
        tag: terminal.tag.to_owned(),
        cwd: terminal.cwd.to_owned(),
        size: terminal.size,
        grace: terminal.grace,
        argv: terminal.argv.to_vec(),
    };
    // Returns end-of-file at once, like `/dev/null`, which an empty root does not have.
    let (no_input, _) = io::pipe()?;
    Command::new(exe)
        .args(spec.to_args())
        .env_clear()
        .envs(terminal.env.iter().map(|(name, value)| (name, value)))
        .stdin(no_input)
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
}

/// Ends the terminal in `dir` with its whole process tree, and returns when none of it is left. A process that does not
/// comply within `time` is killed; its remaining processes are then found by `tag`.
pub(crate) fn end(dir: &Path, tag: &str, grace: Duration) {
    let deadline = Instant::now() + grace + END_MARGIN;
    if let Ok(mut socket) = shim::connect(dir) {
        let host = getsockopt(&socket, sockopt::PeerCredentials).map(|peer| Process::read(peer.pid()));
        let asked = socket.write_all(END).and_then(|()| wait_for_end(&mut socket, deadline));
        if let Err(error) = asked {
            log::warn!("the terminal in {} does not end, and is killed: {error}", dir.display());
            if let Ok(Some(host)) = host {
                host.signal(Signal::SIGKILL);
            }
        }
        // It removes its folder when all other processes are gone.
        while dir.exists() && shim::connect(dir).is_ok() && Instant::now() < deadline {
            std::thread::sleep(LOOK_EVERY);
        }
    }
    clear(dir, tag, grace);
}

/// Removes the remains of a killed terminal process: its child processes, and its folder.
pub(crate) fn clear(dir: &Path, tag: &str, grace: Duration) {
    if !dir.exists() {
        return;
    }
    shim::end_tree(tag, grace);
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            log::error!("{} cannot be removed: {error}", dir.display());
        }
        _ => {}
    }
}

/// Reads until the process of the terminal closes the connection.
fn wait_for_end(socket: &mut UnixStream, deadline: Instant) -> io::Result<()> {
    let mut sink = [0; 4096];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(left))?;
        match socket.read(&mut sink) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}
