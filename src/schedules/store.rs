//! The file of the schedules: JSON, private, replaced as a whole; and the histories beside it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Receiver, Sender, bounded};
use serde::{Deserialize, Serialize};

use super::history::{RunLog, file_of};
use super::schedule::{SCHEDULES_MAX, Schedule, ScheduleMistake};
use super::timetable::Timetable;
use crate::clock::Micros;
use crate::private_file;

/// Name of the file with the schedules, in the data folder.
const FILE: &str = ".schedules";
/// Name of the folder with their histories, in the data folder.
const RUNS: &str = ".schedule-runs";
/// The file's form. A file of another form is not used.
const VERSION: u32 = 1;
/// Ended turns that wait to be looked at; the histories learn of any beyond that a little later.
const TURNS_MAX: usize = 1_024;
/// The largest file that is written and read, in bytes.
const FILE_BYTES_MAX: usize = 16 * 1024 * 1024;

#[derive(Serialize, Deserialize)]
struct ScheduleFile {
    version: u32,
    schedules: Vec<Schedule>,
}

/// The reason why schedules were not changed.
#[derive(Debug)]
pub(crate) enum ScheduleBookError {
    /// The schedule has a mistake.
    Mistake(ScheduleMistake),
    /// No schedule has this id.
    NotFound(String),
    /// The limit on the number of schedules is reached.
    Full(String),
    /// A file can't be read or written.
    File(String),
}

/// A schedule with its instants and its history.
#[derive(Clone, Debug)]
pub(crate) struct ScheduleEntry {
    /// The schedule.
    pub schedule: Arc<Schedule>,
    /// Its instants, or the reason that there are none: a time zone may be gone.
    pub timetable: Result<Arc<Timetable>, String>,
    log: Arc<Mutex<RunLog>>,
}

impl ScheduleEntry {
    /// Its history.
    pub(crate) fn log(&self) -> MutexGuard<'_, RunLog> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Slots up to this instant are done or not its own.
    pub(crate) fn mark(&self) -> Micros {
        self.log().mark().max(Micros(self.schedule.since))
    }
}

/// All schedules.
pub(crate) struct ScheduleBook {
    data: PathBuf,
    entries: Mutex<Arc<Vec<ScheduleEntry>>>,
    /// The reason why the file can't be used: it is not written over.
    broken: Option<String>,
    /// Held while schedules are changed, so that an older file never replaces a newer one.
    changing: Mutex<()>,
    changes: (Sender<()>, Receiver<()>),
    turns: (Sender<String>, Receiver<String>),
}

impl fmt::Debug for ScheduleBook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScheduleBook").field("data", &self.data).finish_non_exhaustive()
    }
}

impl ScheduleBook {
    /// Reads the schedules of a data folder. From a file that can't be used none runs.
    pub(crate) fn open(data: &Path) -> Self {
        let file = data.join(FILE);
        let (schedules, broken) = match load(&file) {
            Ok(schedules) => (schedules, None),
            Err(reason) => {
                let text = format!("the schedules in {} can't be used, so none runs: {reason}", file.display());
                log::error!("{text}");
                (Vec::new(), Some(text))
            }
        };
        let entry = |schedule: Schedule| {
            let timetable = schedule.check().map(Arc::new).map_err(|mistake| mistake.text);
            if let Err(reason) = &timetable {
                log::error!("the schedule {:?} does not run: {reason}", schedule.name);
            }
            let log = RunLog::open(file_of(&data.join(RUNS), &schedule.id));
            ScheduleEntry { schedule: Arc::new(schedule), timetable, log: Arc::new(Mutex::new(log)) }
        };
        Self {
            data: data.to_owned(),
            entries: Mutex::new(Arc::new(schedules.into_iter().map(entry).collect())),
            broken,
            changing: Mutex::default(),
            changes: bounded(1),
            turns: bounded(TURNS_MAX),
        }
    }

    /// All schedules, oldest first.
    pub(crate) fn all(&self) -> Arc<Vec<ScheduleEntry>> {
        Arc::clone(&self.lock())
    }

    /// The schedule with this id.
    pub(crate) fn get(&self, id: &str) -> Option<ScheduleEntry> {
        self.all().iter().find(|entry| entry.schedule.id == id).cloned()
    }

    /// The wake-ups after changes of runs and schedules.
    pub(crate) fn changes(&self) -> &Receiver<()> {
        &self.changes.1
    }

