//! Agents that speak the Agent Client Protocol: JSON-RPC 2.0, one object a line, on stdin and stdout. One process for
//! many turns.
//!
//! What this module knows was observed on OpenCode 1.18.33 (`opencode acp`) and Gemini CLI 0.61.0 (`gemini --acp`); the
//! recordings are in `tests/captures/opencode` and `tests/captures/gemini`. The points that shape the fold:
//! - `initialize`, then `session/new` (or one that takes up an earlier session); the answer to that makes it ready.
//! - A turn is a `session/prompt` without an answer. Agents treat a second one in four ways, so one is sent at a time.
//! - The pieces of a message are all that is sent of it: they are journaled, shown live, and told as one message when
//!   something else follows.
//! - An interrupt is a notification, and some agents obey it only when their open prompts are answered too.
//! - Agents number their requests from 0 in every process, so a prompt is known to people by its place in the journal.
//! - What one agent does differently is in its `Dialect`; a declared adapter's file makes one too.

mod diff;
mod encode;
mod files;
mod gemini;
mod lines;
mod opencode;
mod rpc;
mod session;
mod state;
#[cfg(test)]
mod tests;
mod text;

pub use gemini::{Gemini, GeminiSettings};
pub use opencode::{OpenCode, OpenCodeSettings};
pub(crate) use session::AcpSession;

use crate::adapter::Refusal;
use crate::journal::WorkerOptions;

/// What one agent does in its own way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dialect {
    /// Its name, for people.
    pub(crate) name: String,
    /// What to do when it is not logged in, as sentences.
    pub(crate) login: String,
    /// Whether the model is chosen by its command line or environment, so that it need not be set again.
    pub(crate) model_at_launch: bool,
    /// Whether a message that is sent in the middle of a turn joins it.
    pub(crate) steer: bool,
    /// Whether a tool call's id begins with the tool's name, as in `write_file__call_1`.
    pub(crate) tool_in_id: bool,
    /// Whether it says nothing more of a tool call that was not allowed.
    pub(crate) silent_denial: bool,
    /// Whether the history of a session that is loaded goes on after the answer, until the agent tells its commands.
    pub(crate) history_after_load: bool,
    /// Whether it reads and writes files through its client instead of by itself. It then waits while no server runs.
    pub(crate) client_files: bool,
    /// What stands before a model's name that is given without it.
    pub(crate) model_prefix: Option<String>,
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

/// What such an agent can do, as [`crate::adapter::Cli::capabilities`] names it.
pub(crate) const CAPABILITIES: [&str; 9] =
    ["turns", "deltas", "thinking", "permissions", "interrupt", "images", "set_model", "set_permission_mode", "usage"];

/// Refuses what the protocol has no place for, and arguments that would change the protocol or the session.
fn check(name: &str, options: &WorkerOptions, file: &str, reserved: &[&str]) -> Result<(), Refusal> {
    if options.system_prompt.as_ref().is_some_and(|prompt| !prompt.trim().is_empty()) {
        return Err(Refusal::Invalid(format!("{name} takes no system prompt: write it into the project's {file}")));
    }
    for arg in &options.args {
        let flag = arg.split('=').next().unwrap_or(arg);
        if reserved.contains(&flag) {
            return Err(Refusal::Invalid(format!("the argument {flag} is set by rs-worker; leave it out")));
        }
    }
    Ok(())
}
