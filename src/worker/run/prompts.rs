//! Decisions of prompts: what a person or a rule chose, once for each prompt.

use serde_json::Value;

use crate::adapter::{Action, Command, PermissionAnswer};
use crate::event::PermissionOption;
use crate::journal::{By, Control};
use crate::worker::error::WorkerError;
use crate::worker::run::mailbox::Batch;
use crate::worker::run::worker::Worker;
use crate::worker::state::{Asked, Resolution, State};

/// A decision of a prompt.
#[derive(Clone, Debug)]
pub(crate) enum Decision {
    /// An option of a permission prompt, or a word for one; `decline` or `cancel` for a question.
    Option(PermissionAnswer),
    /// The answers to a question.
    Answers(Value),
}

/// A decision as the journal records it.
struct Recorded {
    decision: String,
    message: Option<String>,
    answers: Option<Value>,
}

impl Recorded {
    fn of(decision: impl Into<String>) -> Self {
        Self { decision: decision.into(), message: None, answers: None }
    }
}

impl Worker {
    /// Decides a prompt, once.
    ///
    /// # Errors
    /// [`WorkerError::Resolved`] with the earlier decision; [`WorkerError::NotFound`] for a prompt that never was;
    /// [`WorkerError::Invalid`] for a decision that the prompt does not offer.
    pub(crate) fn decide(&self, request_id: &str, decision: &Decision) -> Result<Resolution, WorkerError> {
        let _claim = self.claim(format!("prompt {request_id}"));
        let asked = open_prompt(&self.state(), request_id)?.clone();
        let (recorded, action) = match (asked, decision) {
            (Asked::PermissionRequest { options, .. }, Decision::Option(answer)) => {
                let option_id = option_of(&options, &answer.option_id)?;
                let answer = PermissionAnswer { option_id: option_id.clone(), ..answer.clone() };
                let action = self.encode(&Command::Permission { request_id, answer: &answer })?;
                (Recorded { message: answer.message, ..Recorded::of(option_id) }, action)
            }
            (Asked::Question { .. }, Decision::Option(answer)) => {
                let cancel = is_cancel(request_id, &answer.option_id)?;
                let action = self.encode(&Command::Decline { request_id, cancel })?;
                (Recorded::of(if cancel { "cancelled" } else { "declined" }), action)
            }
            (Asked::Question { .. }, Decision::Answers(answers)) => {
                let action = self.encode(&Command::Answer { request_id, answers })?;
                (Recorded { answers: Some(answers.clone()), ..Recorded::of("answered") }, action)
            }
            (Asked::PermissionRequest { .. }, Decision::Answers(_)) => {
                return Err(WorkerError::Invalid(format!("{request_id} is a permission prompt: send an option_id")));
            }
        };
        self.resolve(request_id, recorded, &action)
    }

    /// Records a decision and writes it to the CLI.
    fn resolve(&self, request_id: &str, recorded: Recorded, action: &Action) -> Result<Resolution, WorkerError> {
        let (request_id, by) = (request_id.to_owned(), By::User);
        let Recorded { decision, message, answers } = recorded;
        let resolution = Resolution { request_id: request_id.clone(), decision: decision.clone(), by };
        let record = Control::PermissionAnswered { request_id, decision, message, answers, by };
        self.act(Batch::of(&record), action)?;
        Ok(resolution)
    }
}

/// Finds the request of an open prompt.
fn open_prompt<'s>(state: &'s State, request_id: &str) -> Result<&'s Asked, WorkerError> {
    if let Some(prompt) = state.prompts.iter().find(|prompt| prompt.request_id == request_id) {
        return Ok(&prompt.asked);
    }
    Err(match state.resolved.iter().rev().find(|resolution| resolution.request_id == request_id) {
        Some(resolution) => WorkerError::Resolved(resolution.clone()),
        None => WorkerError::NotFound(format!("prompt not found: {request_id}")),
    })
}

/// Returns whether a question is to be cancelled, and not just declined.
fn is_cancel(request_id: &str, wanted: &str) -> Result<bool, WorkerError> {
    match wanted {
        "decline" | "deny" | "reject" | "reject_once" => Ok(false),
        "cancel" => Ok(true),
        _ => {
            let text = format!("{request_id} is a question: send its answers, or the decision decline or cancel");
            Err(WorkerError::Invalid(text))
        }
    }
}

/// Returns the id of the option that a decision means: the one place where words become options.
fn option_of(options: &[PermissionOption], wanted: &str) -> Result<String, WorkerError> {
    PermissionOption::chosen(options, wanted).map(|option| option.id.clone()).ok_or_else(|| {
        let known: Vec<&str> = options.iter().map(|option| option.id.as_str()).collect();
        WorkerError::Invalid(format!("no such option: {wanted} (the prompt offers {})", known.join(", ")))
    })
}
