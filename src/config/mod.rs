//! The configuration: every setting, limit and time-out, typed, read once at start.
//!
//! The application first checks the `.env` file in the working directory, then falls back to the environment, so a value
//! in `.env` wins over one in the environment. An empty value counts as unset. `CLAUDE_API_KEY` falls back further, to
//! `ANTHROPIC_API_KEY` of the environment. Where each value came from is remembered, for the banner.
//!
//! One table, [`SETTINGS`], says which settings there are; [`Config::load`] is pure, [`Config::from_system`] gives it
//! the process's own directory and environment. Nothing else in the crate reads either.

pub mod dotenv;
mod group;
mod load;
mod network;
mod secret;
mod settings;
mod shipped;
#[cfg(test)]
mod tests;
mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use log::LevelFilter;

pub use load::ConfigError;
pub use network::Network;
pub use secret::Secret;
pub use settings::{Group, SETTINGS, Setting, setting};
pub use shipped::{PRECEDENCE, config_table_markdown, env_example};
pub use value::TOKEN_MIN;

/// The name of the file that is asked first.
pub const DOTENV: &str = ".env";

/// What becomes of running workers when the server stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnExit {
    /// They work on, and the next server attaches to them.
    Leave,
    /// They are stopped.
    Stop,
}

/// What a CLI gets of the server's environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerEnvMode {
    /// All of it, less our own settings and other CLIs' keys.
    Inherit,
    /// A documented list.
    Clean,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nobody set it.
    Default,
    /// The `.env` file, at this line.
    DotEnv(usize),
    /// This environment variable.
    Environment(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::DotEnv(line) => write!(f, ".env, line {line}"),
            Self::Environment(name) => write!(f, "environment variable {name}"),
        }
    }
}

/// Bounds and time-outs of connections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Connections at the same time.
    pub max_connections: usize,
    /// Of these, how many from one address; loopback addresses are exempt.
    pub max_connections_per_address: usize,
    /// From a request's first byte to the end of its head.
    pub head_timeout: Duration,
    /// Idle time between requests.
    pub keep_alive: Duration,
    /// From the end of a head to the end of its body, besides a second for every [`BODY_BYTES_PER_SECOND`] of it.
    pub body_timeout: Duration,
    /// Time without progress on a write.
    pub write_timeout: Duration,
    /// Bytes of a body that carries a message.
    pub max_body_bytes: usize,
    /// Bytes of a client's WebSocket message.
    pub max_ws_message_bytes: usize,
    /// From one WebSocket ping to the next.
    pub ws_ping: Duration,
    /// Bytes that wait for one subscriber in memory.
    pub subscriber_queue_bytes: usize,
}

/// The webhook.
#[derive(Clone, Debug, Default)]
pub struct Webhook {
    /// Where it goes; unset: nowhere.
    pub url: Option<Secret>,
    /// What its messages are signed with.
    pub secret: Option<Secret>,
    /// What is told.
    pub events: Vec<String>,
    /// Whether addresses of the own network are allowed.
    pub allow_private: bool,
    /// How often a message is tried.
    pub attempts: u32,
    /// How long one try may take.
    pub timeout: Duration,
}

/// The slowest that a large body may arrive, in bytes a second.
pub const BODY_BYTES_PER_SECOND: usize = 64 * 1024;

