//! The output of a server's program.

use std::fs;

use super::server::TestServer;
use super::wait::{DEADLINE, within};

impl TestServer {
    /// Returns the program's output since its last start.
    pub(crate) fn output(&self) -> String {
        let file = self.dir.path().join(format!("server-{}.out", self.starts));
        String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned()
    }

    /// Waits until its output since its last start has `text`: log lines of the start are printed after the address,
    /// when it already serves.
    #[track_caller]
    pub(crate) fn wait_output(&self, text: &str) {
        if within(DEADLINE, || self.output().contains(text).then_some(())).is_none() {
            panic!("{text:?} is not in the output:\n{}", self.output());
        }
    }

    /// Returns the end of its output, over all starts, for a failure's message.
    pub(crate) fn log(&self) -> String {
        /// Characters shown of each start.
        const SHOWN: usize = 8_000;
        let mut log = String::new();
        for start in 1..=self.starts {
            let file = self.dir.path().join(format!("server-{start}.out"));
            let text = String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned();
            let skip = text.chars().count().saturating_sub(SHOWN);
            log.push_str(&format!("--- output of start {start}\n"));
            log.extend(text.chars().skip(skip));
        }
        log
    }
}
