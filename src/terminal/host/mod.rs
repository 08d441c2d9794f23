//! The process of a terminal: the program `rs-worker terminal`. It owns the pseudoterminal and keeps the screen, and
//! outlives the server. It has a single thread.
//!
//! It reads the program's output as fast as the emulator accepts it, and serves clients at their own speed. A failure
//! ends only this terminal.

mod client;
mod pty;
mod run;

use std::ffi::OsString;
use std::fs;
use std::io;
use std::process::ExitCode;

use nix::sys::prctl;
use nix::unistd::{chdir, setsid};

use pty::Pty;
pub(crate) use pty::become_program;
use run::Host;

use super::emulator::Emulator;
use super::spec::HostSpec;
use crate::shim::{Signals, bind};

/// Runs `rs-worker terminal`; `args` are the arguments after `terminal`.
pub(crate) fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    // Its stderr is the terminal's log. Only a second logger could make this fail, and that would log as well.
    let _ = simplelog::WriteLogger::init(log::LevelFilter::Info, simplelog::Config::default(), io::stderr());
    let begun = HostSpec::parse(args).map_err(|error| format!("rs-worker terminal is started by the server: {error}"));
    match begun.and_then(|spec| begin_and_run(spec).map_err(|error| error.to_string())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn begin_and_run(mut spec: HostSpec) -> io::Result<()> {
    // Fails for the leader of a process group, which is safe, because no terminal stops it together with others.
    let _ = setsid();
    // Its memory holds typed text, which no other program of the same user may read.
    prctl::set_dumpable(false)?;
    prctl::set_child_subreaper(true)?;
    let signals = Signals::new()?;
    spec.dir = spec.dir.canonicalize()?;
    spec.cwd = std::path::absolute(&spec.cwd)?;
    let bound = bind(&spec.dir)?;
    // The working directory would keep its file system from being unmounted.
    let _ = chdir("/");
    let (pty, program) = Pty::start(&spec)?;
    let listener = bound.listen()?;
    let folder = spec.dir.clone();
    let screen = Emulator::new(spec.size);
    let done = Host::new(spec, signals, listener, pty, program, screen).run();
    if done.is_ok() {
        // At this point it contains only the log and the socket.
        let _ = fs::remove_dir_all(folder);
    }
    done
}
