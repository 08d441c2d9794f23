//! The reader thread of a worker: it starts or finds the shim, folds the shim's records, and when the shim is gone it
//! makes sure that the journal records the end.

use std::io::{self, Read as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use crate::journal::{Control, JournalError, Writer};
use crate::shim::protocol::{self, Versions};
use crate::shim::tree::Process;
use crate::shim::{self, FromShim, Greeting, IncomingBytes};
use crate::thread::Thread;
use crate::worker::run::drive::{drive, serve_file};
use crate::worker::run::launch::LaunchPlan;
use crate::worker::run::mailbox::{Mailbox, write_commands};
use crate::worker::run::worker::{Core, Worker};
use crate::worker::state::status::Status;

/// Time limit for a shim to open its socket.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause between two attempts to connect.
const CONNECT_RETRY: Duration = Duration::from_millis(2);
/// Time limit for a shim to exit after it has closed its socket.
const REAP_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause before reconnecting to a running shim; it doubles with each attempt. The cause may be a lack of file
/// descriptors or threads.
const RECONNECT_FIRST: Duration = Duration::from_millis(10);
/// Longest such pause.
const RECONNECT_MAX: Duration = Duration::from_secs(2);
/// Failed attempts after which clients are warned.
const RECONNECTS_QUIET: u32 = 5;
/// The warning to clients while the shim cannot be reached.
const NO_CONNECTION: &str = "the worker's shim cannot be talked to just now; see the server's log";

/// The start of a run of the reader.
pub(in crate::worker) enum Begin {
    /// A shim is to be started.
    Launch(Box<LaunchPlan>),
    /// A shim was left by an earlier server, or should have been.
    Attach,
}

/// The reason why a connection ended.
enum Lost {
    /// No shim is running. `error` is the reason for which it could not be started, if that was the case.
    Shim { error: Option<String> },
    /// A shim is running, but cannot be reached.
    Connection(io::Error),
}

/// The last connection problem reported to clients.
#[derive(Default)]
struct ConnectNotice {
    /// The shim cannot be reached at present.
    for_now: bool,
    /// This server and the shim have no protocol version in common, which cannot change.
    for_good: bool,
}

impl ConnectNotice {
    /// Reports a connection that was lost after so many `tries`.
    fn report(&mut self, worker: &Worker, error: &io::Error, tries: u32) {
        let warning = if error.kind() == io::ErrorKind::Unsupported {
            (!std::mem::replace(&mut self.for_good, true)).then(|| error.to_string())
        } else {
            let is_due = tries >= RECONNECTS_QUIET && !self.for_good;
            (is_due && !std::mem::replace(&mut self.for_now, true)).then(|| NO_CONNECTION.to_owned())
        };
        if let Some(warning) = warning {
            worker.views().warn(Some(&warning));
            worker.notify_feed();
        }
    }

    /// Clears the problem: there is a connection.
    fn withdraw(&mut self, worker: &Worker) {
        if std::mem::take(&mut self.for_now) && !self.for_good {
            worker.views().warn(None);
            worker.notify_feed();
        }
    }
}

/// The body of the reader thread.
pub(in crate::worker) fn run(worker: &Arc<Worker>, begin: Begin, mailbox: &Arc<Mailbox>, commands: &Receiver<Vec<u8>>) {
    let launching = matches!(begin, Begin::Launch(_));
    let (mut child, mut shim) = (None, None);
    let mut result = start(worker, begin, &mut child);
    let (mut reconnects, mut notice) = (0, ConnectNotice::default());
    loop {
        result = match result {
            Ok(socket) => {
                let since = Instant::now();
                let lost = serve(worker, &socket, mailbox, commands, &mut notice, &mut shim);
                if since.elapsed() > RECONNECT_MAX {
                    reconnects = 0;
                }
                Err(lost)
            }
            Err(Lost::Connection(error)) => {
                log::warn!("worker {}: the connection to its shim was lost ({error}): connecting again", worker.id());
                notice.report(worker, &error, reconnects);
                let doubled = RECONNECT_FIRST.saturating_mul(1_u32.checked_shl(reconnects).unwrap_or(u32::MAX));
                reconnects = reconnects.saturating_add(1);
                // As long as the shim runs, no other thread takes care of it.
                std::thread::sleep(doubled.min(RECONNECT_MAX));
                connect(worker, &mut child)
            }
            Err(Lost::Shim { error }) => {
                wait_for_the_end(child, shim);
                break finish(worker, mailbox, error, launching && reconnects == 0);
            }
        };
    }
}

fn start(worker: &Worker, begin: Begin, child: &mut Option<Child>) -> Result<UnixStream, Lost> {
    if let Begin::Launch(plan) = begin {
        match worker.launcher.spawn(worker.dir(), worker.id(), &plan) {
            Ok(started) => *child = Some(started),
            Err(error) => {
                return Err(Lost::Shim { error: Some(format!("the worker's shim could not be started: {error}")) });
            }
        }
    }
    connect(worker, child)
}

/// Connects to the worker's shim; waits for one that is just starting.
fn connect(worker: &Worker, child: &mut Option<Child>) -> Result<UnixStream, Lost> {
    let deadline = Instant::now() + CONNECT_TIMEOUT;
    loop {
        let error = match shim::connect(worker.dir()) {
            Ok(socket) => return Ok(socket),
            Err(error) => error,
        };
        let shim_lives = match child {
            Some(child) => matches!(child.try_wait(), Ok(None)),
            // The holder of the lock is a shim that has not opened its socket yet, or is about to exit.
            None => {
                matches!(Writer::open(&worker.dir().join("journal")), Err(JournalError::Locked { .. }))
            }
        };
        if !shim_lives {
            return Err(Lost::Shim { error: None });
        }
        if Instant::now() >= deadline {
            return Err(Lost::Connection(error));
        }
        std::thread::sleep(CONNECT_RETRY);
    }
}

/// Prepares for a shim whose journal ends at `end`, and returns the offset from which it must send.
fn begin_at(worker: &Worker, Greeting { version, end, .. }: Greeting) -> io::Result<u64> {
    let mut core = worker.core();
    if core.ingest.end() > end {
        // A partial write was read before the shim rolled it back.
        let (fold, end) = worker.archive.fold(end)?;
        core.ingest.reset(fold, end);
    }
    if version < protocol::REPEATS {
        core.ingest.restart_pieces();
    }
    core.in_flight = None;
    core.acks.clear();
    core.ready_at = end;
    worker.note_ready(&mut core);
    Ok(core.ingest.end())
}

/// Exchanges messages with a shim until one side ends, and returns its process. Withdraws warnings that no longer hold.
fn serve(
    worker: &Arc<Worker>,
    socket: &UnixStream,
    mailbox: &Arc<Mailbox>,
    commands: &Receiver<Vec<u8>>,
    notice: &mut ConnectNotice,
    process: &mut Option<Process>,
) -> Lost {
    let greeted = shim::greeted(socket, Versions::OWN).and_then(|greeting| Ok((greeting, begin_at(worker, greeting)?)));
    let (greeting, from) = match greeted {
        Ok(greeted) => greeted,
        Err(error) => return Lost::Connection(error),
    };
    *process = Process::read(greeting.pid);
    let attach = protocol::ShimCommand::Attach { version: greeting.version, offset: from };
    let mut line = Vec::new();
    protocol::encode_command(&mut line, 0, &attach);
    let result = io::Write::write_all(&mut &*socket, &line).and_then(|()| {
        let writer = socket.try_clone()?;
        let commands = commands.clone();
        let name = format!("wr-{}", short(worker.id()));
        let thread = Thread::spawn(name, move || write_commands(&writer, &commands))?;
        notice.withdraw(worker);
        let asked = drive(worker, &mut worker.core());
        if let Some(seq) = asked {
            serve_file(worker, seq);
        }
        let result = read(worker, socket, mailbox, from);
        // The writer ends when its socket does, or with the mailbox's channel.
        let _ = socket.shutdown(Shutdown::Both);
        thread.detach();
        result
    });
    match result {
        Ok(()) => Lost::Shim { error: None },
        Err(error) => Lost::Connection(error),
    }
}

/// Returns the first part of an id, for names of threads.
pub(in crate::worker) fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

/// Reads and folds from the journal's offset `from` on, until the shim closes the socket.
fn read(worker: &Arc<Worker>, mut socket: &UnixStream, mailbox: &Arc<Mailbox>, from: u64) -> io::Result<()> {
    let mut incoming = IncomingBytes::new(from);
    loop {
        let count = match socket.read(incoming.space()) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        incoming.filled(count);
        take(worker, mailbox, &mut incoming)?;
        if incoming.is_overlong() {
            return Err(io::Error::other("its shim sends a line that is longer than any record"));
        }
    }
}

/// Takes all complete messages that have arrived.
fn take(worker: &Arc<Worker>, mailbox: &Mailbox, incoming: &mut IncomingBytes) -> io::Result<()> {
    let mut core = worker.core();
    let mut anything = false;
    while let Some(said) = incoming.next_item() {
        anything = true;
        match said {
            FromShim::Record(record) => core.ingest.record(&record),
            FromShim::Garbage { seq, len } => {
                log::error!("worker {}: skipping malformed journal line at {seq}", worker.id());
                core.ingest.skip(len);
            }
            FromShim::Volatile(record) => core.ingest.volatile(&record),
            FromShim::Repeats(lines) => core.ingest.repeat(lines),
            FromShim::Ok { id, offset } => core.acks.push_back((offset, id)),
            FromShim::No { id: 0, reason } => return Err(refusal(reason)),
            FromShim::No { id, reason } => refused(worker, &mut core, mailbox, id, reason),
            FromShim::Warn(warning) => warned(worker, &mut core, warning),
            FromShim::Greeting { .. } => {}
        }
    }
    if !anything {
        return Ok(());
    }
    core.heard = Instant::now();
    core.ingest.publish();
    deliver_acks(&mut core, mailbox);
    worker.note_ready(&mut core);
    let asked = drive(worker, &mut core);
    let ends_turn = core.ingest.take_turn_end();
    let saved = core.ingest.save_if_due(ends_turn, false);
    drop(core);
    if ends_turn {
        bring_to_disk(worker, mailbox);
    }
    if let Some(saved) = saved {
        saved.write(&worker.archive);
    }
    if let Some(seq) = asked {
        serve_file(worker, seq);
    }
    Ok(())
}

/// Handles a shim that refuses this server: a newer shim may not support the server's protocol versions any more.
fn refusal(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, format!("the worker's shim refuses the connection: {reason}"))
}