    /// Wakes whoever waits for changes.
    pub(crate) fn wake(&self) {
        // When it is full, a wake-up is on its way.
        let _ = self.changes.0.try_send(());
    }

    /// The workers whose turns have ended.
    pub(crate) fn ended_turns(&self) -> &Receiver<String> {
        &self.turns.1
    }

    /// Reports that a turn of a worker has ended. Never waits.
    pub(crate) fn report_turn(&self, worker_id: &str) {
        if !self.lock().is_empty() {
            let _ = self.turns.0.try_send(worker_id.to_owned());
        }
    }

    /// Adds a schedule, when it is on the disk.
    ///
    /// # Errors
    /// Fails when it has a mistake, there are too many, or the file can't be written.
    pub(crate) fn add(&self, schedule: Schedule) -> Result<ScheduleEntry, ScheduleBookError> {
        let timetable = schedule.check().map_err(ScheduleBookError::Mistake)?;
        let _changing = self.change();
        let mut entries = self.all().to_vec();
        if entries.len() >= SCHEDULES_MAX {
            let text = format!("there are {SCHEDULES_MAX} schedules, which is the most: remove some first");
            return Err(ScheduleBookError::Full(text));
        }
        let log = RunLog::open(file_of(&self.data.join(RUNS), &schedule.id));
        let (schedule, log) = (Arc::new(schedule), Arc::new(Mutex::new(log)));
        let entry = ScheduleEntry { schedule, timetable: Ok(Arc::new(timetable)), log };
        entries.push(entry.clone());
        self.replace(entries)?;
        Ok(entry)
    }

    /// Changes the schedule with this id, when it is on the disk. With other instants, or resumed, it begins at the present
    /// time.
    ///
    /// # Errors
    /// As [`ScheduleBook::add`], and when the id is unknown.
    pub(crate) fn update(
        &self,
        id: &str,
        change: impl FnOnce(&mut Schedule),
    ) -> Result<ScheduleEntry, ScheduleBookError> {
        // Held from the look to the end, so that of two changes at once none is lost.
        let _changing = self.change();
        let mut entries = self.all().to_vec();
        let Some(entry) = entries.iter_mut().find(|entry| entry.schedule.id == id) else { return Err(not_found(id)) };
        let before = Arc::clone(&entry.schedule);
        let mut schedule = Schedule::clone(&before);
        change(&mut schedule);
        if schedule.when != before.when || before.paused && !schedule.paused {
            schedule.since = Micros::now().0;
        }
        let timetable = schedule.check().map_err(ScheduleBookError::Mistake)?;
        *entry = ScheduleEntry {
            schedule: Arc::new(schedule),
            timetable: Ok(Arc::new(timetable)),
            log: Arc::clone(&entry.log),
        };
        let changed = entry.clone();
        self.replace(entries)?;
        Ok(changed)
    }

    /// Removes a schedule and its history: no slot of it runs from here on, even if the file can't be written.
    ///
    /// # Errors
    /// Fails when there is none, or the file can't be written.
    pub(crate) fn remove(&self, id: &str) -> Result<(), ScheduleBookError> {
        let _changing = self.change();
        let mut entries = self.all().to_vec();
        let Some(place) = entries.iter().position(|entry| entry.schedule.id == id) else { return Err(not_found(id)) };
        let removed = entries.remove(place);
        *self.lock() = Arc::new(entries.clone());
        self.replace(entries)?;
        removed.log().remove();
        Ok(())
    }

