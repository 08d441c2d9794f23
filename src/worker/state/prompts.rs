//! Prompts: requests of the CLI that wait for a decision, and their decisions.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{State, push_bounded, shortened};
use crate::clock::Micros;
use crate::event::{Body, BudgetDetails, Event, PermissionOption, PromptDetails};
use crate::journal::By;

/// Resolved prompts that are stored, so that a second answer gets the first one as its response.
const RESOLVED_MAX: usize = 64;
/// Maximum number of open prompts; a CLI that asks for more is malfunctioning, and the oldest are dropped.
pub(in crate::worker) const PROMPTS_MAX: usize = 64;

/// The subject of a prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum PromptSubject {
    /// A request to run a tool.
    PermissionRequest {
        /// The tool.
        tool_name: String,
        /// Its input.
        input: Value,
        /// The options.
        options: Vec<PermissionOption>,
        /// Further details from the CLI.
        #[serde(flatten)]
        details: Box<PromptDetails>,
    },
    /// Questions of the agent.
    Question {
        /// The questions.
        questions: Value,
        /// Further details from the CLI.
        #[serde(flatten)]
        details: Box<PromptDetails>,
    },
}

/// An open prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpenPrompt {
    /// Its id.
    pub request_id: String,
    /// Readable text.
    pub content: String,
    /// The tool call that it is about.
    pub tool_call_id: Option<String>,
    /// Its subject.
    #[serde(flatten)]
    pub asked: PromptSubject,
    /// The sequence number of its event.
    pub seq: u64,
    /// The time at which it was asked.
    pub time: u64,
}

impl OpenPrompt {
    /// Returns whether a sub-agent asks, and not the agent itself.
    pub fn is_of_sub_agent(&self) -> bool {
        let (PromptSubject::PermissionRequest { details, .. } | PromptSubject::Question { details, .. }) = &self.asked;
        details.agent_id.is_some()
    }

    /// Returns the budget that it is about, in a prompt of the server's own.
    pub fn budget(&self) -> Option<&BudgetDetails> {
        let (PromptSubject::PermissionRequest { details, .. } | PromptSubject::Question { details, .. }) = &self.asked;
        details.budget.as_deref()
    }
}

/// The resolution of a prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resolution {
    /// Its id.
    pub request_id: String,
    /// The decision.
    pub decision: String,
    /// The author of the decision.
    pub by: By,
    /// The name of the rule that decided, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

impl State {
    /// Opens the prompt of a CLI's event.
    pub(super) fn ask_for_cli(&mut self, event: &Event<'_>, seq: u64, time: Micros) {
        match &event.body {
            Body::PermissionRequest { request_id, tool_call_id, tool_name, input, options, details } => {
                let asked = PromptSubject::PermissionRequest {
                    tool_name: tool_name.to_string(),
                    input: input.clone(),
                    options: options.clone(),
                    details: details.clone(),
                };
                self.ask(event, request_id, tool_call_id.as_deref(), asked, seq, time);
            }
            Body::Question { request_id, tool_call_id, questions, details } => {
                let asked = PromptSubject::Question { questions: questions.clone(), details: details.clone() };
                self.ask(event, request_id, tool_call_id.as_deref(), asked, seq, time);
            }
            _ => {}
        }
    }

    pub(super) fn ask(
        &mut self,
        event: &Event<'_>,
        request_id: &str,
        tool_call_id: Option<&str>,
        asked: PromptSubject,
        seq: u64,
        time: Micros,
    ) {
        // The CLI chooses the ids of its prompts: none of them takes the place of the server's own.
        if self.is_of_budget(request_id) {
            return;
        }
        self.prompts.retain(|prompt| prompt.request_id != request_id);
        if self.prompts.len() >= PROMPTS_MAX {
            let oldest = self.prompts.iter().position(|prompt| prompt.budget().is_none()).unwrap_or_default();
            self.prompts.remove(oldest);
        }
        self.prompts.push(OpenPrompt {
            request_id: request_id.to_owned(),
            content: shortened(&event.content),
            tool_call_id: tool_call_id.map(str::to_owned),
            asked,
            seq,
            time: time.0,
        });
    }

    pub(super) fn answer(
        &mut self,
        request_id: &str,
        decision: &str,
        given: Option<&Value>,
        (by, rule): (By, Option<&str>),
        out: &mut Vec<Event<'_>>,
    ) {
        if let Some(prompt) = self.close_prompt(request_id, decision, (by, rule)) {
            out.push(resolved(&prompt, decision, given, (by, rule)));
        }
    }

    /// Cancels the prompts of an interrupted turn that has ended: nothing waits for their answers any more, even if the
    /// CLI does not withdraw them.
    pub fn end_interrupt(&mut self, out: &mut Vec<Event<'_>>) {
        if !self.interrupted || self.turn_id.is_some() {
            return;
        }
        self.interrupted = false;
        self.revision += 1;
        let left: Vec<String> = self
            .prompts
            .iter()
            .filter(|prompt| prompt.seq >= self.turn_seq && prompt.budget().is_none())
            .map(|prompt| prompt.request_id.clone())
            .collect();
        for request_id in left {
            self.answer(&request_id, "cancelled", None, (By::Cli, None), out);
        }
    }

    /// Returns whether an open prompt is one about a budget.
    pub(super) fn is_of_budget(&self, request_id: &str) -> bool {
        self.prompts.iter().any(|prompt| prompt.request_id == request_id && prompt.budget().is_some())
    }

    /// Closes a prompt that the CLI has resolved.
    pub(super) fn close_by_cli(&mut self, request_id: &str, decision: &str, by: (By, Option<&str>)) {
        if !self.is_of_budget(request_id) {
            self.close_prompt(request_id, decision, by);
        }
    }

    pub(super) fn close_prompt(
        &mut self,
        request_id: &str,
        decision: &str,
        (by, rule): (By, Option<&str>),
    ) -> Option<OpenPrompt> {
        let at = self.prompts.iter().position(|prompt| prompt.request_id == request_id)?;
        let (request_id, decision) = (request_id.to_owned(), decision.to_owned());
        let resolution = Resolution { request_id, decision, by, rule: rule.map(str::to_owned) };
        push_bounded(&mut self.resolved, resolution, RESOLVED_MAX);
        Some(self.prompts.remove(at))
    }
}

/// Makes the event of a decision. `given` are the answers to a question, or the new input of a tool.
fn resolved(
    prompt: &OpenPrompt,
    decision: &str,
    given: Option<&Value>,
    (by, rule): (By, Option<&str>),
) -> Event<'static> {
    let (request_id, decision) = (prompt.request_id.clone().into(), decision.to_owned());
    match prompt.asked {
        PromptSubject::PermissionRequest { .. } => {
            let rule = rule.map(|rule| rule.to_owned().into());
            let (updated_input, content) = (given.cloned(), decision.clone());
            let decision = decision.into();
            Event::new(content, Body::PermissionResolved { request_id, decision, by, rule, updated_input })
        }
        PromptSubject::Question { .. } => {
            Event::new(decision, Body::QuestionResolved { request_id, answers: given.cloned(), by })
        }
    }
}
