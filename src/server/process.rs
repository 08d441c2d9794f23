//! Limits and signals of the server's process.

use crossbeam_channel::{Receiver, bounded};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal};

use super::error::StartError;
use crate::procfs;

/// Most file descriptors that the server asks for: enough for the connections that can be allowed. A limit without bound
/// would slow down programs that close all descriptors there could be; the CLIs inherit it.
const DESCRIPTORS_MAX: u64 = 65_536;

/// Takes as many file descriptors as the system lets us have: shells give 1,024, which is as many as the connections.
pub(super) fn raise_descriptor_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        let wanted = hard.min(DESCRIPTORS_MAX);
        if soft < wanted { setrlimit(Resource::RLIMIT_NOFILE, wanted, hard) } else { Ok(()) }
    });
    if let Err(error) = raised {
        log::warn!("the limit of file descriptors stays as it is: {error}");
    }
}

/// Keeps SIGHUP without effect where it was ignored at the program's start, as nohup does. Call it before any thread is
/// started: it blocks the signal, which is otherwise one of those that stop the server.
pub(crate) fn respect_nohup() {
    if procfs::ignored_signals().contains(&(Signal::SIGHUP as i32)) {
        let mut hangup = SigSet::empty();
        hangup.add(Signal::SIGHUP);
        if let Err(error) = hangup.thread_block() {
            eprintln!("rs-worker: a hangup will end the server: {error}");
        }
    }
}

/// Makes a write beyond the process's file size limit fail, instead of ending the process by SIGXFSZ. Threads that are
/// started later inherit it.
pub(super) fn survive_file_size_limit() {
    if let Err(error) = SigSet::from_iter([Signal::SIGXFSZ]).thread_block() {
        log::warn!("SIGXFSZ cannot be blocked, so a file size limit would end the server: {error}");
    }
}

/// Returns a channel that gets a message at SIGINT, SIGTERM or SIGHUP.
pub(super) fn stop_signal() -> Result<Receiver<()>, StartError> {
    let (sender, receiver) = bounded(1);
    ctrlc::set_handler(move || {
        // A second signal while the first is being served adds nothing.
        let _ = sender.try_send(());
    })?;
    Ok(receiver)
}
