//! The decision which slot is due, and what to do with those that were missed. Pure: the caller gives the time.

use serde::{Deserialize, Serialize};

use super::timetable::Timetable;
use crate::clock::Micros;

/// A slot that the server comes to later than this was missed: the machine slept, or its clock jumped.
pub(crate) const LATE_MAX: u64 = 60 * 1_000_000;
/// Missed slots that are counted; there may be more.
pub(crate) const MISSED_COUNTED: usize = 1_000;

/// The policy for slots that were missed while the server did not run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MissedPolicy {
    /// The last of them runs, once for all.
    #[default]
    RunOnce,
    /// None runs.
    Skip,
}

/// A slot that is due, or that was missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlotPlan {
    /// This slot runs.
    Run {
        /// The slot.
        slot: Micros,
        /// True if it was missed.
        late: bool,
        /// Earlier slots that were missed, and do not run.
        missed: usize,
    },
    /// Slots were missed, and none runs.
    Skip {
        /// The last of them.
        slot: Micros,
        /// Their number.
        missed: usize,
    },
}

/// Decides what is due at `now` of a timetable whose slots up to `mark` are done. `running_since` is when the server began to
/// watch the clock. A slot is due once: the caller's next mark is the slot in the answer. When the clock goes back, nothing is
/// due until it has passed the mark again.
pub(crate) fn plan(
    timetable: &Timetable,
    policy: MissedPolicy,
    mark: Micros,
    (now, running_since): (Micros, Micros),
) -> Option<SlotPlan> {
    let slot = timetable.last(mark, now)?;
    let earlier = timetable.count(mark, Micros(slot.0 - 1), MISSED_COUNTED);
    let late = slot < running_since || now.0.saturating_sub(slot.0) > LATE_MAX;
    Some(if late && policy == MissedPolicy::Skip {
        SlotPlan::Skip { slot, missed: earlier + 1 }
    } else {
        SlotPlan::Run { slot, late, missed: earlier }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedules::When;

    fn at(text: &str) -> Micros {
        Micros::parse_iso(text).unwrap()
    }

    fn planned(policy: MissedPolicy, mark: &str, now: &str, since: &str) -> Option<SlotPlan> {
        let when = When::Cron { cron: "*/10 * * * *".to_owned(), time_zone: "UTC".to_owned() };
        plan(&Timetable::new(&when).unwrap(), policy, at(mark), (at(now), at(since)))
    }

    #[test]
    fn slot_is_due_once_whatever_the_clock_does() {
        let (mark, slot) = ("2026-05-01T10:00:00Z", at("2026-05-01T10:10:00Z"));
        let up = "2026-05-01T09:00:00Z";
        assert_eq!(planned(MissedPolicy::Skip, mark, "2026-05-01T10:09:59Z", up), None);
        let due = Some(SlotPlan::Run { slot, late: false, missed: 0 });
        assert_eq!(planned(MissedPolicy::Skip, mark, "2026-05-01T10:10:00Z", up), due);
        assert_eq!(planned(MissedPolicy::Skip, mark, "2026-05-01T10:10:59Z", up), due);
        // The clock went back behind the mark.
        assert_eq!(planned(MissedPolicy::RunOnce, "2026-05-01T10:10:00Z", "2026-05-01T09:00:00Z", up), None);
        assert_eq!(planned(MissedPolicy::RunOnce, "2026-05-01T10:10:00Z", "2026-05-01T10:10:30Z", up), None);
    }

    #[test]
    fn missed_slots_run_once_or_not_at_all() {
        let (mark, now) = ("2026-05-01T10:00:00Z", "2026-05-01T12:00:05Z");
        let slot = at("2026-05-01T12:00:00Z");
        // The server was down at all of them.
        let run = Some(SlotPlan::Run { slot, late: true, missed: 11 });
        assert_eq!(planned(MissedPolicy::RunOnce, mark, now, "2026-05-01T12:00:01Z"), run);
        let skip = Some(SlotPlan::Skip { slot, missed: 12 });
        assert_eq!(planned(MissedPolicy::Skip, mark, now, "2026-05-01T12:00:01Z"), skip);
        // The machine slept until after the last.
        let up = "2026-05-01T09:00:00Z";
        let woken = "2026-05-01T12:05:00Z";
        assert_eq!(planned(MissedPolicy::Skip, mark, woken, up), skip);
        assert_eq!(planned(MissedPolicy::RunOnce, mark, woken, up), run);
        // It woke just in time for the last.
        assert_eq!(planned(MissedPolicy::Skip, mark, now, up), Some(SlotPlan::Run { slot, late: false, missed: 11 }));
    }

    #[test]
    fn years_of_missed_slots_are_counted_within_a_bound() {
        let planned =
            planned(MissedPolicy::RunOnce, "2020-05-01T10:00:00Z", "2026-05-01T10:00:00Z", "2026-05-01T09:00:00Z");
        let slot = at("2026-05-01T10:00:00Z");
        assert_eq!(planned, Some(SlotPlan::Run { slot, late: false, missed: MISSED_COUNTED }));
    }
}
