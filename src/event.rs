//! What a worker can tell: the normalised events, the same for every CLI.
//!
//! An adapter makes them from records, the worker's own state makes those about processes and messages, and the wire
//! carries them as the `content` of an `output` frame. Every event has `type`, readable `content` and `timestamp`; the
//! other fields depend on the type.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;

use crate::clock::Micros;

/// Text that is borrowed from a record where that is possible.
pub type Text<'a> = Cow<'a, str>;

/// One event, without its time and sequence number: those come from its record.
#[derive(Clone, Debug, PartialEq)]
pub struct Event<'a> {
    /// Readable text: what a client that knows nothing of `body` shows.
    pub content: Text<'a>,
    /// The type and its fields.
    pub body: Body<'a>,
}

impl<'a> Event<'a> {
    /// An event with its readable text.
    pub fn new(content: impl Into<Text<'a>>, body: Body<'a>) -> Self {
        Self { content: content.into(), body }
    }
}

/// What a tool does, so that a page can choose how to show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolKind {
    /// Reads files.
    Read,
    /// Changes files.
    Edit,
    /// Runs commands.
    Execute,
    /// Looks through files or the web.
    Search,
    /// Gets something from the network.
    Fetch,
    /// Plans, asks a sub-agent, keeps notes.
    Think,
    /// Anything else.
    Other,
}

/// One answer that a permission prompt offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct PermissionOption {
    /// What an answer names: `allow_once`, `allow_always`, `deny`, or the CLI's own id.
    pub id: String,
    /// The button's text.
    pub label: String,
    /// `allow_once`, `allow_always`, `reject_once` or `reject_always`, as in the Agent Client Protocol.
    pub kind: String,
}

/// Token counts; absent where the CLI does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Tokens of the prompt that were not cached.
    pub input_tokens: u64,
    /// Tokens of the answer.
    pub output_tokens: u64,
    /// Prompt tokens read from the cache.
    pub cache_read_tokens: u64,
    /// Prompt tokens written to the cache.
    pub cache_write_tokens: u64,
}

impl Usage {
    /// Adds another count to this one.
    pub fn add(&mut self, other: &Self) {
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        self.cache_read_tokens = self.cache_read_tokens.saturating_add(other.cache_read_tokens);
        self.cache_write_tokens = self.cache_write_tokens.saturating_add(other.cache_write_tokens);
    }
}

