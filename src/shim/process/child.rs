//! The CLI's process: its start, the input that waits for its stdin, and its exit.

use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

use super::pump::reserve;
use crate::shim::protocol::BODY_MAX;
use crate::shim::tree::{Process, TAG};

/// Wanted size of the stdout pipe, in bytes: a CLI that prints in bursts seldom has to wait. The system may grant less.
const PIPE_BYTES: i32 = 1024 * 1024;
/// Most bytes that wait for a CLI that does not read its stdin.
const STDIN_PENDING_MAX: usize = BODY_MAX;

/// The end of the CLI's process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Exit {
    /// Its exit code, unless a signal ended it.
    pub(super) code: Option<i32>,
    /// The signal that ended it.
    pub(super) signal: Option<String>,
}

impl Exit {
    fn signal(number: i32) -> Self {
        let name = Signal::try_from(number).map_or_else(|_| format!("signal {number}"), |known| known.to_string());
        Self { code: None, signal: Some(name) }
    }
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        status.signal().map_or_else(|| Self { code: status.code(), signal: None }, Self::signal)
    }
}

/// A failed start of a program.
#[derive(Debug)]
pub(super) struct StartFailure {
    /// A sentence for people.
    pub(super) error: String,
    /// The program does not exist.
    pub(super) missing: bool,
}

/// The CLI's process and our ends of its pipes, which are non-blocking.
#[derive(Debug)]
pub(super) struct Child {
    process: std::process::Child,
    /// Process id, which is its group's too, and start time.
    pub(super) pid: i32,
    /// See [`Process::start_time`].
    pub(super) start_time: u64,
    pub(super) stdin: Stdin,
    pub(super) stdout: Option<ChildStdout>,
    pub(super) stderr: Option<ChildStderr>,
    /// Its end, once it is reaped.
    pub(super) exit: Option<Exit>,
}

impl Child {
    /// Starts `argv` in `cwd`, in a process group of its own, tagged with the worker's id. The caller has opened the
    /// signal mask: a child inherits it.
    ///
    /// # Errors
    /// The reason why it could not be started.
    pub(super) fn spawn(argv: &[OsString], cwd: &Path, worker_id: &str) -> Result<Self, StartFailure> {
        let Some((program, args)) = argv.split_first() else {
            return Err(StartFailure { error: "no program to start was named".to_owned(), missing: false });
        };
        let mut process = Command::new(program)
            .args(args)
            .current_dir(cwd)
            .env("PWD", cwd)
            .env(TAG, worker_id)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|err| spawn_error(&err, program, cwd))?;
        let pid = process.id().cast_signed();
        // It is not reaped yet, so even one that has ended already is still there to be read.
        let start_time = Process::read(pid).map_or(0, |found| found.start_time);
        let stdin = Stdin { pipe: process.stdin.take(), pending: Vec::new(), written: 0, closing: false };
        let (stdout, stderr) = (process.stdout.take(), process.stderr.take());
        for pipe in
            [stdin.fd(), stdout.as_ref().map(AsFd::as_fd), stderr.as_ref().map(AsFd::as_fd)].into_iter().flatten()
        {
            if let Err(errno) = fcntl(pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)) {
                log::error!("a pipe cannot be made non-blocking: {errno}");
            }
        }
        if let Some(pipe) = &stdout {
            // Users have a share of pipe memory; without this much the pipe works all the same.
            let _ = fcntl(pipe, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES));
        }
        Ok(Self { process, pid, start_time, stdin, stdout, stderr, exit: None })
    }

    /// Its process group, as long as the id cannot have been given to others.
    pub(super) fn group(&self) -> Option<i32> {
        self.exit.is_none().then_some(self.pid)
    }

    /// Records its end, if it has ended.
    fn reap(&mut self) {
        if self.exit.is_none() {
            match self.process.try_wait() {
                Ok(status) => self.exit = status.map(Exit::from),
                // Reaped with a status that `waitpid` cannot express: a real-time signal.
                Err(_) => self.exit = Some(Exit { code: None, signal: Some("a real-time signal".to_owned()) }),
            }
        }
    }
}

