//! All schedules with their instants, and the histories beside their file.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::history::{RunLog, file_of};
use super::schedule::{SCHEDULES_MAX, Schedule};
use super::timetable::Timetable;
use crate::clock::Micros;
use crate::private_list::{ListError, ListFile};
use crossbeam_channel::{Receiver, Sender, bounded};

/// Name of the folder with their histories, in the data folder.
const RUNS: &str = ".schedule-runs";
/// Ended turns that wait to be looked at; the histories learn of any beyond that a little later.
const TURNS_MAX: usize = 1_024;

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
    file: ListFile<Schedule>,
    entries: Mutex<Arc<Vec<ScheduleEntry>>>,
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
        let (file, schedules) = ListFile::<Schedule>::open(data);
        let entry = |schedule: Schedule| {
            let timetable = schedule.timetable().map(Arc::new).map_err(|mistake| mistake.text);
            if let Err(reason) = &timetable {
                log::error!("the schedule {:?} does not run: {reason}", schedule.name);
            }
            let log = RunLog::open(file_of(&data.join(RUNS), &schedule.id));
            ScheduleEntry { schedule: Arc::new(schedule), timetable, log: Arc::new(Mutex::new(log)) }
        };
        Self {
            data: data.to_owned(),
            file,
            entries: Mutex::new(Arc::new(schedules.into_iter().map(entry).collect())),
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
    pub(crate) fn add(&self, schedule: Schedule) -> Result<ScheduleEntry, ListError> {
        let timetable = schedule.timetable().map_err(ListError::Mistake)?;
        let _changing = self.change();
        let mut entries = self.all().to_vec();
        if entries.len() >= SCHEDULES_MAX {
            let text = format!("there are {SCHEDULES_MAX} schedules, which is the most: remove some first");
            return Err(ListError::Full(text));
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
    pub(crate) fn update(&self, id: &str, change: impl FnOnce(&mut Schedule)) -> Result<ScheduleEntry, ListError> {
        // Held from the look to the end, so that of two changes at once none is lost.
        let _changing = self.change();
        let mut entries = self.all().to_vec();
        let Some(entry) = entries.iter_mut().find(|entry| entry.schedule.id == id) else {
            return Err(ListError::not_found::<Schedule>(id));
        };
        let before = Arc::clone(&entry.schedule);
        let mut schedule = Schedule::clone(&before);
        change(&mut schedule);
        if schedule.when != before.when || before.paused && !schedule.paused {
            schedule.since = Micros::now().0;
        }
        let timetable = schedule.timetable().map_err(ListError::Mistake)?;
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
    /// Fails when no schedule has this id, or the file can't be written.
    pub(crate) fn remove(&self, id: &str) -> Result<(), ListError> {
        let _changing = self.change();
        let mut entries = self.all().to_vec();
        let Some(place) = entries.iter().position(|entry| entry.schedule.id == id) else {
            return Err(ListError::not_found::<Schedule>(id));
        };
        let removed = entries.remove(place);
        *self.lock() = Arc::new(entries.clone());
        self.replace(entries)?;
        removed.log().remove();
        Ok(())
    }

    /// Writes the file, then makes these the schedules.
    fn replace(&self, entries: Vec<ScheduleEntry>) -> Result<(), ListError> {
        let schedules: Vec<Schedule> = entries.iter().map(|entry| Schedule::clone(&entry.schedule)).collect();
        self.file.save(&schedules)?;
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::private_list::ListEntry as _;
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
        assert!(matches!(book.update(&first, |it| it.name.clear()), Err(ListError::Mistake(_))));
        book.remove(&second).unwrap();
        assert!(matches!(book.remove(&second), Err(ListError::NotFound(_))));
        let mode = scratch.path().join(Schedule::FILE).metadata().unwrap().permissions().mode();
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
        crate::private_file::create(&scratch.path().join(Schedule::FILE), b"{").unwrap();
        let book = ScheduleBook::open(scratch.path());
        assert!(book.all().is_empty());
        assert!(matches!(book.add(hourly(&id())), Err(ListError::File(_))));
        assert_eq!(std::fs::read(scratch.path().join(Schedule::FILE)).unwrap(), b"{");
    }

    #[test]
    fn schedules_are_bounded_in_number() {
        let scratch = Scratch::new();
        let book = ScheduleBook::open(scratch.path());
        for _ in 0..SCHEDULES_MAX {
            book.add(hourly(&id())).unwrap();
        }
        assert!(matches!(book.add(hourly(&id())), Err(ListError::Full(_))));
    }
}
