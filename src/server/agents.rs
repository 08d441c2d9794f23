//! The CLIs that workers can use, and the sessions that those CLIs keep themselves.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::adapter::acp::{Gemini, GeminiSettings, OpenCode, OpenCodeSettings};
use crate::adapter::claude::{Claude, ClaudeSettings};
use crate::adapter::codex::{Codex, CodexSettings};
use crate::adapter::declared;
use crate::adapter::registry::AdapterRegistry as Adapters;
use crate::adapter::{Adapter, LaunchRequest, SessionChoice};
use crate::config::{Config, Secret};
use crate::demo;
use crate::journal::WorkerOptions;
use crate::probe::Probes;
use crate::sessions::{Catalog, ListingAgent};
use crate::worker_env::{EnvRequest, worker_env};

/// The CLIs that workers can use.
pub(super) struct AgentCatalog {
    pub(super) adapters: Arc<Adapters>,
    /// The state of their programs.
    pub(super) probes: Arc<Probes>,
    /// Their own sessions.
    pub(super) sessions: Arc<Catalog>,
    /// The declared adapters that cannot be used, each with the reason.
    pub(super) broken: Vec<String>,
}

impl AgentCatalog {
    /// Loads the adapters, and begins to look for their programs.
    pub(super) fn load(config: &Config) -> Self {
        let built_in = built_in(config);
        let kinds: Vec<&str> = built_in.iter().map(|adapter| adapter.cli().kind.as_str()).collect();
        let loaded = declared::load(&config.adapters_dir, &kinds);
        let broken: Vec<String> = loaded.errors.iter().map(ToString::to_string).collect();
        let enabled = config.enabled_ai_clis.as_deref();
        let adapters = Adapters::new(built_in, loaded.adapters, enabled, &config.default_ai_cli);
        // A setting that names the allowed CLIs does not name it.
        let demo = if enabled.is_none() { demo_adapter() } else { None };
        let adapters = Arc::new(match demo {
            Some(demo) => adapters.with_demo(demo),
            None => adapters,
        });
        for problem in broken.iter().chain(adapters.problems()).chain(&config.warnings) {
            log::warn!("{problem}");
        }
        let path = std::env::var_os("PATH");
        let probes = Arc::new(Probes::start(adapters.wanted(), path.as_deref()));
        let sessions = Arc::new(sessions(config, &adapters));
        Self { adapters, probes, sessions, broken }
    }
}

/// The adapter of the demo agent, which is this program.
fn demo_adapter() -> Option<Arc<dyn Adapter>> {
    let program = std::env::current_exe().ok()?;
    match declared::DeclaredAdapter::parse(demo::adapter_file(&program).as_bytes(), &program) {
        Ok(adapter) => Some(Arc::new(adapter)),
        Err(error) => {
            log::error!("the demo agent is not offered: {error}");
            None
        }
    }
}

/// The adapters that are part of the program.
fn built_in(config: &Config) -> Vec<Arc<dyn Adapter>> {
    let secret = |key: &Option<Secret>| key.as_ref().map(|key| key.expose().to_owned());
    vec![
        Arc::new(Claude::new(ClaudeSettings {
            binary: PathBuf::from(&config.claude.binary),
            model: config.claude.model.clone(),
            api_key: secret(&config.claude.api_key),
        })),
        Arc::new(OpenCode::new(OpenCodeSettings {
            binary: PathBuf::from(&config.opencode.binary),
            model: config.opencode.model.clone(),
            api_base: config.opencode.api_base.clone(),
            api_key: secret(&config.opencode.api_key),
        })),
        Arc::new(Gemini::new(GeminiSettings {
            binary: PathBuf::from(&config.gemini.binary),
            model: config.gemini.model.clone(),
            api_key: secret(&config.gemini.api_key),
        })),
        Arc::new(Codex::new(CodexSettings {
            binary: PathBuf::from(&config.codex.binary),
            model: config.codex.model.clone(),
            api_key: secret(&config.codex.api_key),
        })),
    ]
}

/// The CLIs' own sessions; OpenCode is asked for its by the program that the workers run.
fn sessions(config: &Config, adapters: &Adapters) -> Catalog {
    let opencode = adapters.find("opencode").map(|_| config.opencode.binary.as_str());
    Catalog::new(&|name| std::env::var(name).ok(), opencode).with_agents(listing_agents(config, adapters))
}

/// The agents that are asked for their sessions, each as a worker without options would start it.
fn listing_agents(config: &Config, adapters: &Adapters) -> Vec<ListingAgent> {
    let options = WorkerOptions::default();
    let agent = |kind: &str| {
        let adapter = adapters.get(kind).ok().filter(|adapter| adapter.lists_sessions())?;
        let session = SessionChoice::New("00000000-0000-4000-8000-000000000000");
        let launch =
            adapter.launch(&LaunchRequest { project_path: Path::new("/"), options: &options, session }).ok()?;
        let request = EnvRequest {
            own_secrets: &adapter.secret_env(),
            other_secrets: &adapters.secrets_of_others(kind),
            launch: &launch.env,
            worker: &[],
        };
        let env = worker_env(config, &request, std::env::vars_os());
        Some(ListingAgent::new(kind, launch.program, launch.args, env))
    };
    adapters.kinds().into_iter().filter_map(agent).collect()
}

/// The CLIs for which the settings hold a key.
pub(super) fn kinds_with_key(config: &Config) -> Vec<&'static str> {
    let keys = [
        ("claude", &config.claude.api_key),
        ("opencode", &config.opencode.api_key),
        ("codex", &config.codex.api_key),
        ("gemini", &config.gemini.api_key),
    ];
    keys.into_iter().filter(|(_, key)| key.is_some()).map(|(kind, _)| kind).collect()
}
