//! The events that a worker reports, normalized to be the same for every CLI.
//!
//! An adapter makes them from records, the worker's own state makes those about processes and messages, and the wire
//! carries them as the `content` of an `output` frame. Every event has `type`, readable `content` and `timestamp`; the
//! other fields depend on the type.

mod buffer;
mod facts;
pub(crate) mod image;
mod outcome;
mod prompt;
mod setting;
mod task;

use serde::Serialize;
use serde_json::Value;

use crate::clock::Micros;

use crate::journal::By;
pub(crate) use buffer::EventBuffer;
pub use buffer::numbered;
pub(crate) use facts::Text;
pub(crate) use facts::Usage;
pub use facts::{SessionFacts, TurnEnd};
pub use image::Image;
pub(crate) use prompt::{BudgetDetails, PermissionOption, PromptDetails};
pub(crate) use setting::CliSetting;
pub(crate) use task::TaskFacts;

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

    /// A piece of a message that is being written. Its offset is set by whoever knows the pieces before it.
    pub fn piece(message_id: Option<Text<'a>>, of: &'static str, text: impl Into<Text<'a>>) -> Self {
        Self::new(text, Body::Delta { message_id, of, offset: None })
    }
}

/// The kind of a tool, so that a page can choose its display.
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

/// The type of an event and the fields that go with it. Absent optional fields are left out of the JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Body<'a> {
    /// The CLI's session is ready, or its facts have changed.
    Session(SessionFacts<'a>),
    /// The CLI has listed its options, or one of them has another value.
    Options {
        /// All of them, as `GET /api/workers/{id}/options` shows them.
        options: Value,
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
    /// The state of a client's message.
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
        /// Number of its images and files when it is first queued, if it has any.
        #[serde(skip_serializing_if = "Option::is_none")]
        attachments: Option<usize>,
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
    /// A piece of a message that is being written; the piece is its readable text. Live only: it has no sequence number,
    /// the whole message follows.
    Delta {
        /// The message's id.
        #[serde(skip_serializing_if = "Option::is_none")]
        message_id: Option<Text<'a>>,
        /// `assistant` or `thinking`.
        of: &'static str,
        /// Characters (Unicode scalar values) of the message before the piece.
        #[serde(skip_serializing_if = "Option::is_none")]
        offset: Option<u64>,
    },
    /// The agent calls a tool, or says more of a call it has made (same id again).
    ToolCall {
        /// The CLI's id of the call.
        tool_call_id: Text<'a>,
        /// The tool's name.
        name: Text<'a>,
        /// Its input.
        input: Value,
        /// Its effect.
        kind: ToolKind,
        /// Files it concerns, as `[{"path","line"?}]`.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        locations: Vec<Value>,
        /// The tool call whose sub-agent calls it.
        #[serde(skip_serializing_if = "Option::is_none")]
        parent_tool_call_id: Option<Text<'a>>,
    },
    /// The tool's output.
    ToolResult {
        /// The call's id.
        tool_call_id: Text<'a>,
        /// True if it failed.
        is_error: bool,
        /// Its output as the CLI structured it.
        #[serde(skip_serializing_if = "Value::is_null")]
        output: Value,
        /// Its changes, as `[{"path","diff"}]` with unified diffs.
        #[serde(skip_serializing_if = "Option::is_none")]
        diff: Option<Value>,
        /// Its images, without their data.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        images: Vec<Image>,
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
        /// The tool's intended effect.
        input: Value,
        /// The answers it takes.
        options: Vec<PermissionOption>,
        /// Further details from the CLI.
        #[serde(flatten)]
        details: Box<PromptDetails>,
    },
    /// A permission prompt is no longer open.
    PermissionResolved {
        /// Its id.
        request_id: Text<'a>,
        /// `allow_once`, `allow_always`, `deny`, `cancelled`, or the CLI's own option id.
        decision: Text<'a>,
        /// The author of the decision; the CLI for a prompt that was withdrawn.
        by: By,
        /// The name of the rule that decided, if one did.
        #[serde(skip_serializing_if = "Option::is_none")]
        rule: Option<Text<'a>>,
        /// The input that the tool used instead of its own.
        #[serde(skip_serializing_if = "Option::is_none")]
        updated_input: Option<Value>,
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
        /// Further details from the CLI.
        #[serde(flatten)]
        details: Box<PromptDetails>,
    },
    /// A question is no longer open.
    QuestionResolved {
        /// Its id.
        request_id: Text<'a>,
        /// The answers, by question; absent when it was withdrawn.
        #[serde(skip_serializing_if = "Option::is_none")]
        answers: Option<Value>,
        /// The author of the answers; the CLI for a question that was withdrawn.
        by: By,
    },
    /// The agent has begun to work.
    TurnStarted {
        /// Ours: unique within the worker, the same in [`Body::TurnCompleted`].
        turn_id: Text<'a>,
    },
    /// The agent has ended its turn.
    TurnCompleted(TurnEnd<'a>),
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
        /// The time when it ends, ISO 8601 on the wire.
        #[serde(skip_serializing_if = "Option::is_none")]
        resets_at: Option<Micros>,
        /// The CLI's name of the window that it counts in, as in `five_hour`.
        #[serde(skip_serializing_if = "Option::is_none")]
        window: Option<Text<'a>>,
        /// The used part of the window, in percent.
        #[serde(skip_serializing_if = "Option::is_none")]
        used_percent: Option<u64>,
    },
    /// The CLI has answered a wish for another model or permission mode.
    Setting {
        /// `model` or `permission_mode`.
        setting: CliSetting,
        /// The request.
        value: Text<'a>,
        /// `applied` or `refused`: what was refused takes effect nowhere, and no later start asks for it again.
        state: &'static str,
    },
    /// The worker's status has changed.
    Status {
        /// `starting`, `idle`, `busy`, `waiting`, `stalled`, `stopping`, `stopped` or `failed`.
        status: &'static str,
        /// The reason, where there is more to say.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<Text<'a>>,
    },
    /// Something went wrong; the worker continues unless its status says otherwise.
    Error {
        /// The machine-readable kind: `api_error`, `api_retry`, `authentication_failed`, `spawn_failed`, ...
        code: Text<'a>,
    },
    /// A notice that is not a message of the agent (a compaction, a hook, a background task).
    Notice {
        /// The machine-readable kind.
        code: Text<'a>,
        /// The background command or sub-agent that it is about.
        #[serde(skip_serializing_if = "Option::is_none")]
        task: Option<Box<TaskFacts<'a>>>,
    },
    /// Comments on the worker's changes, or marks of viewed files, have changed: `GET .../review` has them.
    Review {
        /// The number of those that have changed.
        comments_changed: usize,
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
        /// Other processes of its tree that had to be ended.
        ended: Vec<crate::journal::EndedProcess>,
    },
    /// A line that its adapter does not know.
    Unknown {
        /// The CLI's object, or its line as a string.
        raw: Value,
    },
}

impl<'a> Body<'a> {
    /// A session of which only the id is news.
    pub fn session(id: impl Into<Text<'a>>) -> Self {
        Self::Session(SessionFacts { session_id: Some(id.into()), ..SessionFacts::default() })
    }

    /// The end of a turn of which nothing is known but its reason, as when its process ended.
    pub fn turn_completed(turn_id: impl Into<Text<'a>>, stop_reason: impl Into<Text<'a>>, is_error: bool) -> Self {
        let (turn_id, stop_reason) = (turn_id.into(), stop_reason.into());
        Self::TurnCompleted(TurnEnd { turn_id, stop_reason, is_error, ..TurnEnd::default() })
    }

    /// A notice of a kind.
    pub(crate) fn notice(code: impl Into<Text<'a>>) -> Self {
        Self::Notice { code: code.into(), task: None }
    }

    /// A message to the CLI that no client of ours sent.
    pub(crate) const fn foreign_message() -> Self {
        Self::User { message_id: None, client_message_id: None, attachments: Vec::new() }
    }

    /// Text of the agent itself, or its reasoning.
    pub(crate) const fn said(thinking: bool, message_id: Option<Text<'a>>, parent: Option<Text<'a>>) -> Self {
        if thinking {
            Self::Thinking { message_id, parent_tool_call_id: parent }
        } else {
            Self::Assistant { message_id, parent_tool_call_id: parent }
        }
    }
}

impl Body<'_> {
    /// Returns whether it asks something of people, or says that it is settled.
    pub const fn is_prompt(&self) -> bool {
        matches!(
            self,
            Self::PermissionRequest { .. }
                | Self::PermissionResolved { .. }
                | Self::Question { .. }
                | Self::QuestionResolved { .. }
        )
    }

    /// Returns whether it is what the agent says, does or asks: what a client of the reference shows.
    pub const fn is_of_agent(&self) -> bool {
        matches!(
            self,
            Self::Assistant { .. }
                | Self::Thinking { .. }
                | Self::ToolCall { .. }
                | Self::ToolResult { .. }
                | Self::Plan { .. }
                | Self::PermissionRequest { .. }
                | Self::Question { .. }
                | Self::Error { .. }
        )
    }

    /// The `type` that the wire carries.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Session(_) => "session",
            Self::Options { .. } => "options",
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
            Self::TurnCompleted(_) => "turn_completed",
            Self::Usage { .. } => "usage",
            Self::RateLimit { .. } => "rate_limit",
            Self::Setting { .. } => "setting",
            Self::Status { .. } => "status",
            Self::Error { .. } => "error",
            Self::Notice { .. } => "notice",
            Self::Review { .. } => "review",
            Self::Stderr { .. } => "stderr",
            Self::Exit { .. } => "exit",
            Self::Unknown { .. } => "unknown",
        }
    }
}

/// An event as the wire and the history carry it: `type`, `content`, `timestamp` and the fields of its body in one
/// object.
#[cfg(test)]
#[derive(Serialize)]
pub(crate) struct EventContent<'e, 'a> {
    /// Type and fields.
    #[serde(flatten)]
    pub body: &'e Body<'a>,
    /// Readable text.
    pub content: &'e str,
    /// The time of the record.
    pub timestamp: Micros,
}
