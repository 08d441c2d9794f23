//! The hook: runs a program of the operator on the events of the webhook, with the same JSON on its stdin.
//!
//! A few threads run it, behind a bounded queue: a program that is slow costs only events beyond the bound. It runs in `/`, in a
//! process group that is killed when its time is over, and without any key of the server. What it prints goes to the log.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded, select};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::geteuid;

use crate::config::Config;
use crate::subprocess::{self, ChildEnd, ProgramOutcome, Until};
use crate::thread::Thread;
use crate::webhook;
use crate::worker::publish::changes::{ChangeKind, WorkerChange};

/// Most events that wait; further ones are dropped.
const QUEUE_MAX: usize = 256;
/// Programs that run at once.
const AT_ONCE: usize = 4;
/// Output of one run, in bytes; a program that prints more is killed.
const OUTPUT_MAX: usize = 64 * 1024;
/// Characters of the output that the log has.
const LOGGED_CHARS: usize = 1_000;

/// The operator's settings.
pub(crate) struct HookSettings {
    /// The program.
    pub program: PathBuf,
    /// The folders that agents write.
    pub roots: Vec<PathBuf>,
    /// The events.
    pub events: Vec<String>,
    /// Time that one run may take.
    pub time: Duration,
    /// The program's environment.
    pub env: Vec<(OsString, OsString)>,
}

/// A running hook.
pub(crate) struct Hook {
    queue: Sender<HookEvent>,
    kinds: Vec<ChangeKind>,
    dropped: AtomicU64,
}

/// The threads' end of it.
pub(crate) struct HookRuns {
    threads: Vec<Thread>,
    /// Nothing is sent: it closes when the last thread ends.
    ended: Receiver<()>,
    /// Dropping it has the threads run what waits, and end.
    hurry: Sender<()>,
    stop: Arc<AtomicBool>,
}

/// An event that waits.
struct HookEvent {
    json: Vec<u8>,
    project: PathBuf,
}

impl Hook {
    /// Starts it.
    ///
    /// # Errors
    /// The mistake in the settings, for people, or that there is no thread for it.
    pub(crate) fn start(settings: HookSettings) -> Result<(Self, HookRuns), String> {
        check(&settings.program, &settings.roots)?;
        let all = [ChangeKind::Waiting, ChangeKind::TurnCompleted, ChangeKind::Failed];
        let kinds = all.into_iter().filter(|kind| settings.events.iter().any(|event| event == kind.as_str())).collect();
        let (queue, events) = bounded(QUEUE_MAX);
        let (hurry, hurried) = bounded(0);
        let (ends, ended) = bounded(0);
        let (settings, stop) = (Arc::new(settings), Arc::new(AtomicBool::new(false)));
        let mut threads = Vec::new();
        for _ in 0..AT_ONCE {
            let (settings, stop) = (Arc::clone(&settings), Arc::clone(&stop));
            let (events, hurried, ends): (_, _, Sender<()>) = (events.clone(), hurried.clone(), ends.clone());
            let work = move || {
                let _ends = ends;
                run_all(&settings, (&events, &hurried), &stop);
            };
            threads.push(Thread::spawn("hook", work).map_err(|error| format!("no thread for the hook: {error}"))?);
        }
        Ok((Self { queue, kinds, dropped: AtomicU64::new(0) }, HookRuns { threads, ended, hurry, stop }))
    }

    /// Queues a change if it is one of the events. Never waits.
    pub(crate) fn report(&self, change: &WorkerChange) {
        if !self.kinds.contains(&change.kind) {
            return;
        }
        let Some(json) = webhook::payload(change) else { return };
        let event = HookEvent { json, project: PathBuf::from(&change.worker.project_path) };
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = self.queue.try_send(event) {
            // Logged at the first and then at each doubling, so that a program that hangs fills no log.
            let count = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
            if count.is_power_of_two() {
                log::warn!("the queue of HOOK_COMMAND is full: {count} events were dropped so far");
            }
        }
    }
}

impl HookRuns {
    /// Runs what waits, at most for `grace`; what runs then is killed.
    pub(crate) fn finish(self, grace: Duration) {
        let Self { threads, ended, hurry, stop } = self;
        drop(hurry);
        if ended.recv_timeout(grace) == Err(RecvTimeoutError::Timeout) {
            log::warn!("HOOK_COMMAND does not end: what waits for it is not run");
        }
        stop.store(true, Ordering::Relaxed);
        drop(threads);
    }
}

