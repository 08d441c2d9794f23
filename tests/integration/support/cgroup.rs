//! A control group with a memory limit, for servers under test.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::wait::{DEADLINE, within};

/// Environment variable that turns tests without control groups into failed ones. Only some machines let users make
/// groups, so the variable for all other needs leaves these tests out.
const REQUIRE: &str = "RS_WORKER_TEST_REQUIRE_CGROUPS";

/// The places of hierarchies: that of version 2, that of version 1 for memory, and that of version 2 beside version 1.
const UNIFIED: &str = "/sys/fs/cgroup";
const VERSION_1: &str = "/sys/fs/cgroup/memory";
const BESIDE: &str = "/sys/fs/cgroup/unified";

/// A group of a test, removed with it.
pub(crate) struct TestGroup {
    folder: PathBuf,
    events: &'static str,
}

impl TestGroup {
    /// Makes a group in which processes have this much memory together; `None`, with a note, where that is not allowed.
    ///
    /// # Panics
    /// Fails when it is required.
    pub(crate) fn with_memory(bytes: u64) -> Option<Self> {
        let made = if Path::new(VERSION_1).join("memory.limit_in_bytes").exists() {
            Self::make(VERSION_1, &[("memory.limit_in_bytes", bytes.to_string())], "memory.oom_control")
        } else {
            // Without the controller the limit has no file.
            Self::make(UNIFIED, &[("memory.max", bytes.to_string())], "memory.events")
        };
        require(made)
    }

    /// Makes a group of version 2 with the controllers of the limits of workers.
    ///
    /// # Panics
    /// As [`TestGroup::with_memory`].
    pub(crate) fn delegated() -> Option<Self> {
        let made = Self::make(UNIFIED, &[], "memory.events").and_then(|group| {
            let listed =
                fs::read_to_string(group.folder.join("cgroup.controllers")).map_err(|error| error.to_string())?;
            let has = |name: &str| listed.split_whitespace().any(|listed| listed == name);
            let all = ["memory", "cpu", "pids"].into_iter().all(has);
            if all { Ok(group) } else { Err(format!("the controllers of version 2 are {listed:?}")) }
        });
        require(made)
    }

    /// Makes a group of version 2, with whatever controllers.
    ///
    /// # Panics
    /// As [`TestGroup::with_memory`].
    pub(crate) fn plain() -> Option<Self> {
        let root = if Path::new(BESIDE).join("cgroup.procs").exists() { BESIDE } else { UNIFIED };
        require(Self::make(root, &[], "memory.events"))
    }

    fn make(root: &str, files: &[(&str, String)], events: &'static str) -> Result<Self, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("rs-worker-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = Path::new(root).join(name);
        if !Path::new(root).join("cgroup.procs").exists() {
            return Err(format!("{root} is not a control group"));
        }
        fs::create_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let group = Self { folder, events };
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
        eprintln!("{note}");
    })
    .ok()
}
