//! The fold's memory between records: small, bounded, and saved as JSON.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::adapter::kit::{Form, WorkerWishes, push_bounded, turn};
use crate::event::{PermissionOption, Usage};

/// Changes whenever a saved state can no longer be read by [`CodexState`]'s `Deserialize`.
pub(super) const STATE_VERSION: u32 = 3;

/// Messages written to the CLI that it has not shown again; the oldest is forgotten beyond that.
const SENT_MAX: usize = 256;
/// Prompts that may be open at once; more are declined.
pub(super) const PROMPTS_MAX: usize = 64;
/// Our requests without an answer; the oldest is forgotten beyond that.
const REQUESTS_MAX: usize = 64;
/// Answers to requests that nobody is asked about, until they were written; the oldest is forgotten beyond that.
const DECLINES_MAX: usize = 64;
/// Tool calls without a result; the oldest is forgotten beyond that.
const CALLS_MAX: usize = 64;
/// Threads of sub-agents that are known; the oldest is forgotten beyond that.
const AGENTS_MAX: usize = 64;
/// Warnings that were reported, so that each is reported once a process; the oldest is forgotten beyond that.
const WARNINGS_MAX: usize = 32;

/// Messages and thoughts that are written at the same time; beyond that the oldest is emitted as far as it has come.
pub(super) const PARTIALS_MAX: usize = 8;
/// Longest text that is kept of one, in bytes. Longer ones are emitted in parts with the same id.
pub(super) const PARTIAL_BYTES_MAX: usize = 64 * 1024;

/// The fold's memory.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct CodexState {
    /// The worker's wishes.
    pub(super) wanted: WorkerWishes,
    /// The session that the process is to open.
    pub(super) opening: ThreadOpening,
    /// True while a process runs.
    pub(super) running: bool,
    /// The progress of the handshake with this process.
    pub(super) handshake: Handshake,
    /// The reason that this process has no session.
    pub(super) failed: Option<String>,
    /// Requests written to this process, for their ids.
    pub(super) requests_written: u64,
    /// Requests without an answer.
    pub(super) requests: Vec<PendingRequest>,
    /// Automatic answers, until they were written.
    pub(super) declines: Vec<Value>,
    /// The session as last reported.
    pub(super) facts: CodexFacts,
    /// The running turn.
    pub(super) turn: Option<Turn>,
    /// The CLI's id of the last turn that ended.
    pub(super) last_turn: String,
    /// True if somebody wants the turn to end, and it was not written yet.
    pub(super) interrupt: bool,
    /// Messages that the CLI has not shown to have taken, in the order they were written.
    pub(super) sent: Vec<SentMessage>,
    /// Open permission prompts and questions.
    pub(super) prompts: Vec<Prompt>,
    /// Tool calls whose result is to come.
    pub(super) calls: Vec<Call>,
    /// Threads of sub-agents.
    pub(super) agents: Vec<Agent>,
    /// All tokens of the session so far, as last reported by this process.
    pub(super) tokens: Option<Usage>,
    /// Messages and thoughts that are being written.
    pub(super) partials: Vec<Partial>,
    /// Hashes of the warnings that were reported.
    pub(super) warnings: Vec<u64>,
    /// The usage limit as last reported.
    pub(super) limit: Limit,
    /// The offset of the record in which the CLI last listed its models.
    pub(super) options_seq: Option<u64>,
    /// A hash of the options as last reported.
    pub(super) options_hash: u64,
}

/// The session that the process is to open.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct ThreadOpening {
    /// Instructions for the agent.
    pub(super) system_prompt: Option<String>,
    /// The session that a fork begins as a copy of.
    pub(super) fork_from: Option<String>,
    /// The session that this start resumes.
    pub(super) resume: Option<String>,
}

impl ThreadOpening {
    /// The session that the process is to resume or to branch off.
    pub(super) fn session(&self) -> Option<&str> {
        self.resume.as_deref().or(self.fork_from.as_deref())
    }
}

/// The progress of the handshake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Handshake {
    /// No request was written.
    #[default]
    New,
    /// `initialize` was written.
    Greeting,
    /// Answered.
    Greeted,
    /// The session was refused, since it is not there: a new one is to be asked for.
    Reopen,
    /// The session was asked for.
    Opening,
    /// The session is there, or was refused.
    Done,
}

/// A request of ours.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct PendingRequest {
    /// Its id, as JSON.
    pub(super) id: String,
    pub(super) method: String,
    /// The model that it brings with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) model: Option<String>,
    /// The permission mode that it brings with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) mode: Option<String>,
}

/// The facts of the session as last reported, so that they are repeated only when they change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct CodexFacts {
    pub(super) session_id: String,
    pub(super) model: String,
    /// The mode by our name for it, as it was last written or reported.
    pub(super) permission_mode: String,
}

/// The running turn.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Turn {
    /// The offset of the record that began it: the id that its events carry.
    pub(super) seq: u64,
    /// The CLI's id.
    pub(super) cli_id: String,
    /// Tokens so far.
    pub(super) usage: Usage,
}

impl Turn {
    /// The id that its events carry.
    pub(super) fn id(&self) -> String {
        turn::id(self.seq)
    }
}