    /// Writes the file, then makes these the schedules.
    fn replace(&self, entries: Vec<ScheduleEntry>) -> Result<(), ScheduleBookError> {
        if let Some(broken) = &self.broken {
            return Err(ScheduleBookError::File(format!(
                "{broken}; repair or remove the file, and start the server again"
            )));
        }
        let schedules = entries.iter().map(|entry| Schedule::clone(&entry.schedule)).collect();
        let text = serde_json::to_vec_pretty(&ScheduleFile { version: VERSION, schedules })
            .map_err(|error| ScheduleBookError::File(error.to_string()))?;
        if text.len() > FILE_BYTES_MAX {
            let text = format!("the schedules would have more than {FILE_BYTES_MAX} bytes: remove some first");
            return Err(ScheduleBookError::Full(text));
        }
        let file = self.data.join(FILE);
        let failed = |error: io::Error| ScheduleBookError::File(format!("{}: {error}", file.display()));
        private_file::replace(&file, &text).map_err(failed)?;
        *self.lock() = Arc::new(entries);
        self.wake();
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Vec<ScheduleEntry>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn not_found(id: &str) -> ScheduleBookError {
    ScheduleBookError::NotFound(format!("Schedule not found: {id}"))
}

fn load(file: &Path) -> Result<Vec<Schedule>, String> {
    let max = u64::try_from(FILE_BYTES_MAX).unwrap_or(u64::MAX);
    let Some(bytes) = private_file::read(file, max + 1).map_err(|error| error.to_string())? else {
        return Ok(Vec::new());
    };
    if bytes.len() > FILE_BYTES_MAX {
        return Err(format!("it has more than {FILE_BYTES_MAX} bytes"));
    }
    let stored: ScheduleFile = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    if stored.version != VERSION {
        return Err(format!("it is of version {}, not {VERSION}", stored.version));
    }
    if stored.schedules.len() > SCHEDULES_MAX {
        return Err(format!("it has more than {SCHEDULES_MAX} schedules"));
    }
    let is_id = |schedule: &Schedule| uuid::Uuid::try_parse(&schedule.id).is_ok();
    match stored.schedules.iter().find(|schedule| !is_id(schedule)) {
        Some(schedule) => Err(format!("the id {:?} is not a UUID", schedule.id)),
        None => Ok(stored.schedules),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::schedules::{Cause, ScheduleRun, When};
    use crate::scratch::Scratch;

    fn hourly(id: &str) -> Schedule {
        let when = When::Cron { cron: "0 * * * *".to_owned(), time_zone: "UTC".to_owned() };
        let fixed = serde_json::json!({
            "id": id, "name": "hourly", "when": when, "target": {"worker": "w"}, "text": "hello", "missed": "run_once",
            "busy": "queue", "paused": false, "note": "", "created": 0, "since": 0,
        });
        serde_json::from_value(fixed).unwrap()
    }

    fn id() -> String {
        uuid::Uuid::new_v4().to_string()
    }

    #[test]
    fn schedules_outlive_the_server_in_a_private_file() {
        let scratch = Scratch::new();
        let book = ScheduleBook::open(scratch.path());
        let (first, second) = (id(), id());
        let entry = book.add(hourly(&first)).unwrap();
        book.add(hourly(&second)).unwrap();
        entry.log().begin(ScheduleRun::begun(Micros(60), Cause::Time, String::new())).unwrap();
        assert!(matches!(book.update(&first, |it| it.name.clear()), Err(ScheduleBookError::Mistake(_))));
        book.remove(&second).unwrap();
        assert!(matches!(book.remove(&second), Err(ScheduleBookError::NotFound(_))));
        let mode = scratch.path().join(FILE).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let read = ScheduleBook::open(scratch.path()).all();
        assert_eq!((read.len(), &read[0].schedule.id, read[0].mark()), (1, &first, Micros(60)));
        book.remove(&first).unwrap();
        assert_eq!(scratch.path().join(RUNS).read_dir().unwrap().count(), 0);
    }

    #[test]
    fn new_instants_and_a_resume_begin_at_the_present_time() {
        let scratch = Scratch::new();
        let book = ScheduleBook::open(scratch.path());
        let id = id();
        book.add(hourly(&id)).unwrap();
        let since = |change: &dyn Fn(&mut Schedule)| book.update(&id, change).unwrap().schedule.since;
        assert_eq!(since(&|it| it.note = "n".to_owned()), 0);
        assert_eq!(since(&|it| it.paused = true), 0);
        let resumed = since(&|it| it.paused = false);
        assert!(resumed > 0);
        let when = When::Cron { cron: "5 * * * *".to_owned(), time_zone: "UTC".to_owned() };
        assert!(since(&|it| it.when.clone_from(&when)) >= resumed);
    }

    #[test]
    fn unreadable_schedules_run_nothing_and_are_kept() {
        let scratch = Scratch::new();
        private_file::create(&scratch.path().join(FILE), b"{").unwrap();
        let book = ScheduleBook::open(scratch.path());
        assert!(book.all().is_empty());
        assert!(matches!(book.add(hourly(&id())), Err(ScheduleBookError::File(_))));
        assert_eq!(std::fs::read(scratch.path().join(FILE)).unwrap(), b"{");
    }

    #[test]
    fn schedules_are_bounded_in_number() {
        let scratch = Scratch::new();
        let book = ScheduleBook::open(scratch.path());
        for _ in 0..SCHEDULES_MAX {
            book.add(hourly(&id())).unwrap();
        }
        assert!(matches!(book.add(hourly(&id())), Err(ScheduleBookError::Full(_))));
    }
}