/// Makes the shim sync the journal to disk, without waiting: the results of a turn justify a sync before the shim's
/// regular one.
fn bring_to_disk(worker: &Worker, mailbox: &Mailbox) {
    if let Err(error) = mailbox.sync() {
        log::debug!("worker {}: the end of a turn reaches the disk with the next sync: {error}", worker.id());
    }
}

/// Delivers the acks whose records are folded and published, so that a caller finds the effect in the views. A shim
/// acknowledges before it has sent the records if the server lags.
fn deliver_acks(core: &mut Core, mailbox: &Mailbox) {
    while let Some(&(offset, id)) = core.acks.front()
        && offset <= core.ingest.end()
    {
        core.acks.pop_front();
        if core.in_flight == Some(id) {
            core.in_flight = None;
        }
        mailbox.acknowledge(id, Ok(offset));
    }
}

fn refused(worker: &Worker, core: &mut Core, mailbox: &Mailbox, id: u64, reason: &str) {
    if core.in_flight == Some(id) {
        log::info!("worker {}: its shim refused a command: {reason}", worker.id());
        core.in_flight = None;
        core.failed_at = Some(core.ingest.end());
    }
    core.ingest.publish();
    mailbox.acknowledge(id, Err(reason.to_owned()));
}

fn warned(worker: &Worker, core: &mut Core, warning: &str) {
    let warning = (!warning.is_empty()).then_some(warning);
    if let Some(warning) = warning {
        log::error!("worker {}: {warning}", worker.id());
    }
    core.ingest.publish();
    worker.views().set_waits_for_disk(warning.is_some());
    worker.views().warn(warning);
    core.ingest.notify_feed();
}

