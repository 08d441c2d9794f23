//! The time at which something that a command makes expires.

use crate::clock::Micros;

/// Microseconds of a minute.
const MINUTE: u64 = 60_000_000;
/// Longest time that `--expires` takes, in minutes: a century.
const MINUTES_MAX: u64 = 100 * 366 * 24 * 60;

/// The time after so many minutes, hours, days or weeks, as in `30d`.
pub(super) fn expiry(text: &str, now: Micros) -> Result<Micros, String> {
    let wrong = || format!("--expires {text}: give a number and m, h, d or w, as in 30d");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let minutes = match unit {
        'm' => 1,
        'h' => 60,
        'd' => 24 * 60,
        'w' => 7 * 24 * 60,
        _ => return Err(wrong()),
    };
    let count: u64 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| wrong())?;
    let minutes = count.checked_mul(minutes).filter(|all| (1..=MINUTES_MAX).contains(all)).ok_or_else(wrong)?;
    Ok(Micros(now.0.saturating_add(minutes * MINUTE)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expiry_takes_a_number_and_a_unit() {
        let now = Micros(1_000);
        for (text, minutes) in [("1m", 1), ("2h", 120), ("30d", 43_200), ("1w", 10_080)] {
            assert_eq!(expiry(text, now), Ok(Micros(1_000 + minutes * MINUTE)), "{text}");
        }
        for wrong in ["", "d", "30", "0d", "-1d", "1.5h", "1y", "1é", "99999999999999999999d", "999999999w"] {
            assert!(expiry(wrong, now).is_err(), "{wrong}");
        }
    }
}
