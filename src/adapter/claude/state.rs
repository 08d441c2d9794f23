//! The fold's memory between records: small, bounded, and saved as JSON.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::adapter::kit::{Form, push_bounded, turn};
use crate::event::Usage;
use crate::fnv;

/// Changes whenever a saved state can no longer be read by [`ClaudeState`]'s `Deserialize`.
pub(super) const STATE_VERSION: u32 = 2;

/// Messages written to the CLI that it has not shown again; the oldest is forgotten beyond that.
const SENT_MAX: usize = 256;
/// Prompts that may be open at once; more are declined.
pub(super) const PROMPTS_MAX: usize = 64;
/// Our control requests without an answer; the oldest is forgotten beyond that.
const REQUESTS_MAX: usize = 64;
/// Requests of the CLI that wait to be declined; the oldest is forgotten beyond that.
const DECLINES_MAX: usize = 64;
/// Calls of planning tools without a result; the oldest is forgotten beyond that.
const CALLS_MAX: usize = 64;
/// Entries of the plan; the oldest is forgotten beyond that.
pub(super) const PLAN_MAX: usize = 200;

/// Messages that are remembered as the conversation is compacted; what is repeated beyond that is shown again.
const PRESERVED_MAX: usize = 4_096;
/// Background tasks that are remembered; the oldest is forgotten beyond that.
const BACKGROUND_MAX: usize = 64;

/// The fold's memory.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct ClaudeState {
    /// True while a process runs.
    pub(super) running: bool,
    /// The progress of the handshake with this process.
    pub(super) handshake: Handshake,
    /// True if this process has reported that it does not have the session that it was to resume.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) session_gone: bool,
    /// The offset of the record in which the CLI last named its models.
    pub(super) options_seq: Option<u64>,
    /// A hash of the options as last reported.
    pub(super) options_hash: u64,
    /// Control requests written to this process, for their ids.
    pub(super) requests_written: u64,
    /// Requests without an answer.
    pub(super) requests: Vec<PendingRequest>,
    /// Requests of the CLI that are declined without a person, until the answer was written.
    pub(super) declines: Vec<PendingRequest>,
    /// The cost of this process at the end of its last turn, in billionths of a US dollar: a whole number is the same
    /// after it was saved.
    pub(super) cost_nano_usd: u64,
    /// The session as last reported.
    pub(super) facts: ClaudeFacts,
    /// The running turn.
    pub(super) turn: Option<Turn>,
    /// Messages that the CLI has not shown to have taken, in the order they were written.
    pub(super) sent: Vec<SentMessage>,
    /// The ids of the messages that the running turn has taken, or the next one when none runs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) taken: Vec<String>,
    /// Open permission prompts and questions.
    pub(super) prompts: Vec<Prompt>,
    /// Calls of planning tools whose result is to come.
    pub(super) calls: Vec<Call>,
    /// The task list, as the Task tools built it.
    pub(super) tasks: Vec<Task>,
    /// Background commands and sub-agents that have not ended.
    pub(super) background: Vec<String>,
    /// True if this process lists its background tasks at each change, so that they need not be counted.
    pub(super) tasks_listed: bool,
    /// Hashes of the ids of messages that the CLI repeats as it compacts the conversation, until its turn ends.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) preserved: Vec<u64>,
    /// True if this process was asked for a timer. The end of one is not reported reliably, so it holds for the whole
    /// process.
    pub(super) timers: bool,
    /// Tokens that fit into the model's context.
    pub(super) context_window: Option<u64>,
    /// The journal's part of a block that may never follow whole. It is bounded by the shim's memory of one.
    #[serde(skip_serializing_if = "Partial::is_empty")]
    pub(super) partial: Partial,
}

/// The progress of the handshake with a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Handshake {
    /// The `initialize` request was written.
    pub(super) initialized: bool,
    /// The process has shown that it takes messages.
    pub(super) ready: bool,
}

/// A block that is being written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Partial {
    pub(super) message_id: Option<String>,
    pub(super) thinking: String,
    pub(super) text: String,
    /// True if the block's beginning is there.
    pub(super) from_start: bool,
}

impl Partial {
    /// Another block begins, or this one has come whole.
    pub(super) fn clear(&mut self) {
        self.thinking.clear();
        self.text.clear();
        self.from_start = false;
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A control request, of either side.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct PendingRequest {
    pub(super) id: String,
    pub(super) subtype: String,
    /// The model or the mode that it asks for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) value: String,
}

/// The facts of the session as last reported, so that they are repeated only when they change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct ClaudeFacts {
    pub(super) session_id: String,
    pub(super) model: String,
    pub(super) permission_mode: String,
    /// A hash of what is too long to keep: directory, tools, commands, MCP servers.
    pub(super) rest: u64,
    /// True if `initialize` has listed the commands with their descriptions.
    pub(super) commands_told: bool,
}

/// The running turn.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Turn {
    /// The offset of the record that began it: its id, and the border between earlier messages and later ones.
    pub(super) seq: u64,
    /// True if a message of ours was shown in it.
    pub(super) replayed: bool,
    /// The API's last message in it, whose usage is counted.
    pub(super) message_id: String,
    /// Tokens so far.
    pub(super) usage: Usage,
    /// Tokens in the model's context at the last message.
    pub(super) context_tokens: u64,
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
    /// The `uuid` it was written with: our message id.
    pub(super) id: Option<String>,
    /// The offset of its `in` record.
    pub(super) seq: u64,
    /// True if an interrupt came after it while no turn ran: it may have been dropped, so it does not keep the CLI
    /// busy.
    pub(super) doubtful: bool,
}

