//! Schedules: messages that are sent at an instant, or by a cron expression, to a worker or to a new one from a preset.
//!
//! The instant of a slot is its idempotency key. A run is in the history of its schedule, on the disk, before its message is
//! sent; the message carries the key in the worker's journal. So a server that is killed in between sends it again under the same
//! key, which the journal knows. See [`timetable`] for clocks that change, [`mod@plan`] for slots that were missed.

mod history;
mod plan;
mod run;
mod schedule;
mod store;
mod text;
mod timetable;

pub(crate) use plan::{MissedPolicy, SlotPlan, plan};
pub(crate) use run::{Cause, RESULT_CHARS_MAX, RunState, ScheduleRun};
pub(crate) use schedule::{Busy, Schedule, ScheduleTarget};
pub(crate) use store::{ScheduleBook, ScheduleEntry};
pub(crate) use text::{TextValues, fill};
pub(crate) use timetable::{Timetable, When, system_zone};
