//! The pseudoterminal, and the start of its program.
//!
//! A program needs a session whose controlling terminal is the pseudoterminal. A parent process can't set that up for a
//! child without `unsafe`, so this binary is started once more: it creates the session, opens the terminal, and becomes
//! the program.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::pty::openpty;
use nix::sys::signal::SigSet;
use nix::unistd::setsid;

use crate::shim::tree::TAG;
use crate::terminal::emulator::Size;
use crate::terminal::spec::{HostSpec, PROGRAM};

/// The running executable, even after its file was replaced by a newer one.
const SELF: &str = "/proc/self/exe";
/// The `TERM` of programs: most systems describe it, and the emulator implements it.
const TERM: &str = "xterm-256color";
/// Size limit of input that waits for a program which does not read, in bytes.
pub(super) const INPUT_MAX: usize = 256 * 1024;
/// Exit code of a program that can't be started, as in shells.
const NOT_STARTED: u8 = 127;

/// The server's side of a pseudoterminal.
pub(super) struct Pty {
    master: File,
    /// Input that waits for the program; bytes before `written` are written.
    input: Vec<u8>,
    written: usize,
    closed: bool,
}

impl Pty {
    /// Opens a terminal and starts the program in it; returns the program's process id too.
    ///
    /// # Errors
    /// Fails when the system refuses.
    pub(super) fn start(spec: &HostSpec) -> io::Result<(Self, i32)> {
        let size = spec.size;
        let pair = openpty(&winsize(size), None)?;
        fcntl(&pair.master, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        fcntl(&pair.slave, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        fcntl(&pair.master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let child = Command::new(SELF)
            .arg(PROGRAM)
            .arg("--")
            .args(&spec.argv)
            .current_dir(&spec.cwd)
            .env("PWD", &spec.cwd)
            .env("TERM", TERM)
            .env("COLORTERM", "truecolor")
            .env_remove("COLUMNS")
            .env_remove("LINES")
            .env(TAG, &spec.tag)
            .stdin(pair.slave.try_clone()?)
            .stdout(pair.slave.try_clone()?)
            .stderr(pair.slave)
            .spawn()?;
        let pty = Self { master: pair.master.into(), input: Vec::new(), written: 0, closed: false };
        Ok((pty, child.id().cast_signed()))
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.master.as_fd()
    }

    /// Reads output once. `Ok(0)`: no process has the terminal open any more.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.master.read(buffer) {
            // The error of a terminal whose other side is closed.
            Err(error) if error.raw_os_error() == Some(nix::errno::Errno::EIO as i32) => {
                self.closed = true;
                Ok(0)
            }
            other => other,
        }
    }

    /// Returns whether no process has the terminal open any more.
    pub(super) const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Returns the number of bytes that may be added.
    pub(super) const fn room(&self) -> usize {
        INPUT_MAX.saturating_sub(self.input.len() - self.written)
    }

    /// Adds input for the program.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        self.write();
    }

    /// Returns whether input waits for the program.
    pub(super) const fn wants_room(&self) -> bool {
        self.written < self.input.len()
    }

    /// Writes as much input as the terminal accepts.
    pub(super) fn write(&mut self) {
        while self.written < self.input.len() {
            match self.master.write(&self.input[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // No process reads it any more.
                Err(_) => break,
            }
        }
        (self.input, self.written) = (Vec::new(), 0);
    }

    /// Changes the terminal's size; its program gets SIGWINCH.
    pub(super) fn resize(&self, size: Size) {
        let window = rustix::termios::Winsize { ws_row: size.rows, ws_col: size.cols, ws_xpixel: 0, ws_ypixel: 0 };
        if let Err(error) = rustix::termios::tcsetwinsize(&self.master, window) {
            log::warn!("the terminal's size cannot be changed: {error}");
        }
    }
}

fn winsize(size: Size) -> nix::pty::Winsize {
    nix::pty::Winsize { ws_row: size.rows, ws_col: size.cols, ws_xpixel: 0, ws_ypixel: 0 }
}

/// Runs `rs-worker terminal-program -- PROGRAM ARGS`: becomes the program, as the leader of a session whose terminal is
/// standard input.
pub(crate) fn become_program(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let argv: Vec<OsString> = args.into_iter().skip(1).collect();
    let error = match exec(&argv) {
        Ok(never) => match never {},
        Err(error) => error,
    };
    let shown = argv.first().map_or_else(String::new, |program| program.display().to_string());
    let place = std::env::current_dir().unwrap_or_default();
    eprint!("rs-worker: {shown} cannot be started in {}: {error}\r\n", place.display());
    ExitCode::from(NOT_STARTED)
}

fn exec(argv: &[OsString]) -> io::Result<std::convert::Infallible> {
    let (program, args) = argv.split_first().ok_or_else(|| io::Error::other("no program was named"))?;
    setsid()?;
    // The leader of a session without a controlling terminal gets the terminal that it opens.
    let _terminal: OwnedFd = OpenOptions::new().read(true).write(true).open(Path::new("/proc/self/fd/0"))?.into();
    SigSet::empty().thread_set_mask()?;
    Err(Command::new(program).args(args).exec())
}
