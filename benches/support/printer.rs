//! The CLI: it prints what a line on its stdin asks for. A `text` adapter drives it.
//!
//! ```text
//! go COUNT BYTES                       that many lines of that length, newline included, as fast as they are taken
//! tick COUNT BYTES PER_SECOND PHASE    lines at a rate, each with the time of its write; the phase, in sixteenths of
//!                                      the time between two lines, keeps several printers from printing at once
//! ```

use std::io::{self, BufRead, Write};
use std::time::Duration;

use super::nanos;

/// Bytes gathered before a write at full speed: a pipe's size.
const BUFFER: usize = 64 * 1024;
/// Digits of a line's number, and of its time.
pub(crate) const DIGITS: usize = 20;
/// Phases that distinguish printers.
const PHASES: u64 = 16;
/// The beginning of every line, before its number.
pub(crate) const MARK: &str = "line ";
/// Sample text of an agent.
const TEXT: &str = "The quick brown fox jumps over the lazy dog; \"quoted\", and then it does it all over again. ";

/// A line of `bytes` bytes: mark, number, text, newline.
pub(crate) fn line(bytes: usize) -> Vec<u8> {
    let mut line = format!("{MARK}{:0DIGITS$} ", 0).into_bytes();
    line.extend(TEXT.bytes().cycle().take(bytes.saturating_sub(line.len() + 1)));
    line.push(b'\n');
    line
}

/// Writes `number` into a line.
fn stamp(line: &mut [u8], mut number: u64) {
    for digit in line[MARK.len()..MARK.len() + DIGITS].iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// A command: runs it, for a relay. Nothing: waits for a command.
pub(crate) fn run(args: &[&str]) {
    // A reader that has gone away is the usual end.
    let _ = if args.is_empty() { obey() } else { print(args) };
}

fn obey() -> io::Result<()> {
    for command in io::stdin().lock().lines() {
        let command = command?;
        let words: Vec<&str> = command.split_whitespace().collect();
        print(&words)?;
    }
    Ok(())
}

fn print(words: &[&str]) -> io::Result<()> {
    let number = |at: usize| words.get(at).and_then(|word| word.parse::<u64>().ok()).unwrap_or(1);
    match words.first() {
        Some(&"tick") => tick(number(1), number(2) as usize, number(3), number(4)),
        Some(&"go") => go(number(1), number(2) as usize),
        _ => Ok(()),
    }
}

fn go(count: u64, bytes: usize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let mut line = line(bytes);
    let mut buffer = Vec::with_capacity(BUFFER + line.len());
    for number in 1..=count {
        stamp(&mut line, number);
        buffer.extend_from_slice(&line);
        if buffer.len() >= BUFFER {
            out.write_all(&buffer)?;
            buffer.clear();
        }
    }
    out.write_all(&buffer)?;
    out.flush()
}

fn tick(count: u64, bytes: usize, per_second: u64, phase: u64) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let mut line = line(bytes);
    let period = 1_000_000_000 / per_second.max(1);
    let begin = (nanos() / period + 2) * period + period * phase / PHASES;
    for number in 0..count {
        std::thread::sleep(Duration::from_nanos((begin + number * period).saturating_sub(nanos())));
        stamp(&mut line, nanos());
        out.write_all(&line)?;
        out.flush()?;
    }
    Ok(())
}
