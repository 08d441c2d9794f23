//! Numbered lines, at full speed or at a rate.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt as _;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

/// Bytes gathered before a write at full speed.
const BUFFER: usize = 64 * 1024;

/// Returns the time at which the line with a number (counted from 0) is due at a rate; `None` is at once.
pub(crate) fn due(start: Instant, number: u64, per_second: f64) -> Option<Instant> {
    (per_second > 0.0).then(|| start + Duration::from_secs_f64(number as f64 / per_second))
}

/// `lines COUNT [--rate PER_SECOND] [--pad BYTES] [--from FIRST] [--tally FOLDER]`
///
/// With a tally, the file that is named after this process holds the number of the last line that the pipe has taken.
pub(crate) fn run(args: &[String]) -> io::Result<ExitCode> {
    let count = args.first().and_then(|word| word.parse().ok()).unwrap_or(u64::MAX);
    let text = |name: &str| {
        let at = args.iter().position(|word| word == name)?;
        args.get(at + 1)
    };
    let option = |name: &str| text(name)?.parse::<f64>().ok();
    let tally = text("--tally").map(|folder| File::create(format!("{folder}/{}", std::process::id()))).transpose()?;
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
        if let Some(tally) = &tally {
            out.flush()?;
            // As wide each time, so that it is never half a number.
            tally.write_all_at(format!("{:020}", first + number).as_bytes(), 0)?;
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
