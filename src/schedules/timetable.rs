//! The instants of a schedule, computed from its cron expression in its time zone.
//!
//! The expression is matched against the readings of a clock that never changes, and each reading becomes an instant in the
//! schedule's zone:
//!
//! - A reading that comes once is that instant.
//! - A reading that the clock leaves out, in spring, is the instant of the change.
//! - A reading that comes twice, in autumn, is its first instant.
//! - An hour field of `*` means every hour that passes: its readings are those of the clock between two changes, so that a
//!   schedule of one minute has a slot in each minute of both hours, and an hourly one in each hour.
//!
//! Two readings of one instant are one slot. So each slot comes exactly once, whatever the clock does.

use cronexpr::{Crontab, MakeTimestamp};
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{Span, Timestamp};
use serde::{Deserialize, Serialize};

use crate::clock::Micros;

/// Longest cron expression, name of a zone, preset or worker, in bytes.
pub(crate) const WORD_BYTES_MAX: usize = 256;

/// Readings that are looked at for one slot: a change of the clock makes some of them instants of the past.
const READINGS_MAX: usize = 4_000;
/// Changes of the clock that are passed for one slot.
const CHANGES_MAX: usize = 64;
/// Spans in which the last slot is looked for, in seconds: the first that holds one ends the search.
const SPANS: [u64; 6] = [180, 3 * 3_600, 2 * 86_400, 40 * 86_400, 500 * 86_400, 5 * 366 * 86_400];
/// The last year whose slots are computed: the parser's arithmetic ends with the calendar, a few years after 9990.
const YEAR_MAX: i16 = 9_900;
/// Microseconds of a second.
const SECOND: u64 = 1_000_000;

/// The instants of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum When {
    /// Once.
    At {
        /// The instant, in microseconds since the Unix epoch.
        at: u64,
    },
    /// By a cron expression.
    Cron {
        /// Its five fields: minute, hour, day of the month, month, day of the week.
        cron: String,
        /// The IANA name of the time zone.
        time_zone: String,
    },
}

/// The slots of a schedule.
#[derive(Debug)]
pub(crate) struct Timetable(TimetableKind);

#[derive(Debug)]
enum TimetableKind {
    Once(Micros),
    Cron { crontab: Box<Crontab>, zone: TimeZone, every_hour: bool },
}

impl Timetable {
    /// Reads the instants of a schedule.
    ///
    /// # Errors
    /// The mistake in the expression or the zone, for people.
    pub(crate) fn new(when: &When) -> Result<Self, String> {
        let (cron, time_zone) = match when {
            When::At { at } => return Ok(Self(TimetableKind::Once(Micros(*at)))),
            When::Cron { cron, time_zone } => (cron, time_zone),
        };
        if cron.len() > WORD_BYTES_MAX || time_zone.len() > WORD_BYTES_MAX {
            return Err(format!("cron and time_zone must have at most {WORD_BYTES_MAX} bytes"));
        }
        let fields: Vec<&str> = cron.split_ascii_whitespace().collect();
        let [_, hour, ..] = fields[..] else { return Err(not_five(cron)) };
        if fields.len() != 5 {
            return Err(not_five(cron));
        }
        let zone = zone(time_zone)?;
        let crontab = cronexpr::parse_crontab(&format!("{} UTC", fields.join(" ")))
            .map_err(|error| format!("cron cannot be read: {}", one_line(&error.to_string())))?;
        let table = Self(TimetableKind::Cron { crontab: Box::new(crontab), zone, every_hour: hour == "*" });
        if table.next(Micros::now()).is_none() {
            return Err(format!("cron never comes: {cron}"));
        }
        Ok(table)
    }

    /// The first slot after an instant.
    pub(crate) fn next(&self, after: Micros) -> Option<Micros> {
        match &self.0 {
            TimetableKind::Once(at) => (*at > after).then_some(*at),
            TimetableKind::Cron { crontab, zone, every_hour } => {
                let after = timestamp(after)?;
                let next = if *every_hour { of_hours(crontab, zone, after) } else { of_clock(crontab, zone, after) };
                micros(next?)
            }
        }
    }

    /// The first slots after an instant.
    pub(crate) fn upcoming(&self, after: Micros, count: usize) -> Vec<Micros> {
        std::iter::successors(self.next(after), |slot| self.next(*slot)).take(count).collect()
    }

    /// The last slot after `after` and not after `until`.
    pub(crate) fn last(&self, after: Micros, until: Micros) -> Option<Micros> {
        for span in SPANS {
            let from = Micros(until.0.saturating_sub(span * SECOND)).max(after);
            let slots = std::iter::successors(self.next(from), |slot| self.next(*slot));
            let last = slots.take_while(|slot| *slot <= until).last();
            if last.is_some() || from == after {
                return last;
            }
        }
        None
    }

    /// Counts the slots after `after` and not after `until`, up to `most`.
    pub(crate) fn count(&self, after: Micros, until: Micros, most: usize) -> usize {
        let slots = std::iter::successors(self.next(after), |slot| self.next(*slot));
        slots.take_while(|slot| *slot <= until).take(most).count()
    }

