//! The hook: runs a program of the operator on the events of the webhook, with the same JSON on its stdin.
//!
//! A few threads run it, behind a bounded queue: a program that is slow costs only events beyond the bound. It runs in `/`, in a
//! process group that is killed when its time is over, and without any key of the server. What it prints goes to the log.

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
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

/// Most links that lead to the program, as the system's own bound.
const LINKS_MAX: usize = 40;
/// Time between two looks whether the workers are loaded.
const OPEN_PAUSE: Duration = Duration::from_millis(50);

/// The operator's settings.
pub(crate) struct HookSettings {
    /// The program.
    pub program: PathBuf,
    /// The folders that agents write, as far as the settings name them.
    pub roots: Vec<PathBuf>,
    /// The events.
    pub events: Vec<String>,
    /// Time that one run may take.
    pub time: Duration,
    /// The program's environment.
    pub env: Vec<(OsString, OsString)>,
}

/// Lists the folders in which workers work now.
pub(crate) type WorkFolders = Box<dyn Fn() -> Vec<PathBuf> + Send + Sync>;

/// A running hook.
pub(crate) struct Hook {
    folders: Arc<OnceLock<WorkFolders>>,
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

/// All that a thread needs for its runs.
struct Runs {
    settings: Arc<HookSettings>,
    folders: Arc<OnceLock<WorkFolders>>,
    stop: Arc<AtomicBool>,
}

impl Hook {
    /// Starts it.
    ///
    /// # Errors
    /// The mistake in the settings, for people, or that its thread cannot be started.
    pub(crate) fn start(settings: HookSettings) -> Result<(Self, HookRuns), String> {
        check(&settings.program, &settings.roots)?;
        let all = [ChangeKind::Waiting, ChangeKind::TurnCompleted, ChangeKind::Failed, ChangeKind::Budget];
        let kinds = all.into_iter().filter(|kind| settings.events.iter().any(|event| event == kind.as_str())).collect();
        let (queue, events) = bounded(QUEUE_MAX);
        let (hurry, hurried) = bounded(0);
        let (ends, ended) = bounded(0);
        let (settings, stop) = (Arc::new(settings), Arc::new(AtomicBool::new(false)));
        let folders = Arc::new(OnceLock::new());
        let mut threads = Vec::new();
        for _ in 0..AT_ONCE {
            let (settings, folders) = (Arc::clone(&settings), Arc::clone(&folders));
            let runs = Runs { settings, folders, stop: Arc::clone(&stop) };
            let (events, hurried, ends): (_, _, Sender<()>) = (events.clone(), hurried.clone(), ends.clone());
            let work = move || {
                let _ends = ends;
                runs.run_all(&events, &hurried);
            };
            threads.push(Thread::spawn("hook", work).map_err(|error| format!("no thread for the hook: {error}"))?);
        }
        Ok((Self { folders, queue, kinds, dropped: AtomicU64::new(0) }, HookRuns { threads, ended, hurry, stop }))
    }