/// The type of an event and the fields that go with it. Absent optional fields are left out of the JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Body<'a> {
    /// The CLI's session is ready, or its facts have changed.
    Session {
        /// The CLI's own id of the session.
        #[serde(skip_serializing_if = "Option::is_none")]
        session_id: Option<Text<'a>>,
        /// The model.
        #[serde(skip_serializing_if = "Option::is_none")]
        model: Option<Text<'a>>,
        /// The working directory.
        #[serde(skip_serializing_if = "Option::is_none")]
        cwd: Option<Text<'a>>,
        /// The permission mode.
        #[serde(skip_serializing_if = "Option::is_none")]
        permission_mode: Option<Text<'a>>,
        /// The names of its tools.
        #[serde(skip_serializing_if = "Option::is_none")]
        tools: Option<Value>,
        /// Its slash commands, as `[{"name","description"}]`.
        #[serde(skip_serializing_if = "Option::is_none")]
        commands: Option<Value>,
        /// Its MCP servers, as `[{"name","status"}]`.
        #[serde(skip_serializing_if = "Option::is_none")]
        mcp_servers: Option<Value>,
    },
    /// A message to the CLI.
    User {
        /// Our id of the message; absent for one that the CLI made itself.
        #[serde(skip_serializing_if = "Option::is_none")]
        message_id: Option<Text<'a>>,
        /// The client's id of it.
        #[serde(skip_serializing_if = "Option::is_none")]
        client_message_id: Option<Text<'a>>,
        /// Images and files, without their data.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        attachments: Vec<Value>,
    },
    /// Where a message of a client stands now.
    MessageState {
        /// Our id of the message.
        message_id: Text<'a>,
        /// The client's id of it.
        #[serde(skip_serializing_if = "Option::is_none")]
        client_message_id: Option<Text<'a>>,
        /// `queued`, `delivered`, `consumed`, `removed`, or `lost` (its CLI ended before it took it).
        state: &'static str,
        /// Its text, in `queued` (also after an edit).
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<Text<'a>>,
    },
    /// Text of the agent.
    Assistant {
        /// The CLI's id of the message.
        #[serde(skip_serializing_if = "Option::is_none")]
        message_id: Option<Text<'a>>,
        /// The tool call whose sub-agent says it.
        #[serde(skip_serializing_if = "Option::is_none")]
        parent_tool_call_id: Option<Text<'a>>,
    },
    /// The agent's reasoning.
    Thinking {
        /// The CLI's id of the message.
        #[serde(skip_serializing_if = "Option::is_none")]
        message_id: Option<Text<'a>>,
        /// The tool call whose sub-agent thinks it.
        #[serde(skip_serializing_if = "Option::is_none")]
        parent_tool_call_id: Option<Text<'a>>,
    },
    /// A piece of a message that is being written. Live only: it has no sequence number, the whole message follows.
    Delta {
        /// The message's id.
        #[serde(skip_serializing_if = "Option::is_none")]
        message_id: Option<Text<'a>>,
        /// `assistant` or `thinking`.
        of: &'static str,
        /// The piece.
        text: Text<'a>,
    },
    /// The agent calls a tool, or says more of a call it has made (same id again).
    ToolCall {
        /// The CLI's id of the call.
        tool_call_id: Text<'a>,
        /// The tool's name.
        name: Text<'a>,
        /// Its input.
        input: Value,
        /// What it does.
        kind: ToolKind,
        /// Files it concerns, as `[{"path","line"?}]`.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        locations: Vec<Value>,
        /// The tool call whose sub-agent calls it.
        #[serde(skip_serializing_if = "Option::is_none")]
        parent_tool_call_id: Option<Text<'a>>,
    },
    /// What a tool answered.
    ToolResult {
        /// The call's id.
        tool_call_id: Text<'a>,
        /// Whether it failed.
        is_error: bool,
        /// Its output as the CLI structured it.
        #[serde(skip_serializing_if = "Value::is_null")]
        output: Value,
        /// What it changed, as `[{"path","diff"}]` with unified diffs.
        #[serde(skip_serializing_if = "Option::is_none")]
        diff: Option<Value>,
        /// The tool call whose sub-agent got it.
        #[serde(skip_serializing_if = "Option::is_none")]
        parent_tool_call_id: Option<Text<'a>>,
    },
    /// The agent's to-do list.
    Plan {
        /// `[{"text","status"}]` with `pending`, `in_progress`, `completed`.
        entries: Vec<Value>,
    },
    /// The CLI asks whether it may do something, and waits.
    PermissionRequest {
        /// Its id, for the answer.
        request_id: Text<'a>,
        /// The tool call that it is about.
        #[serde(skip_serializing_if = "Option::is_none")]
        tool_call_id: Option<Text<'a>>,
        /// The tool.
        tool_name: Text<'a>,
        /// What the tool would do.
        input: Value,
        /// The answers it takes.
        options: Vec<PermissionOption>,
    },
    /// A permission prompt is no longer open.
    PermissionResolved {
        /// Its id.
        request_id: Text<'a>,
        /// `allow_once`, `allow_always`, `deny`, `cancelled`, or the CLI's own option id.
        decision: Text<'a>,
        /// `user`, `policy` or `cli` (withdrawn, or its process ended).
        by: Text<'a>,
    },
    /// The agent asks its user something, and waits.
    Question {
        /// Its id, for the answer.
        request_id: Text<'a>,
        /// The tool call that it is about.
        #[serde(skip_serializing_if = "Option::is_none")]
        tool_call_id: Option<Text<'a>>,
        /// `[{"question","header","options":[{"label","description"}],"multi_select"}]`.
        questions: Value,
    },
    /// A question is no longer open.
    QuestionResolved {
        /// Its id.
        request_id: Text<'a>,
        /// The answers, by question; absent when it was withdrawn.
        #[serde(skip_serializing_if = "Option::is_none")]
        answers: Option<Value>,
        /// As in [`Body::PermissionResolved`].
        by: Text<'a>,
    },
    /// The agent has begun to work.
    TurnStarted {
        /// Ours: unique within the worker, the same in [`Body::TurnCompleted`].
        turn_id: Text<'a>,
    },
    /// The agent has ended its turn.
    TurnCompleted {
        /// As in [`Body::TurnStarted`].
        turn_id: Text<'a>,
        /// `end_turn`, `interrupted`, `error`, `refusal`, `max_turns`, ..., `process_ended`.
        stop_reason: Text<'a>,
        /// How long it took, in milliseconds.
        #[serde(skip_serializing_if = "Option::is_none")]
        duration_ms: Option<u64>,
        /// Tokens of this turn.
        #[serde(skip_serializing_if = "Option::is_none")]
        usage: Option<Usage>,
        /// Cost of this turn in US dollars, as the CLI reckons it.
        #[serde(skip_serializing_if = "Option::is_none")]
        cost_usd: Option<f64>,
        /// Whether it failed.
        is_error: bool,
        /// The final answer.
        #[serde(skip_serializing_if = "Option::is_none")]
        result: Option<Text<'a>>,
    },
    /// Token counts so far within a turn.
    Usage {
        /// The counts.
        usage: Usage,
        /// Tokens in the model's context now.
        #[serde(skip_serializing_if = "Option::is_none")]
        context_tokens: Option<u64>,
        /// Tokens that fit into it.
        #[serde(skip_serializing_if = "Option::is_none")]
        context_window: Option<u64>,
    },
    /// The provider's usage limit.
    RateLimit {
        /// `allowed`, `warning`, `rejected`, `retrying`.
        status: Text<'a>,
        /// When it ends, ISO 8601 on the wire.
        #[serde(skip_serializing_if = "Option::is_none")]
        resets_at: Option<Micros>,
    },
    /// The worker's status has changed.
    Status {
        /// `starting`, `idle`, `busy`, `waiting`, `stalled`, `stopping`, `stopped` or `failed`.
        status: &'static str,
        /// Why, where there is more to say.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<Text<'a>>,
    },
    /// Something went wrong; the worker goes on unless its status says otherwise.
    Error {
        /// What, as a word: `api_error`, `api_retry`, `authentication_failed`, `spawn_failed`, ...
        code: Text<'a>,
    },
    /// Something worth telling that is no message of the agent (a compaction, a hook, a background task).
    Notice {
        /// What, as a word.
        code: Text<'a>,
    },
    /// A line of the CLI's stderr.
    Stderr {},
    /// The CLI's process has ended.
    Exit {
        /// Its exit code, unless a signal ended it.
        #[serde(skip_serializing_if = "Option::is_none")]
        exit_code: Option<i32>,
        /// The signal that ended it.
        #[serde(skip_serializing_if = "Option::is_none")]
        signal: Option<Text<'a>>,
        /// The end of its stderr.
        stderr_tail: Text<'a>,
        /// What else of its process tree had to be ended.
        ended: Vec<crate::journal::Ended>,
    },
    /// A line that its adapter does not know.
    Unknown {
        /// The CLI's object, or its line as a string.
        raw: Value,
    },
}

