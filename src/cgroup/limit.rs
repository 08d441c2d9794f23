//! The limits of workers, which the kernel enforces on a group of each worker's own.
//!
//! The server needs a group that was delegated to it, as `Delegate=yes` of systemd does. A group with limits holds no
//! processes itself, so the server and its shims are in a leaf beside those of the workers: a shim only enters its
//! worker's group to start the CLI, and is back before the CLI reads anything. A worker that runs out of memory never
//! takes its shim, the server or another worker with it.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::own::OwnGroups;

/// Name of the server's own group, which `deploy/limits.conf` names too.
pub(crate) const LEAF: &str = "rs-worker-server";
/// Beginning of the names of workers' groups.
const WORKER: &str = "rs-worker-w-";
/// Period over which processor time is counted, in microseconds: the kernel's default.
const CPU_PERIOD_US: u64 = 100_000;
/// The controllers of the limits.
const CONTROLLERS: [&str; 3] = ["memory", "cpu", "pids"];
/// Name of the file of a group's processes.
const PROCS: &str = "cgroup.procs";

/// Bounds of a memory limit in bytes: no CLI starts in less than the least.
const MEMORY: (u64, u64) = (64 << 20, 1 << 44);
/// Bounds of processors, in thousandths.
const CPU: (u64, u64) = (50, 1_024_000);
/// Bounds of processes and threads.
const PIDS: (u64, u64) = (16, 4_194_304);

/// The limits of a worker's processes together; an absent one is unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkerLimits {
    /// Memory in bytes, files that it has in memory included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Processors, in thousandths: 1500 is the time of one and a half.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_millis: Option<u64>,
    /// Processes and threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids: Option<u64>,
}

impl WorkerLimits {
    /// The names of the fields on the wire.
    pub(crate) const FIELDS: [&str; 3] = CONTROLLERS;

    /// Returns whether all limits are unset.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns these limits, with those of `others` where they have none.
    pub(crate) fn or(self, others: Self) -> Self {
        Self {
            memory: self.memory.or(others.memory),
            cpu_millis: self.cpu_millis.or(others.cpu_millis),
            pids: self.pids.or(others.pids),
        }
    }

    /// Sets the field of this name from the wire; null removes its limit.
    ///
    /// # Errors
    /// The allowed values, as the end of a sentence that begins with the field's name.
    pub(crate) fn set(&mut self, field: &str, value: &Value) -> Result<(), &'static str> {
        let place = match field {
            "memory" => &mut self.memory,
            "cpu" => &mut self.cpu_millis,
            _ => &mut self.pids,
        };
        *place = match value {
            Value::Null => None,
            value => Some(read(field, value).ok_or_else(|| allowed(field))?),
        };
        Ok(())
    }

    /// Adds the limits to an object on the wire; absent ones are null.
    pub(crate) fn put(&self, object: &mut Map<String, Value>) {
        object.insert("memory".to_owned(), self.memory.into());
        object.insert("cpu".to_owned(), self.cpu_millis.map(|millis| millis as f64 / 1000.0).into());
        object.insert("pids".to_owned(), self.pids.into());
    }

    /// The files of a group with their contents.
    fn files(&self) -> [(&'static str, String, bool); 3] {
        let or_max = |limit: Option<u64>| limit.map_or_else(|| "max".to_owned(), |limit| limit.to_string());
        let quota = or_max(self.cpu_millis.map(|millis| millis * CPU_PERIOD_US / 1000));
        [
            ("memory.max", or_max(self.memory), self.memory.is_some()),
            ("cpu.max", format!("{quota} {CPU_PERIOD_US}"), self.cpu_millis.is_some()),
            ("pids.max", or_max(self.pids), self.pids.is_some()),
        ]
    }
}

fn read(field: &str, value: &Value) -> Option<u64> {
    let (number, (least, most)) = match field {
        "memory" => (value.as_u64().or_else(|| byte_count(value.as_str()?)), MEMORY),
        "cpu" => (value.as_f64().filter(|it| it.is_finite() && *it > 0.0).map(|it| (it * 1000.0).round() as u64), CPU),
        _ => (value.as_u64(), PIDS),
    };
    number.filter(|number| (least..=most).contains(number))
}

/// Returns the allowed values of a field.
pub(crate) fn allowed(field: &str) -> &'static str {
    match field {
        "memory" => "a number of bytes from 64MiB to 16384GiB, with an optional `KiB`, `MiB` or `GiB`",
        "cpu" => "a number of processors from 0.05 to 1024, such as 1.5",
        _ => "a whole number of processes and threads from 16 to 4194304",
    }
}

fn byte_count(text: &str) -> Option<u64> {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    for (unit, size) in units {
        if let Some(number) = text.strip_suffix(unit) {
            return number.trim_end().parse::<u64>().ok()?.checked_mul(size);
        }
    }
    text.parse().ok()
}

/// The reason that limits are not enforced, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LimitGap(String);

