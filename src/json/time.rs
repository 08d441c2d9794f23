//! Delays, durations and points in time as CLIs print them. All of them are read here: what is outside of the bounds is
//! left out, since a wrong one would hold a queue for good or sort a session wrongly.

use serde_json::Value;

use crate::clock::Micros;

/// Longest duration that a CLI is believed: ten years, in milliseconds.
pub(crate) const DURATION_MS_MAX: u64 = 10 * 365 * 24 * 3_600 * 1_000;
/// Longest delay before a next try that a CLI is believed: a week, in milliseconds.
const DELAY_MS_MAX: u64 = 7 * 24 * 3_600 * 1_000;
/// Earliest point in time that a CLI is believed: the year 2000, in seconds since the Unix epoch.
const POINT_MIN: u64 = 946_684_800;
/// The points in time that a CLI is believed end before the year 2100, in seconds since the Unix epoch.
const POINT_END: u64 = 4_102_444_800;

/// The duration at `key`, in milliseconds; `None` for one that no turn can have taken.
pub(crate) fn duration_ms(value: &Value, key: &str) -> Option<u64> {
    number(value, key).filter(|ms| *ms <= DURATION_MS_MAX)
}

/// The delay at `key`, in milliseconds; `None` for one that nobody would wait for.
pub(crate) fn delay_ms(value: &Value, key: &str) -> Option<u64> {
    number(value, key).filter(|ms| *ms <= DELAY_MS_MAX)
}

/// The point in time at `key`: seconds or milliseconds since the Unix epoch, or text in ISO 8601. The two numbers can't
/// be confused within the bounds.
pub(crate) fn point(value: &Value, key: &str) -> Option<Micros> {
    match value.get(key)? {
        Value::String(text) => parse(text),
        Value::Number(_) => of_number(number(value, key)?),
        _ => None,
    }
}

/// The point in time that a text in ISO 8601 means, within the bounds.
pub(crate) fn parse(text: &str) -> Option<Micros> {
    Micros::parse_iso(text).filter(|time| (POINT_MIN..POINT_END).contains(&(time.0 / 1_000_000)))
}

/// The point in time that a number of seconds or milliseconds means, within the bounds.
pub(crate) fn of_number(number: u64) -> Option<Micros> {
    match number {
        POINT_MIN..POINT_END => Some(Micros(number * 1_000_000)),
        _ if (POINT_MIN * 1_000..POINT_END * 1_000).contains(&number) => Some(Micros(number * 1_000)),
        _ => None,
    }
}

/// The whole number at `key`; a fraction is cut off.
pub(crate) fn number(value: &Value, key: &str) -> Option<u64> {
    let value = value.get(key)?;
    value.as_u64().or_else(|| value.as_f64().filter(|number| *number >= 0.0).map(|number| number as u64))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn with(value: Value) -> Value {
        json!({ "it": value })
    }

    #[test]
    fn durations_that_no_turn_can_take_are_left_out() {
        let found = |value: Value| duration_ms(&with(value), "it");
        assert_eq!((found(json!(1500)), found(json!(1.5)), found(json!(0))), (Some(1500), Some(1), Some(0)));
        assert_eq!(
            (found(json!(1e26)), found(json!(u64::MAX)), found(json!(-1)), found(json!("1"))),
            (None, None, None, None)
        );
    }

    #[test]
    fn delays_that_nobody_would_wait_for_are_left_out() {
        let found = |value: Value| delay_ms(&with(value), "it");
        assert_eq!((found(json!(0)), found(json!(DELAY_MS_MAX))), (Some(0), Some(DELAY_MS_MAX)));
        for odd in [json!(DELAY_MS_MAX + 1), json!(1e26), json!(-1), json!("1"), json!("NaN"), json!(null), json!([])] {
            assert_eq!(found(odd.clone()), None, "{odd}");
        }
    }

    #[test]
    fn points_are_seconds_milliseconds_or_text() {
        let time = Some(Micros(1_700_000_000_000_000));
        for same in [json!(1_700_000_000), json!(1.7e9), json!(1_700_000_000_000_u64), json!("2023-11-14T22:13:20Z")] {
            assert_eq!(point(&with(same.clone()), "it"), time, "{same}");
        }
        for odd in
            [json!(0), json!(5), json!(-1_700_000_000), json!(1e26), json!(u64::MAX), json!("1e26"), json!("NaN")]
        {
            assert_eq!(point(&with(odd.clone()), "it"), None, "{odd}");
        }
        assert_eq!((parse("1999-12-31T23:59:59Z"), parse("2100-01-01T00:00:00Z")), (None, None));
    }

    /// Any number or text that a CLI may print in the place of a time.
    fn odd() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<u64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            (0_i32..30, 0.0..10.0_f64).prop_map(|(power, factor)| json!(factor * 10_f64.powi(power))),
            "[0-9TZ:. eE+-]{0,24}".prop_map(Value::from),
            prop::sample::select(vec!["NaN", "Infinity", "-0", "9999-12-31T23:59:59Z"]).prop_map(Value::from),
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
        ]
    }

    proptest! {
        #[test]
        fn any_value_is_within_the_bounds_or_left_out(value in odd()) {
            let line = with(value);
            prop_assert!(duration_ms(&line, "it").is_none_or(|ms| ms <= DURATION_MS_MAX));
            prop_assert!(delay_ms(&line, "it").is_none_or(|ms| ms <= DELAY_MS_MAX));
            let seconds = point(&line, "it").map(|time| time.0 / 1_000_000);
            prop_assert!(seconds.is_none_or(|seconds| (POINT_MIN..POINT_END).contains(&seconds)));
        }
    }
}
