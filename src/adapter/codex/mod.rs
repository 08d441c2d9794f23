//! Codex (`codex`), driven by its app server on stdin and stdout: JSON-RPC without the `jsonrpc` field, one object a
//! line, one process for many turns.
//!
//! The behaviour was observed on versions 0.169.0 and 0.171.0, and read from the schemas that it
//! writes (`codex app-server generate-json-schema`); the recordings are in `tests/captures/codex`. The points that shape
//! the fold:
//! - A process begins with `initialize`, `initialized`, and `thread/start`, `thread/resume` or `thread/fork`. The answer
//!   to the last one says that the CLI is ready, and names the session.
//! - `turn/start` begins a turn, or adds its message to the turn that runs. A message carries our id, and is shown again
//!   with it (`userMessage`) when the agent takes it.
//! - A message or thought that is cut short, by an interrupt or by a message that joins the turn, is never repeated
//!   whole: its pieces are all that is ever sent of it. So these are recorded, and put together when no whole follows.
//! - Requests of the CLI wait for ever, so each of them gets an answer: by a person, or by [`Session::due`].
//! - A model or a permission mode goes with the next `turn/start`, and holds for all turns after it.

mod deltas;
mod encode;
mod launch;
mod lines;
mod modes;
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

/// The command that installs it.
pub(crate) const INSTALL: &str = "npm install -g @openai/codex";
/// The name that people read.
const NAME: &str = "Codex";
/// The levels of effort that the CLI knows; with any other word it does not start. Each model has some of them.
pub(crate) const EFFORTS: [&str; 6] = ["none", "minimal", "low", "medium", "high", "xhigh"];
/// The request for the models that can be chosen.
const MODEL_LIST: &str = "model/list";

/// The settings of Codex.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CodexSettings {
    /// The program, by name or path.
    pub binary: PathBuf,
    /// The model for workers that do not name one; the CLI's own choice when absent.
    pub model: Option<String>,
    /// The API key that it uses with the OpenAI API; its own login and configuration when absent.
    pub api_key: Option<String>,
}

/// The adapter of Codex.
pub struct Codex {
    settings: CodexSettings,
    cli: Cli,
}

impl Codex {
    /// The adapter with these settings.
    pub fn new(settings: CodexSettings) -> Self {
        let words = |list: &[&str]| list.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let cli = Cli {
            kind: "codex".to_owned(),
            name: NAME.to_owned(),
            binary: settings.binary.to_string_lossy().into_owned(),
            description: "OpenAI's coding agent, sandboxed, with permission prompts and resumable sessions".to_owned(),
            install: INSTALL.to_owned(),
            config_options: vec![
                json!({"name": "model", "label": "Model", "free": true}),
                json!({"name": "permission_mode", "label": "Permission mode", "choices": modes::names()}),
                json!({"name": "effort", "label": "Effort", "choices": EFFORTS}),
                json!({"name": "system_prompt", "label": "Instructions for the agent"}),
                json!({"name": "args", "label": "More arguments of codex app-server, as in -c key=value"}),
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
                AGENT_TOKENS,
            ]),
        };
        Self { settings, cli }
    }
}

impl Adapter for Codex {
    fn cli(&self) -> &Cli {
        &self.cli
    }

    fn oldest_version(&self) -> Option<&str> {
        Some("0.100.0")
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
        Box::new(session::CodexSession::default())
    }

    fn restore(&self, saved: &Value) -> Option<Box<dyn Session>> {
        let session = session::CodexSession::restore(saved)?;
        Some(Box::new(session))
    }

    fn open_transcript(&self) -> Option<Box<dyn Session>> {
        Some(Box::new(transcript::CodexTranscript::default()))
    }

    fn restore_transcript(&self, saved: &Value) -> Option<Box<dyn Session>> {
        Some(Box::new(transcript::CodexTranscript::restore(saved)?))
    }
}
