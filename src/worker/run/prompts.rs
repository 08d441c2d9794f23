//! Decisions of prompts: what a person or a rule chose, once for each prompt.

use serde_json::Value;

use crate::adapter::{Action, Command, PermissionAnswer};
use crate::event::{BudgetDetails, PermissionOption};
use crate::journal::{BudgetStep, By, Control};
use crate::worker::error::WorkerError;
use crate::worker::run::mailbox::CommandBatch;
use crate::worker::run::worker::Worker;
use crate::worker::state::{OpenPrompt, PromptSubject, Resolution, State};

/// A decision of a prompt.
#[derive(Clone, Debug)]
pub(crate) enum Decision {
    /// An option of a permission prompt, or a word for one; `decline` or `cancel` for a question.
    Option(PermissionAnswer),
    /// The answers to a question.
    Answers(Value),
}

/// The author of a decision that is not a person's.
#[derive(Clone, Copy, Debug)]
pub(in crate::worker) struct ByRule<'r> {
    /// The rule's name.
    pub(in crate::worker) name: &'r str,
    /// The sequence number of the prompt that it was looked at for: another one of the same id is not meant.
    pub(in crate::worker) seq: u64,
}

/// A decision as the journal records it.
struct RecordedDecision {
    decision: String,
    message: Option<String>,
    answers: Option<Value>,
    updated_input: Option<Value>,
}

impl RecordedDecision {
    fn of(decision: impl Into<String>) -> Self {
        Self { decision: decision.into(), message: None, answers: None, updated_input: None }
    }
}

impl Worker {
    /// Decides a prompt for a person, once.
    ///
    /// # Errors
    /// Those of [`Worker::decide_by`].
    pub(crate) fn decide(&self, request_id: &str, decision: &Decision) -> Result<Resolution, WorkerError> {
        self.decide_by(request_id, decision, None)
    }

    /// Decides a prompt, once, for a person or for a rule.
    ///
    /// # Errors
    /// [`WorkerError::Resolved`] with the earlier decision; [`WorkerError::NotFound`] for an unknown prompt;
    /// [`WorkerError::Invalid`] for a decision that the prompt does not offer.
    pub(in crate::worker) fn decide_by(
        &self,
        request_id: &str,
        decision: &Decision,
        rule: Option<&ByRule<'_>>,
    ) -> Result<Resolution, WorkerError> {
        let _claim = self.claim(format!("prompt {request_id}"));
        let state = self.state();
        let open = open_prompt(&state, request_id)?;
        if let Some(details) = open.budget() {
            return self.decide_budget(open, details, decision, rule.is_some());
        }
        let OpenPrompt { asked, seq, .. } = open.clone();
        if rule.is_some_and(|rule| rule.seq != seq) {
            return Err(WorkerError::Conflict(format!("{request_id} is another prompt now")));
        }
        let rule = rule.map(|rule| rule.name);
        let (recorded, action) = match (asked, decision) {
            (PromptSubject::PermissionRequest { options, .. }, Decision::Option(answer)) => {
                let PermissionOption { id, kind, .. } = option_of(&options, &answer.option_id)?;
                let answer = PermissionAnswer { option_id: id.clone(), ..answer.clone() };
                let action = self.encode(&Command::Permission { request_id, answer: &answer })?;
                // A refused call has no input.
                let updated_input = answer.updated_input.filter(|_| kind.starts_with("allow"));
                (
                    RecordedDecision { message: answer.message, updated_input, ..RecordedDecision::of(id.as_str()) },
                    action,
                )
            }
            (PromptSubject::Question { .. }, Decision::Option(answer)) => {
                let cancel = is_cancel(request_id, &answer.option_id)?;
                let action = self.encode(&Command::Decline { request_id, cancel })?;
                (RecordedDecision::of(if cancel { "cancelled" } else { "declined" }), action)
            }
            (PromptSubject::Question { .. }, Decision::Answers(answers)) => {
                let action = self.encode(&Command::Answer { request_id, answers })?;
                (RecordedDecision { answers: Some(answers.clone()), ..RecordedDecision::of("answered") }, action)
            }
            (PromptSubject::PermissionRequest { .. }, Decision::Answers(_)) => {
                return Err(WorkerError::Invalid(format!("{request_id} is a permission prompt: send an option_id")));
            }
        };
        self.resolve(request_id, recorded, &action, rule)
    }

