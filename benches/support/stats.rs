//! Figures and how they are printed.

use std::time::Duration;

use super::report;

/// The value below which `share` of the samples lie.
pub(crate) fn quantile(samples: &mut [f64], share: f64) -> f64 {
    assert!(!samples.is_empty(), "nothing was measured");
    samples.sort_by(f64::total_cmp);
    samples[((samples.len() - 1) as f64 * share).round() as usize]
}

/// The middle one.
pub(crate) fn median(mut samples: Vec<f64>) -> f64 {
    quantile(&mut samples, 0.5)
}

/// Runs a measurement several times: best, and the middle one.
pub(crate) fn best_and_median(runs: usize, mut measure: impl FnMut() -> f64) -> (f64, f64) {
    let samples: Vec<f64> = (0..runs).map(|_| measure()).collect();
    (samples.iter().copied().fold(0.0, f64::max), median(samples))
}

/// A count a second.
pub(crate) fn rate(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

/// `1234567.8` as `1,234,568`.
pub(crate) fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.max(0.0));
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Prints one figure.
pub(crate) fn report(what: &str, figure: &str) {
    println!("  {what:<58} {figure}");
    report::note(what, figure, String::new());
}

/// Prints one figure with the bar that it has to reach.
pub(crate) fn judge(what: &str, figure: &str, bar: &str, reached: bool) {
    let verdict = if reached { "reached" } else { "MISSED" };
    println!("  {what:<58} {figure}   [{verdict}: {bar}]");
    report::note(what, figure, format!("{bar}: {}", verdict.to_lowercase()));
}
