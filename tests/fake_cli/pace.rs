//! Words that are said one after the other, with pauses.

use std::io;
use std::thread;
use std::time::Duration;

/// Says `w0 `, `w1 `, ...: `N [MS]` is how many, and the milliseconds between two of them.
pub(crate) fn words(script: &str, mut say: impl FnMut(&str) -> io::Result<()>) -> io::Result<()> {
    let mut numbers = script.split(' ').map(|word| word.parse::<u64>().unwrap_or(0));
    let (count, pause) = (numbers.next().unwrap_or(1), numbers.next().unwrap_or(0));
    for number in 0..count {
        thread::sleep(Duration::from_millis(pause));
        say(&format!("w{number} "))?;
    }
    Ok(())
}
