//! Cursors: a client's position in a worker's history.

use crate::clock::Micros;

/// The sequence number of the last event that a client has, with the event's time if the client sends it.
///
/// The number alone is ambiguous after an older journal was restored and has grown past it: another event has that
/// number then. Two generations of a journal never have the same time at the same position, because both times come
/// from the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The sequence number.
    pub seq: u64,
    /// The time of the event's record.
    pub at: Option<Micros>,
}

impl Cursor {
    /// Reads the id of a Server-Sent Event: `SEQ.MICROSECONDS`, or `SEQ` as older builds wrote it.
    pub fn parse_id(id: &str) -> Option<Self> {
        match id.split_once('.') {
            Some((seq, at)) => Some(Self { seq: counted(seq)?, at: Some(Micros(counted(at)?)) }),
            None => Some(Self { seq: counted(id)?, at: None }),
        }
    }

    /// Reads a time in the format of an event's `timestamp`, or as microseconds since 1970.
    pub fn parse_time(text: &str) -> Option<Micros> {
        counted(text).map(Micros).or_else(|| Micros::parse_iso(text))
    }
}

/// Reads a non-negative number. A number that does not fit 64 bits reads as the largest.
pub(crate) fn counted(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_ids_carry_number_and_time_or_the_number_alone() {
        let cursor = |seq, at: Option<u64>| Some(Cursor { seq, at: at.map(Micros) });
        assert_eq!(Cursor::parse_id("47.1704067200000001"), cursor(47, Some(1_704_067_200_000_001)));
        assert_eq!(Cursor::parse_id("47"), cursor(47, None));
        assert_eq!(Cursor::parse_id("99999999999999999999"), cursor(u64::MAX, None));
        for wrong in ["", ".", "47.", ".5", "-1", "47.x", "4 7", "47.1.2"] {
            assert_eq!(Cursor::parse_id(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn times_are_read_as_events_carry_them() {
        let time = Micros(1_704_067_199_999_999);
        assert_eq!(Cursor::parse_time(&time.to_string()), Some(time));
        assert_eq!(Cursor::parse_time("1704067199999999"), Some(time));
        assert_eq!(Cursor::parse_time("yesterday"), None);
    }
}
