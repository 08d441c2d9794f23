//! Groups: several workers that have one prompt and begin at one commit, each in its own worktree. A group exists only
//! in the journals of its workers; there is no other store.

use std::path::Path;
use std::sync::{Arc, PoisonError};

use serde::Serialize;

use crate::access::Reach;
use crate::clock::Micros;
use crate::journal::{Control, GroupPart, WorkerOptions};
use crate::worker::error::WorkerError;
use crate::worker::place::worktree::NewWorktree;
use crate::worker::publish::summary::Summary;
use crate::worker::registry::{NewWorker, Registry};
use crate::worker::run::commands::{NAME_CHARS_MAX, check_name};
use crate::worker::run::worker::Worker;
use crate::worker::state::grouped::Check;

/// Maximum number of workers in a group.
pub(crate) const ATTEMPTS_MAX: usize = 16;
/// Characters of a group's name at the beginning of its workers' names.
const PREFIX_CHARS_MAX: usize = 100;
/// Microseconds of a millisecond.
const MILLISECOND: u64 = 1_000;

/// A request for a group.
#[derive(Clone, Debug)]
pub(crate) struct NewGroup {
    /// Its name.
    pub name: String,
    /// The project's folder, resolved and allowed.
    pub project_path: String,
    /// The prompt of all its workers.
    pub prompt: String,
    /// The commit at which they begin; the project's own when absent.
    pub base: Option<String>,
    /// The client's key of the request.
    pub key: Option<String>,
    /// The hash of the request.
    pub request_hash: Option<u64>,
    /// The attempts: adapter and options.
    pub attempts: Vec<(String, WorkerOptions)>,
}

/// A group on the wire.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Group {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The prompt of all its workers.
    pub prompt: String,
    /// The repository's working folder.
    pub project_path: String,
    /// The commit at which all of them began.
    pub base: String,
    /// The intended number of workers.
    pub size: usize,
    /// The time at which it was created.
    pub created_at: Micros,
    /// The worker that was chosen.
    pub kept: Option<String>,
    /// The commands that check its workers' work, for people; absent if its project file has none.
    pub check: Option<String>,
    /// Its workers that still exist.
    pub workers: Vec<Attempt>,
}

/// One worker of a group on the wire.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Attempt {
    /// Its number in the group, from 1.
    pub attempt: usize,
    /// The duration of its turns, in milliseconds.
    pub worked_ms: u64,
    /// The newest check of its work.
    pub check: Option<Check>,
    /// The worker itself.
    #[serde(flatten)]
    pub summary: Summary,
}

/// The outcome of a choice.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct KeepOutcome {
    /// The worker that was chosen.
    pub kept: String,
    /// The workers that were deleted.
    pub deleted: Vec<Other>,
    /// The workers that were kept, with the reasons.
    pub left: Vec<Other>,
}

/// A worker that was not chosen.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Other {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The remains of its deletion, or the reason for which it is not deleted.
    pub detail: Option<String>,
}

