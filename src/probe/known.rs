//! Knowledge of the programs: looked for beside the callers, kept, and looked for again when it may have changed.
//!
//! Somebody who installs or updates a CLI while the server runs sees it in the list at once: each question looks at the
//! file again, which costs some `stat`s, and the program is run anew only if it is another one than before.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{FindError, VERSION_TIMEOUT, find_binary, version_unless};
use crate::thread::Thread;

/// Most programs that are probed at the same time.
const THREADS_MAX: usize = 4;
/// Time for which an answer is good before the file is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Time after which a program that reported no version is asked again: the machine may have been too busy.
const ASK_AGAIN: Duration = Duration::from_secs(10);
/// Most times that both its time and the pause before it are doubled, as long as it reports none: a machine that was
/// too busy once is often so for minutes, and each attempt adds to its work.
const DOUBLED_MAX: u32 = 3;

/// A program to look for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ProbeTarget {
    /// Its name or path.
    pub binary: String,
    /// The arguments that make it print its version; `None` when it must not be run for that.
    pub version_args: Option<Vec<String>>,
}

/// A program that was looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProbeResult {
    /// The path of the program, or the reason that it can't be used.
    pub path: Result<PathBuf, FindError>,
    /// Its version, where it says one.
    pub version: Option<String>,
}

/// Knowledge of all programs. Dropping it ends the threads that still look, within
/// [`STOP_NOTICED`](crate::subprocess::STOP_NOTICED).
#[derive(Debug)]
pub(crate) struct Probes {
    shared: Arc<ProbeState>,
    /// Joined after `stop` is set in [`Drop`].
    threads: Mutex<Vec<Thread>>,
}

/// The durations of the search; tests shorten them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// [`LOOK_AGAIN`].
    pub(super) look_again: Duration,
    /// [`ASK_AGAIN`].
    pub(super) ask_again: Duration,
    /// [`VERSION_TIMEOUT`].
    pub(super) version: Duration,
}

#[derive(Debug)]
struct ProbeState {
    times: Times,
    path: Option<OsString>,
    found: Mutex<ProbeTable>,
    news: Condvar,
    stop: AtomicBool,
}

#[derive(Debug, Default)]
struct ProbeTable {
    /// Programs that nobody looks for yet, with the number of times that their time is doubled.
    waiting: Vec<(ProbeTarget, u32)>,
    /// Answers; `None` while somebody looks.
    known: HashMap<ProbeTarget, Option<CachedProbe>>,
}

#[derive(Clone, Debug)]
struct CachedProbe {
    found: ProbeResult,
    file: ProgramFile,
    looked: Instant,
    asked: Instant,
    /// True while it is being asked again.
    is_asked: bool,
    /// Number of times that its time and the pause before it are doubled when it is asked again.
    doubled: u32,
}

/// Which file a program is: another one is there when any of it is another.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ProgramFile {
    path: Result<PathBuf, FindError>,
    /// Device, inode, length, seconds and nanoseconds of the last change of what a link leads to.
    identity: Option<(u64, u64, u64, i64, i64)>,
}

impl ProgramFile {
    fn look(wanted: &ProbeTarget, path: Option<&OsStr>) -> Self {
        let path = find_binary(&wanted.binary, path);
        let identity = path.as_ref().ok().and_then(|path| {
            let file = fs::metadata(path).ok()?;
            Some((file.dev(), file.ino(), file.len(), file.mtime(), file.mtime_nsec()))
        });
        Self { path, identity }
    }
}

impl Probes {
    /// Starts to look for programs, each at most once, in the folders of `path` (the value of PATH).
    ///
    /// Where the system has no thread to give, the programs are looked for here, without asking for versions.
    pub(crate) fn start(wanted: impl IntoIterator<Item = ProbeTarget>, path: Option<&OsStr>) -> Self {
        Self::start_with(wanted, path, Times { look_again: LOOK_AGAIN, ask_again: ASK_AGAIN, version: VERSION_TIMEOUT })
    }

