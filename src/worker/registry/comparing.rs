//! Comparing the workers of a group: the check of each one's work, and the difference between two.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::access::EVERYTHING;
use crate::thread::Thread;
use crate::worker::error::WorkerError;
use crate::worker::place::git::{GitBudget, GitError};
use crate::worker::place::look::ProjectChanges;
use crate::worker::place::look::changes::look_between;
use crate::worker::place::snapshot::ProjectTree;
use crate::worker::registry::Registry;
use crate::worker::registry::groups::Other;
use crate::worker::run::turns::TREES_CLAIM;
use crate::worker::run::worker::Worker;

/// Time limit of a comparison of two workers' files.
const DIFF_TIME: Duration = Duration::from_secs(30);

/// The outcome of a request to check the workers of a group.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct CheckOutcome {
    /// The workers whose check runs or waits.
    pub checked: Vec<Other>,
    /// The others, with the reasons.
    pub left: Vec<Other>,
}

impl Registry {
    /// Begins the checks of a group's workers, or of one of them. They run one after the other.
    ///
    /// # Errors
    /// Fails when the group or the worker does not exist, or the project file has no check.
    pub(crate) fn check_group(&self, id: &str, only: Option<&str>) -> Result<CheckOutcome, WorkerError> {
        let group = self.group(id, &EVERYTHING)?;
        if group.check.is_none() {
            // The error of a malformed project file.
            self.launcher().settings.projects.find(Path::new(&group.project_path))?;
            let text = format!("no project file has a check for {} (see docs/projects.md)", group.project_path);
            return Err(WorkerError::Conflict(text));
        }
        let mut outcome = CheckOutcome::default();
        for worker in self.members(|part| part.id == id) {
            if only.is_some_and(|only| worker.id() != only) {
                continue;
            }
            let other = |detail| Other { id: worker.id().to_owned(), name: worker.state().name.clone(), detail };
            match worker.begin_check() {
                Ok(()) => outcome.checked.push(other(None)),
                Err(error) => outcome.left.push(other(Some(error.to_string()))),
            }
        }
        if let (Some(only), true, true) = (only, outcome.checked.is_empty(), outcome.left.is_empty()) {
            return Err(WorkerError::Invalid(format!("the group has no worker {only}")).in_field("worker"));
        }
        Ok(outcome)
    }

    /// Ends, in the background, the checks that an earlier server has begun.
    pub(super) fn end_lost_checks(&self) -> std::io::Result<()> {
        let lost: Vec<_> = self.all().into_iter().filter(|worker| worker.hold_lost_check()).collect();
        if lost.is_empty() {
            return Ok(());
        }
        // The thread ends with the last one, each of which takes the grace period at most.
        Thread::spawn("checks", move || lost.iter().for_each(|worker| worker.end_lost_check())).map(Thread::detach)
    }

    /// Returns the difference between the present files of two workers of a group, from the first to the second. The
    /// inner `None` means that the project is not under git.
    ///
    /// # Errors
    /// Fails when one of them does not exist, or its folder cannot be used. The inner result is git's.
    pub(crate) fn diff_in_group(
        &self,
        id: &str,
        (from, to): (&str, &str),
        gone: &dyn Fn() -> bool,
    ) -> Result<Arc<Result<Option<ProjectChanges>, GitError>>, WorkerError> {
        let members = self.members(|part| part.id == id);
        if members.is_empty() {
            return Err(WorkerError::NotFound(format!("Group not found: {id}")));
        }
        let member = |field, wanted: &str| {
            let found = members.iter().find(|worker| worker.id() == wanted);
            let missing = || WorkerError::Invalid(format!("the group has no worker {wanted}")).in_field(field);
            found.ok_or_else(missing)
        };
        let (from, to) = (member("from", from)?, member("to", to)?);
        let folders = (from.require_project_here(&from.state())?, to.require_project_here(&to.state())?);
        let budget = GitBudget::new(DIFF_TIME, gone);
        from.looks.attempts.get(to.id().to_owned(), &budget, || {
            let Some(before) = take(from, &folders.0, budget)? else { return Ok(None) };
            let Some(after) = take(to, &folders.1, budget)? else { return Ok(None) };
            after.git.borrow_from(&before.git)?;
            let left_out = before.left_out.into_iter().chain(after.left_out);
            look_between(&after.git, (&before.tree, &after.tree), left_out).map(Some)
        })
    }
}

/// Records the tree of a worker's files, whose objects stay in the server's directory.
fn take<'b>(worker: &Worker, folder: &Path, budget: GitBudget<'b>) -> Result<Option<ProjectTree<'b>>, GitError> {
    let _claim = worker.claim(TREES_CLAIM.to_owned());
    worker.snapshots(folder).take(budget)
}