impl Registry {
    /// Creates a group and returns its id. The same key again returns the same group, even if an earlier server was
    /// killed before the group was complete.
    ///
    /// # Errors
    /// Fails when the key was used for another request, or one of the workers cannot be created: then none is left.
    pub(crate) fn make_group(&self, new: NewGroup) -> Result<String, WorkerError> {
        let _grouping = self.grouping.lock().unwrap_or_else(PoisonError::into_inner);
        check_name(&new.name)?;
        let before = self.members(|part| part.key.is_some() && part.key == new.key);
        let known = before.first().and_then(|worker| worker.state().options.group.clone());
        let (id, base, created_at) = match known {
            Some(part) if part.request_hash != new.request_hash => {
                let text =
                    format!("the key made group {} with another request; use a new key for a new group", part.id);
                return Err(WorkerError::Reused { field: "idempotency_key", text });
            }
            // Missing ones have been deleted.
            Some(part) if before.iter().any(|worker| worker.state().grouped.is_made) => return Ok(part.id),
            Some(part) => (part.id, part.base, part.created_at),
            None => (uuid::Uuid::new_v4().to_string(), self.base_of(&new)?, Micros::now().0),
        };
        let size = new.attempts.len();
        let part = |number| GroupPart {
            id: id.clone(),
            name: new.name.clone(),
            prompt: new.prompt.clone(),
            base: base.clone(),
            number,
            size,
            created_at,
            key: new.key.clone(),
            request_hash: new.request_hash,
        };
        for (number, (kind, options)) in new.attempts.iter().enumerate() {
            let attempt = self.attempt(&new, (kind, options), part(number));
            if let Err(error) = self.create(attempt) {
                self.undo_group(&id);
                return Err(error.in_field("attempts"));
            }
        }
        let members = self.members(|part| part.id == id);
        for worker in &members {
            worker.append_control(&Control::GroupMade {})?;
        }
        for worker in &members {
            // A worker that cannot accept it reports the reason in its history; the others continue.
            if let Err(error) = self.open_worker(worker) {
                log::warn!("worker {} has not had its group's prompt: {error}", worker.id());
            }
        }
        Ok(id)
    }

    /// Returns the commit at which a group begins.
    fn base_of(&self, new: &NewGroup) -> Result<String, WorkerError> {
        let any = self.attempt(
            new,
            ("", &WorkerOptions::default()),
            GroupPart { base: String::new(), ..GroupPart::default() },
        );
        let wanted = NewWorker { worktree: Some(NewWorktree { branch: None, base: new.base.clone() }), ..any };
        let planned = self.plan_worktree(&wanted, &uuid::Uuid::new_v4().to_string());
        // An error of the base is reported in the field of that name.
        let planned = planned.map_err(|error| match error {
            WorkerError::InField { error, .. } => error.in_field("base"),
            other => other,
        })?;
        Ok(planned.map(|(tree, _)| tree.base).unwrap_or_default())
    }

    fn attempt(&self, new: &NewGroup, (kind, options): (&str, &WorkerOptions), part: GroupPart) -> NewWorker {
        let prefix: String = new.name.chars().take(PREFIX_CHARS_MAX).collect();
        let model = options.model.as_deref().map_or_else(String::new, |model| format!(" {model}"));
        let name: String =
            format!("{prefix} {}: {kind}{model}", part.number + 1).chars().take(NAME_CHARS_MAX).collect();
        let options = WorkerOptions {
            idempotency_key: Some(format!("group {} attempt {}", part.id, part.number)),
            request_hash: new.request_hash,
            group: Some(Box::new(part.clone())),
            ..options.clone()
        };
        NewWorker {
            name,
            project_path: new.project_path.clone(),
            ai_cli_type: kind.to_owned(),
            options,
            forked_from: None,
            follow: None,
            worktree: Some(NewWorktree { branch: None, base: Some(part.base) }),
        }
    }

    /// Deletes the workers of a group that cannot be created as a whole. They have had no prompt.
    fn undo_group(&self, id: &str) {
        for worker in self.members(|part| part.id == id) {
            if let Err(error) = self.delete(&worker, true) {
                log::error!("worker {} of a group that could not be made is left: {error}", worker.id());
            }
        }
    }

    /// Returns the workers of a group that match, in the order of their numbers.
    pub(super) fn members(&self, is_wanted: impl Fn(&GroupPart) -> bool) -> Vec<Arc<Worker>> {
        let place = |worker: &Arc<Worker>| {
            let state = worker.state();
            state.options.group.as_ref().filter(|part| is_wanted(part)).map(|part| part.number)
        };
        let mut members: Vec<_> = self.all().into_iter().filter_map(|worker| Some((place(&worker)?, worker))).collect();
        members.sort_by_key(|(number, _)| *number);
        members.into_iter().map(|(_, worker)| worker).collect()
    }