impl fmt::Display for LimitGap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The delegated group of a server, below which its workers have theirs.
#[derive(Debug)]
pub(crate) struct Delegation {
    base: Result<PathBuf, LimitGap>,
    /// Held while a group is made or removed.
    making: Mutex<()>,
}

impl Delegation {
    /// Takes the group of this process, if it was delegated: moves the process into a leaf and turns the controllers on.
    pub(crate) fn take() -> Self {
        let base = OwnGroups::read()
            .unified
            .ok_or_else(|| LimitGap("this system has no control groups of version 2".to_owned()))
            .and_then(|own| take(&own.folder, std::process::id(), is_main_process_of_systemd()));
        if let Ok(base) = &base {
            remove_left_over(base);
        }
        Self { base, making: Mutex::default() }
    }

    /// Looks whether limits could be enforced, and changes nothing. A server that is running may be in another group.
    pub(crate) fn look() -> Result<(), LimitGap> {
        let own = OwnGroups::read().unified.map(|own| own.folder);
        let own = own.ok_or_else(|| LimitGap("this system has no control groups of version 2".to_owned()))?;
        missing_controllers(base_of(&own))
    }

    /// Checks that limits can be enforced.
    ///
    /// # Errors
    /// Fails when they can't, with the reason.
    pub(crate) fn check(&self) -> Result<(), LimitGap> {
        self.base.as_ref().map(drop).map_err(LimitGap::clone)
    }

    /// Makes the group of a worker and sets its limits; returns its folder.
    ///
    /// # Errors
    /// Fails when limits are not enforced, with the reason.
    pub(crate) fn group_of(&self, worker_id: &str, limits: &WorkerLimits) -> Result<PathBuf, LimitGap> {
        let base = self.base.as_ref().map_err(LimitGap::clone)?;
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = base.join(format!("{WORKER}{worker_id}"));
        let made = make(&folder, limits);
        made.map_err(|error| LimitGap(format!("the control group {} cannot be made: {error}", folder.display())))?;
        Ok(folder)
    }
}

/// Returns the group whose children are the leaf and the workers' groups.
fn base_of(own: &Path) -> &Path {
    match own.parent() {
        Some(parent) if own.ends_with(LEAF) => parent,
        _ => own,
    }
}

fn missing_controllers(base: &Path) -> Result<(), LimitGap> {
    let listed = fs::read_to_string(base.join("cgroup.controllers")).unwrap_or_default();
    let missing: Vec<_> =
        CONTROLLERS.into_iter().filter(|name| !listed.split_whitespace().any(|it| it == *name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let (base, missing) = (base.display(), missing.join(", "));
    Err(LimitGap(format!(
        "the server's control group {base} lacks the controllers {missing}; delegate them (Delegate=yes)"
    )))
}

/// Takes the group `own` for a process of this id.
fn take(own: &Path, pid: u32, by_systemd: bool) -> Result<PathBuf, LimitGap> {
    let base = base_of(own);
    missing_controllers(base)?;
    let shown = base.display();
    let failed = |what: &str, error: io::Error| LimitGap(format!("{what} in the control group {shown}: {error}"));
    if base == own {
        if by_systemd {
            // It could not start the service again while agents of the last start have groups here.
            let text =
                "the service lacks DelegateSubgroup=rs-worker-server (systemd 254 or later, see deploy/limits.conf)";
            return Err(LimitGap(text.to_owned()));
        }
        let inside = fs::read_to_string(own.join(PROCS)).map_err(|error| failed("cannot list processes", error))?;
        if inside.split_whitespace().any(|other| other != pid.to_string()) {
            let text = format!(
                "other processes are in the server's control group {shown}: start it as a service, or by \
                                systemd-run --scope -p Delegate=yes"
            );
            return Err(LimitGap(text));
        }
        let leaf = own.join(LEAF);
        match fs::create_dir(&leaf) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed("cannot make a group", error));
            }
            _ => {}
        }
        write(&leaf.join(PROCS), &pid.to_string()).map_err(|error| failed("cannot enter a group", error))?;
    }
    for controller in CONTROLLERS {
        write(&base.join("cgroup.subtree_control"), &format!("+{controller}"))
            .map_err(|error| failed(&format!("cannot turn the {controller} controller on"), error))?;
    }
    Ok(base.to_owned())
}

fn is_main_process_of_systemd() -> bool {
    std::env::var("SYSTEMD_EXEC_PID").is_ok_and(|pid| pid == std::process::id().to_string())
}

fn make(folder: &Path, limits: &WorkerLimits) -> io::Result<()> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    for (name, text, is_needed) in limits.files() {
        let set = write(&folder.join(name), &text);
        if is_needed {
            set.map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))?;
        }
    }
    // What does not fit is not swapped out instead. Kernels without swap have no such file.
    let swap = if limits.memory.is_some() { "0" } else { "max" };
    let _ = write(&folder.join("memory.swap.max"), swap);
    Ok(())
}

