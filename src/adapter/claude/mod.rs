//! Claude Code (`claude`), driven by its `stream-json` protocol on stdin and stdout: one process for many turns.
//!
//! The knowledge of the CLI in this module comes from versions 2.1.197 and 2.1.332; the recordings are in
//! `tests/captures/claude`.
//! The points that shape the fold:
//! - Nothing is printed before the first line of input, so an `initialize` control request is written first; its answer
//!   shows that the CLI is ready.
//! - A turn begins with a `system/init` line and ends with a `result` line. It may begin without a message from a
//!   client.
//! - Waiting messages are merged into one turn, and each message of the server is repeated (`isReplay`, with the
//!   server's `uuid`) when the agent reads it; a slash command that the CLI runs itself is not repeated.
//! - An invalid line of input ends the process, so every line is made by a serializer.

mod deltas;
mod encode;
mod launch;
mod lines;
mod options;
mod session;
mod state;
#[cfg(test)]
mod tests;
mod tools;
mod transcript;

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::adapter::{AGENT_TOKENS, Adapter, AgentAccess, Cli, Launch, LaunchRequest, Refusal, Session, Texts};
use crate::journal::McpServer;

/// Advice for a Claude Code that is not logged in. Its own `/login` is not available to workers.
const LOGIN: &str = "Run `claude` in a terminal, log in there and start the worker again, or set CLAUDE_API_KEY and \
                     restart the server";

/// The permission modes that the CLI knows; it would take any other word without complaint.
pub(crate) const PERMISSION_MODES: [&str; 6] =
    ["default", "acceptEdits", "plan", "dontAsk", "auto", "bypassPermissions"];

/// The command that installs it.
pub(crate) const INSTALL: &str = "npm install -g @anthropic-ai/claude-code";

/// The levels of effort that the CLI knows; it would warn of any other word and ignore it.
pub(crate) const EFFORTS: [&str; 5] = ["low", "medium", "high", "xhigh", "max"];

/// The name that people read.
const NAME: &str = "Claude Code";

/// The settings of Claude Code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaudeSettings {
    /// The program, by name or path.
    pub binary: PathBuf,
    /// The model for workers that do not name one; the CLI's own choice when absent.
    pub model: Option<String>,
    /// The API key that it gets as `ANTHROPIC_API_KEY`; its own login when absent.
    pub api_key: Option<String>,
}

/// The adapter of Claude Code.
pub struct Claude {
    settings: ClaudeSettings,
    cli: Cli,
}

impl Claude {
    /// The adapter with these settings.
    pub fn new(settings: ClaudeSettings) -> Self {
        let words = |list: &[&str]| list.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let cli = Cli {
            kind: "claude".to_owned(),
            name: NAME.to_owned(),
            binary: settings.binary.to_string_lossy().into_owned(),
            description: "Anthropic's coding agent, with permission prompts, sub-agents and resumable sessions"
                .to_owned(),
            install: INSTALL.to_owned(),
            config_options: vec![
                json!({"name": "model", "label": "Model", "choices": ["default", "opus", "sonnet", "haiku"], "free": true}),
                json!({"name": "permission_mode", "label": "Permission mode", "choices": PERMISSION_MODES}),
                json!({"name": "effort", "label": "Effort", "choices": EFFORTS}),
                json!({"name": "system_prompt", "label": "Addition to the system prompt"}),
                json!({"name": "args", "label": "More command-line arguments"}),
            ],
            capabilities: words(&[
                "turns",
                "deltas",
                "thinking",
                "permissions",
                "questions",
                "interrupt",
                "steer",
                "resume",
                "fork",
                "images",
                "set_model",
                "set_permission_mode",
                "usage",
                "cost",
                AGENT_TOKENS,
            ]),
        };
        Self { settings, cli }
    }
}

impl Adapter for Claude {
    fn cli(&self) -> &Cli {
        &self.cli
    }

    fn oldest_version(&self) -> Option<&str> {
        Some("2.0.0")
    }

    fn launch(&self, request: &LaunchRequest<'_>) -> Result<Launch, Refusal> {
        launch::launch(&self.settings, request)
    }

    fn give_access(&self, launch: &mut Launch, access: &AgentAccess<'_>) -> Option<McpServer> {
        launch::give_access(launch, access);
        None
    }

    fn texts(&self) -> Texts {
        Texts::Whole
    }

    fn secret_env(&self) -> Vec<String> {
        launch::SECRET_ENV.iter().map(|&name| name.to_owned()).collect()
    }

    fn open(&self) -> Box<dyn Session> {
        Box::new(session::ClaudeSession::default())
    }

    fn restore(&self, saved: &Value) -> Option<Box<dyn Session>> {
        let session = session::ClaudeSession::restore(saved)?;
        Some(Box::new(session))
    }

    fn open_transcript(&self) -> Option<Box<dyn Session>> {
        Some(Box::new(transcript::ClaudeTranscript::default()))
    }

    fn restore_transcript(&self, saved: &Value) -> Option<Box<dyn Session>> {
        Some(Box::new(transcript::ClaudeTranscript::restore(saved)?))
    }
}
