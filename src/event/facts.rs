//! The facts of a session and of the end of a turn. Most events give a few of them, so absent ones have a default.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;

/// Text that is borrowed from a record where that is possible.
pub(crate) type Text<'a> = Cow<'a, str>;

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
    /// This count less an earlier one of the same kind; `None` when any part of it has fallen.
    pub fn since(&self, earlier: &Self) -> Option<Self> {
        Some(Self {
            input_tokens: self.input_tokens.checked_sub(earlier.input_tokens)?,
            output_tokens: self.output_tokens.checked_sub(earlier.output_tokens)?,
            cache_read_tokens: self.cache_read_tokens.checked_sub(earlier.cache_read_tokens)?,
            cache_write_tokens: self.cache_write_tokens.checked_sub(earlier.cache_write_tokens)?,
        })
    }

    /// This count less an earlier one; no part falls below zero.
    pub fn less(&self, earlier: &Self) -> Self {
        Self {
            input_tokens: self.input_tokens.saturating_sub(earlier.input_tokens),
            output_tokens: self.output_tokens.saturating_sub(earlier.output_tokens),
            cache_read_tokens: self.cache_read_tokens.saturating_sub(earlier.cache_read_tokens),
            cache_write_tokens: self.cache_write_tokens.saturating_sub(earlier.cache_write_tokens),
        }
    }

    /// Adds another count to this one.
    pub fn add(&mut self, other: &Self) {
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        self.cache_read_tokens = self.cache_read_tokens.saturating_add(other.cache_read_tokens);
        self.cache_write_tokens = self.cache_write_tokens.saturating_add(other.cache_write_tokens);
    }
}

/// The facts of a `session` event; an absent one has not changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SessionFacts<'a> {
    /// The CLI's own id of the session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<Text<'a>>,
    /// The model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<Text<'a>>,
    /// The working directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<Text<'a>>,
    /// The permission mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permission_mode: Option<Text<'a>>,
    /// The names of its tools.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<Value>,
    /// Its slash commands, as `[{"name","description"}]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commands: Option<Value>,
    /// Its MCP servers, as `[{"name","status"}]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mcp_servers: Option<Value>,
}

/// The end of a turn.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TurnEnd<'a> {
    /// The id of [`Body::TurnStarted`](super::Body::TurnStarted).
    pub turn_id: Text<'a>,
    /// Our ids of the messages that it answered; empty for a turn that the agent began on its own. Where a CLI does
    /// not acknowledge messages, the worker fills in those that went since the last turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_ids: Option<Vec<String>>,
    /// `end_turn`, `interrupted`, `error`, `refusal`, `max_turns`, ..., `process_ended`.
    pub stop_reason: Text<'a>,
    /// Its duration, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Tokens of this turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Cost of this turn in US dollars, as the CLI reckons it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
    /// True if it failed.
    pub is_error: bool,
    /// The final answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Text<'a>>,
}
