//! Prometheus' text format, version 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>).

use std::fmt::{Display, Write as _};

use super::counts::Histogram;

/// The type of a metric family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetricKind {
    /// Only grows, until the process starts anew.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Buckets.
    Histogram,
}

impl MetricKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Families of numbers as text.
#[derive(Debug, Default)]
pub(crate) struct MetricsText {
    out: String,
    /// The name of the family that is being written.
    family: &'static str,
}

impl MetricsText {
    /// The type of the text.
    pub(crate) const MEDIA_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// Begins a family; its samples follow.
    pub(crate) fn family(&mut self, name: &'static str, kind: MetricKind, help: &str) -> &mut Self {
        self.family = name;
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        // Writing into memory has no way to fail, here and below.
        let _ = write!(self.out, "# HELP {name} {help}\n# TYPE {name} {}\n", kind.as_str());
        self
    }

    /// A sample of the family.
    pub(crate) fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) -> &mut Self {
        self.line("", labels, None, value);
        self
    }

    /// A family of one number.
    pub(crate) fn single(&mut self, name: &'static str, kind: MetricKind, help: &str, value: impl Display) {
        self.family(name, kind, help).sample(&[], value);
    }

    /// A histogram of the family, in seconds.
    pub(crate) fn histogram(&mut self, labels: &[(&str, &str)], histogram: &Histogram) -> &mut Self {
        let (buckets, count) = histogram.read();
        for (bound, so_far) in buckets {
            self.line("_bucket", labels, Some(&seconds(bound).to_string()), so_far);
        }
        self.line("_bucket", labels, Some("+Inf"), count);
        self.line("_sum", labels, None, seconds(histogram.sum_micros()));
        self.line("_count", labels, None, count);
        self
    }

    /// All of it.
    pub(crate) fn finish(self) -> String {
        self.out
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], le: Option<&str>, value: impl Display) {
        self.out.push_str(self.family);
        self.out.push_str(suffix);
        let mut separator = '{';
        for (name, text) in labels.iter().copied().chain(le.map(|le| ("le", le))) {
            let _ = write!(self.out, "{separator}{name}=\"");
            for c in text.chars() {
                match c {
                    '\\' => self.out.push_str("\\\\"),
                    '"' => self.out.push_str("\\\""),
                    '\n' => self.out.push_str("\\n"),
                    c => self.out.push(c),
                }
            }
            self.out.push('"');
            separator = ',';
        }
        if separator == ',' {
            self.out.push('}');
        }
        let _ = writeln!(self.out, " {value}");
    }
}

/// Microseconds as seconds.
fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn families_are_written_as_prometheus_reads_them() {
        static BOUNDS: [u64; 2] = [500, 1_000_000];
        let histogram = Histogram::new(&BOUNDS);
        histogram.observe(Duration::from_millis(2));
        let mut text = MetricsText::default();
        text.family("a_total", MetricKind::Counter, "Has a \\ and\na line end.")
            .sample(&[("x", "\"\\\n"), ("y", "é")], 3);
        text.single("b", MetricKind::Gauge, "One.", 0.25);
        text.family("c_seconds", MetricKind::Histogram, "Times.").histogram(&[("x", "1")], &histogram);
        let wanted = r#"# HELP a_total Has a \\ and\na line end.
# TYPE a_total counter
a_total{x="\"\\\n",y="é"} 3
# HELP b One.
# TYPE b gauge
b 0.25
# HELP c_seconds Times.
# TYPE c_seconds histogram
c_seconds_bucket{x="1",le="0.0005"} 0
c_seconds_bucket{x="1",le="1"} 1
c_seconds_bucket{x="1",le="+Inf"} 1
c_seconds_sum{x="1"} 0.002
c_seconds_count{x="1"} 1
"#;
        assert_eq!(text.finish(), wanted);
    }
}
