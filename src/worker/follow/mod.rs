//! Sessions that run elsewhere, followed by read-only workers: lines of the session files are copied into the workers'
//! journals.
//!
//! One thread follows all of them. It appends each batch together with its position in the file, so the journal alone
//! records how far a file was read: after a restart, reading continues there, without losing or repeating a line. Files
//! take turns, one batch each, so that a long file does not delay the others.

pub(in crate::worker) mod append;
pub(in crate::worker) mod base;
pub(in crate::worker) mod file;
pub(in crate::worker) mod holder;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::clock::Micros;
use crate::journal::{Control, Entry, Kind, Reader, encode, records};
use crate::thread::Thread;
use crate::transcript::{PeekedLine, SeenLines, TailChange, Watch};
use crate::worker::error::WorkerError;
use crate::worker::follow::append::append;
use crate::worker::follow::base::Bases;
use crate::worker::follow::file::{FollowSource, sub_agents};
use crate::worker::follow::holder::FollowedProcess;
use crate::worker::run::launch::Launcher;
use crate::worker::run::worker::Worker;
use crate::worker::state::Follow;
use crate::worker::state::status::ProcessState;

/// Capacity of the thread's command queue.
const COMMANDS_MAX: usize = 64;
/// Journal bytes that are read at once to find the lines that it already has.
const JOURNAL_BYTES: usize = 1024 * 1024;
/// Interval at which a renamed or moved transcript is searched for.
const SEARCH_EVERY: Duration = Duration::from_secs(5);
/// Longest time for reading the rest of a transcript whose session is taken over.
const FINISH_TIMEOUT: Duration = Duration::from_secs(20);

/// A command to the thread.
enum FollowCommand {
    /// The files may have changed.
    Wake,
    /// Follow a session for a worker.
    Add(Arc<Worker>),
    /// Copy the rest of a worker's files, then stop following.
    Finish(Arc<Worker>, Sender<()>),
    /// The server stops.
    End,
}

/// The thread that follows sessions. Dropping this ends the thread.
pub(in crate::worker) struct Followers {
    commands: Sender<FollowCommand>,
    _thread: Thread,
}

impl Followers {
    /// Starts the thread.
    pub(in crate::worker) fn start(launcher: &Arc<Launcher>) -> std::io::Result<Self> {
        let (commands, received) = bounded(COMMANDS_MAX);
        let wakes = commands.clone();
        // A full channel wakes the thread too.
        let watch = Watch::new(move || drop(wakes.try_send(FollowCommand::Wake)), launcher.settings.transcript_poll);
        let mut service = FollowThread { launcher: Arc::clone(launcher), watch, sessions: Vec::new() };
        let thread = Thread::spawn("transcripts", move || service.run(&received))?;
        Ok(Self { commands, _thread: thread })
    }

    /// Starts following for a worker.
    pub(in crate::worker) fn add(&self, worker: &Arc<Worker>) {
        self.send(FollowCommand::Add(Arc::clone(worker)));
    }

    /// Copies the rest of a worker's files, and stops following.
    pub(in crate::worker) fn finish(&self, worker: &Arc<Worker>) -> Result<(), WorkerError> {
        let (done, ended) = bounded(1);
        self.send(FollowCommand::Finish(Arc::clone(worker), done));
        ended.recv_timeout(FINISH_TIMEOUT).map_err(|_| {
            self.add(worker);
            WorkerError::Unavailable("the session's transcript has not been read to its end yet; try again".to_owned())
        })
    }

    fn send(&self, command: FollowCommand) {
        if self.commands.send(command).is_err() {
            log::error!("no sessions are followed any more: the thread has ended");
        }
    }
}

impl Drop for Followers {
    fn drop(&mut self) {
        self.send(FollowCommand::End);
    }
}

/// The state of the thread.
struct FollowThread {
    launcher: Arc<Launcher>,
    watch: Watch,
    sessions: Vec<FollowedSession>,
}

/// One followed session.
struct FollowedSession {
    worker: Arc<Worker>,
    sources: Vec<FollowSource>,
    seen: SeenLines,
    /// The file of the journal's next line and the position in it, according to the journal.
    at: Option<(usize, u64, u64)>,
    searched: Instant,
    /// The journal records that the files are polled.
    polled: bool,
    holder: FollowedProcess,
    /// The sessions from which it was forked, whose lines come before its own.
    bases: Bases,
}

impl FollowThread {
    fn run(&mut self, received: &Receiver<FollowCommand>) {
        let mut more = false;
        loop {
            let asks = self.sessions.iter().filter_map(|session| FollowedProcess::pause(&session.worker.state())).min();
            let pause = asks.map_or(self.watch.pause(), |asks| asks.min(self.watch.pause()));
            let pause = if more { Duration::ZERO } else { pause };
            // `End` was sent before the channel was closed.
            let mut next = received.recv_timeout(pause).ok();
            while let Some(command) = next {
                match command {
                    FollowCommand::Wake => {}
                    FollowCommand::Add(worker) => self.add(&worker),
                    FollowCommand::Finish(worker, done) => self.finish(&worker, &done),
                    FollowCommand::End => return,
                }
                next = received.try_recv().ok();
            }
            more = self.look();
        }
    }