impl Body<'_> {
    /// Whether it asks something of people, or says that it is settled.
    pub const fn is_prompt(&self) -> bool {
        matches!(
            self,
            Self::PermissionRequest { .. }
                | Self::PermissionResolved { .. }
                | Self::Question { .. }
                | Self::QuestionResolved { .. }
        )
    }

    /// The `type` that the wire carries.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Session { .. } => "session",
            Self::User { .. } => "user",
            Self::MessageState { .. } => "message_state",
            Self::Assistant { .. } => "assistant",
            Self::Thinking { .. } => "thinking",
            Self::Delta { .. } => "delta",
            Self::ToolCall { .. } => "tool_call",
            Self::ToolResult { .. } => "tool_result",
            Self::Plan { .. } => "plan",
            Self::PermissionRequest { .. } => "permission_request",
            Self::PermissionResolved { .. } => "permission_resolved",
            Self::Question { .. } => "question",
            Self::QuestionResolved { .. } => "question_resolved",
            Self::TurnStarted { .. } => "turn_started",
            Self::TurnCompleted { .. } => "turn_completed",
            Self::Usage { .. } => "usage",
            Self::RateLimit { .. } => "rate_limit",
            Self::Status { .. } => "status",
            Self::Error { .. } => "error",
            Self::Notice { .. } => "notice",
            Self::Stderr { .. } => "stderr",
            Self::Exit { .. } => "exit",
            Self::Unknown { .. } => "unknown",
        }
    }
}

/// An event as the wire and the history carry it: `type`, `content`, `timestamp` and the fields of its body in one
/// object.
#[derive(Serialize)]
pub struct Content<'e, 'a> {
    /// Type and fields.
    #[serde(flatten)]
    pub body: &'e Body<'a>,
    /// Readable text.
    pub content: &'e str,
    /// The time of the record.
    pub timestamp: Micros,
}

/// Where events go, one by one, in order.
pub trait Sink {
    /// Takes the next event.
    fn event(&mut self, event: Event<'_>);
}

impl<F: FnMut(Event<'_>)> Sink for F {
    fn event(&mut self, event: Event<'_>) {
        self(event);
    }
}