/// A message on its way into the agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct SentMessage {
    /// Our message id, which the CLI shows again.
    pub(super) id: Option<String>,
    /// The id of the request that carried it, as JSON.
    pub(super) request: String,
    /// The CLI's id of the turn that it went into.
    pub(super) turn: Option<String>,
}

/// An open prompt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Prompt {
    /// The id that answers name. The CLI counts its requests from 0 in every process, so its own id would come again.
    pub(super) id: String,
    /// The CLI's id of the request.
    pub(super) request: Value,
    /// The answers it takes; none for questions.
    pub(super) choices: Vec<Choice>,
    /// The questions that it asks; none for a permission prompt.
    pub(super) questions: Vec<Question>,
    /// The form that an MCP server asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) form: Option<Form>,
}

/// One answer to a permission prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Choice {
    pub(super) option: PermissionOption,
    /// The `result` of the response.
    pub(super) result: Value,
}

/// One question.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Question {
    /// The CLI's id.
    pub(super) id: String,
    pub(super) question: String,
}

/// A tool call without a result.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Call {
    pub(super) id: String,
    /// Its intended changes, bounded, for a prompt about it; null when it changes no files.
    pub(super) changes: Value,
    /// The call whose sub-agent made it.
    pub(super) parent: Option<String>,
}

/// A message or a thought that is being written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Partial {
    /// The CLI's id of the item.
    pub(super) id: String,
    pub(super) thinking: bool,
    /// The text that has come and is in no event yet.
    pub(super) text: String,
    /// Bytes of it that were reported before.
    pub(super) reported: usize,
}

impl Partial {
    /// The message's id; `None` where the CLI gave none.
    pub(super) fn message_id(&self) -> Option<&str> {
        Some(self.id.as_str()).filter(|id| !id.is_empty())
    }
}

/// A sub-agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Agent {
    /// Its thread.
    pub(super) thread: String,
    /// The tool call that started it.
    pub(super) call: String,
}

/// The account's usage limit as last reported.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Limit {
    pub(super) status: String,
    /// The time when it ends, in seconds since the Unix epoch.
    pub(super) resets_at: Option<u64>,
}

impl CodexState {
    /// Begins a new process: what was known of the last one is void.
    pub(super) fn start_process(&mut self) {
        self.end_process();
        self.running = true;
    }

    /// Ends the process. What the worker asks for, the session's facts, the limit and the options outlive it.
    pub(super) fn end_process(&mut self) {
        let old = std::mem::take(self);
        let Self { wanted, opening, facts, limit, options_seq, options_hash, .. } = old;
        *self = Self { wanted, opening, facts, limit, options_seq, options_hash, ..Self::default() };
    }

    /// Returns true if the CLI can be given a message.
    pub(super) fn is_ready(&self) -> bool {
        self.handshake == Handshake::Done && self.failed.is_none()
    }

    /// Returns true while the CLI works, or is about to.
    pub(super) fn is_busy(&self) -> bool {
        self.turn.is_some() || !self.sent.is_empty()
    }

    /// The CLI's id of the turn that runs or is about to.
    pub(super) fn turn_id(&self) -> Option<&str> {
        let running = self.turn.as_ref().map(|turn| turn.cli_id.as_str()).filter(|id| !id.is_empty());
        running.or_else(|| self.sent.iter().rev().find_map(|message| message.turn.as_deref()))
    }

    /// The tool call that started the sub-agent of a thread; `None` for the session's own thread.
    pub(super) fn parent(&self, thread: &str) -> Option<String> {
        let known = self.handshake == Handshake::Done && !self.facts.session_id.is_empty();
        if !known || thread.is_empty() || thread == self.facts.session_id {
            return None;
        }
        let agent = self.agents.iter().find(|agent| agent.thread == thread);
        Some(agent.map_or(thread, |agent| &agent.call).to_owned())
    }

    /// The open prompt with this id.
    pub(super) fn prompt(&self, id: &str) -> Option<&Prompt> {
        self.prompts.iter().find(|prompt| prompt.id == id)
    }

    pub(super) fn note_message(&mut self, message: SentMessage) {
        push_bounded(&mut self.sent, message, SENT_MAX);
    }

    pub(super) fn requested(&mut self, request: PendingRequest) {
        push_bounded(&mut self.requests, request, REQUESTS_MAX);
    }

    pub(super) fn decline(&mut self, response: Value) {
        push_bounded(&mut self.declines, response, DECLINES_MAX);
    }

    pub(super) fn called(&mut self, call: Call) {
        self.calls.retain(|old| old.id != call.id);
        push_bounded(&mut self.calls, call, CALLS_MAX);
    }

    pub(super) fn agent(&mut self, agent: Agent) {
        self.agents.retain(|old| old.thread != agent.thread);
        push_bounded(&mut self.agents, agent, AGENTS_MAX);
    }

    /// Remembers a warning by its hash. Returns true for a new one.
    pub(super) fn warn(&mut self, hash: u64) -> bool {
        let new = !self.warnings.contains(&hash);
        if new {
            push_bounded(&mut self.warnings, hash, WARNINGS_MAX);
        }
        new
    }
}
