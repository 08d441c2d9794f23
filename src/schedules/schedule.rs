//! A schedule, and what is wrong with one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::plan::MissedPolicy;
use super::run::ScheduleRun;
use super::text;
use super::timetable::{Timetable, WORD_BYTES_MAX, When};
use crate::clock::Micros;
use crate::private_list::{EntryMistake, ListEntry};

/// Most schedules.
pub(crate) const SCHEDULES_MAX: usize = 200;
/// Longest name, in characters.
pub(crate) const NAME_CHARS_MAX: usize = 60;
/// Longest note, in characters.
pub(crate) const NOTE_CHARS_MAX: usize = 1_000;
/// Longest text of a message, in bytes.
pub(crate) const TEXT_BYTES_MAX: usize = 64 * 1024;
/// Longest path of a project, in bytes.
pub(crate) const PATH_BYTES_MAX: usize = 4 * 1024;
/// Most values for the placeholders of a preset.
pub(crate) const VALUES_MAX: usize = 32;

/// The receiver of a schedule's messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum ScheduleTarget {
    /// A worker.
    Worker {
        /// Its id.
        worker: String,
    },
    /// A new worker for each run.
    Preset {
        /// The preset that it is made from.
        preset: String,
        /// TextValues of the preset's placeholders.
        #[serde(default)]
        values: BTreeMap<String, String>,
        /// Its project, absolute.
        project_path: String,
    },
}

/// The policy for a slot whose worker is busy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Busy {
    /// The message waits in the worker's queue.
    #[default]
    Queue,
    /// The slot is left out.
    Skip,
}

/// A schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Schedule {
    /// Its id, a UUID.
    pub id: String,
    /// Its name, for people.
    pub name: String,
    /// Its instants.
    pub when: When,
    /// The receiver of its messages.
    pub target: ScheduleTarget,
    /// The text of its messages, with placeholders. Empty to send the first message of the preset.
    pub text: String,
    /// The policy for slots that were missed.
    pub missed: MissedPolicy,
    /// The policy for a busy worker.
    pub busy: Busy,
    /// True if it has no slots for now.
    pub paused: bool,
    /// A note, for people.
    pub note: String,
    /// The time when it was made, in microseconds since the Unix epoch.
    pub created: u64,
    /// Slots up to this time are not its own: it was made, changed or resumed then. In microseconds since the Unix epoch.
    pub since: u64,
}

impl ListEntry for Schedule {
    const FILE: &'static str = ".schedules";
    const WORD: &'static str = "schedule";
    const WORDS: &'static str = "schedules";
    const COUNT_MAX: usize = SCHEDULES_MAX;
    const BYTES_MAX: usize = 16 * 1024 * 1024;
    const WITHOUT: &'static str = "so none runs";

    fn id(&self) -> &str {
        &self.id
    }

    /// Checks the id, which names the file of its history. The rest may become wrong later, as when a time zone is gone.
    fn check(&self) -> Result<(), EntryMistake> {
        match uuid::Uuid::try_parse(&self.id) {
            Ok(_) => Ok(()),
            Err(_) => Err(EntryMistake { field: "id", text: "id must be a UUID".to_owned() }),
        }
    }
}

impl Schedule {
    /// Checks it, and returns its instants.
    ///
    /// # Errors
    /// The first mistake.
    pub(crate) fn timetable(&self) -> Result<Timetable, EntryMistake> {
        let wrong = |field, text: String| Err(EntryMistake { field, text });
        EntryMistake::check_label((&self.name, NAME_CHARS_MAX), (&self.note, NOTE_CHARS_MAX))?;
        if self.text.len() > TEXT_BYTES_MAX {
            return wrong("text", format!("text must have at most {TEXT_BYTES_MAX} bytes"));
        }
        text::check(&self.text).map_err(|text| EntryMistake { field: "text", text })?;
        self.check_target()?;
        Timetable::new(&self.when).map_err(|text| EntryMistake { field: "when", text })
    }

