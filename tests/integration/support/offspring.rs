//! The processes that a server under test has started.

use std::fs;

use super::processes::{self, Process};
use super::server::TestServer;
use super::wait::{DEADLINE, within};

/// The environment variable by which a worker's processes are known, as the shim sets it.
const WORKER_TAG: &str = "RS_WORKER_ID";

impl TestServer {
    /// Environment variable that counts a process among this server's own, so that the end of the test ends it.
    pub(crate) fn mark(&self) -> (&str, &str) {
        self.tag.split_once('=').unwrap()
    }

    /// The ids of the workers that have a folder in the data directory.
    pub(crate) fn worker_ids(&self) -> Vec<String> {
        let entries = fs::read_dir(self.data_dir()).into_iter().flatten().flatten();
        let folders = entries.filter(|entry| entry.path().is_dir());
        folders.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }

    /// Living processes of one worker: its CLI and what that has started (by their tag), and its shim (by the worker's
    /// folder on its command line).
    pub(crate) fn processes_of(&self, worker: &str) -> Vec<Process> {
        let tag = format!("{WORKER_TAG}={worker}");
        let folder = self.data_dir().join(worker).display().to_string();
        processes::find(|entry| entry == tag.as_bytes(), |command| command.contains(&folder))
    }

    /// Waits until no process of a worker lives.
    #[track_caller]
    pub(crate) fn wait_no_processes_of(&self, worker: &str) {
        let mut left = Vec::new();
        let gone = within(DEADLINE, || {
            left = self.processes_of(worker);
            left.is_empty().then_some(())
        });
        assert!(gone.is_some(), "still alive: {left:#?}\n{}", self.log());
    }

    /// Living processes that this server has started, directly or not, whatever has become of it.
    pub(crate) fn offspring(&self) -> Vec<Process> {
        let own = self.child.as_ref().map(|child| child.id() as i32);
        let mut found = processes::of_test(&self.tag, self.dir.path());
        for id in self.worker_ids() {
            for process in self.processes_of(&id) {
                if !found.contains(&process) {
                    found.push(process);
                }
            }
        }
        found.retain(|process| Some(process.pid) != own);
        found
    }
}
