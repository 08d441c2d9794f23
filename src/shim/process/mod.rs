//! The shim itself: the program `rs-worker shim`.
//!
//! It splits what the CLI prints into records, writes them to the journal and sends the same bytes to the server that is
//! attached; it writes to the CLI the lines that the server sends; it ends the whole process tree on request, and when the
//! CLI has ended. One thread does all of it (`run`), another brings the journal to the disk (`sync`).
//!
//! ```text
//! CLI ─ pipes ─> pump ─> batch ─> journal ─> link ─> server        (data, down)
//! server ─> protocol ─> commands ─> stdin, signals, ladder ─> CLI  (commands, up)
//! ```

mod child;
mod commands;
mod kills;
mod link;
mod pump;
mod ring;
mod run;
mod running;
mod signals;
mod store;
mod sync;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{fmt, fs, io};

use nix::sys::prctl;
use nix::unistd::{chdir, setsid};

use self::run::{Shim, Work};
pub(crate) use self::signals::Signals;
use self::store::Store;
use super::{JOURNAL, SOCKET, socket};
use crate::journal::{JournalError, Writer};
use crate::shim::spec::Spec;

/// Longest wait of a starting shim for the one before it, or the server, to release the journal.
const LOCK_WAIT: Duration = Duration::from_secs(5);
/// Time between two tries to lock the journal.
const LOCK_TICK: Duration = Duration::from_millis(20);

/// A failure that keeps a shim from starting, or ends it.
#[derive(Debug)]
enum ShimError {
    Arguments(String),
    Journal(JournalError),
    AnotherWorker { found: String, wanted: String },
    System { action: &'static str, source: io::Error },
}

impl fmt::Display for ShimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arguments(what) => write!(f, "rs-worker shim is started by the server: {what}"),
            Self::Journal(err) => err.fmt(f),
            Self::AnotherWorker { found, wanted } => {
                write!(f, "the journal is that of worker {found}, not of {wanted}")
            }
            Self::System { action, source } => write!(f, "cannot {action}: {source}"),
        }
    }
}

impl ShimError {
    fn system<E: Into<io::Error>>(action: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::System { action, source: source.into() }
    }
}

/// Runs `rs-worker shim`; `args` are those after `shim`. Exits 0 if the outcome was journaled, even if the CLI failed to
/// start.
pub(crate) fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    // Its stderr is the worker's shim.log. A second logger, which is all that can go wrong, would log as well.
    let _ = simplelog::WriteLogger::init(log::LevelFilter::Info, simplelog::Config::default(), io::stderr());
    match Spec::parse(args).map_err(ShimError::Arguments).and_then(begin_and_run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            log::error!("{err}");
            ExitCode::FAILURE
        }
    }
}

fn begin_and_run(spec: Spec) -> Result<(), ShimError> {
    // Fails for the leader of a group, which no terminal stops together with others anyway.
    let _ = setsid();
    // Its memory holds the conversation: no other program of the same user may read it (ptrace, /proc/<pid>/environ).
    prctl::set_dumpable(false).map_err(ShimError::system("close its memory to others"))?;
    prctl::set_child_subreaper(true).map_err(ShimError::system("become a subreaper"))?;
    let signals = Signals::new().map_err(ShimError::system("receive signals"))?;
    let spec = absolute(spec).map_err(ShimError::system("find the worker's folder"))?;
    let journal = spec.dir.join(JOURNAL);
    let writer = lock(&journal).map_err(ShimError::Journal)?;
    if writer.worker_id() != spec.worker_id {
        let found = writer.worker_id().to_owned();
        return Err(ShimError::AnotherWorker { found, wanted: spec.worker_id });
    }
    let bound = socket::bind(&spec.dir).map_err(ShimError::system("make the socket"))?;
    // The working directory would keep its file system from being unmounted.
    let _ = chdir("/");
    let store = Store::new(&journal, writer).map_err(ShimError::Journal)?;
    let listener = bound.listen().map_err(ShimError::system("listen on the socket"))?;
    let socket = spec.dir.join(SOCKET);
    let mut shim = Shim {
        spec,
        signals,
        listener,
        store,
        link: None,
        work: Work::Idle,
        accept_paused_until: None,
        stopping: false,
        waiting: VecDeque::new(),
        syncs: Vec::new(),
    };
    shim.begin();
    let done = shim.run().map_err(ShimError::system("wait for anything"));
    // While the lock on the journal is still held: the next shim makes its own socket under this name.
    let _ = fs::remove_file(socket);
    if let Some(group) = &shim.spec.cgroup {
        // It is empty, unless the next shim uses it already.
        let _ = fs::remove_dir(group);
    }
    done
}

fn absolute(mut spec: Spec) -> io::Result<Spec> {
    spec.dir = spec.dir.canonicalize()?;
    spec.cwd = std::path::absolute(&spec.cwd)?;
    Ok(spec)
}

fn lock(journal: &Path) -> Result<Writer, JournalError> {
    let deadline = Instant::now() + LOCK_WAIT;
    loop {
        match Writer::open(journal) {
            Err(JournalError::Locked { .. }) if Instant::now() < deadline => std::thread::sleep(LOCK_TICK),
            opened => return opened,
        }
    }
}
