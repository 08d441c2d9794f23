//! A control group with a memory limit, for servers under test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::require::print_skipped;
use super::wait::{DEADLINE, within};

/// Environment variable that turns tests without control groups into failed ones. Only some machines let users make
/// groups, so the variable for all other needs leaves these tests out.
const REQUIRE: &str = "RS_WORKER_TEST_REQUIRE_CGROUPS";

/// The place of the hierarchy of version 1 for memory.
const VERSION_1: &str = "/sys/fs/cgroup/memory";
/// The controllers of the limits of workers.
const CONTROLLERS: [&str; 3] = ["memory", "cpu", "pids"];

/// Held while a test has a group of version 2: the mount and the controllers of all groups are the same.
static TURN: Mutex<()> = Mutex::new(());

/// The hierarchy of version 2; unmounted when dropped, if it was not mounted before.
struct Hierarchy {
    root: PathBuf,
    is_own: bool,
    /// Dropped last.
    _turn: MutexGuard<'static, ()>,
}

impl Hierarchy {
    /// Finds it, or mounts it where it is not mounted, as on a machine without systemd; only root may.
    fn find() -> Result<Self, String> {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let mounts = fs::read_to_string("/proc/self/mountinfo").map_err(|error| error.to_string())?;
        let found = mounts.lines().find_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            after.starts_with("cgroup2 ").then(|| before.split(' ').nth(4))?
        });
        if let Some(root) = found {
            return Ok(Self { root: root.into(), is_own: false, _turn: turn });
        }
        let root = std::env::temp_dir().join(format!("rs-worker-test-{}-cgroup2", std::process::id()));
        fs::create_dir_all(&root).map_err(|error| format!("{}: {error}", root.display()))?;
        // Removes the folder if this fails.
        let unified = Self { root, is_own: true, _turn: turn };
        let made = Command::new("mount").args(["-t", "cgroup2", "none"]).arg(&unified.root).output();
        let made = made.map_err(|error| format!("mount: {error}"))?;
        let stderr = String::from_utf8_lossy(&made.stderr);
        made.status.success().then_some(unified).ok_or_else(|| format!("version 2 is not mounted: {}", stderr.trim()))
    }

    fn words_in(&self, file: &str) -> Result<Vec<String>, String> {
        let path = self.root.join(file);
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(text.split_whitespace().map(str::to_owned).collect())
    }
}

impl Drop for Hierarchy {
    fn drop(&mut self) {
        if self.is_own {
            let _ = Command::new("umount").arg(&self.root).stderr(Stdio::null()).status();
            let _ = fs::remove_dir(&self.root);
        }
    }
}

/// Controllers that were turned on for the groups below the root of version 2; turned off again when dropped.
struct ControllerSwitch {
    unified: Hierarchy,
    controllers: Vec<&'static str>,
}

impl ControllerSwitch {
    const fn none(unified: Hierarchy) -> Self {
        Self { unified, controllers: Vec::new() }
    }

    fn all(unified: Hierarchy) -> Result<Self, String> {
        let (there, on) = (unified.words_in("cgroup.controllers")?, unified.words_in("cgroup.subtree_control")?);
        let missing: Vec<_> = CONTROLLERS.into_iter().filter(|name| !there.iter().any(|it| it == name)).collect();
        if !missing.is_empty() {
            return Err(reason_for_missing(&unified.root, &missing));
        }
        let mut turned = Self::none(unified);
        for name in CONTROLLERS.into_iter().filter(|name| !on.iter().any(|it| it == name)) {
            turned.write('+', name).map_err(|error| format!("the controller {name} can't be turned on: {error}"))?;
            turned.controllers.push(name);
        }
        Ok(turned)
    }

    fn write(&self, sign: char, controller: &str) -> std::io::Result<()> {
        fs::write(self.unified.root.join("cgroup.subtree_control"), format!("{sign}{controller}"))
    }
}

impl Drop for ControllerSwitch {
    fn drop(&mut self) {
        for controller in &self.controllers {
            let _ = self.write('-', controller);
        }
    }
}

