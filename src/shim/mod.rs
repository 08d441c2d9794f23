//! The shim: one small process per running worker, which owns the CLI's pipes and the journal, and outlives the server.
//!
//! It knows nothing of adapters, JSON lines or HTTP. It splits what the CLI prints into records, writes them to the
//! journal and sends the same bytes to the server that is attached; it writes to the CLI what the server says; it ends
//! the whole process tree when told to, and when the CLI has ended. One thread does all of it (`run`), another brings
//! the journal to the disk (`sync`).
//!
//! ```text
//! CLI ─ pipes ─> pump ─> batch ─> journal ─> link ─> server        (data, down)
//! server ─> protocol ─> commands ─> stdin, signals, ladder ─> CLI  (commands, up)
//! ```
//! The server's side of it is here too: [`spawn`], [`connect`], [`Incoming`], [`protocol::encode_command`], and
//! [`end_tree`] for a worker whose shim has died.

mod child;
mod client;
mod commands;
mod ladder;
mod link;
pub mod protocol;
mod pump;
mod ring;
mod run;
mod running;
mod signals;
mod socket;
mod spec;
mod store;
mod sync;
pub mod tree;

pub use client::{FromShim, Greeting, Incoming, LOG, ShimSpec, greeted, spawn};
pub use ladder::end_tree;
pub use socket::{SOCKET, connect};
pub use spec::Spec;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{fmt, fs, io};

use nix::sys::prctl;
use nix::unistd::{chdir, setsid};

use crate::journal::{JournalError, Writer};
use run::{Shim, Work};
use signals::Signals;
use store::Store;

/// Name of a worker's journal in its folder.
pub const JOURNAL: &str = "journal";
/// How long a starting shim waits for the one before it, or the server, to let go of the journal.
const LOCK_WAIT: Duration = Duration::from_secs(5);
/// How often it looks.
const LOCK_TICK: Duration = Duration::from_millis(20);

/// Why a shim could not begin, or go on.
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

/// `rs-worker shim`: `args` are those after `shim`. Ends with success when the journal tells how it went, be it that the
/// CLI could not be started.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
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
    // It fails for a process that leads a group already, which then is one that no terminal stops together with others.
    let _ = setsid();
    prctl::set_child_subreaper(true).map_err(ShimError::system("become a subreaper"))?;
    let signals = Signals::new().map_err(ShimError::system("take signals"))?;
    let spec = absolute(spec).map_err(ShimError::system("find the worker's folder"))?;
    let journal = spec.dir.join(JOURNAL);
    let writer = lock(&journal).map_err(ShimError::Journal)?;
    if writer.worker_id() != spec.worker_id {
        let found = writer.worker_id().to_owned();
        return Err(ShimError::AnotherWorker { found, wanted: spec.worker_id });
    }
    let listener = socket::bind(&spec.dir).map_err(ShimError::system("make the socket"))?;
    // Nothing of the file system is held that others may want to unmount.
    let _ = chdir("/");
    let store = Store::new(&journal, writer).map_err(ShimError::Journal)?;
    let socket = spec.dir.join(SOCKET);
    let mut shim = Shim {
        spec,
        signals,
        listener,
        store,
        link: None,
        work: Work::Idle,
        deaf_until: None,
        stopping: false,
        waiting: VecDeque::new(),
        syncs: Vec::new(),
    };
    shim.begin();
    let done = shim.run().map_err(ShimError::system("wait for anything"));
    // While the lock on the journal is still held: the next shim makes its own socket under this name.
    let _ = fs::remove_file(socket);
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
