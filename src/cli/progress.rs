//! A line on the terminal that says what is waited for, when that takes longer than a second.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};

use crate::thread::Thread;

/// Time after which a slow step is reported.
const PATIENCE: Duration = Duration::from_secs(1);

/// Something that may take long, until it is dropped.
pub(super) struct Progress {
    /// Ends the thread, which is joined after it.
    _end: Option<Sender<()>>,
    _thread: Option<Thread>,
}

impl Progress {
    /// Begins to wait for `what`. Nothing is told where standard error is no terminal.
    pub(super) fn of(what: &str) -> Self {
        if !io::stderr().is_terminal() {
            return Self { _end: None, _thread: None };
        }
        let (end, ended) = bounded::<()>(0);
        let what = what.to_owned();
        let reported = move || {
            let begin = Instant::now();
            let mut shown = false;
            // A terminal that is gone is nobody's loss.
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
