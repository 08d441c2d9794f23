//! Prompts: what the CLI asks and waits for, and how it was answered.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{State, push_bounded, shortened};
use crate::clock::Micros;
use crate::event::{Body, Event, PermissionOption, PromptDetails};
use crate::journal::By;

/// Prompts that are remembered after they were answered, so that a second answer is told the first.
const RESOLVED_MAX: usize = 64;
/// Prompts that can be open at once; a CLI that asks for more than that has lost its way, and the oldest give way.
pub(in crate::worker) const PROMPTS_MAX: usize = 64;

/// The subject of a prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Asked {
    /// A request to run a tool.
    PermissionRequest {
        /// The tool.
        tool_name: String,
        /// Its input.
        input: Value,
        /// The answers.
        options: Vec<PermissionOption>,
        /// Further details from the CLI.
        #[serde(flatten)]
        details: Box<PromptDetails>,
    },
    /// Something that the agent wants to know.
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
pub struct Prompt {
    /// Its id.
    pub request_id: String,
    /// Readable text.
    pub content: String,
    /// The tool call that it is about.
    pub tool_call_id: Option<String>,
    /// Its subject.
    #[serde(flatten)]
    pub asked: Asked,
    /// The sequence number of its event.
    pub seq: u64,
    /// The time at which it was asked.
    pub time: u64,
}

impl Prompt {
    /// Returns whether a sub-agent asks, and not the agent itself.
    pub fn is_of_sub_agent(&self) -> bool {
        let (Asked::PermissionRequest { details, .. } | Asked::Question { details, .. }) = &self.asked;
        details.agent_id.is_some()
    }
}

/// The way in which a prompt was answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resolution {
    /// Its id.
    pub request_id: String,
    /// The decision.
    pub decision: String,
    /// The author of the decision.
    pub by: By,
}

impl State {
    pub(super) fn ask(
        &mut self,
        event: &Event<'_>,
        request_id: &str,
        tool_call_id: Option<&str>,
        asked: Asked,
        seq: u64,
        time: Micros,
    ) {
        self.prompts.retain(|prompt| prompt.request_id != request_id);
        if self.prompts.len() == PROMPTS_MAX {
            self.prompts.remove(0);
        }
        self.prompts.push(Prompt {
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
        answers: Option<&Value>,
        by: By,
        out: &mut Vec<Event<'_>>,
    ) {
        if let Some(prompt) = self.close_prompt(request_id, decision, by) {
            out.push(resolved(&prompt, decision, answers, by));
        }
    }

    /// Cancels the prompts of an interrupted turn that has ended: nobody waits for their answers any more, also when
    /// the CLI does not withdraw them.
    pub fn end_interrupt(&mut self, out: &mut Vec<Event<'_>>) {
        if !self.interrupted || self.turn_id.is_some() {
            return;
        }
        self.interrupted = false;
        self.revision += 1;
        let left: Vec<String> = self
            .prompts
            .iter()
            .filter(|prompt| prompt.seq >= self.turn_seq)
            .map(|prompt| prompt.request_id.clone())
            .collect();
        for request_id in left {
            self.answer(&request_id, "cancelled", None, By::Cli, out);
        }
    }

    pub(super) fn close_prompt(&mut self, request_id: &str, decision: &str, by: By) -> Option<Prompt> {
        let at = self.prompts.iter().position(|prompt| prompt.request_id == request_id)?;
        let resolution = Resolution { request_id: request_id.to_owned(), decision: decision.to_owned(), by };
        push_bounded(&mut self.resolved, resolution, RESOLVED_MAX);
        Some(self.prompts.remove(at))
    }
}

fn resolved(prompt: &Prompt, decision: &str, answers: Option<&Value>, by: By) -> Event<'static> {
    let (request_id, decision) = (prompt.request_id.clone().into(), decision.to_owned());
    match prompt.asked {
        Asked::PermissionRequest { .. } => {
            Event::new(decision.clone(), Body::PermissionResolved { request_id, decision: decision.into(), by })
        }
        Asked::Question { .. } => {
            Event::new(decision, Body::QuestionResolved { request_id, answers: answers.cloned(), by })
        }
    }
}
