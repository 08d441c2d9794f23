//! What the fold remembers between records: small, bounded, and saved as JSON.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::Usage;

/// Changes whenever a saved state can no longer be read by [`State`]'s `Deserialize`.
pub(super) const STATE_VERSION: u32 = 1;

/// Messages written to the CLI that it has not shown again; the oldest is forgotten beyond that.
const WAITING_MAX: usize = 256;
/// Prompts that may be open at once; more are declined.
pub(super) const PROMPTS_MAX: usize = 64;
/// Our control requests without an answer; the oldest is forgotten beyond that.
const REQUESTS_MAX: usize = 64;
/// Requests of the CLI that wait to be declined; the oldest is forgotten beyond that.
const DECLINES_MAX: usize = 64;
/// Calls of planning tools without a result; the oldest is forgotten beyond that.
const PLAN_CALLS_MAX: usize = 64;
/// Entries of the plan; the oldest is forgotten beyond that.
pub(super) const PLAN_MAX: usize = 200;

/// Background tasks that are remembered; the oldest is forgotten beyond that.
const BACKGROUND_MAX: usize = 64;

/// The fold's memory.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct State {
    /// [`STATE_VERSION`] when it was saved.
    pub(super) version: u32,
    /// Whether a process runs.
    pub(super) running: bool,
    /// Whether the `initialize` request was written to this process.
    pub(super) initialized: bool,
    /// Whether this process has shown that it takes messages.
    pub(super) ready: bool,
    /// Control requests written to this process, for their ids.
    pub(super) requests_written: u64,
    /// Those without an answer.
    pub(super) requests: Vec<Request>,
    /// What the CLI asked that is declined by itself, until the answer was written.
    pub(super) declines: Vec<Request>,
    /// What this process had cost at the end of its last turn, in billionths of a US dollar: a whole number is the same
    /// after it was saved.
    pub(super) cost_nano_usd: u64,
    /// The session as last told.
    pub(super) facts: Facts,
    /// The running turn.
    pub(super) turn: Option<Turn>,
    /// Messages that the CLI has not shown to have taken, in the order they were written.
    pub(super) waiting: Vec<Waiting>,
    /// Open permission prompts and questions.
    pub(super) prompts: Vec<Prompt>,
    /// Calls of planning tools whose result is to come.
    pub(super) plan_calls: Vec<PlanCall>,
    /// The task list, as the Task tools built it.
    pub(super) tasks: Vec<Task>,
    /// Background commands and sub-agents that have not ended.
    pub(super) background: Vec<String>,
    /// Whether this process was asked for a timer. When one ends is not told reliably, so it holds for the whole process.
    pub(super) timers: bool,
    /// Tokens that fit into the model's context.
    pub(super) context_window: Option<u64>,
    /// What the journal has of a block that may never be told whole. It is bounded by what the shim keeps of one.
    #[serde(skip_serializing_if = "Unfinished::is_empty")]
    pub(super) unfinished: Unfinished,
}

/// A block that is being written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Unfinished {
    pub(super) message_id: Option<String>,
    pub(super) thinking: String,
    pub(super) text: String,
    /// Whether the block's beginning is there.
    pub(super) from_start: bool,
}

impl Unfinished {
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
pub(super) struct Request {
    pub(super) id: String,
    pub(super) subtype: String,
}

/// What was told of the session, so that it is told again only when it changes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Facts {
    pub(super) session_id: String,
    pub(super) model: String,
    pub(super) permission_mode: String,
    /// A hash of what is too long to keep: directory, tools, commands, MCP servers.
    pub(super) rest: u64,
    /// Whether `initialize` has told the commands with their descriptions.
    pub(super) commands_told: bool,
}

/// The running turn.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Turn {
    /// Where it began: its id, and what tells earlier messages from later ones.
    pub(super) seq: u64,
    /// Whether a message of ours was shown in it.
    pub(super) replayed: bool,
    /// The API's last message in it, whose usage is counted.
    pub(super) message_id: String,
    /// Tokens so far.
    pub(super) usage: Usage,
}

impl Turn {
    /// The id that its events carry.
    pub(super) fn id(&self) -> String {
        format!("turn-{}", self.seq)
    }
}

/// A message on its way into the agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Waiting {
    /// The `uuid` it was written with: our message id.
    pub(super) id: Option<String>,
    /// The offset of its `in` record.
    pub(super) seq: u64,
    /// Whether an interrupt came after it while no turn ran: it may have been dropped, so it does not keep the CLI busy.
    pub(super) doubtful: bool,
}

/// An open prompt: what its answer must repeat.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Prompt {
    pub(super) id: String,
    pub(super) tool: String,
    pub(super) input: Value,
    /// What `allow_always` grants, as the CLI suggested it; empty when it did not.
    pub(super) suggestions: Vec<Value>,
}

/// A call of a tool that changes the plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct PlanCall {
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

impl State {
    /// Begins a new process: what was known of the last one is void.
    pub(super) fn start_process(&mut self) {
        self.end_process();
        self.running = true;
    }

    /// Ends the process. The session's facts and the plan outlive it.
    pub(super) fn end_process(&mut self) {
        self.running = false;
        self.initialized = false;
        self.ready = false;
        self.requests_written = 0;
        self.requests.clear();
        self.declines.clear();
        self.cost_nano_usd = 0;
        self.facts.commands_told = false;
        self.turn = None;
        self.waiting.clear();
        self.prompts.clear();
        self.plan_calls.clear();
        self.background.clear();
        self.timers = false;
    }

    /// Whether the CLI works, or is about to.
    pub(super) fn is_busy(&self) -> bool {
        self.turn.is_some() || self.waiting.iter().any(|message| !message.doubtful)
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

    pub(super) fn decline(&mut self, request: Request) {
        push_bounded(&mut self.declines, request, DECLINES_MAX);
    }

    /// A background task was started, or is over.
    pub(super) fn background_task(&mut self, id: &str, runs: bool) {
        self.background.retain(|known| known != id);
        if runs {
            push_bounded(&mut self.background, id.to_owned(), BACKGROUND_MAX);
        }
    }

    pub(super) fn plan_called(&mut self, call: PlanCall) {
        push_bounded(&mut self.plan_calls, call, PLAN_CALLS_MAX);
    }
}

/// Appends `item`; drops the oldest when there would be more than `max`.
pub(super) fn push_bounded<T>(items: &mut Vec<T>, item: T, max: usize) {
    if items.len() >= max {
        items.remove(0);
    }
    items.push(item);
}
