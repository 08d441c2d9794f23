//! Words that are said one after the other, with pauses.

use std::io;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

/// Number of words of a message: so many, or so many after a file is there.
pub(crate) struct Count {
    more: u64,
    end: u64,
    file: Option<PathBuf>,
}

impl Count {
    /// `more` words, after `file` is there if one is named.
    pub(crate) fn new(more: u64, file: Option<&str>) -> Self {
        Self { more, end: more, file: file.map(PathBuf::from) }
    }

    /// Returns whether word `number` is one of them.
    pub(crate) fn has(&mut self, number: u64) -> bool {
        match &self.file {
            Some(file) if file.exists() => self.file = None,
            Some(_) => self.end = number + self.more,
            None => {}
        }
        number < self.end
    }
}

/// Says `w0 `, `w1 `, ...: `N [MS [FILE]]` is how many, the milliseconds between two of them, and the file after which
/// they are counted.
pub(crate) fn words(script: &str, mut say: impl FnMut(&str) -> io::Result<()>) -> io::Result<()> {
    let mut parts = script.split(' ');
    let mut number = || parts.next().map_or(0, |word| word.parse().unwrap_or(0));
    let (more, pause) = (number(), number());
    let mut count = Count::new(more, parts.next());
    for number in (0..).take_while(|number| count.has(*number)) {
        thread::sleep(Duration::from_millis(pause));
        say(&format!("w{number} "))?;
    }
    Ok(())
}