/// Reaps every child that has ended: the CLI and the orphans that became ours.
pub(super) fn reap(mut cli: Option<&mut Child>) {
    loop {
        if let Some(child) = cli.as_deref_mut() {
            child.reap();
        }
        let (pid, exit) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) => (pid, Exit { code: Some(code), signal: None }),
            Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, Exit::signal(signal as i32)),
            Err(nix::errno::Errno::EINTR | nix::errno::Errno::EINVAL) => continue,
            _ => return,
        };
        if let Some(child) = cli.as_deref_mut().filter(|child| child.pid == pid.as_raw() && child.exit.is_none()) {
            child.exit = Some(exit);
        }
    }
}

/// The CLI's stdin and the bytes that wait for it.
#[derive(Debug, Default)]
pub(super) struct Stdin {
    pipe: Option<ChildStdin>,
    pending: Vec<u8>,
    written: usize,
    /// Close it when all is written.
    closing: bool,
}

impl Stdin {
    /// Checks that `bytes` more can be accepted.
    ///
    /// # Errors
    /// The reason why not.
    pub(super) fn accepts(&self, bytes: usize) -> Result<(), &'static str> {
        if self.pipe.is_none() || self.closing {
            Err("the CLI's stdin is closed")
        } else if self.pending.len() - self.written + bytes > STDIN_PENDING_MAX {
            Err("the CLI does not read its input")
        } else {
            Ok(())
        }
    }

    /// Adds a line, given without its newline; [`Stdin::write`] is to follow.
    pub(super) fn push(&mut self, line: &[u8]) {
        reserve(&mut self.pending, line.len() + 1);
        self.pending.extend_from_slice(line);
        self.pending.push(b'\n');
    }

    /// Writes as much as the pipe accepts.
    pub(super) fn write(&mut self) {
        let Some(pipe) = &mut self.pipe else { return };
        while self.written < self.pending.len() {
            match pipe.write(&self.pending[self.written..]) {
                Ok(count) => self.written += count,
                Err(err) if err.kind() == ErrorKind::WouldBlock => return,
                Err(err) if err.kind() == ErrorKind::Interrupted => {}
                // The CLI no longer reads it. If it has ended, its exit is recorded elsewhere.
                Err(_) => return self.close(),
            }
        }
        (self.pending, self.written) = (Vec::new(), 0);
        if self.closing {
            self.close();
        }
    }

    /// Closes it when all that was accepted is written.
    pub(super) fn close_when_written(&mut self) {
        self.closing = true;
        self.write();
    }

    /// Closes it now.
    pub(super) fn close(&mut self) {
        *self = Self::default();
    }

    /// The pipe, while bytes wait for room in it.
    pub(super) fn wants_room(&self) -> Option<BorrowedFd<'_>> {
        self.fd().filter(|_| self.written < self.pending.len())
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }
}

/// Explains why a program could not be started, and the remedy. The system's own reason does not name the file.
fn spawn_error(err: &io::Error, program: &OsStr, cwd: &Path) -> StartFailure {
    let missing = err.kind() == ErrorKind::NotFound && cwd.is_dir();
    StartFailure { error: spawn_text(err, program, cwd), missing }
}

fn spawn_text(err: &io::Error, program: &OsStr, cwd: &Path) -> String {
    let shown = program.display();
    if !cwd.is_dir() {
        return format!("the working directory {} does not exist", cwd.display());
    }
    let found = if program.as_bytes().contains(&b'/') { Some(cwd.join(program)) } else { in_path(program) };
    match (err.kind(), found) {
        (ErrorKind::NotFound, None) => {
            format!("program {shown} was not found in PATH: install it, or set its full path")
        }
        (ErrorKind::NotFound, Some(path)) if path.exists() => {
            format!("{} cannot be started: the interpreter that its first line names does not exist", path.display())
        }
        (ErrorKind::NotFound, Some(path)) => format!("program {} does not exist", path.display()),
        (ErrorKind::PermissionDenied, Some(path)) if path.is_dir() => format!("{} is a folder", path.display()),
        (ErrorKind::PermissionDenied, Some(path)) if !is_executable(&path) => {
            format!("{} is not executable: chmod +x it", path.display())
        }
        (ErrorKind::ArgumentListTooLong, _) => format!("the command line of {shown} is too long for the system"),
        _ => format!("{shown} cannot be started in {}: {err}", cwd.display()),
    }
}

/// The first file of this name in PATH, executable or not.
fn in_path(program: &OsStr) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.permissions().mode() & 0o111 != 0)
}
