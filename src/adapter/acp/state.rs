//! What the fold remembers between records: small, bounded, and saved as JSON.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::PermissionOption;

/// Changes whenever a saved state can no longer be read by [`State`]'s `Deserialize`.
pub(super) const STATE_VERSION: u32 = 1;

/// Longest message that is put together from its pieces, in bytes. A longer one is told in several parts with the same
/// id; the bound is what the saved state may hold.
pub(super) const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Tool calls without a result; the oldest is forgotten beyond that. A record that ends a turn tells one event for each,
/// and it has more bytes than that.
pub(super) const TOOLS_MAX: usize = 24;
/// Longest input or content of a tool call that is remembered until its result, in bytes of JSON.
pub(super) const REMEMBERED_BYTES_MAX: usize = 16 * 1024;
/// Prompts that may be open at once; more are declined.
pub(super) const ASKS_MAX: usize = 16;
/// Requests for files that wait to be served; more are declined.
pub(super) const FILES_MAX: usize = 64;
/// Our requests without an answer; the oldest is forgotten beyond that.
const REQUESTS_MAX: usize = 64;
/// Requests of the agent that wait to be declined; the oldest is forgotten beyond that.
const DECLINES_MAX: usize = 64;
/// Modes of an agent that are remembered.
pub(super) const MODES_MAX: usize = 64;

/// The fold's memory.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct State {
    /// [`STATE_VERSION`] when it was saved.
    pub(super) version: u32,
    /// The working directory of the worker.
    pub(super) cwd: String,
    /// The model that the worker was asked for.
    pub(super) model: Option<String>,
    /// The permission mode that the worker was asked for.
    pub(super) permission_mode: Option<String>,
    /// The session that the next process is to begin with.
    pub(super) opening: Opening,
    /// Whether a process runs.
    pub(super) running: bool,
    /// How far its handshake has come.
    pub(super) step: Step,
    /// Whether the session is open, and only the end of its repeated history is awaited.
    pub(super) awaits_history: bool,
    /// What the agent can do, as its answer to `initialize` says.
    pub(super) agent: Agent,
    /// Requests written to this process, for their ids.
    pub(super) requests_written: u64,
    /// Those without an answer, prompts apart.
    pub(super) requests: Vec<Request>,
    /// What the agent asked that is declined by itself, until the answer was written.
    pub(super) declines: Vec<Decline>,
    /// What the agent asked of files, until the answer was written.
    pub(super) files: Vec<FileAsk>,
    /// The session as last told.
    pub(super) facts: Facts,
    /// What the session had cost at the end of the last turn, in billionths of a US dollar: a whole number is the same
    /// after it was saved. Absent when it is not known, as after a session was loaded that began elsewhere.
    pub(super) cost_nano_usd: Option<u64>,
    /// What the session has cost by now, as the agent said last.
    pub(super) cost_now_nano_usd: Option<u64>,
    /// The running turn.
    pub(super) turn: Option<Turn>,
    /// The message whose pieces have come so far.
    pub(super) message: Option<Message>,
    /// Tool calls without a result.
    pub(super) tools: Vec<Tool>,
    /// Open permission prompts.
    pub(super) asks: Vec<Ask>,
}

/// Which session a process begins with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) enum Opening {
    /// A new one.
    #[default]
    New,
    /// An earlier one, by its id.
    Resume(String),
    /// A new one that begins as a copy of this one.
    Fork(String),
}

/// How far the handshake of a process has come. A step changes when the records show it, never before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Step {
    /// `initialize` is to be written.
    #[default]
    Initialize,
    /// Its answer is awaited.
    Initializing,
    /// The session is to be opened.
    Open,
    /// The answer to that is awaited. `show`: what the agent repeats of the session until then is news to this journal.
    Opening {
        /// Whether the repeated history is told.
        show: bool,
    },
    /// The permission mode that the worker was asked for is to be set.
    SetMode,
    /// The model that the worker was asked for is to be set.
    SetModel,
    /// It takes messages.
    Ready,
    /// It cannot be used: the process is to be ended.
    Failed,
}

/// What the agent can do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Agent {
    pub(super) load: bool,
    pub(super) resume: bool,
    pub(super) fork: bool,
    pub(super) image: bool,
    pub(super) audio: bool,
    pub(super) embedded: bool,
    /// How one can log in, in words.
    pub(super) logins: String,
    /// Its modes, when it has said which there are.
    pub(super) modes: Vec<String>,
    /// The configuration option that is the mode, for agents that have it so.
    pub(super) mode_option: Option<String>,
    /// The configuration option that is the model, for agents that have it so.
    pub(super) model_option: Option<String>,
}

/// A request of ours without an answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Request {
    pub(super) id: Value,
    pub(super) method: String,
    /// What it asks for: a session, a mode, a model.
    pub(super) value: String,
}

/// A request of the agent that rs-worker has nothing for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Decline {
    pub(super) id: Value,
    pub(super) method: String,
}