/// An open prompt: what its answer must repeat.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Prompt {
    pub(super) id: String,
    pub(super) tool: String,
    pub(super) input: Value,
    /// True if the line was not well-formed JSON, so that `input` may differ from the CLI's.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) repaired: bool,
    /// The input's JSON as the CLI wrote it, when the line was repaired and the input can be found in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) written: Option<String>,
    /// The grants of `allow_always`, as the CLI suggested them; empty when it did not.
    pub(super) suggestions: Vec<Value>,
    /// The form that an MCP server asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) form: Option<Form>,
    /// The offset of its record.
    pub(super) seq: u64,
}

/// A call of a tool that changes the plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Call {
    pub(super) id: String,
    pub(super) tool: String,
    /// The new list of `TodoWrite`.
    pub(super) entries: Vec<Task>,
    /// The new subject of `TaskUpdate`.
    pub(super) subject: Option<String>,
}

/// One entry of the plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Task {
    pub(super) id: String,
    pub(super) text: String,
    pub(super) status: String,
}

impl ClaudeState {
    /// Begins a new process: what was known of the last one is void.
    pub(super) fn start_process(&mut self) {
        self.end_process();
        self.running = true;
    }

    /// Ends the process. The session's facts and the plan outlive it.
    pub(super) fn end_process(&mut self) {
        self.running = false;
        self.handshake = Handshake::default();
        self.session_gone = false;
        self.requests_written = 0;
        self.requests.clear();
        self.declines.clear();
        self.cost_nano_usd = 0;
        self.facts.commands_told = false;
        self.turn = None;
        self.sent.clear();
        self.taken.clear();
        self.prompts.clear();
        self.calls.clear();
        self.background.clear();
        self.tasks_listed = false;
        self.preserved.clear();
        self.timers = false;
    }

    /// Returns true while the CLI works, or is about to.
    pub(super) fn is_busy(&self) -> bool {
        self.turn.is_some() || self.sent.iter().any(|message| !message.doubtful)
    }

    /// The id of the message that the CLI is writing, as far as the journal shows.
    pub(super) fn message_id(&self) -> Option<&str> {
        let turn = self.turn.as_ref().map(|turn| turn.message_id.as_str());
        self.partial.message_id.as_deref().or(turn).filter(|id| !id.is_empty())
    }

    /// The open prompt with this id.
    pub(super) fn prompt(&self, id: &str) -> Option<&Prompt> {
        self.prompts.iter().find(|prompt| prompt.id == id)
    }

    pub(super) fn note_message(&mut self, message: SentMessage) {
        push_bounded(&mut self.sent, message, SENT_MAX);
    }

    /// Notes that the running turn answers a message.
    pub(super) fn take_message(&mut self, id: &str) {
        push_bounded(&mut self.taken, id.to_owned(), SENT_MAX);
    }

    pub(super) fn requested(&mut self, request: PendingRequest) {
        push_bounded(&mut self.requests, request, REQUESTS_MAX);
    }

    pub(super) fn decline(&mut self, request: PendingRequest) {
        push_bounded(&mut self.declines, request, DECLINES_MAX);
    }

    /// A background task was started, or is over.
    pub(super) fn background_task(&mut self, id: &str, runs: bool) {
        if self.tasks_listed {
            return;
        }
        self.background.retain(|known| known != id);
        if runs {
            push_bounded(&mut self.background, id.to_owned(), BACKGROUND_MAX);
        }
    }

    /// The background tasks that run now, as the CLI lists them.
    pub(super) fn background_tasks(&mut self, ids: impl Iterator<Item = String>) {
        self.tasks_listed = true;
        self.background = ids.take(BACKGROUND_MAX).collect();
    }

    /// Remembers the messages that the CLI repeats while it compacts.
    pub(super) fn preserve<'i>(&mut self, ids: impl Iterator<Item = &'i str>) {
        self.preserved = ids.take(PRESERVED_MAX).map(|id| fnv::hash(id.as_bytes())).collect();
    }

    /// Returns true for the id of a message that was shown before the conversation was compacted.
    pub(super) fn is_preserved(&self, id: &str) -> bool {
        !self.preserved.is_empty() && self.preserved.contains(&fnv::hash(id.as_bytes()))
    }

    pub(super) fn plan_called(&mut self, call: Call) {
        push_bounded(&mut self.calls, call, CALLS_MAX);
    }
}
