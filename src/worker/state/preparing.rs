//! The setup of a worker's worktree, as shown to clients.

use serde::{Deserialize, Serialize};

use crate::event::{Body, Event};
use crate::journal::SetupStep;
use crate::worker::state::State;
use crate::worker::state::status::SETUP_CUT_OFF;

/// The stage of a setup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SetupStage {
    /// Running.
    Running,
    /// Failed or was interrupted.
    Failed,
    /// Done.
    Done,
}

/// The setup of a worktree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetupProgress {
    /// Its stage.
    pub state: SetupStage,
    /// The present step, or the one that failed, for people.
    pub step: String,
    /// The reason for its failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl State {
    /// Applies a step of the setup, and adds the event that reports it.
    pub(in crate::worker) fn setup_control(&mut self, step: &SetupStep, out: &mut Vec<Event<'_>>) {
        let stage = |state, step: String, error| Some(SetupProgress { state, step, error });
        let last = || self.preparing.as_ref().map(|before| before.step.clone()).unwrap_or_default();
        match step {
            SetupStep::Begun {} => {
                self.preparing = stage(SetupStage::Running, "copying files".to_owned(), None);
                out.push(Event::new("The worktree is being set up", Body::notice("setup_begun")));
            }
            SetupStep::Copied { files, bytes } => {
                let text = format!("{files} ignored files were copied from the project ({bytes} bytes)");
                out.push(Event::new(text, Body::notice("setup_copied")));
            }
            SetupStep::Command { command } => {
                self.preparing = stage(SetupStage::Running, command.clone(), None);
                out.push(Event::new(command.clone(), Body::notice("setup_command")));
            }
            SetupStep::Output { text } => out.push(Event::new(text.clone(), Body::notice("setup_output"))),
            SetupStep::Done {} => {
                self.preparing = stage(SetupStage::Done, last(), None);
                out.push(Event::new("The worktree is set up", Body::notice("setup_done")));
            }
            SetupStep::Failed { error } => {
                self.preparing = stage(SetupStage::Failed, last(), Some(error.clone()));
                out.push(Event::new(error.clone(), Body::Error { code: "setup_failed".into() }));
            }
        }
    }

    /// Marks a setup in progress as interrupted.
    pub(in crate::worker) fn setup_lost(&mut self) {
        if let Some(setup) = self.preparing.as_mut().filter(|setup| setup.state == SetupStage::Running) {
            (setup.state, setup.error) = (SetupStage::Failed, Some(SETUP_CUT_OFF.to_owned()));
        }
    }

    /// Returns whether its worktree must be set up before its CLI starts for the first time.
    pub(in crate::worker) fn needs_setup(&self) -> bool {
        self.worktree.is_some() && self.preparing.is_none() && self.session_id.is_none()
    }

    /// Returns whether its setup has failed and its CLI was not started since: messages wait for a person.
    pub(in crate::worker) fn waits_for_setup(&self) -> bool {
        let failed = self.preparing.as_ref().is_some_and(|setup| setup.state == SetupStage::Failed);
        failed && self.session_id.is_none() && !self.is_running()
    }
}