/// Removes the groups of workers that have ended; those in use stay.
fn remove_left_over(base: &Path) {
    let names = fs::read_dir(base).into_iter().flatten().flatten();
    for entry in names.filter(|entry| entry.file_name().to_string_lossy().starts_with(WORKER)) {
        let _ = fs::remove_dir(entry.path());
    }
}

/// Writes a file of the kernel, which is never created.
fn write(path: &Path, text: &str) -> io::Result<()> {
    use std::io::Write as _;
    fs::OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes())
}

/// Returns the number of processes of a group that the kernel has killed for memory; `None` for a group without the
/// controller.
pub(crate) fn kills(folder: &Path) -> Option<u64> {
    let events = fs::read_to_string(folder.join("memory.events")).ok()?;
    let count = events.lines().find_map(|line| line.strip_prefix("oom_kill "))?;
    count.trim().parse().ok()
}

/// Runs `action` with the calling process in the group `folder`, and returns to the process's own group afterwards.
///
/// # Errors
/// Fails when the group cannot be entered or left.
pub(crate) fn inside<T>(folder: &Path, action: impl FnOnce() -> T) -> io::Result<T> {
    let own = OwnGroups::read().unified.ok_or_else(|| io::Error::other("no control groups of version 2"))?;
    write(&folder.join(PROCS), "0")?;
    let done = action();
    write(&own.folder.join(PROCS), "0")?;
    Ok(done)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::scratch::Scratch;

    /// Puts the files of the kernel into a folder.
    fn put(folder: &Path, files: &[(&str, &str)]) {
        fs::create_dir_all(folder).unwrap();
        for (name, text) in files {
            fs::write(folder.join(name), text).unwrap();
        }
    }

    fn text(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn limits_are_read_within_bounds() {
        let set = |field: &str, value: &Value| {
            let mut limits = WorkerLimits::default();
            limits.set(field, value).map(|()| limits)
        };
        assert_eq!(set("memory", &json!("1GiB")).unwrap().memory, Some(1 << 30));
        assert_eq!(set("memory", &json!(64 << 20)).unwrap().memory, Some(64 << 20));
        assert_eq!(set("cpu", &json!(1.5)).unwrap().cpu_millis, Some(1500));
        assert_eq!(set("cpu", &json!(2)).unwrap().cpu_millis, Some(2000));
        assert_eq!(set("pids", &json!(100)).unwrap().pids, Some(100));
        for (field, value) in [
            ("memory", json!("1")),
            ("memory", json!("99999999999999GiB")),
            ("memory", json!(-1)),
            ("cpu", json!(0.01)),
            ("cpu", json!(1e300)),
            ("pids", json!(15)),
            ("pids", json!("100")),
        ] {
            assert_eq!(set(field, &value), Err(allowed(field)), "{field}: {value}");
        }
    }

    #[test]
    fn group_of_a_worker_gets_its_limits() {
        let scratch = Scratch::new();
        let base = scratch.path().to_owned();
        let own = base.join("rs-worker-w-1");
        let files = ["memory.max", "memory.swap.max", "cpu.max", "pids.max"].map(|name| (name, ""));
        put(&own, &files);
        let groups = Delegation { base: Ok(base.clone()), making: Mutex::default() };
        let limits = WorkerLimits { memory: Some(1 << 30), cpu_millis: Some(1500), pids: None };
        assert_eq!(groups.group_of("1", &limits), Ok(own.clone()));
        let found = files.map(|(name, _)| text(&own.join(name)));
        assert_eq!(found, ["1073741824", "0", "150000 100000", "max"]);

        let without = groups.group_of("2", &limits).unwrap_err();
        assert!(without.to_string().contains("memory.max"), "{without}");
    }

    #[test]
    fn delegated_group_is_taken_with_a_leaf_for_the_server() {
        let scratch = Scratch::new();
        let own = scratch.path().join("service");
        let files =
            [("cgroup.controllers", "cpu memory pids\n"), ("cgroup.procs", "42\n"), ("cgroup.subtree_control", "")];
        put(&own, &files);
        put(&own.join(LEAF), &[("cgroup.procs", "")]);
        assert_eq!(take(&own, 42, false), Ok(own.clone()));
        assert_eq!(text(&own.join(LEAF).join("cgroup.procs")), "42");
        assert!(text(&own.join("cgroup.subtree_control")).starts_with("+pids"), "each is turned on");
        assert_eq!(take(&own.join(LEAF), 43, true), Ok(own), "as a service starts it");
    }

    #[test]
    fn groups_that_are_not_delegated_are_left_alone() {
        let scratch = Scratch::new();
        let own = scratch.path();
        let reason = |by_systemd| take(own, 42, by_systemd).unwrap_err().to_string();
        assert!(reason(false).contains("lacks the controllers memory, cpu, pids"), "{}", reason(false));
        put(own, &[("cgroup.controllers", "cpu memory pids\n"), ("cgroup.procs", "42\n7\n")]);
        assert!(reason(false).contains("other processes"), "{}", reason(false));
        assert!(reason(true).contains("DelegateSubgroup"), "{}", reason(true));
        assert!(!own.join(LEAF).exists());
    }
}
