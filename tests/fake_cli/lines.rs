//! Numbered lines, at full speed or at a rate.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

/// Bytes gathered before a write at full speed.
const BUFFER: usize = 64 * 1024;

/// When the line with a number (counted from 0) is due at a rate; `None` is at once.
pub(crate) fn due(start: Instant, number: u64, per_second: f64) -> Option<Instant> {
    (per_second > 0.0).then(|| start + Duration::from_secs_f64(number as f64 / per_second))
}

/// `lines COUNT [--rate PER_SECOND] [--pad BYTES] [--from FIRST]`
pub(crate) fn run(args: &[String]) -> io::Result<ExitCode> {
    let count = args.first().and_then(|word| word.parse().ok()).unwrap_or(u64::MAX);
    let option = |name: &str| {
        let at = args.iter().position(|word| word == name)?;
        args.get(at + 1)?.parse::<f64>().ok()
    };
    let rate = option("--rate").unwrap_or(0.0);
    let pad = "x".repeat(option("--pad").unwrap_or(0.0) as usize);
    let first = option("--from").unwrap_or(1.0) as u64;
    let start = Instant::now();
    let mut out = BufWriter::with_capacity(BUFFER, io::stdout());
    for number in 0..count {
        if let Some(due) = due(start, number, rate) {
            out.flush()?;
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        writeln!(out, "line {}{pad}", first + number)?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
