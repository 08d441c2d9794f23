//! The facts of a background command or a sub-agent, which a notice about it carries.

use serde::Serialize;

use super::facts::Text;

/// The facts of a task that a notice reports; an absent one has not changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TaskFacts<'a> {
    /// The CLI's id of it.
    pub id: Text<'a>,
    /// `running`, `completed`, `failed`, `stopped`, `killed`, ...
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Text<'a>>,
    /// `agent` or `command`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    /// The tool call that started it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<Text<'a>>,
    /// Its purpose, in the agent's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Text<'a>>,
    /// Its present step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activity: Option<Text<'a>>,
    /// Its result in a few words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<Text<'a>>,
    /// The reason that it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Text<'a>>,
    /// Tokens so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Tool calls so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_uses: Option<u64>,
    /// Its duration so far, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
}
