//! OpenCode (`opencode acp`).
//!
//! Its own configuration files decide which tools ask for permission; by default none does. `OPENCODE_PERMISSION`, as in
//! `{"bash":"ask","edit":"ask"}`, in a worker's environment makes them ask.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{AcpSession, CAPABILITIES, Dialect};
use crate::adapter::kit::launch;
use crate::adapter::{
    AGENT_SERVER, AGENT_TOKEN_ENV, Adapter, AgentAccess, Cli, Launch, LaunchRequest, Refusal, Session,
};
use crate::journal::McpServer;

/// The command that installs it.
pub(crate) const INSTALL: &str = "npm install -g opencode-ai";
/// The name of the provider that `OPENCODE_API_BASE` makes.
const PROVIDER: &str = "rs-worker";
/// The prefix of that provider's models.
const PROVIDER_PREFIX: &str = "rs-worker/";
/// The environment variable that holds the key.
const KEY: &str = "OPENCODE_API_KEY";
/// The variable with a configuration that OpenCode adds to that of its files.
const CONFIG: &str = "OPENCODE_CONFIG_CONTENT";
/// Arguments that would change the protocol or the place.
const RESERVED: [&str; 8] = ["acp", "--cwd", "--port", "--hostname", "--mdns", "--help", "-h", "--version"];

/// The settings of OpenCode.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenCodeSettings {
    /// The program, by name or path.
    pub binary: PathBuf,
    /// The API key: of `api_base`, or of OpenCode's own service when there is none.
    pub api_key: Option<String>,
    /// The address of an OpenAI-compatible API; OpenCode's own choice of providers when absent.
    pub api_base: Option<String>,
    /// The model for workers that do not name one: `provider/model`, or the model's name at `api_base`.
    pub model: Option<String>,
}

/// The adapter of OpenCode.
pub struct OpenCode {
    settings: OpenCodeSettings,
    cli: Cli,
    dialect: Arc<Dialect>,
}

impl OpenCode {
    /// The adapter with these settings.
    pub fn new(settings: OpenCodeSettings) -> Self {
        let more = ["resume", "fork", "steer", "cost"];
        let cli = Cli {
            kind: "opencode".to_owned(),
            name: "OpenCode".to_owned(),
            binary: settings.binary.to_string_lossy().into_owned(),
            description: "The open-source coding agent, with models of any provider".to_owned(),
            install: INSTALL.to_owned(),
            config_options: vec![
                json!({"name": "model", "label": "Model", "free": true}),
                json!({"name": "permission_mode", "label": "Mode", "choices": ["build", "plan"], "free": true}),
                json!({"name": "args", "label": "More command-line arguments"}),
            ],
            capabilities: CAPABILITIES.iter().chain(&more).map(|&word| word.to_owned()).collect(),
        };
        let dialect = Dialect {
            name: cli.name.clone(),
            login: "Run `opencode auth login` in a terminal, or set OPENCODE_API_KEY, then start the worker again"
                .to_owned(),
            model_at_launch: true,
            steer: true,
            model_prefix: settings.api_base.is_some().then(|| PROVIDER_PREFIX.to_owned()),
            ..Dialect::default()
        };
        Self { settings, cli, dialect: Arc::new(dialect) }
    }

    /// The configuration that it gets besides its own files: the CLI itself reads neither `OPENCODE_API_BASE` nor
    /// `OPENCODE_MODEL`.
    fn config(&self, model: Option<&str>) -> Result<Option<Value>, Refusal> {
        let Some(base) = &self.settings.api_base else {
            return Ok(model.map(|model| json!({ "model": model })));
        };
        let Some(model) = model else {
            let reason = "OPENCODE_API_BASE needs a model: set OPENCODE_MODEL, or name one for the worker";
            return Err(Refusal::Invalid(reason.to_owned()));
        };
        let name = model.strip_prefix(PROVIDER_PREFIX).unwrap_or(model);
        let mut options = json!({ "baseURL": base });
        if let (Some(_), Some(fields)) = (&self.settings.api_key, options.as_object_mut()) {
            // OpenCode puts the variable in: the key itself is in one place only.
            fields.insert("apiKey".to_owned(), format!("{{env:{KEY}}}").into());
        }
        let provider = json!({
            "npm": "@ai-sdk/openai-compatible",
            "name": base,
            "options": options,
            "models": {name: {"name": name}},
        });
        Ok(Some(json!({"provider": {PROVIDER: provider}, "model": format!("{PROVIDER_PREFIX}{name}")})))
    }
}

impl Adapter for OpenCode {
    fn cli(&self) -> &Cli {
        &self.cli
    }

    fn lists_sessions(&self) -> bool {
        true
    }

    fn oldest_version(&self) -> Option<&str> {
        Some("1.0.0")
    }

    fn launch(&self, request: &LaunchRequest<'_>) -> Result<Launch, Refusal> {
        let options = request.options;
        super::check(&self.cli.name, options, "AGENTS.md", &RESERVED)?;
        let mut env = vec![
            // The updater would replace the program under running workers.
            ("OPENCODE_DISABLE_AUTOUPDATE".to_owned(), "1".to_owned()),
            // It opens an HTTP server beside the protocol, which would let in everybody on this machine.
            ("OPENCODE_SERVER_PASSWORD".to_owned(), uuid::Uuid::new_v4().simple().to_string()),
        ];
        if let Some(key) = launch::given(&self.settings.api_key) {
            env.push((KEY.to_owned(), key.clone()));
        }
        if let Some(config) = self.config(launch::model(options, self.settings.model.as_ref()))? {
            env.push((CONFIG.to_owned(), config.to_string()));
        }
        let args = std::iter::once("acp".to_owned()).chain(options.args.iter().cloned()).collect();
        Ok(Launch { program: self.settings.binary.clone(), args, env, stop_by_eof: true, ..Launch::default() })
    }

    fn give_access(&self, launch: &mut Launch, access: &AgentAccess<'_>) -> Option<McpServer> {
        // OpenCode puts the variable in.
        let authorization = format!("Bearer {{env:{AGENT_TOKEN_ENV}}}");
        let server = json!({"type": "remote", "url": access.url, "headers": {"Authorization": authorization}});
        let given = launch.env.iter().position(|(name, _)| name == CONFIG).map(|at| launch.env.remove(at).1);
        let mut config: Value = given.and_then(|text| text.parse().ok()).unwrap_or_else(|| json!({}));
        config["mcp"] = json!({AGENT_SERVER: server});
        launch.env.push((CONFIG.to_owned(), config.to_string()));
        launch::put_token(launch, access);
        None
    }

    fn secret_env(&self) -> Vec<String> {
        [KEY, "OPENCODE_SERVER_PASSWORD"].map(str::to_owned).to_vec()
    }

    fn open(&self) -> Box<dyn Session> {
        Box::new(AcpSession::open(Arc::clone(&self.dialect)))
    }

    fn restore(&self, saved: &Value) -> Option<Box<dyn Session>> {
        Some(Box::new(AcpSession::restore(Arc::clone(&self.dialect), saved)?))
    }
}
