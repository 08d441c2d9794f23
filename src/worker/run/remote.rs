//! Commands of people that send a worker's work to another machine. The journal knows of each before it begins.

use crate::journal::{Control, RemoteEnd, RemoteStep};
use crate::worker::error::WorkerError;
use crate::worker::place::git::{GitBudget, clean_up_upstream};
use crate::worker::place::land::COMMAND_TIME;
use crate::worker::place::remote::look::{self, RemotesLook};
use crate::worker::place::remote::pull_request::{self, PullRequest, PullRequestLink};
use crate::worker::place::remote::push::{self, PushOutcome, PushRequest};
use crate::worker::run::worker::Worker;

/// The claim of a command that talks with another machine.
const REMOTE_CLAIM: &str = "remote";

impl Worker {
    /// Looks at the remotes of the worker's repository. Asks no other machine.
    ///
    /// # Errors
    /// Fails when the project is not under git, or git fails.
    pub(crate) fn look_at_remotes(&self, gone: &dyn Fn() -> bool) -> Result<RemotesLook, WorkerError> {
        look::look(&self.repository()?, (self.git_place(), GitBudget::new(COMMAND_TIME, gone)))
    }

    /// Pushes the worker's commits to a remote.
    ///
    /// # Errors
    /// Fails when the remote has another address than expected, it cannot be reached, or it refuses the push.
    pub(crate) fn push(&self, wanted: &PushRequest) -> Result<PushOutcome, WorkerError> {
        let _claim = self.claim(REMOTE_CLAIM.to_owned());
        self.end_sending()?;
        let prepared = push::prepare(&self.repository()?, wanted, self.git_place())?;
        self.send(prepared.step(uuid::Uuid::new_v4().to_string()), |step| {
            let pushed = prepared.run(&step.id)?;
            let note = pushed.note.clone().unwrap_or_default();
            Ok((pushed, note))
        })
    }

    /// Opens a pull request, or finds the page on which it is opened.
    ///
    /// # Errors
    /// Fails when the remote has another address than expected, its service is not known, or refuses it.
    pub(crate) fn open_pull_request(&self, wanted: &PullRequest) -> Result<PullRequestLink, WorkerError> {
        let _claim = self.claim(REMOTE_CLAIM.to_owned());
        self.end_sending()?;
        let name = self.state().name.clone();
        let prepared = match pull_request::prepare(&self.repository()?, (&name, wanted), self.git_place())? {
            pull_request::Way::ByHand(opened) => return Ok(opened),
            pull_request::Way::ByProgram(prepared) => prepared,
        };
        self.send(prepared.step(uuid::Uuid::new_v4().to_string()), |_| {
            let opened = prepared.run()?;
            let url = opened.url.clone();
            Ok((opened, url))
        })
    }

    /// Does a step, with the journal knowing of it before and afterwards.
    fn send<T>(
        &self,
        step: RemoteStep,
        act: impl FnOnce(&RemoteStep) -> Result<(T, String), WorkerError>,
    ) -> Result<T, WorkerError> {
        self.append_control(&Control::RemoteBegun(Box::new(step.clone())))?;
        let done = act(&step);
        let (end, text) = match &done {
            Ok((_, text)) => (RemoteEnd::Done, text.clone()),
            Err(error @ WorkerError::Blocked { .. }) => (RemoteEnd::Failed, error.to_string()),
            Err(error) => (RemoteEnd::Unknown, error.to_string()),
        };
        self.append_control(&Control::RemoteEnded { id: step.id, end, text })?;
        done.map(|(answer, _)| answer)
    }

    /// Ends what a crash has left: it may have been done, and a new try finds out. The caller has the claim.
    fn end_sending(&self) -> Result<(), WorkerError> {
        let Some(step) = self.state().sending.clone() else { return Ok(()) };
        let cleaned = self.repository().and_then(|found| Ok(clean_up_upstream(&found.common, &step.id)?));
        if let Err(error) = cleaned {
            log::warn!("worker {}: what a push has left in the repository is not removed: {error}", self.id());
        }
        let text = "the server ended meanwhile".to_owned();
        self.append_control(&Control::RemoteEnded { id: step.id, end: RemoteEnd::Unknown, text })
    }

    /// Works like [`Self::end_sending`], at the server's start.
    pub(in crate::worker) fn end_sending_at_start(&self) {
        let _claim = self.claim(REMOTE_CLAIM.to_owned());
        if let Err(error) = self.end_sending() {
            log::error!("worker {}: a push that a crash has left cannot be ended yet: {error}", self.id());
        }
    }
}