    /// Returns whether a decision would raise a budget, which is more than to answer.
    pub(crate) fn raises_budget(&self, request_id: &str, decision: &Decision) -> bool {
        let state = self.state();
        let Ok(open) = open_prompt(&state, request_id) else { return false };
        let (Some(details), PromptSubject::PermissionRequest { options, .. }, Decision::Option(answer)) =
            (open.budget(), &open.asked, decision)
        else {
            return false;
        };
        option_of(options, &answer.option_id).is_ok_and(|it| details.raises.iter().any(|(raise, _)| *raise == it.id))
    }

    /// Decides a prompt about a budget. The budget is raised first: if the server is killed then, nothing is left to ask.
    fn decide_budget(
        &self,
        open: &OpenPrompt,
        details: &BudgetDetails,
        decision: &Decision,
        is_by_rule: bool,
    ) -> Result<Resolution, WorkerError> {
        let request_id = open.request_id.clone();
        let (PromptSubject::PermissionRequest { options, .. }, Decision::Option(answer), false) =
            (&open.asked, decision, is_by_rule)
        else {
            return Err(WorkerError::Invalid(format!("{request_id} is about a budget: a person sends an option_id")));
        };
        let decision = option_of(options, &answer.option_id)?.id.clone();
        if let Some((_, limits)) = details.raises.iter().find(|(id, _)| *id == decision) {
            let raised = self.launcher.budgets.book().raise((details.budget_id.as_str(), details.revision), *limits);
            raised.map_err(|error| WorkerError::Unavailable(error.to_string()))?;
        }
        let step = BudgetStep::Answered { request_id: request_id.clone(), decision: decision.clone(), by: By::User };
        self.append(&CommandBatch::of(&Control::Budget(step)))?;
        self.launcher.budgets.wake();
        Ok(Resolution { request_id, decision, by: By::User, rule: None })
    }

    /// Records a decision and writes it to the CLI.
    fn resolve(
        &self,
        request_id: &str,
        recorded: RecordedDecision,
        action: &Action,
        rule: Option<&str>,
    ) -> Result<Resolution, WorkerError> {
        let (request_id, rule) = (request_id.to_owned(), rule.map(str::to_owned));
        let by = if rule.is_some() { By::Rule } else { By::User };
        let RecordedDecision { decision, message, answers, updated_input } = recorded;
        let resolution =
            Resolution { request_id: request_id.clone(), decision: decision.clone(), by, rule: rule.clone() };
        let record = Control::PermissionAnswered { request_id, decision, message, answers, updated_input, by, rule };
        self.act(CommandBatch::of(&record), action)?;
        Ok(resolution)
    }
}

/// Finds an open prompt.
fn open_prompt<'s>(state: &'s State, request_id: &str) -> Result<&'s OpenPrompt, WorkerError> {
    if let Some(prompt) = state.prompts.iter().find(|prompt| prompt.request_id == request_id) {
        return Ok(prompt);
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

/// Returns the option that a decision means: the only place that maps words to options.
fn option_of<'o>(options: &'o [PermissionOption], wanted: &str) -> Result<&'o PermissionOption, WorkerError> {
    PermissionOption::chosen(options, wanted).ok_or_else(|| {
        let known: Vec<&str> = options.iter().map(|option| option.id.as_str()).collect();
        WorkerError::Invalid(format!("no such option: {wanted} (the prompt offers {})", known.join(", ")))
    })
}
