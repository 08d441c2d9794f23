//! Numbers that many threads add to.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Creates one with the value 0.
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Adds `count`.
    pub(crate) fn add(&self, count: u64) {
        // Nobody concludes anything from the order of two counts.
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Returns its value.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number of things that exist now.
#[derive(Debug, Default)]
pub(crate) struct Gauge(AtomicU64);

impl Gauge {
    /// Creates one with the value 0.
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Counts one more, until what it returns is dropped.
    pub(crate) fn hold(&'static self) -> GaugeHold {
        self.0.fetch_add(1, Ordering::Relaxed);
        GaugeHold(self)
    }

    /// Sets it to `count`: for what somebody else counts.
    pub(crate) fn set(&self, count: usize) {
        self.0.store(count as u64, Ordering::Relaxed);
    }

    /// Returns its value.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One of those that a [`Gauge`] counts.
#[derive(Debug)]
pub(crate) struct GaugeHold(&'static Gauge);

impl Drop for GaugeHold {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Most buckets of a histogram, besides the one without a bound.
pub(super) const BUCKETS_MAX: usize = 16;

/// A histogram of durations.
#[derive(Debug)]
pub(crate) struct Histogram {
    /// Upper bounds of the buckets in microseconds, at most [`BUCKETS_MAX`].
    bounds: &'static [u64],
    counts: [AtomicU64; BUCKETS_MAX],
    /// Count of durations over the last bound.
    over: AtomicU64,
    sum_micros: AtomicU64,
}

impl Histogram {
    /// One with these upper bounds in microseconds, in growing order.
    pub(crate) const fn new(bounds: &'static [u64]) -> Self {
        assert!(bounds.len() <= BUCKETS_MAX, "a histogram has room for that many buckets");
        Self {
            bounds,
            counts: [const { AtomicU64::new(0) }; BUCKETS_MAX],
            over: AtomicU64::new(0),
            sum_micros: AtomicU64::new(0),
        }
    }

    /// Counts one that took so long.
    pub(crate) fn observe(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let at = self.bounds.partition_point(|&bound| bound < micros);
        let count = if at < self.bounds.len() { &self.counts[at] } else { &self.over };
        count.fetch_add(1, Ordering::Relaxed);
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// The upper bound of each bucket in microseconds and how many took at most that long; then how many there are.
    pub(super) fn read(&self) -> (Vec<(u64, u64)>, u64) {
        let mut so_far = 0;
        let buckets = self.bounds.iter().zip(&self.counts).map(|(&bound, count)| {
            so_far += count.load(Ordering::Relaxed);
            (bound, so_far)
        });
        let buckets: Vec<_> = buckets.collect();
        (buckets, so_far + self.over.load(Ordering::Relaxed))
    }

    /// Returns the sum of all durations, in microseconds.
    pub(super) fn sum_micros(&self) -> u64 {
        self.sum_micros.load(Ordering::Relaxed)
    }

    /// Returns whether nothing was counted yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.read().1 == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_counts_in_the_first_bucket_that_holds_it() {
        static BOUNDS: [u64; 3] = [10, 100, 1_000];
        let histogram = Histogram::new(&BOUNDS);
        assert!(histogram.is_empty());
        for micros in [0, 10, 11, 1_000, 1_001, 5_000] {
            histogram.observe(Duration::from_micros(micros));
        }
        assert_eq!(histogram.read(), (vec![(10, 2), (100, 3), (1_000, 4)], 6));
        assert_eq!(histogram.sum_micros(), 7_022);
        histogram.observe(Duration::MAX);
        assert_eq!(histogram.read().1, 7);
    }

    #[test]
    fn held_places_count_until_they_are_dropped() {
        static GAUGE: Gauge = Gauge::new();
        let (one, two) = (GAUGE.hold(), GAUGE.hold());
        assert_eq!(GAUGE.get(), 2);
        drop((one, two));
        assert_eq!(GAUGE.get(), 0);
    }
}
