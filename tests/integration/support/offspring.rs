//! The processes that a server under test has started.

use std::fs;

use super::processes::{self, Process};
use super::server::TestServer;
use super::wait::{DEADLINE, within};

/// The environment variable that identifies a worker's processes, set by the shim.
const WORKER_TAG: &str = "RS_WORKER_ID";

impl TestServer {
    /// Environment variable that marks a process as one of this server's, so that the end of the test ends it.
    pub(crate) fn mark(&self) -> (&str, &str) {
        self.tag.split_once('=').unwrap()
    }

    /// Returns the ids of the workers that have a folder in the data directory.
    pub(crate) fn worker_ids(&self) -> Vec<String> {
        let entries = fs::read_dir(self.data_dir()).into_iter().flatten().flatten();
        let folders = entries.filter(|entry| entry.path().is_dir());
        let names = folders.filter_map(|entry| entry.file_name().into_string().ok());
        // The server's own Git directories are there too, while it reads a project.
        names.filter(|name| !name.starts_with('.')).collect()
    }

    /// Returns the running processes of one worker: its CLI and the CLI's children (by their tag), and its shim (by the
    /// worker's folder on its command line).
    pub(crate) fn processes_of(&self, worker: &str) -> Vec<Process> {
        let tag = format!("{WORKER_TAG}={worker}");
        let folder = self.data_dir().join(worker).display().to_string();
        processes::find(|entry| entry == tag.as_bytes(), |command| command.contains(&folder))
    }

    /// Waits until no process of a worker is left.
    #[track_caller]
    pub(crate) fn wait_no_processes_of(&self, worker: &str) {
        let mut left = Vec::new();
        let gone = within(DEADLINE, || {
            left = self.processes_of(worker);
            left.is_empty().then_some(())
        });
        assert!(gone.is_some(), "still alive: {left:#?}\n{}", self.log());
    }

    /// Returns the running processes that this server has started, directly or not, even if they were reparented.
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
