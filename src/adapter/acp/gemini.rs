//! Gemini CLI (`gemini --acp`).
//!
//! In this mode it needs a key in its environment or a login of its own, and no setting that chooses between them; it
//! asks for every tool that changes something.
//!
//! It keeps a session in a file whose name has the minute in which it was opened. When it takes a session up in that very
//! minute it writes over the file: the session is lost, and `session/load` fails. The worker then continues with a new
//! session and says so. Later than that, taking it up works.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{AcpSession, CAPABILITIES, Dialect};
use crate::adapter::kit::launch;
use crate::adapter::{Adapter, AgentAccess, Cli, Launch, LaunchRequest, Refusal, Session, SessionChoice};
use crate::journal::McpServer;

/// The command that installs it.
pub(crate) const INSTALL: &str = "npm install -g @google/gemini-cli";
/// The permission modes that it offers.
const MODES: [&str; 4] = ["default", "autoEdit", "yolo", "plan"];
/// The environment variable that holds the key.
const KEY: &str = "GEMINI_API_KEY";
/// Arguments that would change the protocol or the session behind the worker's back.
const RESERVED: [&str; 16] = [
    "--acp",
    "--experimental-acp",
    "-p",
    "--prompt",
    "-i",
    "--prompt-interactive",
    "-o",
    "--output-format",
    "-r",
    "--resume",
    "--session-id",
    "--list-sessions",
    "--delete-session",
    "-h",
    "--help",
    "--version",
];

/// The settings of Gemini CLI.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GeminiSettings {
    /// The program, by name or path.
    pub binary: PathBuf,
    /// The API key that it gets as `GEMINI_API_KEY`; its own login when absent.
    pub api_key: Option<String>,
    /// The model for workers that do not name one; the CLI's own choice when absent.
    pub model: Option<String>,
}

/// The adapter of Gemini CLI.
pub struct Gemini {
    settings: GeminiSettings,
    cli: Cli,
    dialect: Arc<Dialect>,
}

impl Gemini {
    /// The adapter with these settings.
    pub fn new(settings: GeminiSettings) -> Self {
        let cli = Cli {
            kind: "gemini".to_owned(),
            name: "Gemini CLI".to_owned(),
            binary: settings.binary.to_string_lossy().into_owned(),
            description: "Google's coding agent, with permission prompts".to_owned(),
            install: INSTALL.to_owned(),
            config_options: vec![
                json!({"name": "model", "label": "Model", "choices": ["auto", "gemini-2.5-pro"], "free": true}),
                json!({"name": "permission_mode", "label": "Permission mode", "choices": MODES}),
                json!({"name": "args", "label": "More command-line arguments"}),
            ],
            capabilities: CAPABILITIES.iter().chain(&["resume"]).map(|&word| word.to_owned()).collect(),
        };
        let dialect = Dialect {
            name: cli.name.clone(),
            login: "Set GEMINI_API_KEY, or run `gemini` in a terminal and log in there, then start the worker again"
                .to_owned(),
            model_at_launch: true,
            tool_in_id: true,
            silent_denial: true,
            history_after_load: true,
            mode_in_text: true,
            ..Dialect::default()
        };
        Self { settings, cli, dialect: Arc::new(dialect) }
    }
}

impl Adapter for Gemini {
    fn cli(&self) -> &Cli {
        &self.cli
    }

    fn oldest_version(&self) -> Option<&str> {
        // Older ones do not know --skip-trust.
        Some("0.39.1")
    }

    fn launch(&self, request: &LaunchRequest<'_>) -> Result<Launch, Refusal> {
        let options = request.options;
        super::check(&self.cli.name, options, "GEMINI.md", &RESERVED)?;
        if matches!(request.session, SessionChoice::Fork { .. }) {
            return Err(Refusal::Unsupported("Gemini CLI cannot branch off a session".to_owned()));
        }
        if let Some(mode) = options.permission_mode.as_deref().filter(|mode| !MODES.contains(mode)) {
            return Err(launch::unknown_mode(mode, &MODES));
        }
        let mut args = vec!["--acp".to_owned(), "--skip-trust".to_owned()];
        if let Some(model) = launch::model(options, self.settings.model.as_ref()) {
            args.push(format!("--model={model}"));
        }
        args.extend(options.args.iter().cloned());
        // Without this it starts itself a second time, and the first process does not pass signals on.
        let mut env = vec![("GEMINI_CLI_NO_RELAUNCH".to_owned(), "true".to_owned())];
        if let Some(key) = launch::given(&self.settings.api_key) {
            env.push((KEY.to_owned(), key.clone()));
        }
        Ok(Launch { program: self.settings.binary.clone(), args, env, stop_by_eof: true, ..Launch::default() })
    }

    fn give_access(&self, launch: &mut Launch, access: &AgentAccess<'_>) -> Option<McpServer> {
        Some(super::give_access(launch, access))
    }

    fn secret_env(&self) -> Vec<String> {
        [KEY, "GOOGLE_API_KEY"].map(str::to_owned).to_vec()
    }

    fn open(&self) -> Box<dyn Session> {
        Box::new(AcpSession::open(Arc::clone(&self.dialect)))
    }

    fn restore(&self, saved: &Value) -> Option<Box<dyn Session>> {
        Some(Box::new(AcpSession::restore(Arc::clone(&self.dialect), saved)?))
    }
}
