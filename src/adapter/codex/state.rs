//! What the fold remembers between records: small, bounded, and saved as JSON.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::{PermissionOption, Usage};

/// Changes whenever a saved state can no longer be read by [`State`]'s `Deserialize`.
pub(super) const STATE_VERSION: u32 = 1;

/// Messages written to the CLI that it has not shown again; the oldest is forgotten beyond that.
const WAITING_MAX: usize = 256;
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
/// Warnings that were told, so that each is told once a process; the oldest is forgotten beyond that.
const WARNINGS_MAX: usize = 32;

/// Messages and thoughts that are written at the same time; beyond that the oldest is told as far as it has come.
pub(super) const PARTIALS_MAX: usize = 8;
/// Longest text that is kept of one, in bytes. What goes beyond it is told in parts with the same id.
pub(super) const PARTIAL_BYTES_MAX: usize = 64 * 1024;

/// The fold's memory.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct State {
    /// [`STATE_VERSION`] when it was saved.
    pub(super) version: u32,
    /// What the worker asks for.
    pub(super) wanted: Wanted,
    /// Whether a process runs.
    pub(super) running: bool,
    /// How far the handshake with this process is.
    pub(super) handshake: Handshake,
    /// Why this process has no session, when it has none.
    pub(super) failed: Option<String>,
    /// Requests written to this process, for their ids.
    pub(super) requests_written: u64,
    /// Those without an answer.
    pub(super) requests: Vec<Request>,
    /// Answers that are given by themselves, until they were written.
    pub(super) declines: Vec<Value>,
    /// The session as last told.
    pub(super) facts: Facts,
    /// The running turn.
    pub(super) turn: Option<Turn>,
    /// The CLI's id of the last turn that ended.
    pub(super) last_turn: String,
    /// Whether somebody wants the turn to end, and it was not written yet.
    pub(super) interrupt: bool,
    /// Messages that the CLI has not shown to have taken, in the order they were written.
    pub(super) waiting: Vec<Waiting>,
    /// Open permission prompts and questions.
    pub(super) prompts: Vec<Prompt>,
    /// Tool calls whose result is to come.
    pub(super) calls: Vec<Call>,
    /// Threads of sub-agents.
    pub(super) agents: Vec<Agent>,
    /// All tokens of the session so far, as last told by this process.
    pub(super) tokens: Option<Usage>,
    /// Messages and thoughts that are being written.
    pub(super) partials: Vec<Partial>,
    /// Hashes of the warnings that were told.
    pub(super) warnings: Vec<u64>,
    /// The usage limit as last told.
    pub(super) limit: Limit,
}

/// What the worker asks for, from its control records.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    /// The working directory.
    pub(super) cwd: String,
    /// The model; the configuration's when absent.
    pub(super) model: Option<String>,
    /// The permission mode; the configuration's when absent.
    pub(super) permission_mode: Option<String>,
    /// Instructions for the agent.
    pub(super) system_prompt: Option<String>,
    /// The session that a fork begins as a copy of.
    pub(super) fork_from: Option<String>,
    /// The session that this start goes on with.
    pub(super) resume: Option<String>,
}

/// How far the handshake is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Handshake {
    /// Nothing was written.
    #[default]
    New,
    /// `initialize` was written.
    Greeting,
    /// It was answered.
    Greeted,
    /// The session was asked for.
    Opening,
    /// The session is there, or was refused.
    Done,
}

/// A request of ours.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Request {
    /// Its id, as JSON.
    pub(super) id: String,
    pub(super) method: String,
}

/// What was told of the session, so that it is told again only when it changes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Facts {
    pub(super) session_id: String,
    pub(super) model: String,
    /// The mode by our name for it, as it was last written or told.
    pub(super) permission_mode: String,
}

/// The running turn.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Turn {
    /// Where it began: the id that its events carry.
    pub(super) seq: u64,
    /// The CLI's id.
    pub(super) id: String,
    /// Tokens so far.
    pub(super) usage: Usage,
}

impl Turn {
    /// The id that its events carry.
    pub(super) fn name(&self) -> String {
        format!("turn-{}", self.seq)
    }
}

/// A message on its way into the agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Waiting {
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
    /// What answers name. The CLI counts its requests from 0 in every process, so its own id would come again.
    pub(super) id: String,
    /// The CLI's id of the request.
    pub(super) request: Value,
    /// The answers it takes; none for questions.
    pub(super) choices: Vec<Choice>,
    /// The questions that it asks; none for a permission prompt.
    pub(super) questions: Vec<Question>,
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
    /// What it would change, bounded, for a prompt about it; null when it changes no files.
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
    /// What has come and was not told.
    pub(super) text: String,
    /// Bytes of it that were told before.
    pub(super) told: usize,
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

/// What was told of the account's usage limit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Limit {
    pub(super) status: String,
    /// When it ends, in seconds since the Unix epoch.
    pub(super) resets_at: Option<u64>,
}

impl State {
    /// Begins a new process: what was known of the last one is void.
    pub(super) fn start_process(&mut self) {
        self.end_process();
        self.running = true;
    }

    /// Ends the process. What the worker asks for, the session's facts and the limit outlive it.
    pub(super) fn end_process(&mut self) {
        let (wanted, facts, limit) =
            (std::mem::take(&mut self.wanted), std::mem::take(&mut self.facts), std::mem::take(&mut self.limit));
        *self = Self { wanted, facts, limit, ..Self::default() };
    }

    /// Whether the CLI can be given a message, or can say why not.
    pub(super) fn is_ready(&self) -> bool {
        self.handshake == Handshake::Done
    }

    /// Whether the CLI works, or is about to.
    pub(super) fn is_busy(&self) -> bool {
        self.turn.is_some() || !self.waiting.is_empty()
    }

    /// The CLI's id of the turn that runs or is about to.
    pub(super) fn turn_id(&self) -> Option<&str> {
        let running = self.turn.as_ref().map(|turn| turn.id.as_str()).filter(|id| !id.is_empty());
        running.or_else(|| self.waiting.iter().rev().find_map(|message| message.turn.as_deref()))
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

    pub(super) fn wait_for(&mut self, message: Waiting) {
        push_bounded(&mut self.waiting, message, WAITING_MAX);
    }

    pub(super) fn requested(&mut self, request: Request) {
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

    /// Whether a warning with this hash is a new one.
    pub(super) fn warn(&mut self, hash: u64) -> bool {
        let new = !self.warnings.contains(&hash);
        if new {
            push_bounded(&mut self.warnings, hash, WARNINGS_MAX);
        }
        new
    }
}

/// Appends `item`; drops the oldest when there would be more than `max`.
fn push_bounded<T>(items: &mut Vec<T>, item: T, max: usize) {
    if items.len() >= max {
        items.remove(0);
    }
    items.push(item);
}
