//! The reader thread of a worker: it starts or finds the shim, folds what the shim sends, and when the shim is gone it
//! sees to it that the journal says how.

use std::io::{self, Read as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use super::drive::drive;
use super::launch::Plan;
use super::link::{Answer, Link, write_commands};
use super::worker::{Core, Worker};
use crate::journal::{Control, JournalError, Record, Writer};
use crate::shim::{self, protocol};
use crate::thread::Thread;

/// How long a shim may take to open its socket.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause between two tries to connect.
const CONNECT_RETRY: Duration = Duration::from_millis(2);
/// Bytes read from a shim at once.
const READ_BYTES: usize = 256 * 1024;
/// How long a shim may take to end after it has closed its socket.
const REAP_TIMEOUT: Duration = Duration::from_secs(5);
/// Times that a lost connection to a living shim is made again.
const RECONNECTS_MAX: u32 = 5;

/// How a link begins.
pub(super) enum Begin {
    /// A shim is to be started.
    Launch(Box<Plan>),
    /// A shim was left by an earlier server, or should have been.
    Attach,
}

/// Why a link came to nothing.
enum Lost {
    /// No shim lives. `error` says why it could not be started, if that was the case.
    Shim { error: Option<String> },
    /// A shim lives, but cannot be talked to.
    Connection(io::Error),
}

/// The body of the reader thread.
pub(super) fn run(worker: &Arc<Worker>, begin: Begin, link: &Arc<Link>, commands: &Receiver<Vec<u8>>) {
    let launching = matches!(begin, Begin::Launch(_));
    let mut child = None;
    let mut result = start(worker, begin, &mut child);
    let mut reconnects = 0;
    loop {
        result = match result {
            Ok(socket) => Err(serve(worker, &socket, link, commands)),
            Err(Lost::Connection(error)) if reconnects < RECONNECTS_MAX => {
                log::warn!("worker {}: the connection to its shim was lost ({error}): connecting again", worker.id());
                reconnects += 1;
                connect(worker, &mut child)
            }
            Err(lost) => break finish(worker, link, lost, launching && reconnects == 0, &mut child),
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

/// Connects to the worker's shim, waiting for one that is just starting.
fn connect(worker: &Worker, child: &mut Option<Child>) -> Result<UnixStream, Lost> {
    let deadline = Instant::now() + CONNECT_TIMEOUT;
    loop {
        let error = match shim::connect(worker.dir()) {
            Ok(socket) => return Ok(socket),
            Err(error) => error,
        };
        let shim_lives = match child {
            Some(child) => matches!(child.try_wait(), Ok(None)),
            // Who has the lock is a shim that has not opened its socket yet, or is about to end.
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

/// Talks to a shim until one side ends.
fn serve(worker: &Arc<Worker>, socket: &UnixStream, link: &Arc<Link>, commands: &Receiver<Vec<u8>>) -> Lost {
    let attach = protocol::Command::Attach { version: protocol::VERSION, offset: worker.core().ingest.end() };
    let mut line = Vec::new();
    protocol::encode_command(&mut line, 0, &attach);
    let result = io::Write::write_all(&mut &*socket, &line).and_then(|()| {
        let writer = socket.try_clone()?;
        let commands = commands.clone();
        let name = format!("wr-{}", short(worker.id()));
        let thread = Thread::spawn(name, move || write_commands(&writer, &commands))?;
        let result = read(worker, socket, link);
        // The writer ends when its socket does, or with the link's channel.
        let _ = socket.shutdown(Shutdown::Both);
        thread.detach();
        result
    });
    match result {
        Ok(()) => Lost::Shim { error: None },
        Err(error) => Lost::Connection(error),
    }
}

/// The first part of an id, for names of threads.
pub(super) fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

/// Reads and folds until the shim closes the socket.
fn read(worker: &Arc<Worker>, mut socket: &UnixStream, link: &Arc<Link>) -> io::Result<()> {
    let mut buffer = vec![0; READ_BYTES];
    let (mut filled, mut scanned) = (0, 0);
    loop {
        if filled == buffer.len() {
            // A long line: it is bounded by the shim's own limit.
            buffer.resize(buffer.len() * 2, 0);
        }
        let count = match socket.read(&mut buffer[filled..]) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        filled += count;
        let Some(newline) = memchr::memrchr(b'\n', &buffer[scanned..filled]) else {
            scanned = filled;
            continue;
        };
        let whole = scanned + newline + 1;
        take(worker, link, &buffer[..whole])?;
        buffer.copy_within(whole..filled, 0);
        filled -= whole;
        scanned = filled;
        if buffer.len() > READ_BYTES && filled < READ_BYTES {
            buffer.truncate(READ_BYTES);
            buffer.shrink_to_fit();
        }
    }
}

/// Takes whole lines of a shim.
fn take(worker: &Arc<Worker>, link: &Link, lines: &[u8]) -> io::Result<()> {
    let mut core = worker.core();
    let mut rest = lines;
    while let Some(newline) = memchr::memchr(b'\n', rest) {
        let (line, after) = (&rest[..newline], &rest[newline + 1..]);
        rest = after;
        if line.first().is_some_and(u8::is_ascii_digit) {
            take_record(worker, &mut core, line);
        } else {
            take_word(worker, &mut core, link, line)?;
        }
    }
    core.heard = Instant::now();
    core.ingest.publish();
    settle_folded(worker, &mut core, link);
    drive(worker, &mut core);
    let saved = core.ingest.take_save(false);
    drop(core);
    if let Some(saved) = saved {
        saved.write(&worker.archive);
    }
    Ok(())
}

fn take_record(worker: &Worker, core: &mut Core, line: &[u8]) {
    let seq = core.ingest.end();
    if let Some(record) = Record::parse(line, seq) {
        core.ingest.record(&record);
    } else {
        log::error!("worker {}: the journal's line at {seq} is no record; it is passed over", worker.id());
        core.ingest.skip(line.len() as u64 + 1);
    }
}

/// Takes a line that is not in the journal.
fn take_word(worker: &Worker, core: &mut Core, link: &Link, line: &[u8]) -> io::Result<()> {
    if let Some(record) = line.strip_prefix(b"v ") {
        if let Some(record) = Record::parse(record, core.ingest.end()) {
            core.ingest.volatile(&record);
        }
        return Ok(());
    }
    let text = String::from_utf8_lossy(line);
    let (word, rest) = text.split_once(' ').unwrap_or((&text, ""));
    match word {
        "ok" | "no" => {
            let (id, detail) = rest.split_once(' ').unwrap_or((rest, ""));
            let Ok(id) = id.parse::<u64>() else { return Ok(()) };
            let answer = if word == "ok" { Ok(detail.parse().unwrap_or_default()) } else { Err(detail.to_owned()) };
            match answer {
                // To a server that lags, answers come before the records that they are about.
                Ok(end) if end > core.ingest.end() => core.unfolded.push((id, end)),
                answer => settle(worker, core, link, id, answer),
            }
        }
        "warn" => {
            let warning = (!rest.is_empty()).then_some(rest);
            if let Some(warning) = warning {
                log::error!("worker {}: {warning}", worker.id());
            }
            worker.views().warn(warning);
            core.ingest.tell_feed();
        }
        protocol::GREETING => check_greeting(rest)?,
        _ => log::warn!("worker {}: its shim says something unknown: {text}", worker.id()),
    }
    Ok(())
}

/// Settles the commands whose records are folded by now.
fn settle_folded(worker: &Worker, core: &mut Core, link: &Link) {
    let folded = core.ingest.end();
    while let Some(at) = core.unfolded.iter().position(|&(_, end)| end <= folded) {
        let (id, end) = core.unfolded.remove(at);
        settle(worker, core, link, id, Ok(end));
    }
}

/// A command is answered, and what it did is folded.
fn settle(worker: &Worker, core: &mut Core, link: &Link, id: u64, answer: Answer) {
    if core.in_flight == Some(id) {
        core.in_flight = None;
        if let Err(reason) = &answer {
            log::info!("worker {}: its shim refused a command: {reason}", worker.id());
            core.failed_at = Some(core.ingest.end());
        }
    }
    // Whoever waits for the answer finds its effect in the views.
    core.ingest.publish();
    link.answered(id, answer);
}

fn check_greeting(rest: &str) -> io::Result<()> {
    let version = rest.split(' ').next().and_then(|word| word.parse::<u32>().ok()).unwrap_or_default();
    if version < protocol::OLDEST {
        let text = format!("the shim speaks protocol {version}; this build needs {} or later", protocol::OLDEST);
        return Err(io::Error::other(text));
    }
    Ok(())
}

/// After the link: the journal says how the processes ended, and everybody is told.
fn finish(worker: &Arc<Worker>, link: &Arc<Link>, lost: Lost, launching: bool, child: &mut Option<Child>) {
    reap(child);
    match lost {
        Lost::Connection(error) => {
            log::error!("worker {}: its shim lives, but cannot be talked to: {error}", worker.id());
            worker.views().warn(Some("the worker's shim cannot be talked to; see the server's log"));
        }
        Lost::Shim { error } => {
            worker.views().warn(None);
            account_for_the_end(worker, error, launching);
        }
    }
    let saved = {
        let mut core = worker.core();
        core.link = None;
        core.in_flight = None;
        core.failed_at = None;
        core.unfolded.clear();
        core.ingest.take_save(true)
    };
    if let Some(saved) = saved {
        saved.write(&worker.archive);
    }
    link.ended();
    worker.link_has_ended();
    worker.tell_feed();
}

/// Appends how the worker ended, unless its shim has said so.
fn account_for_the_end(worker: &Arc<Worker>, error: Option<String>, launching: bool) {
    if let Err(error) = worker.fold_rest() {
        log::error!("worker {}: {error}", worker.id());
    }
    if !worker.state().status.is_running() {
        return;
    }
    let ended = shim::end_tree(worker.id(), worker.launcher.grace);
    let never_started = launching && worker.state().process.pids().is_none();
    let control = match error {
        Some(error) => Control::SpawnFailed { error },
        None if never_started => {
            let log = worker.dir().join("shim.log");
            Control::SpawnFailed { error: format!("the worker's shim ended at once; see {}", log.display()) }
        }
        None => Control::ShimLost { ended },
    };
    let mut core = worker.core();
    if let Err(error) = worker.append_with(&mut core, &[&control.to_json()]) {
        // The next start of the server, or of the worker, finds the journal as it is and tries again.
        log::error!("worker {}: its end could not be recorded: {error}", worker.id());
    }
}

/// Waits for a shim that has closed its socket, so that it leaves no zombie.
fn reap(child: &mut Option<Child>) {
    let Some(mut child) = child.take() else { return };
    let deadline = Instant::now() + REAP_TIMEOUT;
    while Instant::now() < deadline {
        match child.try_wait() {
            Ok(None) => std::thread::sleep(CONNECT_RETRY),
            Ok(Some(_)) | Err(_) => return,
        }
    }
    log::warn!("the shim {} has closed its socket, but does not end", child.id());
}