    fn check_target(&self) -> Result<(), EntryMistake> {
        let wrong = |text: String| Err(EntryMistake { field: "target", text });
        let is_word = |text: &str| !text.is_empty() && text.len() <= WORD_BYTES_MAX;
        match &self.target {
            ScheduleTarget::Worker { worker } if !is_word(worker) => {
                wrong(format!("worker must have 1 to {WORD_BYTES_MAX} bytes"))
            }
            ScheduleTarget::Worker { .. } if self.text.trim().is_empty() => {
                Err(EntryMistake { field: "text", text: "a message to a worker needs a text".to_owned() })
            }
            ScheduleTarget::Preset { preset, .. } if !is_word(preset) => {
                wrong(format!("preset must have 1 to {WORD_BYTES_MAX} bytes"))
            }
            ScheduleTarget::Preset { values, .. } if values.len() > VALUES_MAX => {
                wrong(format!("values must be at most {VALUES_MAX}"))
            }
            ScheduleTarget::Preset { values, .. }
                if values.iter().any(|(name, value)| !is_word(name) || value.len() > TEXT_BYTES_MAX) =>
            {
                wrong(format!("a value must have at most {TEXT_BYTES_MAX} bytes, and its name {WORD_BYTES_MAX}"))
            }
            ScheduleTarget::Preset { project_path: path, .. }
                if !path.starts_with('/') || path.len() > PATH_BYTES_MAX =>
            {
                wrong(format!("project_path must be an absolute path of at most {PATH_BYTES_MAX} bytes"))
            }
            _ => Ok(()),
        }
    }

    /// The worker that its messages go to; `None` for a new one each time.
    pub(crate) fn worker(&self) -> Option<&str> {
        match &self.target {
            ScheduleTarget::Worker { worker } => Some(worker),
            ScheduleTarget::Preset { .. } => None,
        }
    }

    /// The idempotency key of a run: the same in the journal of the worker and for a new worker.
    pub(crate) fn key(&self, run: &ScheduleRun) -> String {
        format!("schedule:{}:{}", self.id, Micros(run.slot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A schedule with these instants.
    fn schedule(when: When) -> Schedule {
        Schedule {
            id: "a".to_owned(),
            name: "nightly".to_owned(),
            when,
            target: ScheduleTarget::Worker { worker: "w".to_owned() },
            text: "hello".to_owned(),
            missed: MissedPolicy::RunOnce,
            busy: Busy::Queue,
            paused: false,
            note: String::new(),
            created: 0,
            since: 0,
        }
    }

    #[test]
    fn mistakes_name_their_field() {
        let cron = |cron: &str, zone: &str| When::Cron { cron: cron.to_owned(), time_zone: zone.to_owned() };
        let fine = schedule(cron("0 2 * * *", "Europe/Berlin"));
        assert!(fine.timetable().is_ok());
        let field = |schedule: Schedule| schedule.timetable().unwrap_err().field;
        assert_eq!(field(Schedule { name: " ".to_owned(), ..fine.clone() }), "name");
        assert_eq!(field(Schedule { text: String::new(), ..fine.clone() }), "text");
        assert_eq!(field(Schedule { text: "{{unknown}}".to_owned(), ..fine.clone() }), "text");
        assert_eq!(field(schedule(cron("0 25 * * *", "UTC"))), "when");
        assert_eq!(field(schedule(cron("0 0 31 2 *", "UTC"))), "when");
        assert_eq!(field(schedule(cron("0 2 * * *", "Mars/Olympus"))), "when");
        assert_eq!(field(schedule(cron("0 2 * * * UTC", "UTC"))), "when");
        let preset = |path: &str| ScheduleTarget::Preset {
            preset: "p".to_owned(),
            values: BTreeMap::new(),
            project_path: path.to_owned(),
        };
        assert_eq!(field(Schedule { target: preset("relative"), ..fine.clone() }), "target");
        assert!(Schedule { target: preset("/srv"), text: String::new(), ..fine }.timetable().is_ok());
    }
}
