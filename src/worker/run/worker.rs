//! One worker: its journal's fold, its mailbox while a shim runs, and the rules for changes.
//!
//! A command never changes the state directly. It appends records, through the shim or, when none runs, by the server;
//! the records are folded, and the fold is the state. So the effect of a command is in the journal before any client
//! gets a response.

use std::collections::{HashSet, VecDeque};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::access::Reach;
use crate::adapter::Adapter;
use crate::clock::Micros;
use crate::hub::{Feed, Topic};
use crate::journal::{Control, Entry, JournalError, Kind, Reader, Writer, encode, records};
use crate::worker::error::WorkerError;
use crate::worker::history::archive::{Archive, FOLD_BYTES, into_io};
use crate::worker::history::search::SearchedWorker;
use crate::worker::place::look::Looks;
use crate::worker::publish::ingest::Ingest;
use crate::worker::publish::summary::Summary;
use crate::worker::publish::view::Views;
use crate::worker::run::admission::Admission;
use crate::worker::run::launch::Launcher;
use crate::worker::run::mailbox::{CommandBatch, Mailbox};
use crate::worker::run::setup::Setup;
use crate::worker::state::State;

/// Longest wait for an exiting shim to release the journal.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause between two attempts to get that lock.
const LOCK_RETRY: Duration = Duration::from_millis(5);

/// The claim of a command that makes, changes or removes the worktree.
pub(in crate::worker) const WORKTREE_CLAIM: &str = "worktree";

/// One worker.
pub(crate) struct Worker {
    id: String,
    dir: PathBuf,
    pub(in crate::worker) archive: Arc<Archive>,
    topic: Arc<Topic>,
    views: Arc<Views>,
    pub(in crate::worker) launcher: Arc<Launcher>,
    core: Mutex<Core>,
    /// Signalled when the mailbox ends, and when the shim is ready.
    link_changed: Condvar,
    /// Commands under way that exclude each other, by their subject.
    claims: Mutex<HashSet<String>>,
    pub(in crate::worker) admission: Admission,
    claim_ended: Condvar,
    /// The setup of its worktree.
    pub(in crate::worker) setup: Setup,
    /// The check of its work.
    pub(in crate::worker) checking: Setup,
    /// Shared reads of its project.
    pub(in crate::worker) looks: Looks,
}

/// The parts that only one thread at a time may use.
pub(in crate::worker) struct Core {
    pub(in crate::worker) ingest: Ingest,
    pub(in crate::worker) mailbox: Option<Arc<Mailbox>>,
    /// The command that the worker itself has sent and that is not acknowledged yet.
    pub(in crate::worker) in_flight: Option<u64>,
    /// Number of holds on the queue: meanwhile no message goes to the CLI, so that none is sent in an outdated form.
    pub(in crate::worker) queue_holds: usize,
    /// Acks of the shim that wait for their records: the journal's end then, and the command's id.
    pub(in crate::worker) acks: VecDeque<(u64, u64)>,
    /// The journal's end when the shim sent its greeting. Up to there the shim may have executed commands of an earlier
    /// connection, so no command is repeated before that is folded.
    pub(in crate::worker) ready_at: u64,
    /// The fold's position when the last such command failed: it is not repeated before the fold has advanced.
    pub(in crate::worker) failed_at: Option<u64>,
    /// The time of the CLI's last output.
    pub(in crate::worker) heard: Instant,
    pub(in crate::worker) deleted: bool,
}

/// A claim on a subject, held until it is dropped.
pub(in crate::worker) struct Claim<'w> {
    worker: &'w Worker,
    what: String,
}

impl Worker {
    /// Creates the folder and the journal of a new worker.
    ///
    /// # Errors
    /// Fails when the disk is full.
    pub(in crate::worker) fn create(
        dir: &Path,
        id: &str,
        created: &Control,
        adapter: Arc<dyn Adapter>,
        launcher: &Arc<Launcher>,
        feed: &Arc<Feed>,
    ) -> Result<Arc<Self>, WorkerError> {
        let mut writer = Writer::create(&dir.join("journal"), id).map_err(into_io)?;
        let mut line = Vec::new();
        encode(&mut line, Micros::now(), Kind::Ctl, &created.to_json());
        writer.append(&line)?;
        drop(writer);
        Ok(Self::load(dir, id, adapter, launcher, feed)?)
    }

