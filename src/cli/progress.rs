//! A progress line on the terminal for a step that takes longer than a second.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};

use crate::thread::Thread;

/// Time after which a slow step is reported.
const PATIENCE: Duration = Duration::from_secs(1);

/// A step that may take long, until it is dropped.
pub(super) struct Progress {
    /// Ends the thread, which is joined afterwards.
    _end: Option<Sender<()>>,
    _thread: Option<Thread>,
}

impl Progress {
    /// Begins the step `what`. Prints nothing if standard error is not a terminal.
    pub(super) fn of(what: &str) -> Self {
        if !io::stderr().is_terminal() {
            return Self { _end: None, _thread: None };
        }
        let (end, ended) = bounded::<()>(0);
        let what = what.to_owned();
        let reported = move || {
            let begin = Instant::now();
            let mut shown = false;
            // A terminal that is gone needs no output.
            while ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                let _ = write!(io::stderr(), "\r\x1b[K{what} ({} s)", begin.elapsed().as_secs());
                shown = true;
            }
            if shown {
                let _ = write!(io::stderr(), "\r\x1b[K");
            }
        };
        Self { _end: Some(end), _thread: Thread::spawn("progress", reported).ok() }
    }
}
