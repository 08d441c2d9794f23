//! The fold's memory between records: small, bounded, and saved as JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Dialect;
pub(super) use super::pending::{Decline, FileAsk, PendingRequest, Wish};
use crate::adapter::kit::{Form, WorkerWishes, push_bounded, turn};
use crate::event::{CliSetting, PermissionOption, Usage};
use crate::journal::{McpServer, McpTransport};

/// Changes whenever a saved state can no longer be read by [`AcpState`]'s `Deserialize`.
pub(super) const STATE_VERSION: u32 = 4;

/// Longest message that is put together from its pieces, in bytes. A longer one is emitted in several parts with the same
/// id; the bound is what the saved state may hold.
pub(super) const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Tool calls without a result; the oldest is forgotten beyond that. A record that ends a turn gives one event for each,
/// and it has more bytes than that.
pub(super) const CALLS_MAX: usize = 24;
/// Longest input or content of a tool call that is remembered until its result, in bytes of JSON.
pub(super) const REMEMBERED_BYTES_MAX: usize = 16 * 1024;
/// Prompts that may be open at once; more are declined.
pub(super) const PROMPTS_MAX: usize = 16;
/// Requests for files that wait to be served; more are declined.
pub(super) const FILE_REQUESTS_MAX: usize = 64;
/// Our requests without an answer; the oldest is forgotten beyond that.
const REQUESTS_MAX: usize = 64;
/// Requests of the agent that wait to be declined; the oldest is forgotten beyond that.
const DECLINES_MAX: usize = 64;
/// Modes of an agent that are remembered.
pub(super) const MODES_MAX: usize = 64;

/// The fold's memory.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct AcpState {
    /// The worker's wishes.
    pub(super) wanted: WorkerWishes,
    /// The wish whose request follows in the journal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) wish: Option<Wish>,
    /// The MCP servers that the session gets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) mcp_servers: Vec<McpServer>,
    /// This server, for an agent that has a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) own_server: Option<McpServer>,
    /// The session that the next process is to begin with.
    pub(super) opening: SessionOpening,
    /// True while a process runs.
    pub(super) running: bool,
    /// The progress of its handshake.
    pub(super) handshake: Handshake,
    /// True if the session is open, and only the end of its repeated history is awaited.
    pub(super) awaits_history: bool,
    /// The agent's capabilities, from its answer to `initialize`.
    pub(super) agent: Agent,
    /// True if the agent offered to fork sessions when it last listed its capabilities.
    pub(super) can_fork: Option<bool>,
    /// The offset of the record in which the agent last listed its options.
    pub(super) options_seq: Option<u64>,
    /// The values of its options in force, model and mode apart.
    pub(super) values: BTreeMap<String, Value>,
    /// The values that were chosen, and that the agent has not refused.
    pub(super) chosen: BTreeMap<String, Value>,
    /// The effort that the worker was asked for, until the agent has listed an option for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) effort: Option<String>,
    /// Options that this process was asked to set.
    pub(super) tried: Vec<String>,
    /// Requests written to this process, for their ids.
    pub(super) requests_written: u64,
    /// Requests without an answer, except prompts.
    pub(super) requests: Vec<PendingRequest>,
    /// Requests of the agent that are declined without a person, until the answer was written.
    pub(super) declines: Vec<Decline>,
    /// The agent's requests for files, until the answer was written.
    pub(super) files: Vec<FileAsk>,
    /// The session as last reported.
    pub(super) facts: AcpFacts,
    /// The session's cost at the end of the last turn, in billionths of a US dollar: a whole number is the same after
    /// it was saved. Absent when it is not known, as after a session was loaded that began elsewhere.
    pub(super) cost_nano_usd: Option<u64>,
    /// The session's cost by now, as the agent reported it last.
    pub(super) cost_now_nano_usd: Option<u64>,
    /// The tokens of the session at the end of the last turn, for agents that count so. Absent when they are not known, as
    /// after a session was loaded that began elsewhere.
    pub(super) usage_before: Option<Usage>,
    /// The compaction that is under way.
    pub(super) compaction: Option<Compaction>,
    /// The running turn.
    pub(super) turn: Option<Turn>,
    /// The message whose pieces have come so far.
    pub(super) partial: Option<Partial>,
    /// Call calls without a result.
    pub(super) calls: Vec<Call>,
    /// Open permission prompts and questions.
    pub(super) prompts: Vec<Prompt>,
}

/// Which session a process begins with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) enum SessionOpening {
    /// A new one.
    #[default]
    New,
    /// An earlier one, by its id.
    Resume(String),
    /// A new one that begins as a copy of this one.
    Fork(String),
}

