//! Permission modes: when Codex asks, and what its sandbox allows without asking.

use serde_json::{Value, json};

use crate::adapter::Refusal;
use crate::adapter::kit::launch;

/// One mode.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mode {
    /// The name that workers use.
    pub(super) name: &'static str,
    /// The CLI's `approvalPolicy`.
    pub(super) approval: &'static str,
    /// The sandbox that goes with it; absent where the mode leaves the sandbox as it is.
    sandbox: Option<SandboxNames>,
}

/// A sandbox by its two names.
#[derive(Debug, PartialEq, Eq)]
struct SandboxNames {
    /// Its name in `thread/start` and in the configuration.
    mode: &'static str,
    /// The `type` of a `sandboxPolicy` in `turn/start`.
    policy: &'static str,
}

/// The CLI's three policies, and the three combinations with a sandbox that its own menu offers.
const MODES: [Mode; 6] = [
    Mode { name: "untrusted", approval: "untrusted", sandbox: None },
    Mode { name: "on-request", approval: "on-request", sandbox: None },
    Mode { name: "never", approval: "never", sandbox: None },
    Mode {
        name: "read-only",
        approval: "on-request",
        sandbox: Some(SandboxNames { mode: "read-only", policy: "readOnly" }),
    },
    Mode {
        name: "auto",
        approval: "on-request",
        sandbox: Some(SandboxNames { mode: "workspace-write", policy: "workspaceWrite" }),
    },
    Mode {
        name: "full-access",
        approval: "never",
        sandbox: Some(SandboxNames { mode: "danger-full-access", policy: "dangerFullAccess" }),
    },
];

impl Mode {
    /// Puts the mode into the parameters of a `thread/` request.
    pub(super) fn for_thread(&self, params: &mut serde_json::Map<String, Value>) {
        params.insert("approvalPolicy".to_owned(), self.approval.into());
        if let Some(sandbox) = &self.sandbox {
            params.insert("sandbox".to_owned(), sandbox.mode.into());
        }
    }

    /// Puts the mode into the parameters of a `turn/start`.
    pub(super) fn for_turn(&self, params: &mut serde_json::Map<String, Value>) {
        params.insert("approvalPolicy".to_owned(), self.approval.into());
        if let Some(sandbox) = &self.sandbox {
            params.insert("sandboxPolicy".to_owned(), json!({"type": sandbox.policy}));
        }
    }
}

/// The names of all modes.
pub(super) fn names() -> Vec<&'static str> {
    MODES.iter().map(|mode| mode.name).collect()
}

/// The mode of this name.
pub(super) fn find(name: &str) -> Result<&'static Mode, Refusal> {
    MODES.iter().find(|mode| mode.name == name).ok_or_else(|| launch::unknown_mode(name, &names()))
}

/// The name of the mode in a request; the policy's own name when no mode matches. `sandbox` is either
/// name of a sandbox.
pub(super) fn name_of(approval: &str, sandbox: Option<&str>) -> String {
    let fits = |mode: &&Mode| {
        let with = mode.sandbox.as_ref();
        mode.approval == approval
            && sandbox.is_none_or(|name| with.is_some_and(|it| it.mode == name || it.policy == name))
    };
    MODES.iter().find(fits).map_or(approval, |mode| mode.name).to_owned()
}