/// Ends a run: records how the processes ended, and wakes all waiting callers.
fn finish(worker: &Arc<Worker>, mailbox: &Arc<Mailbox>, error: Option<String>, launching: bool) {
    worker.views().set_waits_for_disk(false);
    worker.views().warn(None);
    account_for_the_end(worker, error, launching);
    let saved = {
        let mut core = worker.core();
        core.mailbox = None;
        core.in_flight = None;
        core.failed_at = None;
        core.ready_at = u64::MAX;
        core.acks.clear();
        core.ingest.save_if_due(false, true)
    };
    if let Some(saved) = saved {
        saved.write(&worker.archive);
    }
    mailbox.ended();
    worker.mailbox_has_changed();
    worker.notify_feed();
}

/// Records how the worker ended, unless its shim has recorded it.
fn account_for_the_end(worker: &Arc<Worker>, error: Option<String>, launching: bool) {
    if let Err(error) = worker.fold_rest() {
        log::error!("worker {}: {error}", worker.id());
    }
    if !worker.state().is_running() {
        // A runner's program that failed or was killed may have left the CLI on the other side, in the way of the next start.
        if worker.state().status == Status::Failed
            && let Err(error) = worker.stop_elsewhere()
        {
            log::error!("worker {}: {error}", worker.id());
        }
        return;
    }
    let ended = shim::end_tree(worker.id(), worker.launcher.grace);
    if let Err(error) = worker.stop_elsewhere() {
        log::error!("worker {}: {error}", worker.id());
    }
    let never_started = launching && worker.state().process.pids().is_none();
    let control = match error {
        Some(error) => Control::SpawnFailed { error, missing: false },
        None if never_started => {
            let log = worker.dir().join("shim.log");
            let error = format!("the worker's shim ended at once; see {}", log.display());
            Control::SpawnFailed { error, missing: false }
        }
        None => Control::ShimLost { ended, imported: false },
    };
    let mut core = worker.core();
    if let Err(error) = worker.append_with(&mut core, &[&control.to_json()]) {
        // The next start of the server, or of the worker, finds the journal as it is and tries again.
        log::error!("worker {}: its end could not be recorded: {error}", worker.id());
    }
}

/// Waits for the exit of a shim that has closed its socket, so that a client that reads of the worker's end finds no
/// process of it, and the server's own child leaves no zombie.
fn wait_for_the_end(child: Option<Child>, process: Option<Process>) {
    let deadline = Instant::now() + REAP_TIMEOUT;
    if process.is_some_and(|process| !process.wait_end(deadline)) {
        log::warn!("a shim has closed its socket, but does not end");
    }
    let Some(mut child) = child else { return };
    while Instant::now() < deadline {
        match child.try_wait() {
            Ok(None) => std::thread::sleep(CONNECT_RETRY),
            Ok(Some(_)) | Err(_) => return,
        }
    }
    log::warn!("the shim {} has closed its socket, but does not end", child.id());
}
