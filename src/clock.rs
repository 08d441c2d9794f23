//! Points in time in the formats of the journal and the wire. A leaf module: it imports no other module.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Microseconds since the Unix epoch, UTC. It is wall-clock time: it may jump, so order comes from sequence numbers and
/// time-outs from [`std::time::Instant`], never from this.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Micros(pub u64);

impl Micros {
    /// The current time; a clock before 1970 reads as 0.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
    }
}

impl Micros {
    /// ISO 8601 in UTC with microseconds, as in `2024-01-01T00:00:00.000000Z`.
    ///
    /// The calendar is Howard Hinnant's `civil_from_days`
    /// (<https://howardhinnant.github.io/date_algorithms.html#civil_from_days>). Every event carries its time, so the
    /// digits are written by hand: a formatter takes several times as long.
    pub fn iso(self) -> Iso {
        let (seconds, micros) = (self.0 / 1_000_000, self.0 % 1_000_000);
        let (days, rest) = (seconds / 86_400, seconds % 86_400);
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = year_of_era + era * 400 + u64::from(month <= 2);
        let fields = [(month, b'-'), (day, b'-'), (rest / 3_600, b'T'), (rest / 60 % 60, b':'), (rest % 60, b':')];
        let mut iso = Iso { bytes: [0; ISO_BYTES_MAX], begin: ISO_BYTES_MAX };
        iso.prepend(b'Z');
        iso.prepend_number(micros, 6);
        iso.prepend(b'.');
        for (field, before) in fields.into_iter().rev() {
            iso.prepend_number(field, 2);
            iso.prepend(before);
        }
        iso.prepend_number(year, 4);
        iso
    }
}

impl Micros {
    /// Reads a time as the CLIs write it: `2024-01-01T00:00:00Z`, with or without a fraction of the second. `None` for
    /// anything else, other time zones included.
    pub fn parse_iso(text: &str) -> Option<Self> {
        let number = |from: usize, to: usize| {
            let digits = text.get(from..to).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
            digits.parse::<u64>().ok()
        };
        let signs = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
        if signs.iter().any(|&(at, sign)| text.as_bytes().get(at) != Some(&sign)) {
            return None;
        }
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) || year < 1970 {
            return None;
        }
        let fraction = text.get(19..)?.strip_suffix('Z')?;
        let digits = fraction.strip_prefix('.').unwrap_or(fraction);
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let micros = digits.bytes().map(|byte| u64::from(byte - b'0')).chain(std::iter::repeat(0)).take(6);
        let micros = micros.fold(0, |sum, digit| sum * 10 + digit);
        // Howard Hinnant's `days_from_civil`, as above.
        let year = if month <= 2 { year - 1 } else { year };
        let shifted_month = if month > 2 { month - 3 } else { month + 9 };
        let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
        let (era, year_of_era) = (year / 400, year % 400);
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let days = era * 146_097 + day_of_era - 719_468;
        Some(Self((days * 86_400 + hour * 3_600 + minute * 60 + second) * 1_000_000 + micros))
    }
}

/// Bytes of the longest time: `u64::MAX` microseconds are in a year of six digits.
const ISO_BYTES_MAX: usize = 29;

/// A point in time as text.
#[derive(Clone, Copy)]
pub struct Iso {
    bytes: [u8; ISO_BYTES_MAX],
    begin: usize,
}

impl Iso {
    /// The text, in ASCII.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.begin..]
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        // It is made of digits and signs alone.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    fn prepend(&mut self, byte: u8) {
        self.begin -= 1;
        self.bytes[self.begin] = byte;
    }

    /// Prepends a number with at least `digits` digits.
    fn prepend_number(&mut self, mut number: u64, digits: usize) {
        let wanted = self.begin - digits;
        while self.begin > wanted || number > 0 {
            self.prepend(b'0' + (number % 10) as u8);
            number /= 10;
        }
    }
}

impl fmt::Display for Micros {
    /// Formats the time like [`Micros::iso`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.iso().as_str())
    }
}

impl serde::Serialize for Micros {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.iso().as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Micros;

    #[test]
    fn times_are_written_as_iso_8601_in_utc() {
        assert_eq!(Micros(0).to_string(), "1970-01-01T00:00:00.000000Z");
        assert_eq!(Micros(951_782_400_000_001).to_string(), "2000-02-29T00:00:00.000001Z");
        assert_eq!(Micros(1_704_067_199_999_999).to_string(), "2023-12-31T23:59:59.999999Z");
        assert_eq!(Micros(4_107_542_400_000_000).to_string(), "2100-03-01T00:00:00.000000Z");
        assert_eq!(Micros(253_402_300_800_000_000).to_string(), "10000-01-01T00:00:00.000000Z");
        for micros in [0, 951_782_400_000_001, 1_704_067_199_999_999, 4_107_542_400_000_000] {
            assert_eq!(Micros::parse_iso(&Micros(micros).to_string()), Some(Micros(micros)));
        }
        assert_eq!(Micros::parse_iso("1970-01-02T00:00:00Z"), Some(Micros(86_400_000_000)));
        assert_eq!(Micros::parse_iso("1970-01-01T00:00:01.5Z"), Some(Micros(1_500_000)));
        for wrong in
            ["", "1970-01-01", "1970-01-01T00:00:00+01:00", "1970-13-01T00:00:00Z", "1970-01-01T00:00:0xZ", "é"]
        {
            assert_eq!(Micros::parse_iso(wrong), None, "{wrong}");
        }
        assert_eq!(Micros(u64::MAX).to_string(), "586524-01-19T08:01:49.551615Z");
    }
}
