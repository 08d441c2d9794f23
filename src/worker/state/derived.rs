//! Properties of a worker that follow from its state: its status, and what it can accept.

use super::State;
use super::prompts::OpenPrompt;
use super::status::{ProcessState, Status};
use crate::adapter::Activity;

impl State {
    /// Returns the status that follows from all records so far, with its reason.
    pub fn derive_status(&self, activity: Activity) -> (Status, Option<&str>) {
        match &self.process {
            ProcessState::Ended { reason } if self.renew => (Status::Starting, Some(reason)),
            ProcessState::Preparing => (Status::Preparing, self.preparing.as_ref().map(|setup| setup.step.as_str())),
            ProcessState::Stopped => {
                let held = self.wake_held.as_deref().filter(|_| !self.queue.is_empty());
                (Status::Stopped, held.or(self.hibernated.as_deref()))
            }
            ProcessState::Ended { reason } => (Status::Stopped, Some(reason)),
            ProcessState::Failed { reason } => (Status::Failed, Some(reason)),
            // A worker with one process per message has none before the first.
            ProcessState::Launching if activity == Activity::Idle => (Status::Idle, None),
            ProcessState::Launching => (Status::Starting, None),
            ProcessState::Following if activity == Activity::Busy => (Status::Busy, None),
            ProcessState::Following => (Status::Idle, None),
            ProcessState::Stopping { .. } => (Status::Stopping, self.hibernated.as_deref()),
            ProcessState::Running { .. } | ProcessState::BetweenTurns { .. } if !self.prompts.is_empty() => {
                (Status::Waiting, self.prompts.first().map(|prompt| prompt.content.as_str()))
            }
            ProcessState::Running { .. } | ProcessState::BetweenTurns { .. } => match (activity, &self.stalled) {
                (Activity::Starting, None) => (Status::Starting, None),
                (Activity::Idle, _) => (Status::Idle, None),
                (Activity::Busy, None) => (Status::Busy, None),
                (Activity::Busy | Activity::Starting, Some(reason)) => (Status::Stalled, Some(reason)),
            },
        }
    }

    /// Returns whether the next message may go to the CLI: it is idle, or only one of its sub-agents waits for an
    /// answer.
    pub fn takes_messages(&self, activity: Activity) -> bool {
        let only_sub_agents_ask = || self.prompts.iter().all(OpenPrompt::is_of_sub_agent);
        match self.status {
            Status::Idle => true,
            Status::Waiting => activity == Activity::Idle && only_sub_agents_ask(),
            _ => false,
        }
    }

    /// Returns the folder of its project: with a worktree, that of the repository.
    pub(crate) fn project(&self) -> &str {
        self.worktree.as_ref().map_or(&self.project_path, |worktree| &worktree.project)
    }

    /// Returns whether processes of the worker may be running: such a worker counts against the worker limit.
    pub fn is_running(&self) -> bool {
        self.status.is_running() && !matches!(self.process, ProcessState::Following | ProcessState::Ended { .. })
    }
}
