//! The options of a worker, and what a run of it has: its settings and limits.

use serde::{Deserialize, Serialize};

use super::{GroupPart, Handover, McpServer, Parent};
use crate::cgroup::WorkerLimits;

/// The options of a worker: everything that a start of its CLI needs besides the configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkerOptions {
    /// The model to ask for; the CLI's own choice when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The CLI's permission mode (`default`, `acceptEdits`, `plan`, ...).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permission_mode: Option<String>,
    /// The effort with which the model thinks; the CLI's own choice when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effort: Option<String>,
    /// Text added to the CLI's system prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<String>,
    /// More arguments for the CLI's command line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// More environment variables for the CLI, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<(String, String)>,
    /// The CLI's session to resume instead of beginning a new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume_session: Option<String>,
    /// True if `resume_session` is to be branched off under a new id, leaving the original as it is.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub fork: bool,
    /// MCP servers that the CLI's session gets. Their variables and headers may be secrets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mcp_servers: Vec<McpServer>,
    /// The limits of its processes.
    #[serde(skip_serializing_if = "WorkerLimits::is_empty")]
    pub limits: WorkerLimits,
    /// The place where it runs, as `RUNNER` names it; the usual place when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runner: Option<String>,
    /// The preset that it was made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// The client's key of the request that made the worker: the same again is the same worker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// The hash of that request: distinguishes a repeated request from another one with the same key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_hash: Option<u64>,
    /// The conversation that it continues.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handover: Option<Box<Handover>>,
    /// Its part in a group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<Box<GroupPart>>,
    /// True if its agent gets a token of its own at each start, with which it makes workers below this one.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub mcp: bool,
    /// The worker whose agent has made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<Box<Parent>>,
}

/// The settings that a start passes to a CLI besides its session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StartSettings {
    /// The model; the CLI's own choice when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The permission mode; the CLI's own choice when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permission_mode: Option<String>,
}

/// The limits of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunLimits {
    /// The limits.
    #[serde(flatten)]
    pub limits: WorkerLimits,
    /// The reason that they are not enforced, for people; absent when they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unenforced: Option<String>,
}

/// The memory that was exhausted when the kernel killed a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemoryExhaustion {
    /// That of the worker's own limit.
    Worker,
    /// That of the machine, or of a group around the server.
    #[serde(other)]
    Machine,
}