    fn add(&mut self, worker: &Arc<Worker>) {
        if self.sessions.iter().any(|session| session.worker.id() == worker.id()) {
            return;
        }
        match FollowedSession::new(worker, &self.launcher) {
            Ok(session) => self.sessions.push(session),
            Err(error) => {
                log::error!("worker {}: its session cannot be followed: {error}", worker.id());
                warn(worker, Some(&format!("the session cannot be followed: {error}")));
            }
        }
    }

    fn finish(&mut self, worker: &Arc<Worker>, done: &Sender<()>) {
        let deadline = Instant::now() + FINISH_TIMEOUT;
        if let Some(at) = self.sessions.iter().position(|session| session.worker.id() == worker.id()) {
            let mut session = self.sessions.swap_remove(at);
            while session.look(&self.launcher) == Some(true) {
                if Instant::now() >= deadline {
                    self.sessions.push(session);
                    return;
                }
            }
        }
        // The caller may have given up.
        let _ = done.try_send(());
    }

    /// Reads all files; returns whether there is more to read already.
    fn look(&mut self) -> bool {
        // The watches are set first, so that changes between the two steps are reported.
        let folders: Vec<PathBuf> = self.sessions.iter().flat_map(FollowedSession::folders).collect();
        let mut folders: Vec<&Path> = folders.iter().map(PathBuf::as_path).collect();
        folders.sort_unstable();
        folders.dedup();
        self.watch.keep(&folders);
        let (launcher, exhausted) = (&self.launcher, self.watch.exhausted());
        let mut more = false;
        self.sessions.retain_mut(|session| {
            session.report_polling(exhausted);
            let looked = session.look(launcher);
            more |= looked == Some(true);
            looked.is_some()
        });
        more
    }
}

impl FollowedSession {
    /// Continues at the position that the worker's journal records.
    fn new(worker: &Arc<Worker>, launcher: &Launcher) -> Result<Self, WorkerError> {
        let state = worker.state();
        let follow = state.follow.clone().unwrap_or_default();
        let seen = lines_of_journal(worker)?;
        let path = PathBuf::from(&follow.path);
        let begins = follow.position("").offset == 0;
        let bases = if begins { launcher.sessions.fork_bases(&state.ai_cli_type, &path) } else { Vec::new() };
        let bases = Bases::new(bases);
        let mut session = Self {
            worker: Arc::clone(worker),
            sources: vec![FollowSource::own(path, &follow)],
            seen,
            at: None,
            searched: Instant::now(),
            polled: false,
            holder: FollowedProcess::new(),
            bases,
        };
        session.find_sub_agents(&follow);
        Ok(session)
    }

    fn find_sub_agents(&mut self, follow: &Follow) {
        for source in sub_agents(self.sources[0].path(), &self.sources, follow) {
            self.sources.push(source);
        }
    }

    /// Returns the folders whose changes may affect the session's files.
    fn folders(&self) -> Vec<PathBuf> {
        let path = self.sources[0].path();
        let own = path.with_extension("");
        let parent = path.parent().map(Path::to_owned);
        parent.into_iter().chain([own.join("subagents"), own].into_iter().filter(|folder| folder.is_dir())).collect()
    }

    /// Records once in the journal that the files are polled, and shows it to people for as long as they are.
    fn report_polling(&mut self, exhausted: Option<&str>) {
        let text = exhausted.map(|why| format!("the session's files are polled instead of watched: {why}"));
        match &text {
            Some(text) if !std::mem::replace(&mut self.polled, true) => {
                let noted = Control::FollowNoted { code: "transcript_polled".to_owned(), text: text.clone() };
                if let Err(error) = self.append(&[noted]) {
                    log::warn!("worker {}: {error}", self.worker.id());
                }
                warn(&self.worker, Some(text));
            }
            None if std::mem::take(&mut self.polled) => warn(&self.worker, None),
            _ => {}
        }
    }

    /// Copies a batch of each file; returns whether there is more, or `None` when the worker no longer follows.
    fn look(&mut self, launcher: &Launcher) -> Option<bool> {
        let state = self.worker.state();
        if !matches!(state.process, ProcessState::Following) {
            return None;
        }
        if !self.bases.is_empty() {
            return match self.bases.take(&self.worker, &mut self.seen) {
                Ok(follows) => follows.then_some(true),
                Err(error) => {
                    log::warn!("worker {}: {error}", self.worker.id());
                    Some(false)
                }
            };
        }
        if let Some(follow) = &state.follow {
            self.find_sub_agents(follow);
        }
        let mut more = false;
        for index in 0..self.sources.len() {
            match self.take(index) {
                Ok(Some(taken)) => more |= taken.more && !taken.missing,
                Ok(None) => return None,
                Err(error) => {
                    // For example, a full disk. The batch is tried again in the next round.
                    log::warn!("worker {}: {}: {error}", self.worker.id(), self.sources[index].path().display());
                    warn(&self.worker, Some(&format!("the session's transcript cannot be followed just now: {error}")));
                    self.sources[index].failed = true;
                }
            }
        }
        self.search(launcher);
        if !more && let Some(noted) = self.holder.look(launcher, &self.worker.state()) {
            match self.append(&[noted]) {
                Ok(follows) => return follows.then_some(false),
                Err(error) => log::warn!("worker {}: {error}", self.worker.id()),
            }
        }
        Some(more)
    }