    pub(super) fn start_with(
        wanted: impl IntoIterator<Item = ProbeTarget>,
        path: Option<&OsStr>,
        times: Times,
    ) -> Self {
        let mut state = ProbeTable::default();
        for program in wanted {
            if state.known.insert(program.clone(), None).is_none() {
                state.waiting.push((program, 0));
            }
        }
        // Taken from the end: the first comes first.
        state.waiting.reverse();
        let count = state.waiting.len().min(THREADS_MAX);
        let shared = Arc::new(ProbeState {
            times,
            path: path.map(OsStr::to_owned),
            found: Mutex::new(state),
            news: Condvar::new(),
            stop: AtomicBool::new(false),
        });
        let probes = Self { shared, threads: Mutex::default() };
        probes.work(count);
        probes
    }

    /// Returns what is known of a program after at most `wait`; `None` while it is still looked for, and for a program
    /// that was not asked for at the start. With no time to wait it answers at once.
    pub(crate) fn get(&self, wanted: &ProbeTarget, wait: Duration) -> Option<ProbeResult> {
        let deadline = Instant::now() + wait;
        self.look_again(wanted);
        let mut state = self.shared.lock();
        loop {
            if let Some(known) = state.known.get(wanted)? {
                return Some(known.found.clone());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            let waited = self.shared.news.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Has a program asked again when its file is another one, or when it printed no version some time ago. In the second
    /// case what is known stays until there is something better.
    fn look_again(&self, wanted: &ProbeTarget) {
        let is_due = |known: &CachedProbe| known.looked.elapsed() >= self.shared.times.look_again;
        let is_known = |state: &ProbeTable| matches!(state.known.get(wanted), Some(Some(known)) if is_due(known));
        if !is_known(&self.shared.lock()) {
            return;
        }
        // Folders may be slow, so nobody else waits for them.
        let file = ProgramFile::look(wanted, self.shared.path.as_deref());
        let mut state = self.shared.lock();
        let Some(slot) = state.known.get_mut(wanted) else { return };
        let Some(known) = slot.as_mut().filter(|known| is_due(known)) else { return };
        known.looked = Instant::now();
        let is_mute = known.file.path.is_ok() && wanted.version_args.is_some() && known.found.version.is_none();
        let doubled = known.doubled;
        let pause = self.shared.times.ask_again * (1 << doubled.saturating_sub(1));
        if known.file != file {
            *slot = None;
            state.waiting.push((wanted.clone(), 0));
        } else if is_mute && !known.is_asked && known.asked.elapsed() >= pause {
            known.is_asked = true;
            state.waiting.push((wanted.clone(), doubled));
        } else {
            return;
        }
        drop(state);
        self.work(1);
    }

    /// Starts so many threads for what waits; without any, the programs are only looked for.
    fn work(&self, count: usize) {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        threads.retain(|thread| !thread.is_finished());
        for _ in 0..count {
            let body = Arc::clone(&self.shared);
            match Thread::spawn("probe", move || body.work()) {
                Ok(thread) => threads.push(thread),
                Err(error) => log::warn!("no thread to look for CLIs with: {error}"),
            }
        }
        if threads.is_empty() {
            self.shared.find_only();
        }
    }
}

impl Drop for Probes {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.threads.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl ProbeState {
    fn lock(&self) -> MutexGuard<'_, ProbeTable> {
        // A panic elsewhere leaves the map as whole as it was.
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One thread's work: program after program until none waits.
    fn work(&self) {
        while !self.stop.load(Ordering::Relaxed) {
            let Some((wanted, doubled)) = self.lock().waiting.pop() else { return };
            let file = ProgramFile::look(&wanted, self.path.as_deref());
            let version = match (&file.path, &wanted.version_args) {
                (Ok(path), Some(args)) => version_unless(path, args, self.times.version * (1 << doubled), &self.stop),
                _ => None,
            };
            self.lock().keep(wanted, file, version, doubled);
            self.news.notify_all();
        }
    }

    fn find_only(&self) {
        let mut state = self.lock();
        while let Some((wanted, doubled)) = state.waiting.pop() {
            let file = ProgramFile::look(&wanted, self.path.as_deref());
            state.keep(wanted, file, None, doubled);
        }
    }
}

impl ProbeTable {
    /// Keeps what was found in a time that was doubled so often.
    fn keep(&mut self, wanted: ProbeTarget, file: ProgramFile, version: Option<String>, doubled: u32) {
        let now = Instant::now();
        let found = ProbeResult { path: file.path.clone(), version };
        let doubled = (doubled + 1).min(DOUBLED_MAX);
        self.known.insert(wanted, Some(CachedProbe { found, file, looked: now, asked: now, is_asked: false, doubled }));
    }
}