/// The progress of the handshake with a process. A step changes when the records show it, never before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Handshake {
    /// `initialize` is to be written.
    #[default]
    Initialize,
    /// Its answer is awaited.
    Initializing,
    /// The session is to be opened.
    Open,
    /// The answer to that is awaited. `show`: what the agent repeats of the session until then is news to this journal.
    Opening {
        /// True if the repeated history gives events.
        show: bool,
    },
    /// The permission mode that the worker was asked for is to be set.
    SetMode,
    /// The model that the worker was asked for is to be set.
    SetModel,
    /// The other options that were chosen are to be set.
    SetOptions,
    /// Takes messages.
    Ready,
    /// Cannot be used: the process is to be ended.
    Failed,
}

/// The agent's capabilities.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Agent {
    pub(super) load: bool,
    pub(super) resume: bool,
    pub(super) fork: bool,
    pub(super) image: bool,
    pub(super) audio: bool,
    pub(super) embedded: bool,
    /// True if it can use MCP servers by HTTP, and by the older HTTP with server-sent events.
    pub(super) mcp_http: bool,
    pub(super) mcp_sse: bool,
    /// The ways to log in, in words.
    pub(super) logins: String,
    /// Its modes, when it has said which there are.
    pub(super) modes: Vec<String>,
    /// The configuration option that is the mode, for agents that have it so.
    pub(super) mode_option: Option<String>,
    /// The configuration option that is the model, for agents that have it so.
    pub(super) model_option: Option<String>,
}

/// The facts of the session as last reported, so that they are repeated only when they change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct AcpFacts {
    pub(super) session_id: String,
    pub(super) model: String,
    pub(super) permission_mode: String,
    /// A hash of the commands, which are too long to keep.
    pub(super) commands: u64,
    /// A hash of the options.
    pub(super) options: u64,
    /// Tokens in the context and its size.
    pub(super) context: (u64, u64),
}

/// The running turn.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Turn {
    /// The offset of the record that began it: its id.
    pub(super) seq: u64,
    /// The time when it began, in microseconds.
    pub(super) time: u64,
    /// The prompts that it answers, without an answer so far.
    pub(super) sent: Vec<SentMessage>,
    /// True if an interrupt was written.
    pub(super) cancelled: bool,
    /// True if the agent's last output was text, as at the end of an answer.
    pub(super) answered: bool,
    /// The tokens that were reported within it.
    pub(super) usage: Option<Usage>,
}

impl Turn {
    /// The id that its events carry.
    pub(super) fn id(&self) -> String {
        turn::id(self.seq)
    }
}

/// A `session/prompt` without an answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct SentMessage {
    pub(super) id: Value,
    /// Our id of the message, until an event has said that the agent took it.
    pub(super) message_id: Option<String>,
}

/// The author of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Speaker {
    /// The agent.
    #[default]
    Agent,
    /// The agent, to itself.
    Thought,
    /// The user: only in history that the agent repeats.
    User,
    /// Another session of the agent's, such as a sub-agent.
    Session,
}

/// A compaction of the conversation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Compaction {
    pub(super) id: String,
    /// The summary so far, up to [`MESSAGE_BYTES_MAX`].
    pub(super) summary: String,
}

/// The source of a tool's name: a later one replaces one that is worse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum NameSource {
    /// The call's title, as it came first.
    #[default]
    Title,
    /// The kind of the tool.
    Kind,
    /// A title that looks like a name.
    Word,
    /// The agent itself.
    Agent,
}

/// A message whose pieces have come so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Partial {
    pub(super) speaker: Speaker,
    pub(super) id: Option<String>,
    pub(super) text: String,
}

/// A tool call without a result.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Call {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) named_by: NameSource,
    pub(super) title: String,
    pub(super) kind: String,
    /// Its input, while it is short.
    pub(super) input: Option<Value>,
    /// True if its input was too long to be remembered.
    pub(super) input_forgotten: bool,
    pub(super) locations: Vec<Value>,
    /// A hash of the call as last reported.
    pub(super) reported: u64,
    /// Its content so far, while it is short.
    pub(super) content: Option<Value>,
    /// The change that its permission prompt showed, while it is short.
    pub(super) asked: Option<Value>,
    /// True if it was refused.
    pub(super) denied: bool,
}

/// An open permission prompt or question.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Prompt {
    /// The id that people know it by: unique within the worker, as the agent's own is not.
    pub(super) request_id: String,
    /// The agent's id of its request.
    pub(super) id: Value,
    pub(super) tool_call_id: String,
    pub(super) options: Vec<PermissionOption>,
    /// The form that it shows, where it is a question.
    pub(super) form: Option<Form>,
    /// True if its answer was recorded; the line that carries it follows.
    pub(super) answered: bool,
}