    /// Loads the worker in the folder `dir`: folds its journal from the last saved fold on.
    ///
    /// # Errors
    /// Fails when its journal cannot be read.
    pub(in crate::worker) fn load(
        dir: &Path,
        id: &str,
        adapter: Arc<dyn Adapter>,
        launcher: &Arc<Launcher>,
        feed: &Arc<Feed>,
    ) -> std::io::Result<Arc<Self>> {
        let size = Reader::open(&dir.join("journal")).map_err(into_io)?.size()?;
        let archive = Arc::new(Archive::open(dir, id, Arc::clone(&adapter), size)?);
        let (fold, end) = archive.fold(size)?;
        let views = Arc::new(Views::new(fold.state().clone(), end));
        let topic = Arc::new(Topic::new(end, fold.state().last_activity));
        let ingest = Ingest::new(
            id.to_owned(),
            (fold, end),
            Arc::clone(&archive),
            Arc::clone(&topic),
            Arc::clone(feed),
            Arc::clone(&views),
            (launcher.notify.clone(), launcher.moments.clone(), launcher.budgets.waker()),
        );
        let core = Core {
            ingest,
            mailbox: None,
            in_flight: None,
            queue_holds: 0,
            acks: VecDeque::new(),
            ready_at: u64::MAX,
            failed_at: None,
            heard: Instant::now(),
            deleted: false,
        };
        Ok(Arc::new(Self {
            id: id.to_owned(),
            dir: dir.to_owned(),
            archive,
            topic,
            views,
            launcher: Arc::clone(launcher),
            core: Mutex::new(core),
            link_changed: Condvar::new(),
            claims: Mutex::default(),
            admission: Admission::default(),
            claim_ended: Condvar::new(),
            setup: Setup::default(),
            checking: Setup::default(),
            looks: Looks::default(),
        }))
    }

    /// Returns its id.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Returns whether a client of this reach may see it.
    pub(crate) fn is_in(&self, reach: &Reach) -> bool {
        if reach.is_everything() {
            return true;
        }
        let state = self.state();
        let below = || reach.below.as_deref().zip(state.options.parent.as_deref());
        reach.covers(&self.id, state.project()) || below().is_some_and(|(top, parent)| parent.descends_from(top))
    }

    /// Its folder.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns the archive of its events.
    pub(crate) fn archive(&self) -> &Arc<Archive> {
        &self.archive
    }

    /// Returns its stream.
    pub(crate) fn topic(&self) -> &Arc<Topic> {
        &self.topic
    }

    /// Returns its view.
    pub(crate) fn views(&self) -> &Views {
        &self.views
    }

    /// Returns its latest state.
    pub(crate) fn state(&self) -> Arc<State> {
        self.views.state()
    }

    /// Returns its summary on the wire.
    pub(crate) fn summary(&self) -> Summary {
        self.views.summary(&self.id)
    }

    /// Returns its history for a search.
    pub(crate) fn searched(&self) -> SearchedWorker {
        SearchedWorker {
            id: self.id.clone(),
            name: self.state().name.clone(),
            dir: self.dir.clone(),
            end: self.views.end(),
            archive: Arc::clone(&self.archive),
        }
    }

    /// Returns its adapter.
    pub(crate) fn adapter(&self) -> &Arc<dyn Adapter> {
        self.archive.adapter()
    }