/// A request of the agent that concerns a file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct FileAsk {
    pub(super) id: Value,
    /// The offset of its record, which has the rest.
    pub(super) seq: u64,
}

/// What was told of the session, so that it is told again only when it changes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Facts {
    pub(super) session_id: String,
    pub(super) model: String,
    pub(super) permission_mode: String,
    /// A hash of the commands, which are too long to keep.
    pub(super) commands: u64,
    /// Tokens in the context and its size.
    pub(super) context: (u64, u64),
}

/// The running turn.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Turn {
    /// Where it began: its id.
    pub(super) seq: u64,
    /// When it began, in microseconds.
    pub(super) time: u64,
    /// The prompts that it answers, without an answer so far.
    pub(super) prompts: Vec<Prompt>,
    /// Whether an interrupt was written.
    pub(super) cancelled: bool,
}

impl Turn {
    /// The id that its events carry.
    pub(super) fn id(&self) -> String {
        format!("turn-{}", self.seq)
    }
}

/// A `session/prompt` without an answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Prompt {
    pub(super) id: Value,
    /// Our id of the message, until it was told that the agent took it.
    pub(super) message_id: Option<String>,
}

/// Who says a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Speaker {
    /// The agent.
    #[default]
    Agent,
    /// The agent, to itself.
    Thought,
    /// The user: only in history that the agent repeats.
    User,
}

/// A message whose pieces have come so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Message {
    pub(super) speaker: Speaker,
    pub(super) id: Option<String>,
    pub(super) text: String,
}

/// A tool call without a result.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Tool {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) title: String,
    pub(super) kind: String,
    /// Its input, while it is short.
    pub(super) input: Option<Value>,
    pub(super) locations: Vec<Value>,
    /// What was told of it, as a hash.
    pub(super) told: u64,
    /// Its content so far, while it is short.
    pub(super) content: Option<Value>,
    /// The change that its permission prompt showed, while it is short.
    pub(super) asked: Option<Value>,
    /// Whether it was refused.
    pub(super) denied: bool,
}

/// An open permission prompt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Ask {
    /// The id that people know it by: unique within the worker, as the agent's own is not.
    pub(super) request_id: String,
    /// The agent's id of its request.
    pub(super) id: Value,
    pub(super) tool_call_id: String,
    pub(super) options: Vec<PermissionOption>,
    /// Whether its answer was recorded; the line that carries it follows.
    pub(super) answered: bool,
}

impl State {
    /// Begins a new process: what was known of the last one is void.
    pub(super) fn start_process(&mut self) {
        self.end_process();
        self.running = true;
    }

    /// Ends the process. The session's facts and its cost outlive it.
    pub(super) fn end_process(&mut self) {
        self.running = false;
        self.step = Step::Initialize;
        self.awaits_history = false;
        self.agent = Agent::default();
        self.requests_written = 0;
        self.requests.clear();
        self.declines.clear();
        self.files.clear();
        self.turn = None;
        self.message = None;
        self.tools.clear();
        self.asks.clear();
    }

    /// Whether the agent has a message to answer.
    pub(super) fn is_busy(&self) -> bool {
        self.turn.is_some()
    }

    /// Whether history is being repeated, and if so whether it is told.
    pub(super) fn repeating(&self) -> Option<bool> {
        match self.step {
            Step::Opening { show } => Some(show),
            _ => None,
        }
    }

    pub(super) fn requested(&mut self, request: Request) {
        push_bounded(&mut self.requests, request, REQUESTS_MAX);
    }

    pub(super) fn decline(&mut self, decline: Decline) {
        push_bounded(&mut self.declines, decline, DECLINES_MAX);
    }

    /// The tool call with this id, if it has no result yet.
    pub(super) fn tool(&mut self, id: &str) -> Option<&mut Tool> {
        self.tools.iter_mut().find(|tool| tool.id == id)
    }

    pub(super) fn add_tool(&mut self, tool: Tool) {
        push_bounded(&mut self.tools, tool, TOOLS_MAX);
    }

    /// The mode that the worker was asked for, unless it is in it already.
    pub(super) fn wanted_mode(&self) -> Option<&str> {
        self.permission_mode.as_deref().filter(|mode| *mode != self.facts.permission_mode && !mode.is_empty())
    }

    /// The model that the worker was asked for, unless it uses it already.
    pub(super) fn wanted_model(&self) -> Option<&str> {
        self.model.as_deref().filter(|model| *model != self.facts.model && !model.is_empty())
    }
}

/// `value` when its JSON is short enough to be remembered.
pub(super) fn remembered(value: &Value) -> Option<Value> {
    (value.to_string().len() <= REMEMBERED_BYTES_MAX).then(|| value.clone())
}

/// Appends `item`; drops the oldest when there would be more than `max`.
pub(super) fn push_bounded<T>(items: &mut Vec<T>, item: T, max: usize) {
    if items.len() >= max {
        items.remove(0);
    }
    items.push(item);
}