    /// The clock in the schedule's zone; UTC for one that runs once.
    pub(crate) fn local(&self, at: Micros) -> Option<DateTime> {
        let zone = match &self.0 {
            TimetableKind::Once(_) => &TimeZone::UTC,
            TimetableKind::Cron { zone, .. } => zone,
        };
        Some(zone.to_datetime(timestamp(at)?))
    }
}

/// The IANA name of this machine's time zone; UTC where it has none.
pub(crate) fn system_zone() -> String {
    TimeZone::system().iana_name().unwrap_or("UTC").to_owned()
}

fn not_five(cron: &str) -> String {
    format!("cron must have five fields (minute, hour, day of the month, month, day of the week), not {cron:?}")
}

fn zone(name: &str) -> Result<TimeZone, String> {
    if name == "UTC" {
        return Ok(TimeZone::UTC);
    }
    TimeZone::get(name).map_err(|_| format!("time_zone is not known: {name:?}; names are as in Europe/Berlin"))
}

/// The message of a parser, which draws the place of the mistake on further lines.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn timestamp(at: Micros) -> Option<Timestamp> {
    Timestamp::from_microsecond(i64::try_from(at.0).ok()?).ok()
}

fn micros(at: Timestamp) -> Option<Micros> {
    u64::try_from(at.as_microsecond()).ok().map(Micros)
}

/// The next reading that matches, after one.
fn reading(crontab: &Crontab, after: DateTime) -> Option<DateTime> {
    if after.year() > YEAR_MAX {
        return None;
    }
    let after = TimeZone::UTC.to_timestamp(after).ok()?;
    crontab.find_next(MakeTimestamp(after)).ok().map(|zoned| zoned.datetime())
}

/// The next slot by the readings of the clock, each once. The instants of readings never go back, so the first that is after
/// `after` is the next.
fn of_clock(crontab: &Crontab, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
    let mut clock = zone.to_datetime(after);
    for _ in 0..READINGS_MAX {
        clock = reading(crontab, clock)?;
        let instant = match zone.to_ambiguous_timestamp(clock).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(clock).ok()?,
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(clock).ok()?,
            AmbiguousOffset::Gap { before, .. } => change_before(zone, before.to_timestamp(clock).ok()?)?,
        };
        if instant > after {
            return Some(instant);
        }
    }
    None
}

/// The change of the clock that led to `instant`.
fn change_before(zone: &TimeZone, instant: Timestamp) -> Option<Timestamp> {
    let after = instant.checked_add(Span::new().seconds(1)).ok()?;
    zone.preceding(after).next().map(|change| change.timestamp())
}