/// Says who has the controllers that version 2 lacks: a controller is in one hierarchy at a time.
fn reason_for_missing(root: &Path, missing: &[&str]) -> String {
    let table = fs::read_to_string("/proc/cgroups").unwrap_or_default();
    let taken = table.lines().filter_map(|line| {
        let mut fields = line.split_whitespace();
        let (name, hierarchy, groups) = (fields.next()?, fields.next()?, fields.next()?);
        let is_taken = missing.contains(&name) && hierarchy != "0";
        is_taken.then(|| format!("; version 1 has {name}, with {groups} groups"))
    });
    let taken: String = taken.collect();
    format!("{} lacks the controllers {}{taken}", root.display(), missing.join(", "))
}

/// A group of a test, removed with it.
pub(crate) struct TestGroup {
    folder: PathBuf,
    events: &'static str,
    /// The hierarchy of version 2, dropped after the group is removed.
    unified: Option<ControllerSwitch>,
}

impl TestGroup {
    /// Makes a group in which processes have this much memory together; `None`, with a note, where that is not allowed.
    ///
    /// # Panics
    /// Fails when it is required.
    pub(crate) fn with_memory(bytes: u64) -> Option<Self> {
        let made = if Path::new(VERSION_1).join("memory.limit_in_bytes").exists() {
            Self::make(Path::new(VERSION_1), &[("memory.limit_in_bytes", bytes.to_string())], "memory.oom_control")
        } else {
            Self::make_delegated(&[("memory.max", bytes.to_string())])
        };
        require(made)
    }

    /// Makes a group of version 2 with the controllers of the limits of workers. Turns them on where they are not, and
    /// mounts the hierarchy where it is not mounted.
    ///
    /// # Panics
    /// As [`TestGroup::with_memory`].
    pub(crate) fn delegated() -> Option<Self> {
        require(Self::make_delegated(&[]))
    }

    fn make_delegated(files: &[(&str, String)]) -> Result<Self, String> {
        Self::make_below(ControllerSwitch::all(Hierarchy::find()?)?, files)
    }

    fn make_below(controllers: ControllerSwitch, files: &[(&str, String)]) -> Result<Self, String> {
        let mut group = Self::make(&controllers.unified.root, files, "memory.events")?;
        group.unified = Some(controllers);
        Ok(group)
    }

    /// Makes a group of version 2, with whatever controllers.
    ///
    /// # Panics
    /// As [`TestGroup::with_memory`].
    pub(crate) fn plain() -> Option<Self> {
        require(Hierarchy::find().and_then(|unified| Self::make_below(ControllerSwitch::none(unified), &[])))
    }

    fn make(root: &Path, files: &[(&str, String)], events: &'static str) -> Result<Self, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("rs-worker-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = root.join(name);
        if !root.join("cgroup.procs").exists() {
            return Err(format!("{} is not a control group", root.display()));
        }
        fs::create_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let group = Self { folder, events, unified: None };
        for (name, text) in files {
            fs::write(group.folder.join(name), text).map_err(|error| format!("{name}: {error}"))?;
        }
        Ok(group)
    }

    /// Returns its folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the words before a command line that run it in the group.
    pub(crate) fn words(&self) -> [String; 4] {
        let procs = self.folder.join("cgroup.procs").display().to_string();
        ["sh".into(), "-c".into(), "echo $$ > \"$0\" && exec \"$@\"".into(), procs]
    }

    /// Returns the number of processes that the kernel has killed in it for memory.
    pub(crate) fn kills(&self) -> u64 {
        let events = fs::read_to_string(self.folder.join(self.events)).unwrap();
        events.lines().find_map(|line| line.strip_prefix("oom_kill ")).unwrap().trim().parse().unwrap()
    }
}

impl Drop for TestGroup {
    fn drop(&mut self) {
        let inner = fs::read_dir(&self.folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let folders: Vec<_> = inner.filter(|path| path.is_dir()).chain([self.folder.clone()]).collect();
        // The last processes may be ending.
        for folder in folders {
            let _ = within(DEADLINE, || fs::remove_dir(&folder).is_ok().then_some(()));
        }
    }
}

fn require(made: Result<TestGroup, String>) -> Option<TestGroup> {
    made.map_err(|error| {
        let note = format!("skipped: this test needs to make control groups: {error}");
        assert!(std::env::var_os(REQUIRE).is_none(), "{note} ({REQUIRE} is set)");
        print_skipped(&note);
    })
    .ok()
}