impl AcpState {
    /// Begins a new process: what was known of the last one is void.
    pub(super) fn start_process(&mut self) {
        self.end_process();
        self.running = true;
    }

    /// Ends the process. The session's facts and its cost outlive it.
    pub(super) fn end_process(&mut self) {
        self.running = false;
        self.wish = None;
        self.handshake = Handshake::Initialize;
        self.awaits_history = false;
        self.agent = Agent::default();
        self.requests_written = 0;
        self.tried.clear();
        self.requests.clear();
        self.declines.clear();
        self.files.clear();
        self.compaction = None;
        self.turn = None;
        self.partial = None;
        self.calls.clear();
        self.prompts.clear();
    }

    /// Returns true if the agent can use a server.
    pub(super) fn can_use(&self, server: &McpServer) -> bool {
        match server.transport {
            McpTransport::Stdio { .. } => true,
            McpTransport::Http { .. } => self.agent.mcp_http,
            McpTransport::Sse { .. } => self.agent.mcp_sse,
        }
    }

    /// Returns true while the agent has a message to answer.
    pub(super) fn is_busy(&self) -> bool {
        self.turn.is_some()
    }

    /// Returns `None` unless history is being repeated, and then true if it gives events.
    pub(super) fn repeating(&self) -> Option<bool> {
        match self.handshake {
            Handshake::Opening { show } => Some(show),
            _ => None,
        }
    }

    pub(super) fn requested(&mut self, request: PendingRequest) {
        push_bounded(&mut self.requests, request, REQUESTS_MAX);
    }

    pub(super) fn decline(&mut self, decline: Decline) {
        push_bounded(&mut self.declines, decline, DECLINES_MAX);
    }

    /// The tool call with this id, if it has no result yet.
    pub(super) fn call(&mut self, id: &str) -> Option<&mut Call> {
        self.calls.iter_mut().find(|tool| tool.id == id)
    }

    pub(super) fn called(&mut self, call: Call) {
        push_bounded(&mut self.calls, call, CALLS_MAX);
    }

    /// Takes a wish for a setting; `None` where nothing is wished for.
    pub(super) fn wishes(&mut self, setting: CliSetting, value: Option<&String>) {
        let Some(value) = value else { return };
        if self.running {
            self.wish = Some(Wish { setting, value: value.clone() });
        } else {
            *self.wanted_setting(setting) = Some(value.clone());
        }
    }

    /// The value that a start asks for.
    pub(super) fn wanted_setting(&mut self, setting: CliSetting) -> &mut Option<String> {
        match setting {
            CliSetting::Model => &mut self.wanted.model,
            CliSetting::PermissionMode => &mut self.wanted.permission_mode,
        }
    }

    /// The wish that a request to set something carries: somebody's, or that of the start.
    pub(super) fn wish_of(&mut self, method: &str) -> Option<Wish> {
        if !method.starts_with("session/set_") {
            return None;
        }
        let of_the_start = |setting, value: &str| Wish { setting, value: value.to_owned() };
        self.wish.take().or_else(|| match self.handshake {
            // The mode of its adapter's file is nobody's wish.
            Handshake::SetMode => {
                Some(of_the_start(CliSetting::PermissionMode, self.wanted.permission_mode.as_deref()?))
            }
            Handshake::SetModel => Some(of_the_start(CliSetting::Model, self.wanted_model()?)),
            _ => None,
        })
    }

    /// The mode that the worker was asked for, or begins in by its adapter's file, unless it is in it already.
    pub(super) fn wanted_mode<'s>(&'s self, dialect: &'s Dialect) -> Option<&'s str> {
        let wanted = self.wanted.permission_mode.as_deref().or(dialect.permission_mode.as_deref());
        wanted.filter(|mode| *mode != self.facts.permission_mode && !mode.is_empty())
    }

    /// The next option that was chosen and is not in force: each is tried once a process.
    pub(super) fn wanted_option(&self) -> Option<(&String, &Value)> {
        let is_due = |(id, value): &(&String, &Value)| {
            self.values.get(*id).is_some_and(|now| now != *value) && !self.tried.contains(id)
        };
        self.chosen.iter().find(is_due)
    }

    /// The model that the worker was asked for, unless it uses it already.
    pub(super) fn wanted_model(&self) -> Option<&str> {
        self.wanted.model.as_deref().filter(|model| *model != self.facts.model && !model.is_empty())
    }
}

/// `value` when its JSON is short enough to be remembered.
pub(super) fn remembered(value: &Value) -> Option<Value> {
    (value.to_string().len() <= REMEMBERED_BYTES_MAX).then(|| value.clone())
}