/// Refuses a program that somebody else than the server's user could replace.
///
/// # Errors
/// The reason, for people.
pub(crate) fn check(program: &Path, roots: &[PathBuf]) -> Result<(), String> {
    let refused = |why: String| Err(format!("HOOK_COMMAND: {} {why}", program.display()));
    let resolved = match program.canonicalize() {
        Ok(resolved) => resolved,
        Err(error) => return refused(format!("cannot be used: {error}")),
    };
    let metadata = match resolved.metadata() {
        Ok(metadata) => metadata,
        Err(error) => return refused(format!("cannot be used: {error}")),
    };
    let mode = metadata.permissions().mode();
    if !metadata.is_file() || mode & 0o111 == 0 {
        return refused("is not an executable file (chmod +x)".to_owned());
    }
    if metadata.uid() != geteuid().as_raw() && metadata.uid() != 0 {
        return refused(format!("belongs to user {}: give it to root or the server's user", metadata.uid()));
    }
    if mode & 0o022 != 0 {
        return refused("can be changed by other users (chmod go-w)".to_owned());
    }
    let is_inside = |root: &PathBuf| {
        let root = fs::canonicalize(root).unwrap_or_else(|_| root.clone());
        resolved.starts_with(&root) || program.starts_with(&root)
    };
    if let Some(root) = roots.iter().find(|root| is_inside(root)) {
        return refused(format!("is in {}, where agents write: move it elsewhere", root.display()));
    }
    Ok(())
}

/// The folders that agents write, as far as the settings name them.
pub(crate) fn hook_roots(config: &Config) -> Vec<PathBuf> {
    [&config.project_roots[..], std::slice::from_ref(&config.worktree_dir)].concat()
}

fn run_all(settings: &HookSettings, (events, hurried): (&Receiver<HookEvent>, &Receiver<()>), stop: &AtomicBool) {
    let next = || {
        select! {
            recv(events) -> event => event.ok(),
            // What waits still runs; what comes later does not.
            recv(hurried) -> _ => events.try_recv().ok(),
        }
    };
    while let Some(event) = next().filter(|_| !stop.load(Ordering::Relaxed)) {
        // A folder may have become a project, and a file's mode another, since the start.
        let roots = [&settings.roots[..], std::slice::from_ref(&event.project)].concat();
        let ran = check(&settings.program, &roots)
            .and_then(|()| run(settings, &event.json, stop).map_err(|error| format!("HOOK_COMMAND: {error}")));
        match ran {
            Ok(outcome) => log_outcome(&outcome),
            Err(why) => log::error!("{why}"),
        }
    }
}

fn run(settings: &HookSettings, json: &[u8], stop: &AtomicBool) -> io::Result<ProgramOutcome> {
    let mut input = File::from(memfd_create("event", MFdFlags::MFD_CLOEXEC)?);
    input.write_all(json)?;
    input.rewind()?;
    let mut command = Command::new(&settings.program);
    command.env_clear().envs(settings.env.iter().map(|(name, value)| (name, value))).current_dir("/");
    let stop = || stop.load(Ordering::Relaxed);
    let until = Until { deadline: Instant::now() + settings.time, bytes: OUTPUT_MAX, stop: &stop };
    subprocess::run(&mut command, Some(input), until)
}

fn log_outcome(outcome: &ProgramOutcome) {
    let text = [&outcome.stdout[..], &outcome.stderr[..]].concat();
    let text: String = String::from_utf8_lossy(&text).trim().chars().take(LOGGED_CHARS).collect();
    match outcome.end {
        ChildEnd::Exited(0) if text.is_empty() => {}
        ChildEnd::Exited(0) => log::info!("HOOK_COMMAND: {text}"),
        ChildEnd::Exited(code) => log::warn!("HOOK_COMMAND exited with {code}: {text}"),
        ChildEnd::Signaled(signal) => log::warn!("HOOK_COMMAND was ended by signal {signal}: {text}"),
        ChildEnd::Cut => log::warn!("HOOK_COMMAND was killed: it printed more than {OUTPUT_MAX} bytes"),
        ChildEnd::TimedOut => log::warn!("HOOK_COMMAND was killed: its time was over (see HOOK_TIMEOUT_SECS): {text}"),
        ChildEnd::Stopped => log::warn!("HOOK_COMMAND was killed: the server stops"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn program_that_others_can_replace_is_refused() {
        let scratch = Scratch::new();
        let program = scratch.path().join("hook");
        let refused = |roots: &[PathBuf]| check(&program, roots).unwrap_err();
        assert!(refused(&[]).contains("cannot be used"));
        fs::write(&program, "#!/bin/sh\n").unwrap();
        let mode = |mode| fs::set_permissions(&program, fs::Permissions::from_mode(mode)).unwrap();
        mode(0o600);
        assert!(refused(&[]).contains("executable"));
        mode(0o722);
        assert!(refused(&[]).contains("other users"));
        mode(0o700);
        assert_eq!(check(&program, &[]), Ok(()));
        assert!(refused(&[scratch.path().to_owned()]).contains("agents write"));
        let link = scratch.path().join("link");
        std::os::unix::fs::symlink(scratch.path(), &link).unwrap();
        assert!(refused(&[link]).contains("agents write"));
    }
}