    /// Lets it run: the workers are loaded, and their folders are known. Events wait until then.
    pub(crate) fn open(&self, folders: WorkFolders) {
        // A second call changes nothing.
        let _ = self.folders.set(folders);
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

/// Refuses a program that somebody else than the server's user could replace, or have the system find elsewhere: by a link or
/// a folder on the way to it. Returns its path without links, which is the one to run.
///
/// # Errors
/// The reason, for people.
pub(crate) fn check(program: &Path, roots: &[PathBuf]) -> Result<PathBuf, String> {
    let refused = |why: String| Err(format!("HOOK_COMMAND: {} {why}", program.display()));
    let (passed, metadata) = match follow(program).and_then(|passed| Ok((passed.clone(), passed.program()?))) {
        Ok(found) => found,
        Err(error) => return refused(format!("cannot be used: {error}")),
    };
    let mode = metadata.permissions().mode();
    if !metadata.is_file() || mode & 0o111 == 0 {
        return refused("is not an executable file (chmod +x)".to_owned());
    }
    if mode & 0o022 != 0 {
        return refused("can be changed by other users (chmod go-w)".to_owned());
    }
    let is_inside = |root: &PathBuf| {
        let root = fs::canonicalize(root).unwrap_or_else(|_| root.clone());
        passed.all.iter().any(|(path, _)| path.starts_with(&root)) || program.starts_with(&root)
    };
    if let Some(root) = roots.iter().find(|root| is_inside(root)) {
        return refused(format!("is in {}, where agents write: move it elsewhere", root.display()));
    }
    for (path, metadata) in &passed.all {
        let (uid, mode, path) = (metadata.uid(), metadata.permissions().mode(), path.display());
        if uid != geteuid().as_raw() && uid != 0 {
            return refused(format!(
                "can be replaced by user {uid}, who owns {path}: give it to root or the server's user"
            ));
        }
        // Nobody renames what belongs to others in a folder with the sticky bit, such as /tmp.
        if metadata.is_dir() && mode & 0o022 != 0 && mode & 0o1000 == 0 {
            return refused(format!("can be replaced by other users, who can write {path} (chmod go-w)"));
        }
    }
    Ok(passed.at)
}

/// The folders and links on the way to a program, with what they are, and where it is.
#[derive(Clone)]
struct ProgramPath {
    all: Vec<(PathBuf, Metadata)>,
    at: PathBuf,
}

impl ProgramPath {
    fn program(&self) -> io::Result<Metadata> {
        self.at.symlink_metadata()
    }
}

/// Follows a path as the system does, part by part.
fn follow(program: &Path) -> io::Result<ProgramPath> {
    let parts = |path: &Path| -> Vec<OsString> { path.iter().rev().map(OsString::from).collect() };
    let (mut all, mut at, mut links) = (Vec::new(), PathBuf::from("/"), 0);
    all.push((at.clone(), at.symlink_metadata()?));
    let mut rest = parts(&std::path::absolute(program)?);
    while let Some(part) = rest.pop() {
        match part.as_encoded_bytes() {
            b"." => {}
            b"/" => at = PathBuf::from("/"),
            b".." => drop(at.pop()),
            _ => {
                let next = at.join(&part);
                let metadata = next.symlink_metadata()?;
                if metadata.is_symlink() {
                    links += 1;
                    if links > LINKS_MAX {
                        return Err(io::Error::other(format!("more than {LINKS_MAX} links lead to it")));
                    }
                    rest.extend(parts(&fs::read_link(&next)?));
                } else {
                    at.clone_from(&next);
                }
                all.push((next, metadata));
            }
        }
    }
    Ok(ProgramPath { all, at })
}

/// The folders that agents write, as far as the settings name them.
pub(crate) fn hook_roots(config: &Config) -> Vec<PathBuf> {
    [&config.project_roots[..], std::slice::from_ref(&config.worktree_dir)].concat()
}

impl Runs {
    fn run_all(&self, events: &Receiver<HookEvent>, hurried: &Receiver<()>) {
        let is_stopped = || self.stop.load(Ordering::Relaxed);
        let next = || {
            select! {
                recv(events) -> event => event.ok(),
                // What waits still runs; what comes later does not.
                recv(hurried) -> _ => events.try_recv().ok(),
            }
        };
        while let Some(event) = next().filter(|_| !is_stopped()) {
            let folders = loop {
                match self.folders.get() {
                    Some(folders) => break folders(),
                    None if is_stopped() => return,
                    None => std::thread::sleep(OPEN_PAUSE),
                }
            };
            // A folder may have become a project, and a file's mode another, since the start.
            let roots = [&self.settings.roots[..], &folders, std::slice::from_ref(&event.project)].concat();
            let ran = check(&self.settings.program, &roots)
                .and_then(|program| self.run(&program, &event.json).map_err(|error| format!("HOOK_COMMAND: {error}")));
            match ran {
                Ok(outcome) => log_outcome(&outcome),
                Err(why) => log::error!("{why}"),
            }
        }
    }

    fn run(&self, program: &Path, json: &[u8]) -> io::Result<ProgramOutcome> {
        let mut input = File::from(memfd_create("event", MFdFlags::MFD_CLOEXEC)?);
        input.write_all(json)?;
        input.rewind()?;
        let mut command = Command::new(program);
        command.env_clear().envs(self.settings.env.iter().map(|(name, value)| (name, value))).current_dir("/");
        let stop = || self.stop.load(Ordering::Relaxed);
        let until = Until { deadline: Instant::now() + self.settings.time, bytes: OUTPUT_MAX, stop: &stop };
        subprocess::run(&mut command, Some(input), until)
    }
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
        assert_eq!(check(&program, &[]), Ok(program.canonicalize().unwrap()));
        assert!(refused(&[scratch.path().to_owned()]).contains("agents write"));
        let link = scratch.path().join("link");
        std::os::unix::fs::symlink(scratch.path(), &link).unwrap();
        assert!(refused(&[link]).contains("agents write"));
    }
    #[test]
    fn program_behind_a_replaceable_link_is_refused() {
        let scratch = Scratch::new();
        let [project, own] = ["project", "own"].map(|name| scratch.path().join(name));
        fs::create_dir(&project).unwrap();
        fs::create_dir(&own).unwrap();
        let (program, middle, first) = (own.join("hook"), project.join("middle"), own.join("first"));
        fs::write(&program, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
        std::os::unix::fs::symlink(&program, &middle).unwrap();
        std::os::unix::fs::symlink("../project/middle", &first).unwrap();
        assert_eq!(check(&first, &[]), Ok(program.canonicalize().unwrap()));
        assert!(check(&first, &[project]).unwrap_err().contains("agents write"), "the agent can change where it leads");
        let looping = own.join("loop");
        std::os::unix::fs::symlink("loop", &looping).unwrap();
        assert!(check(&looping, &[]).unwrap_err().contains("links"));
    }

    #[test]
    fn program_in_a_folder_that_others_write_is_refused() {
        let scratch = Scratch::new();
        let folder = scratch.path().join("open");
        let program = folder.join("hook");
        fs::create_dir(&folder).unwrap();
        fs::write(&program, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
        let mode = |mode| fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
        for (bits, is_refused) in [(0o755, false), (0o777, true), (0o775, true), (0o1777, false)] {
            mode(bits);
            assert_eq!(check(&program, &[]).is_err(), is_refused, "{bits:o}");
        }
    }
}