/// The next slot by the hours that pass: between two changes the clock is even.
fn of_hours(crontab: &Crontab, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
    let mut offset: Offset = zone.to_offset(after);
    let mut clock = offset.to_datetime(after);
    let mut changes = zone.following(after).map(|change| change.timestamp());
    for _ in 0..CHANGES_MAX {
        let end = changes.next();
        let found = offset.to_timestamp(reading(crontab, clock)?).ok()?;
        let Some(end) = end.filter(|end| found >= *end) else { return Some(found) };
        offset = zone.to_offset(end);
        // The reading of the change itself counts.
        clock = offset.to_datetime(end).checked_sub(Span::new().seconds(1)).ok()?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cron(cron: &str, zone: &str) -> Timetable {
        Timetable::new(&When::Cron { cron: cron.to_owned(), time_zone: zone.to_owned() }).unwrap()
    }

    fn at(text: &str) -> Micros {
        Micros::parse_iso(text).unwrap()
    }

    fn slots(cron_zone: (&str, &str), from: &str, until: &str) -> Vec<String> {
        let table = cron(cron_zone.0, cron_zone.1);
        let all = table.upcoming(at(from), 20).into_iter().take_while(|slot| *slot < at(until));
        all.map(|slot| slot.to_string().replace(":00.000000Z", "")).collect()
    }

    #[test]
    fn clock_changes_give_each_slot_exactly_once() {
        let (berlin, new_york, lord_howe) = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe");
        // Zone, cron, from and until, and all slots in between, in UTC.
        let table: &[(&str, &str, &str, &str, &[&str])] = &[
            // Spring: 02:00 to 03:00 is left out. What is due then runs at the change, once.
            (
                berlin,
                "30 2 * * *",
                "2026-03-28T12:00:00Z",
                "2026-03-30T12:00:00Z",
                &["2026-03-29T01:00", "2026-03-30T00:30"],
            ),
            (berlin, "*/15 2 * * *", "2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z", &["2026-03-29T01:00"]),
            (berlin, "0 2,3 * * *", "2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z", &["2026-03-29T01:00"]),
            (berlin, "0 3 * * *", "2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z", &["2026-03-29T01:00"]),
            // Autumn: 02:00 to 03:00 comes twice. What is due then runs the first time.
            (
                berlin,
                "30 2 * * *",
                "2026-10-24T12:00:00Z",
                "2026-10-26T12:00:00Z",
                &["2026-10-25T00:30", "2026-10-26T01:30"],
            ),
            (berlin, "0 3 * * *", "2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z", &["2026-10-25T02:00"]),
            (
                berlin,
                "0 * * * *",
                "2026-10-24T23:30:00Z",
                "2026-10-25T02:30:00Z",
                &["2026-10-25T00:00", "2026-10-25T01:00", "2026-10-25T02:00"],
            ),
            (
                new_york,
                "30 2 * * *",
                "2026-03-07T12:00:00Z",
                "2026-03-09T12:00:00Z",
                &["2026-03-08T07:00", "2026-03-09T06:30"],
            ),
            (
                new_york,
                "30 1 * * *",
                "2026-10-31T12:00:00Z",
                "2026-11-02T12:00:00Z",
                &["2026-11-01T05:30", "2026-11-02T06:30"],
            ),
            (
                new_york,
                "20 * * * *",
                "2026-03-08T05:30:00Z",
                "2026-03-08T08:00:00Z",
                &["2026-03-08T06:20", "2026-03-08T07:20"],
            ),
            // Half an hour: 02:00 to 02:30 is left out, 01:30 to 02:00 comes twice.
            (lord_howe, "15 2 * * *", "2026-10-03T00:00:00Z", "2026-10-04T12:00:00Z", &["2026-10-03T15:30"]),
            (lord_howe, "45 1 * * *", "2026-04-04T00:00:00Z", "2026-04-05T12:00:00Z", &["2026-04-04T14:45"]),
            (
                lord_howe,
                "*/30 1-2 * * *",
                "2026-04-04T00:00:00Z",
                "2026-04-05T12:00:00Z",
                &["2026-04-04T14:00", "2026-04-04T14:30", "2026-04-04T15:30", "2026-04-04T16:00"],
            ),
        ];
        for (zone, expression, from, until, expected) in table {
            assert_eq!(&slots((expression, zone), from, until)[..], *expected, "{expression} in {zone}");
        }
    }

    #[test]
    fn every_minute_has_one_slot_in_every_zone() {
        for (zone, day) in [
            ("Europe/Berlin", "2026-03-29"),
            ("Europe/Berlin", "2026-10-25"),
            ("America/New_York", "2026-11-01"),
            ("Australia/Lord_Howe", "2026-04-04"),
            ("Pacific/Apia", "2011-12-30"),
        ] {
            let slots = cron("* * * * *", zone).upcoming(at(&format!("{day}T00:00:00Z")), 24 * 60);
            let steps = slots.windows(2).all(|pair| pair[1].0 - pair[0].0 == 60 * SECOND);
            assert!(steps && slots.len() == 24 * 60, "{zone} {day}");
        }
    }

    #[test]
    fn slots_do_not_depend_on_the_instant_that_asks() {
        for (expression, zone, from) in [
            ("*/7 1-3 * * *", "Europe/Berlin", "2026-10-24T23:00:00Z"),
            ("*/7 1-3 * * *", "Europe/Berlin", "2026-03-28T23:00:00Z"),
            ("*/20 * * * *", "Australia/Lord_Howe", "2026-04-04T13:00:00Z"),
            ("*/20 1-3 * * *", "Australia/Lord_Howe", "2026-04-04T13:00:00Z"),
        ] {
            let table = cron(expression, zone);
            let all = table.upcoming(at(from), 40);
            for minute in 0..300 {
                let now = Micros(at(from).0 + minute * 60 * SECOND);
                assert_eq!(table.next(now), all.iter().copied().find(|slot| *slot > now), "{expression} {zone} {now}");
            }
        }
    }

    #[test]
    fn last_slot_and_count_are_bounded() {
        let daily = cron("0 2 * * *", "UTC");
        let (from, until) = (at("2026-01-01T00:00:00Z"), at("2026-11-30T12:00:00Z"));
        assert_eq!(daily.last(from, until), Some(at("2026-11-30T02:00:00Z")));
        assert_eq!(daily.last(at("2026-11-30T02:00:00Z"), until), None);
        assert_eq!(daily.count(from, until, 1_000), 334);
        assert_eq!(cron("* * * * *", "UTC").count(from, until, 1_000), 1_000);
        let leap = cron("0 0 29 2 *", "UTC");
        assert_eq!(leap.last(at("2024-01-01T00:00:00Z"), until), Some(at("2024-02-29T00:00:00Z")));
        let once = Timetable::new(&When::At { at: from.0 }).unwrap();
        assert_eq!((once.next(Micros(from.0 - 1)), once.next(from)), (Some(from), None));
        assert_eq!(once.last(Micros(0), until), Some(from));
        assert_eq!((daily.next(at("9999-12-31T23:00:00Z")), daily.next(Micros(u64::MAX))), (None, None));
    }
}
