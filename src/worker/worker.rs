//! One worker: its journal's fold, its link to a shim while one lives, and who may change what.
//!
//! A command never changes the state by itself. It has records appended, by the shim or, when none lives, by the server;
//! the records are folded, and the fold is the state. So what a command did is in the journal before anybody is told.

use std::collections::{HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::archive::{Archive, FOLD_BYTES, into_io};
use super::drive::drive;
use super::error::WorkerError;
use super::ingest::Ingest;
use super::launch::Launcher;
use super::link::{Batch, Link};
use super::state::State;
use super::view::{Summary, Views};
use crate::adapter::Adapter;
use crate::clock::Micros;
use crate::hub::{Feed, Topic};
use crate::journal::{Control, Entry, JournalError, Kind, Reader, Writer, encode, records};

/// How long an append by the server waits for a shim that is just ending to let go of the journal.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause between two tries for that lock.
const LOCK_RETRY: Duration = Duration::from_millis(5);

/// One worker.
pub struct Worker {
    id: String,
    dir: PathBuf,
    pub(super) archive: Arc<Archive>,
    topic: Arc<Topic>,
    views: Arc<Views>,
    pub(super) launcher: Arc<Launcher>,
    core: Mutex<Core>,
    /// Signalled when the link ends, and when it is ready.
    link_changed: Condvar,
    /// Commands under way that must not be given twice at once, by what they are about.
    claims: Mutex<HashSet<String>>,
    claim_ended: Condvar,
}

/// What only one thread at a time may touch.
pub(super) struct Core {
    pub(super) ingest: Ingest,
    pub(super) link: Option<Arc<Link>>,
    /// The command that the worker itself has given and that is not answered yet.
    pub(super) in_flight: Option<u64>,
    /// Changes of the queue under way: meanwhile nothing of it goes to the CLI, so that no message goes as it was before.
    pub(super) queue_holds: usize,
    /// Answers of the shim that wait for their records: the journal's end then, and the command's id.
    pub(super) answers: VecDeque<(u64, u64)>,
    /// Where the journal stood when the shim greeted: up to there it may have done what an earlier connection asked for,
    /// so nothing is asked for again before that is folded.
    pub(super) ready_at: u64,
    /// Where the fold stood when the last such command failed: it is not given again before something has changed.
    pub(super) failed_at: Option<u64>,
    /// When something was last heard of the CLI.
    pub(super) heard: Instant,
    pub(super) deleted: bool,
}

/// A claim on something, until it is dropped.
pub(super) struct Claim<'w> {
    worker: &'w Worker,
    what: String,
}

impl Worker {
    /// Makes the folder and the journal of a new worker.
    ///
    /// # Errors
    /// When the disk does not take them.
    pub(super) fn create(
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
    /// When its journal cannot be read.
    pub(super) fn load(
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
        let topic = Arc::new(Topic::new(end));
        let ingest = Ingest::new(
            id.to_owned(),
            (fold, end),
            Arc::clone(&archive),
            Arc::clone(&topic),
            Arc::clone(feed),
            Arc::clone(&views),
            Arc::clone(launcher),
        );
        let core = Core {
            ingest,
            link: None,
            in_flight: None,
            queue_holds: 0,
            answers: VecDeque::new(),
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
            claim_ended: Condvar::new(),
        }))
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Its events, from any place.
    pub fn archive(&self) -> &Arc<Archive> {
        &self.archive
    }

    /// Its stream.
    pub fn topic(&self) -> &Arc<Topic> {
        &self.topic
    }

    /// Itself as others see it.
    pub fn views(&self) -> &Views {
        &self.views
    }

    /// Its latest state.
    pub fn state(&self) -> Arc<State> {
        self.views.state()
    }

    /// Itself on the wire.
    pub fn summary(&self) -> Summary {
        self.views.summary(&self.id)
    }

    /// Its adapter.
    pub fn adapter(&self) -> &Arc<dyn Adapter> {
        self.archive.adapter()
    }

    pub(super) fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn link(&self) -> Option<Arc<Link>> {
        self.core().link.clone()
    }

    /// Has records appended, and returns when they are folded: by the shim, or by the server when none lives.
    pub(super) fn append(&self, batch: &Batch) -> Result<(), WorkerError> {
        if let Some(link) = self.link() {
            return link.append(batch).map(drop);
        }
        self.append_here(batch)
    }