/// Every setting. All paths are absolute.
#[derive(Clone, Debug)]
pub struct Config {
    /// The directory in which the server was started.
    pub working_dir: PathBuf,
    /// The address to listen on.
    pub host: IpAddr,
    /// The port to listen on; 0 is any free one.
    pub port: u16,
    /// Whether to log more.
    pub debug: bool,
    /// The path below which everything is served, as in `/agents`; empty is the root.
    pub base_path: String,
    /// A folder to serve the page from, instead of the files inside the program.
    pub static_dir: Option<PathBuf>,
    /// How many workers may run at the same time.
    pub max_workers: usize,
    /// Silence in mid-turn after which a worker counts as stalled.
    pub worker_timeout: Duration,
    /// How often the files of followed sessions are looked at where they cannot be watched.
    pub transcript_poll: Duration,
    /// The folder of the workers' folders.
    pub workers_base_dir: PathBuf,
    /// Where workers run: runners with what they take, separated by commas, the usual one first.
    pub runner: Option<String>,
    /// The folder of declared runners; it may be missing.
    pub runners_dir: PathBuf,
    /// Where the workers' git worktrees are made.
    pub worktree_dir: PathBuf,
    /// How many messages may wait for one worker.
    pub max_queue: usize,
    /// What becomes of running workers when the server stops.
    pub on_exit: OnExit,
    /// Time that a CLI has to end by itself when it is stopped.
    pub stop_grace: Duration,
    /// Time after which an idle worker is hibernated; `None` is never.
    pub idle_stop: Option<Duration>,
    /// Whether messages that failed at a usage limit are sent again.
    pub resend_after_limit: bool,
    /// How often one message is.
    pub resend_attempts: u32,
    /// What a CLI gets of the server's environment.
    pub worker_env: WorkerEnvMode,
    /// Environment variables that every CLI gets; a `*` at the end stands for any ending.
    pub worker_env_pass: Vec<String>,
    /// The CLI of a worker that names none. The adapter registry checks that there is one.
    pub default_ai_cli: String,
    /// The built-in CLIs that workers can use; never empty.
    pub enabled_ai_clis: Vec<String>,
    /// The folder of declared adapters; it may be missing.
    pub adapters_dir: PathBuf,
    /// The Claude Code program: a name for `PATH`, or an absolute path.
    pub claude_binary: String,
    /// The model that Claude Code is asked for.
    pub claude_model: Option<String>,
    /// Claude Code's API key.
    pub claude_api_key: Option<Secret>,
    /// The OpenCode program: a name for `PATH`, or an absolute path.
    pub opencode_binary: String,
    /// The model that OpenCode is asked for.
    pub opencode_model: Option<String>,
    /// The address of OpenCode's API.
    pub opencode_api_base: Option<String>,
    /// OpenCode's API key.
    pub opencode_api_key: Option<Secret>,
    /// The Gemini CLI program: a name for `PATH`, or an absolute path.
    pub gemini_binary: String,
    /// The model that Gemini CLI is asked for.
    pub gemini_model: Option<String>,
    /// Gemini CLI's API key.
    pub gemini_api_key: Option<Secret>,
    /// The Codex program: a name for `PATH`, or an absolute path.
    pub codex_binary: String,
    /// The model that Codex is asked for.
    pub codex_model: Option<String>,
    /// Codex's API key.
    pub codex_api_key: Option<Secret>,
    /// Folders that projects must lie in; empty is anywhere. Symbolic links in them are not resolved yet.
    pub project_roots: Vec<PathBuf>,
    /// The token that clients must send, when it was set. [`crate::token::auth_token`] knows the one that counts.
    pub auth_token: Option<Secret>,
    /// Where a token that was made is kept.
    pub auth_token_file: PathBuf,
    /// More host names of this server, in lower case, IPv6 addresses in brackets. See [`Config::host_names`].
    pub allowed_hosts: Vec<String>,
    /// Origins of other web pages that may use the API, as browsers write them.
    pub allowed_origins: Vec<String>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// Bounds and time-outs of connections.
    pub limits: Limits,
    /// Who is told of what happens.
    pub webhook: Webhook,
    /// What is logged.
    pub log_level: LevelFilter,
    /// The log's file.
    pub log_file: PathBuf,
    /// Bytes after which it is set aside.
    pub log_max_bytes: u64,
    /// How many that were set aside are kept.
    pub log_keep: u32,
    /// What people should be told at start: settings that nobody knows, a key that others can read.
    pub warnings: Vec<String>,
    values: BTreeMap<&'static str, Shown>,
}

/// A setting's value as it may be shown, and where it came from.
#[derive(Clone, Debug)]
struct Shown {
    text: String,
    source: Source,
}

impl Config {
    /// Where a setting's value comes from. A name that is no setting reads as [`Source::Default`].
    pub fn source(&self, name: &str) -> Source {
        self.values.get(name).map_or(Source::Default, |shown| shown.source)
    }

    /// A setting's value as it may be shown: secrets masked, paths absolute; empty when it is unset.
    pub fn shown(&self, name: &str) -> &str {
        self.values.get(name).map_or("", |shown| &shown.text)
    }

    /// Whether clients must send a token: always, unless only programs of this machine can reach the server and nobody
    /// set one.
    pub fn needs_token(&self) -> bool {
        !self.host.is_loopback() || self.auth_token.is_some()
    }

    /// Every name that a `Host` header may have, without port: lower case, IPv6 addresses in brackets.
    pub fn host_names(&self) -> Vec<String> {
        let mut names: Vec<String> = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned).into();
        let own = (!self.host.is_unspecified()).then(|| value::host_form(self.host));
        for name in own.into_iter().chain(self.allowed_hosts.iter().cloned()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// A configuration before the table has filled it: every field that has a default gets it from there.
    fn blank(working_dir: PathBuf) -> Self {
        Self {
            working_dir,
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            debug: false,
            base_path: String::new(),
            static_dir: None,
            max_workers: 0,
            worker_timeout: Duration::ZERO,
            transcript_poll: Duration::ZERO,
            workers_base_dir: PathBuf::new(),
            runner: None,
            runners_dir: PathBuf::new(),
            worktree_dir: PathBuf::new(),
            max_queue: 0,
            on_exit: OnExit::Leave,
            stop_grace: Duration::ZERO,
            idle_stop: None,
            resend_after_limit: false,
            resend_attempts: 0,
            worker_env: WorkerEnvMode::Clean,
            worker_env_pass: Vec::new(),
            default_ai_cli: String::new(),
            enabled_ai_clis: Vec::new(),
            adapters_dir: PathBuf::new(),
            claude_binary: String::new(),
            claude_model: None,
            claude_api_key: None,
            opencode_binary: String::new(),
            opencode_model: None,
            opencode_api_base: None,
            opencode_api_key: None,
            gemini_binary: String::new(),
            gemini_model: None,
            gemini_api_key: None,
            codex_binary: String::new(),
            codex_model: None,
            codex_api_key: None,
            project_roots: Vec::new(),
            auth_token: None,
            auth_token_file: PathBuf::new(),
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            limits: Limits::default(),
            webhook: Webhook::default(),
            log_level: LevelFilter::Info,
            log_file: PathBuf::new(),
            log_max_bytes: 0,
            log_keep: 0,
            warnings: Vec::new(),
            values: BTreeMap::new(),
        }
    }
}

impl Source {
    /// Whether it is the `.env` file.
    pub const fn is_dotenv(self) -> bool {
        matches!(self, Self::DotEnv(_))
    }
}
