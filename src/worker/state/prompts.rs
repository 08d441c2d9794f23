//! Prompts: what the CLI asks and waits for, and how it was answered.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Emit, State, push_bounded, shortened};
use crate::clock::Micros;
use crate::event::{Body, Event, PermissionOption};

/// Prompts that are remembered after they were answered, so that a second answer is told the first.
const ANSWERED_MAX: usize = 64;
/// Prompts that can be open at once; a CLI that asks for more than that has lost its way, and the oldest give way.
pub(in crate::worker) const PROMPTS_MAX: usize = 64;

/// What a prompt asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Asked {
    /// Whether a tool may run.
    PermissionRequest {
        /// The tool.
        tool_name: String,
        /// Its input.
        input: Value,
        /// The answers.
        options: Vec<PermissionOption>,
    },
    /// Something that the agent wants to know.
    Question {
        /// The questions.
        questions: Value,
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
    /// What it asks.
    #[serde(flatten)]
    pub asked: Asked,
    /// The sequence number of its event.
    pub seq: u64,
    /// When it was asked.
    pub time: u64,
}

/// How a prompt was answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    /// Its id.
    pub request_id: String,
    /// The decision.
    pub decision: String,
    /// Who decided.
    pub by: String,
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
        by: &str,
        emit: Emit<'_>,
    ) {
        if let Some(prompt) = self.close_prompt(request_id, decision, by) {
            emit(resolved(&prompt, decision, answers, by));
        }
    }

    pub(super) fn close_prompt(&mut self, request_id: &str, decision: &str, by: &str) -> Option<Prompt> {
        let at = self.prompts.iter().position(|prompt| prompt.request_id == request_id)?;
        let answered = Answered { request_id: request_id.to_owned(), decision: decision.to_owned(), by: by.to_owned() };
        push_bounded(&mut self.answered, answered, ANSWERED_MAX);
        Some(self.prompts.remove(at))
    }
}

fn resolved<'a>(prompt: &'a Prompt, decision: &'a str, answers: Option<&Value>, by: &'a str) -> Event<'a> {
    let request_id = prompt.request_id.as_str().into();
    match prompt.asked {
        Asked::PermissionRequest { .. } => {
            Event::new(decision, Body::PermissionResolved { request_id, decision: decision.into(), by: by.into() })
        }
        Asked::Question { .. } => {
            Event::new(decision, Body::QuestionResolved { request_id, answers: answers.cloned(), by: by.into() })
        }
    }
}
