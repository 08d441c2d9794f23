//! The journal of an import in progress, in the folder of its worker, under a temporary name.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::clock::Micros;
use crate::journal::{Control, Entry, Kind, Syncer, Writer, encode, records};
use crate::worker::error::WorkerError;
use crate::worker::history::archive::into_io;
use crate::worker::history::checkpoint::Checkpoints;
use crate::worker::registry::Registry;
use crate::worker::run::worker::Worker;
use crate::worker::state::State;
use crate::worker::state::fold::Fold;

/// Name of the journal until it is complete: a folder without a `journal` is not a worker.
pub(in crate::worker) const UNFINISHED: &str = "journal.new";

/// Bytes of records that are written and folded at once.
const STEP_BYTES: usize = 256 * 1024;
/// Bytes after which the draft is synced to disk, so that the client is slowed down to the disk's speed and the end
/// comes soon.
const SYNC_BYTES: u64 = 32 * 1024 * 1024;
/// Bytes after which the size of the fold is checked.
const MEASURE_BYTES: u64 = 16 * 1024 * 1024;
/// Largest saved fold that a history may lead to: it stays in memory as long as the worker exists.
const FOLD_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The journal and the state derived from it so far. Dropping it before it is finished removes everything.
pub(super) struct ImportDraft<'r> {
    registry: &'r Registry,
    id: String,
    dir: PathBuf,
    writer: Writer,
    syncer: Syncer,
    checkpoints: Checkpoints,
    fold: Fold,
    /// Records that are not written yet.
    pending: Vec<u8>,
    last: Micros,
    synced: u64,
    measured: u64,
    is_finished: bool,
}

impl<'r> ImportDraft<'r> {
    /// Begins the journal of the worker `id` with its creation record.
    ///
    /// # Errors
    /// Fails when the disk is full.
    pub(super) fn begin(
        registry: &'r Registry,
        id: &str,
        time: Micros,
        created: &Control,
        ai_cli_type: &str,
    ) -> Result<Self, WorkerError> {
        let dir = registry.make_dir(id)?;
        let opened = open(&dir, id);
        let (writer, syncer, checkpoints) = opened.inspect_err(|_| registry.discard(id, &dir))?;
        let (synced, measured) = (writer.end(), writer.end());
        let mut draft = Self {
            registry,
            id: id.to_owned(),
            dir,
            writer,
            syncer,
            checkpoints,
            fold: Fold::new((registry.find_adapter)(ai_cli_type)),
            pending: Vec::new(),
            last: time,
            synced,
            measured,
            is_finished: false,
        };
        draft.append(time, Kind::Ctl, &created.to_json())?;
        Ok(draft)
    }

    /// Adds a record.
    ///
    /// # Errors
    /// Fails when the disk is full, or the state of the worker would be too large.
    pub(super) fn append(&mut self, time: Micros, kind: Kind, payload: &[u8]) -> Result<(), WorkerError> {
        encode(&mut self.pending, time, kind, payload);
        self.last = time;
        if self.pending.len() >= STEP_BYTES { self.write() } else { Ok(()) }
    }

    /// Returns the state after all records so far.
    pub(super) fn state(&mut self) -> Result<&State, WorkerError> {
        self.write()?;
        Ok(self.fold.state())
    }

    /// Adds a control record with the time of the last one.
    pub(super) fn append_control(&mut self, control: &Control) -> Result<(), WorkerError> {
        self.append(self.last, Kind::Ctl, &control.to_json())
    }

    fn write(&mut self) -> Result<(), WorkerError> {
        let base = self.writer.end();
        let end = self.writer.append(&self.pending)?;
        for entry in records(&self.pending, base) {
            if let Entry::Record(record) = entry {
                self.fold.record(&record, &mut Vec::new());
            }
        }
        self.pending.clear();
        self.pending.shrink_to(STEP_BYTES * 2);
        let is_due = self.checkpoints.is_due(end, false);
        if is_due || end - self.measured >= MEASURE_BYTES {
            self.measured = end;
            let saved = self.fold.save();
            if saved.len() > FOLD_BYTES_MAX {
                return Err(WorkerError::TooLarge(format!(
                    "the history leaves more than {FOLD_BYTES_MAX} bytes of waiting messages, open prompts and the like"
                )));
            }
            if is_due {
                self.checkpoints.save(end, &saved);
            }
        }
        if end - self.synced >= SYNC_BYTES {
            self.synced = end;
            self.syncer.sync()?;
        }
        Ok(())
    }

    /// Renames the journal to its final name, and loads the worker.
    ///
    /// # Errors
    /// Fails when the disk is full, or the worker cannot be loaded.
    pub(super) fn finish(mut self) -> Result<Arc<Worker>, WorkerError> {
        self.measured = 0;
        self.write()?;
        self.syncer.sync()?;
        fs::rename(self.dir.join(UNFINISHED), self.dir.join("journal"))?;
        File::open(&self.dir)?.sync_all()?;
        let worker = self.registry.load(&self.dir)?;
        self.is_finished = true;
        Ok(worker)
    }
}

impl Drop for ImportDraft<'_> {
    fn drop(&mut self) {
        if !self.is_finished {
            self.registry.discard(&self.id, &self.dir);
        }
    }
}

fn open(dir: &Path, id: &str) -> Result<(Writer, Syncer, Checkpoints), WorkerError> {
    let writer = Writer::create(&dir.join(UNFINISHED), id).map_err(into_io)?;
    let syncer = writer.syncer()?;
    let checkpoints = Checkpoints::open(&dir.join("states"), id, writer.end())?;
    Ok((writer, syncer, checkpoints))
}

/// Removes the folder of an import that a crash has interrupted: one without a journal whose name is a worker's.
pub(in crate::worker) fn remove_left_over(dir: &Path) {
    let is_id = dir.file_name().and_then(|name| name.to_str()).is_some_and(|name| uuid::Uuid::try_parse(name).is_ok());
    if !is_id || !dir.join(UNFINISHED).is_file() {
        return;
    }
    let removed = fs::remove_file(dir.join("states")).or_else(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    });
    let removed = removed.and_then(|()| fs::remove_file(dir.join(UNFINISHED))).and_then(|()| fs::remove_dir(dir));
    match removed {
        Ok(()) => log::info!("the unfinished import {} is removed", dir.display()),
        Err(error) => log::warn!("the unfinished import {} cannot be removed: {error}", dir.display()),
    }
}