    /// Appends records while no shim lives. The thread holds the core while it does: nobody else has a use for it then.
    fn append_here(&self, batch: &Batch) -> Result<(), WorkerError> {
        let mut core = self.core();
        if core.deleted {
            return Err(WorkerError::NotFound(format!("Worker not found: {}", self.id)));
        }
        if let Some(link) = core.link.clone() {
            drop(core);
            return link.append(batch).map(drop);
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
    pub(super) fn append_with(&self, core: &mut Core, controls: &[&[u8]]) -> Result<(), WorkerError> {
        let mut lines = Vec::new();
        for control in controls {
            encode(&mut lines, Micros::now(), Kind::Ctl, control);
        }
        self.append_lines(core, &lines)
    }

    /// Appends whole records, folds and publishes them.
    pub(super) fn append_lines(&self, core: &mut Core, lines: &[u8]) -> Result<(), WorkerError> {
        let mut writer = self.writer()?;
        let begin = writer.end();
        writer.append(lines)?;
        drop(writer);
        // A killed shim may have left records that nobody has folded yet.
        self.fold_up_to(core, begin)?;
        for entry in records(lines, begin) {
            if let Entry::Record(record) = entry {
                core.ingest.record(&record);
            }
        }
        core.ingest.publish();
        Ok(())
    }

    /// Folds what a shim has written and did not get to send.
    pub(super) fn fold_rest(&self) -> Result<(), WorkerError> {
        let end = Reader::open(&self.dir.join("journal")).map_err(into_io)?.end()?;
        self.fold_up_to(&mut self.core(), end)
    }

    /// Tells all lists how the worker is now.
    pub(super) fn tell_feed(&self) {
        self.core().ingest.tell_feed();
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

    /// The journal, for appending, as soon as the last shim has let go of it.
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

    /// Waits until no shim lives, at most until `deadline`; whether that is so.
    pub(super) fn wait_for_end(&self, deadline: Instant) -> bool {
        self.wait_while(deadline, Option::is_some)
    }

    /// Waits until `link` is no longer the worker's, at most until `deadline`; whether that is so. The next run may have
    /// begun by then.
    pub(super) fn wait_for_end_of(&self, link: &Weak<Link>, deadline: Instant) -> bool {
        self.wait_while(deadline, |now| now.as_ref().is_some_and(|now| link.ptr_eq(&Arc::downgrade(now))))
    }

    fn wait_while(&self, deadline: Instant, goes_on: impl Fn(&Option<Arc<Link>>) -> bool) -> bool {
        let mut core = self.core();
        while goes_on(&core.link) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            (core, _) = self.link_changed.wait_timeout(core, left).unwrap_or_else(PoisonError::into_inner);
        }
        true
    }

    /// Waits until what the shim had done before it was attached to is folded, at most until `deadline`.
    pub(super) fn wait_until_ready(&self, deadline: Instant) {
        let mut core = self.core();
        while core.link.is_some() && !core.is_ready() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                log::warn!("worker {}: its shim does not answer yet", self.id);
                return;
            }
            (core, _) = self.link_changed.wait_timeout(core, left).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Tells who waits, the first time that the link is ready.
    pub(super) fn note_ready(&self, core: &mut Core) {
        if core.ready_at != 0 && core.is_ready() {
            core.ready_at = 0;
            self.link_has_changed();
        }
    }

    pub(super) fn link_has_changed(&self) {
        self.link_changed.notify_all();
    }

    /// Holds the queue for a change of it. What was on its way to the CLI before stands in the journal before the change.
    pub(super) fn hold_queue(&self) -> QueueHold<'_> {
        self.core().queue_holds += 1;
        QueueHold { worker: self }
    }

    /// Claims `what` for a command, as soon as no other command has it.
    pub(super) fn claim(&self, what: String) -> Claim<'_> {
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        while claims.contains(&what) {
            claims = self.claim_ended.wait(claims).unwrap_or_else(PoisonError::into_inner);
        }
        claims.insert(what.clone());
        Claim { worker: self, what }
    }

    /// How many commands wait for its shim, and how many may; `None` while it has none, or is in the middle of something.
    pub fn commands_waiting(&self) -> Option<(usize, usize)> {
        let core = self.core.try_lock().ok()?;
        core.link.as_ref().map(|link| link.commands_waiting())
    }

    /// Saves the fold, so that the next start has little to fold.
    pub fn save(&self) {
        let saved = self.core().ingest.save_if_due(false, true);
        if let Some(saved) = saved {
            saved.write(&self.archive);
        }
    }
}

impl Core {
    /// Whether everything is folded that the shim had done before it was attached to.
    pub(super) fn is_ready(&self) -> bool {
        self.ingest.end() >= self.ready_at
    }
}

/// Keeps the queue's messages where they are, until it is dropped.
pub(super) struct QueueHold<'w> {
    worker: &'w Worker,
}

impl Drop for QueueHold<'_> {
    fn drop(&mut self) {
        let mut core = self.worker.core();
        core.queue_holds -= 1;
        drive(self.worker, &mut core);
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.worker.claims.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.what);
        self.worker.claim_ended.notify_all();
    }
}