    /// Copies a batch of one file into the journal; `None` when the worker no longer follows.
    fn take(&mut self, index: usize) -> Result<Option<crate::transcript::tail::TailLook>, WorkerError> {
        let source = &mut self.sources[index];
        let looked = source.tail.look()?;
        let mut batch = Vec::new();
        if let Some(change) = looked.change {
            encode(&mut batch, Micros::now(), Kind::Ctl, &note_of(change, &source.name).to_json());
        }
        let position = source.tail.position();
        let (inode, mut offset, mut at) = (position.inode, position.offset, self.at);
        let mut keys = HashSet::new();
        for (line, whole) in source.tail.lines() {
            let end = offset + line.len() as u64 + u64::from(whole);
            let peeked = PeekedLine::of(line);
            let is_new = peeked.key.is_none_or(|key| !self.seen.has(key) && keys.insert(key));
            if is_new && !line.is_empty() {
                if at != Some((index, inode, offset)) {
                    encode(&mut batch, Micros::now(), Kind::Ctl, &source.place(offset, inode).to_json());
                }
                let now = Micros::now();
                let time = peeked.time.filter(|&time| time < now).unwrap_or(now);
                encode(&mut batch, time, if whole { Kind::Out } else { Kind::OutPart }, line);
                at = Some((index, inode, end));
            }
            offset = end;
        }
        if !batch.is_empty() && !append(&self.worker, &batch)? {
            return Ok(None);
        }
        self.at = at;
        source.tail.commit();
        for key in keys {
            self.seen.note(key);
        }
        if std::mem::take(&mut source.failed) && !self.polled {
            warn(&self.worker, None);
        }
        source.missing = looked.missing;
        Ok(Some(looked))
    }

    /// Searches for a transcript that is no longer at its path: its project's folder may have been renamed.
    fn search(&mut self, launcher: &Launcher) {
        let (source, worker) = (&mut self.sources[0], &self.worker);
        if !source.missing {
            if std::mem::take(&mut source.reported_missing) {
                warn(worker, None);
            }
            return;
        }
        if source.reported_missing && self.searched.elapsed() < SEARCH_EVERY {
            return;
        }
        self.searched = Instant::now();
        let state = worker.state();
        let session_id = state.session_id.clone().unwrap_or_default();
        let found = launcher.sessions.transcript(Some(&state.ai_cli_type), &session_id);
        match found.and_then(|found| found.transcript) {
            Some(path) if path != source.path() => {
                let text = format!("The session's transcript has moved to {}", path.display());
                source.tail.rename(path.clone());
                let moved = [
                    Control::Following { session_id, path: path.display().to_string() },
                    Control::FollowNoted { code: "transcript_moved".to_owned(), text },
                ];
                if let Err(error) = self.append(&moved) {
                    log::warn!("worker {}: {error}", self.worker.id());
                }
            }
            _ if !std::mem::replace(&mut source.reported_missing, true) => {
                let text = format!("the session's transcript is gone, and is waited for: {}", source.path().display());
                warn(worker, Some(&text));
            }
            _ => {}
        }
    }

    fn append(&self, controls: &[Control]) -> Result<bool, WorkerError> {
        let mut batch = Vec::new();
        for control in controls {
            encode(&mut batch, Micros::now(), Kind::Ctl, &control.to_json());
        }
        append(&self.worker, &batch)
    }
}

/// Reads the lines of the session that a worker's journal already has.
fn lines_of_journal(worker: &Worker) -> Result<SeenLines, WorkerError> {
    let mut seen = SeenLines::default();
    let reader = Reader::open(&worker.dir().join("journal")).map_err(crate::worker::history::archive::into_io)?;
    let (mut at, mut buffer) = (reader.start(), Vec::new());
    loop {
        let reached = reader.read(at, JOURNAL_BYTES, &mut buffer)?;
        if reached == at {
            return Ok(seen);
        }
        for entry in records(&buffer, at) {
            if let Entry::Record(record) = entry
                && record.kind == Kind::Out
                && let Some(key) = PeekedLine::of(record.payload).key
            {
                seen.note(key);
            }
        }
        at = reached;
    }
}

fn note_of(change: TailChange, file: &str) -> Control {
    let which = if file.is_empty() { "The session's transcript".to_owned() } else { format!("The transcript {file}") };
    let (code, what) = match change {
        TailChange::Rewritten => ("transcript_rewritten", "was cut or written anew"),
        TailChange::Replaced => ("transcript_replaced", "was replaced by another file"),
    };
    Control::FollowNoted { code: code.to_owned(), text: format!("{which} {what}: its new lines are read") }
}

fn warn(worker: &Worker, warning: Option<&str>) {
    if worker.views().warning().as_deref() != warning {
        worker.views().warn(warning);
        worker.notify_feed();
    }
}
