//! Agents that speak the Agent Client Protocol: JSON-RPC 2.0, one object a line, on stdin and stdout. One process for
//! many turns.
//!
//! The behaviour was observed on OpenCode 1.18.33 (`opencode acp`) and Gemini CLI 0.61.0 (`gemini --acp`); the
//! recordings are in `tests/captures/opencode` and `tests/captures/gemini`. The points that shape the fold:
//! - `initialize`, then `session/new` (or one that takes up an earlier session); the answer to that makes it ready.
//! - A turn is a `session/prompt` without an answer. Agents treat a second one in four ways, so one is sent at a time.
//! - The pieces of a message are all that is sent of it: they are journaled, shown live, and emitted as one message when
//!   something else follows.
//! - An interrupt is a notification, and some agents obey it only when their open prompts are answered too.
//! - Agents number their requests from 0 in every process, so a prompt is known to people by its place in the journal.
//! - What one agent does differently is in its `Dialect`; a declared adapter's file makes one too.

mod diff;
mod encode;
mod errors;
mod files;
pub(crate) mod gemini;
mod lines;
mod listing;
pub(crate) mod opencode;
mod options;
mod pending;
mod rpc;
mod session;
mod state;
#[cfg(test)]
mod tests;

pub use gemini::{Gemini, GeminiSettings};
pub(crate) use listing::{AgentSession, ListStep, SessionListing};
pub use opencode::{OpenCode, OpenCodeSettings};
pub(crate) use session::AcpSession;

use crate::adapter::kit::launch;
use crate::adapter::{AGENT_SERVER, AGENT_TOKENS, AGENT_URL_ENV, AgentAccess, Launch, Refusal};
use crate::journal::{McpServer, McpTransport, WorkerOptions};

/// The peculiarities of one agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dialect {
    /// Its name, for people.
    pub(crate) name: String,
    /// Advice for an agent that is not logged in, as sentences.
    pub(crate) login: String,
    /// True if the model is chosen by its command line or environment, so that it need not be set again.
    pub(crate) model_at_launch: bool,
    /// True if a message that is sent in the middle of a turn joins it.
    pub(crate) steer: bool,
    /// True if a tool call's id begins with the tool's name, as in `write_file__call_1`.
    pub(crate) tool_in_id: bool,
    /// True if it sends nothing more about a tool call that was not allowed.
    pub(crate) silent_denial: bool,
    /// True if the history of a loaded session continues after the answer, until the agent lists its commands.
    pub(crate) history_after_load: bool,
    /// True if it reads and writes files through its client instead of by itself. It then waits while no server runs.
    pub(crate) client_files: bool,
    /// The prefix of a model's name that is given without it.
    pub(crate) model_prefix: Option<String>,
    /// The mode that a worker begins in when it names none; the agent's own choice when absent.
    pub(crate) permission_mode: Option<String>,
    /// The span that the token counts of a prompt's answer cover.
    pub(crate) usage: UsageSpan,
    /// True if a change of mode is repeated as text of the agent, as in `[MODE_UPDATE] plan`.
    pub(crate) mode_in_text: bool,
}

/// The span that token counts cover.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum UsageSpan {
    /// The turn.
    #[default]
    Turn,
    /// The session, up to and with the turn.
    Session,
}

impl Dialect {
    /// The tool's name, where the call's id says it.
    fn tool_name<'i>(&self, id: &'i str) -> Option<&'i str> {
        lines::name_in_id(id).filter(|_| self.tool_in_id)
    }

    /// A model as the agent names it.
    fn model_id(&self, model: &str) -> String {
        match &self.model_prefix {
            Some(prefix) if !model.starts_with(prefix.as_str()) => format!("{prefix}{model}"),
            _ => model.to_owned(),
        }
    }
}

/// The capabilities of such an agent, as in [`crate::adapter::Cli::capabilities`].
pub(crate) const CAPABILITIES: [&str; 11] = [
    "turns",
    "deltas",
    "thinking",
    "permissions",
    "interrupt",
    "images",
    "set_model",
    "set_permission_mode",
    "usage",
    "mcp_servers",
    AGENT_TOKENS,
];

/// Gives an agent its token, and returns this server as the session gets it: a program that the agent starts, which every agent
/// can, and which finds the token in the agent's environment. A header would be in the journal.
pub(crate) fn give_access(launch: &mut Launch, access: &AgentAccess<'_>) -> McpServer {
    launch::put_token(launch, access);
    let transport = McpTransport::Stdio {
        command: access.program.to_string_lossy().into_owned(),
        args: ["mcp", "--agent"].map(str::to_owned).to_vec(),
        env: vec![(AGENT_URL_ENV.to_owned(), access.base.to_owned())],
    };
    McpServer { name: AGENT_SERVER.to_owned(), transport }
}

/// Refuses what the protocol has no place for, and arguments that would change the protocol or the session.
fn check(name: &str, options: &WorkerOptions, file: &str, reserved: &[&str]) -> Result<(), Refusal> {
    if options.system_prompt.as_ref().is_some_and(|prompt| !prompt.trim().is_empty()) {
        return Err(Refusal::Invalid(format!("{name} takes no system prompt: write it into the project's {file}")));
    }
    if launch::given(&options.effort).is_some() {
        return Err(Refusal::Invalid(format!("{name} has no effort that can be set: omit it")));
    }
    launch::check_args(&options.args, |name| reserved.contains(&name))
}
