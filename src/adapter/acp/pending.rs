//! Requests that are under way, in both directions: those that the agent owes an answer to, and those that it waits for.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::CliSetting;

/// A request of ours without an answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct PendingRequest {
    pub(super) id: Value,
    pub(super) method: String,
    /// The object of the request: a session, a mode, a model.
    pub(super) value: String,
    /// The option that it sets, with its value.
    pub(super) option: Option<(String, Value)>,
    /// The worker's setting that it asks for, as it was wished for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) wish: Option<Wish>,
}

/// A wish for another model or mode.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Wish {
    pub(super) setting: CliSetting,
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