    /// The groups with workers in reach, the newest first.
    pub(crate) fn groups(&self, reach: &Reach) -> Vec<Group> {
        let mut ids: Vec<String> = Vec::new();
        for worker in self.members(|_| true) {
            if let Some(part) = &worker.state().options.group
                && !ids.contains(&part.id)
            {
                ids.push(part.id.clone());
            }
        }
        let mut groups: Vec<Group> = ids.iter().filter_map(|id| self.group(id, reach).ok()).collect();
        groups.sort_by(|a, b| (b.created_at.0, &b.id).cmp(&(a.created_at.0, &a.id)));
        groups
    }

    /// One group, with its workers in reach.
    ///
    /// # Errors
    /// Fails when no worker of it is there.
    pub(crate) fn group(&self, id: &str, reach: &Reach) -> Result<Group, WorkerError> {
        let mut members = self.members(|part| part.id == id);
        members.retain(|worker| worker.is_in(reach));
        let part = members.first().and_then(|worker| worker.state().options.group.clone());
        let Some(part) = part else { return Err(WorkerError::NotFound(format!("Group not found: {id}"))) };
        let now = Micros::now();
        let attempt = |worker: &Arc<Worker>| {
            let state = worker.state();
            Attempt {
                attempt: state.options.group.as_ref().map_or(0, |part| part.number) + 1,
                worked_ms: state.grouped.worked_until(now) / MILLISECOND,
                check: worker.shown_check(),
                summary: worker.summary(),
            }
        };
        let kept = members.iter().find(|worker| worker.state().grouped.is_kept);
        let project_path = members.first().map(|worker| worker.state().project().to_owned()).unwrap_or_default();
        let project = self.launcher().settings.projects.find(Path::new(&project_path)).ok().flatten();
        // Groups of earlier versions have the time of their first worker that still exists.
        let oldest = || members.iter().map(|worker| worker.state().created_at).min().unwrap_or_default();
        let created_at = if part.created_at == 0 { oldest() } else { part.created_at };
        Ok(Group {
            check: project.map(|project| project.check.to_string()).filter(|commands| !commands.is_empty()),
            project_path,
            created_at: Micros(created_at),
            kept: kept.map(|worker| worker.id().to_owned()),
            workers: members.iter().map(attempt).collect(),
            id: part.id,
            name: part.name,
            prompt: part.prompt,
            base: part.base,
            size: part.size,
        })
    }

    /// Chooses a worker of a group and deletes the others with their worktrees, each one if no work is lost, or with
    /// `force`. The same choice again, even after a server was killed, deletes those that are left.
    ///
    /// # Errors
    /// Fails when the group or the worker does not exist, another one was chosen before, or the choice cannot be recorded.
    pub(crate) fn keep(&self, id: &str, worker_id: &str, force: bool) -> Result<KeepOutcome, WorkerError> {
        let grouping = self.grouping.lock().unwrap_or_else(PoisonError::into_inner);
        let members = self.members(|part| part.id == id);
        if members.is_empty() {
            return Err(WorkerError::NotFound(format!("Group not found: {id}")));
        }
        let Some(chosen) = members.iter().find(|worker| worker.id() == worker_id) else {
            let text = format!("the group has no worker {worker_id}");
            return Err(WorkerError::Invalid(text).in_field("worker"));
        };
        if let Some(other) = members.iter().find(|worker| worker.state().grouped.is_kept && worker.id() != worker_id) {
            let text = format!("worker {} ({}) of the group was chosen before", other.state().name, other.id());
            return Err(WorkerError::Conflict(text).in_field("worker"));
        }
        if !chosen.state().grouped.is_kept {
            chosen.append_control(&Control::GroupKept {})?;
        }
        // A deletion may take as long as a teardown, and other groups must not wait for it.
        drop(grouping);
        let mut outcome = KeepOutcome { kept: worker_id.to_owned(), ..KeepOutcome::default() };
        for worker in members.iter().filter(|worker| worker.id() != worker_id) {
            let other = |detail| Other { id: worker.id().to_owned(), name: worker.state().name.clone(), detail };
            match self.delete(worker, force) {
                Ok(rest) => outcome.deleted.push(other(rest)),
                Err(error) => outcome.left.push(other(Some(error.to_string()))),
            }
        }
        Ok(outcome)
    }
}