    pub(in crate::worker) fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::worker) fn mailbox(&self) -> Option<Arc<Mailbox>> {
        self.core().mailbox.clone()
    }

    /// Refuses to continue if the journal's file is gone: a running shim would write to a removed file, which is lost
    /// with the shim.
    pub(in crate::worker) fn require_journal(&self) -> Result<(), WorkerError> {
        if self.has_journal() {
            return Ok(());
        }
        if self.core().deleted {
            return Err(self.not_found());
        }
        let path = self.dir.join("journal");
        Err(WorkerError::Unavailable(format!(
            "the worker's journal {} is gone: put it back, or delete the worker",
            path.display()
        )))
    }

    fn not_found(&self) -> WorkerError {
        WorkerError::NotFound(format!("Worker not found: {}", self.id))
    }

    /// Returns false when the journal's file was removed.
    pub(in crate::worker) fn has_journal(&self) -> bool {
        let found = self.dir.join("journal").symlink_metadata();
        !matches!(found, Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory))
    }

    /// Appends records, through the shim or by the server when none runs, and returns when they are folded.
    pub(in crate::worker) fn append(&self, batch: &CommandBatch) -> Result<(), WorkerError> {
        self.require_journal()?;
        if let Some(mailbox) = self.mailbox() {
            return mailbox.append(batch).map(drop);
        }
        self.append_here(batch)
    }

    /// Appends records while no shim runs. The thread holds the core meanwhile: no other thread needs it then.
    fn append_here(&self, batch: &CommandBatch) -> Result<(), WorkerError> {
        let mut core = self.core();
        if core.deleted {
            return Err(self.not_found());
        }
        if let Some(mailbox) = core.mailbox.clone() {
            drop(core);
            return mailbox.append(batch).map(drop);
        }
        let controls = batch.controls()?;
        let lines: Vec<&[u8]> = controls.iter().map(Vec::as_slice).collect();
        self.append_with(&mut core, &lines)?;
        let saved = core.ingest.save_if_due(false, true);
        drop(core);
        if let Some(saved) = saved {
            saved.write(&self.archive);
        }
        Ok(())
    }

    /// Appends control records with a writer of the server's own, folds and publishes them.
    pub(in crate::worker) fn append_with(&self, core: &mut Core, controls: &[&[u8]]) -> Result<(), WorkerError> {
        let mut lines = Vec::new();
        for control in controls {
            encode(&mut lines, Micros::now(), Kind::Ctl, control);
        }
        self.append_lines(core, &lines)
    }

    /// Appends whole records, folds and publishes them.
    pub(in crate::worker) fn append_lines(&self, core: &mut Core, lines: &[u8]) -> Result<(), WorkerError> {
        let mut writer = self.writer()?;
        let begin = writer.end();
        writer.append(lines)?;
        drop(writer);
        // A killed shim may have left records that are not folded yet.
        self.fold_up_to(core, begin)?;
        for entry in records(lines, begin) {
            if let Entry::Record(record) = entry {
                core.ingest.record(&record);
            }
        }
        core.ingest.publish();
        Ok(())
    }

    /// Folds records that a shim has written but not sent.
    pub(in crate::worker) fn fold_rest(&self) -> Result<(), WorkerError> {
        let end = Reader::open(&self.dir.join("journal")).map_err(into_io)?.end()?;
        self.fold_up_to(&mut self.core(), end)
    }

    /// Sends the worker's present state to all lists.
    pub(in crate::worker) fn notify_feed(&self) {
        self.core().ingest.notify_feed();
    }

    fn fold_up_to(&self, core: &mut Core, end: u64) -> Result<(), WorkerError> {
        if core.ingest.end() >= end {
            return Ok(());
        }
        let reader = Reader::open(&self.dir.join("journal")).map_err(into_io)?;
        let mut buffer = Vec::new();
        while core.ingest.end() < end {
            let at = core.ingest.end();
            let reached = reader.read(at, FOLD_BYTES, &mut buffer)?;
            if reached == at {
                break;
            }
            for entry in records(&buffer, at) {
                match entry {
                    Entry::Record(record) => core.ingest.record(&record),
                    Entry::Garbage { len, .. } => core.ingest.skip(len),
                }
            }
            core.ingest.publish();
        }
        Ok(())
    }

    /// Opens the journal for appending as soon as the last shim has released it.
    fn writer(&self) -> Result<Writer, WorkerError> {
        let deadline = Instant::now() + LOCK_TIMEOUT;
        loop {
            match Writer::open(&self.dir.join("journal")) {
                Ok(writer) => return Ok(writer),
                Err(JournalError::Locked { .. }) if Instant::now() < deadline => std::thread::sleep(LOCK_RETRY),
                Err(error) => return Err(into_io(error).into()),
            }
        }
    }

    /// Waits until no shim runs, at most until `deadline`; returns whether that is so.
    pub(in crate::worker) fn wait_for_end(&self, deadline: Instant) -> bool {
        self.wait_while(deadline, Option::is_some)
    }

    /// Waits until `mailbox` is no longer the worker's, at most until `deadline`; returns whether that is so. The next
    /// run may have begun by then.
    pub(in crate::worker) fn wait_for_end_of(&self, mailbox: &Weak<Mailbox>, deadline: Instant) -> bool {
        self.wait_while(deadline, |now| now.as_ref().is_some_and(|now| mailbox.ptr_eq(&Arc::downgrade(now))))
    }

    fn wait_while(&self, deadline: Instant, goes_on: impl Fn(&Option<Arc<Mailbox>>) -> bool) -> bool {
        let mut core = self.core();
        while goes_on(&core.mailbox) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            (core, _) = self.link_changed.wait_timeout(core, left).unwrap_or_else(PoisonError::into_inner);
        }
        true
    }

    /// Waits until the shim's work before the connection is folded, at most until `deadline`.
    pub(in crate::worker) fn wait_until_ready(&self, deadline: Instant) {
        let mut core = self.core();
        while core.mailbox.is_some() && !core.is_ready() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                log::warn!("worker {}: its shim does not answer yet", self.id);
                return;
            }
            (core, _) = self.link_changed.wait_timeout(core, left).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Wakes all waiting callers, the first time that the shim is ready.
    pub(in crate::worker) fn note_ready(&self, core: &mut Core) {
        if core.ready_at != 0 && core.is_ready() {
            core.ready_at = 0;
            self.mailbox_has_changed();
        }
    }

    pub(in crate::worker) fn mailbox_has_changed(&self) {
        self.link_changed.notify_all();
    }

    /// Claims `what` for a command, as soon as no other command holds it.
    pub(in crate::worker) fn claim(&self, what: String) -> Claim<'_> {
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        while claims.contains(&what) {
            claims = self.claim_ended.wait(claims).unwrap_or_else(PoisonError::into_inner);
        }
        claims.insert(what.clone());
        Claim { worker: self, what }
    }

    /// Counts the commands that wait for its shim, with their limit; `None` while it has none, or is locked.
    pub(crate) fn commands_waiting(&self) -> Option<(usize, usize)> {
        let core = self.core.try_lock().ok()?;
        core.mailbox.as_ref().map(|mailbox| mailbox.commands_waiting())
    }

    /// Saves the fold, so that the next start has little to fold.
    pub(crate) fn save(&self) {
        let saved = self.core().ingest.save_if_due(false, true);
        if let Some(saved) = saved {
            saved.write(&self.archive);
        }
    }
}

impl Core {
    /// Returns whether all of the shim's work before the connection is folded.
    pub(in crate::worker) fn is_ready(&self) -> bool {
        self.ingest.end() >= self.ready_at
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.worker.claims.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.what);
        self.worker.claim_ended.notify_all();
    }
}
