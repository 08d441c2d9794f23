//! The configuration: every setting, limit and time-out, typed, read once at start.
//!
//! The application first checks the `.env` file in the working directory, then falls back to the environment, so a value
//! in `.env` wins over one in the environment. An empty value counts as unset. `CLAUDE_API_KEY` falls back further, to
//! `ANTHROPIC_API_KEY` of the environment. Where each value came from is remembered, for the banner.
//!
//! One table, [`SETTINGS`], lists all settings; [`Config::load_with`] is pure, [`Config::from_system`] passes it the
//! process's own directory and environment. Nothing else in the crate reads either.

mod agents;
mod budgets;
mod connections;
pub(crate) mod dotenv;
mod group;
mod load;
mod memory;
mod network;
mod notices;
mod reserve;
mod secret;
mod setting;
mod settings;
#[cfg(test)]
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

use crate::cgroup::WorkerLimits;
use crate::home::HomeChange;

#[cfg(test)]
use load::ConfigError;
pub(crate) use load::OptionValue;
pub(crate) use network::Network;
pub(crate) use reserve::MemoryReserve;
pub use secret::Secret;
pub use settings::{SETTINGS, setting};
pub(crate) use settings::{Setting, SettingGroup};
#[cfg(test)]
use shipped::{configuration_markdown, env_example};
pub(crate) use value::TOKEN_MIN;

/// The name of the file that is asked first.
pub(crate) const DOTENV: &str = ".env";

/// The entry of `RUNNER` that means no runner.
pub(crate) const NO_RUNNER: &str = "none";

/// The fate of running workers when the server stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnExit {
    /// Left at work; the next server attaches to them.
    Leave,
    /// Stopped.
    Stop,
}

/// The part of the server's environment that a CLI receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WorkerEnvMode {
    /// All of it, less our own settings and other CLIs' keys.
    Inherit,
    /// A documented list.
    Clean,
}

/// Which requests over loopback need no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalAccess {
    /// Requests of programs that run as the server's own user, or as root.
    SameUser,
    /// None.
    Token,
    /// All of them.
    Open,
}

/// The source of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValueSource {
    /// The default of the setting.
    Default,
    /// The `.env` file, at this line.
    DotEnv(usize),
    /// This environment variable.
    Environment(&'static str),
    /// The command line's option of this name.
    Option(&'static str),
}

impl fmt::Display for ValueSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::DotEnv(line) => write!(f, ".env, line {line}"),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Option(name) => f.write_str(name),
        }
    }
}

/// Settings of budgets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Budgets {
    /// Longest wait for a running tool before a turn is interrupted.
    pub tool_wait: Duration,
    /// US dollars per million tokens for which no cost was reported.
    pub token_price: u64,
}

/// Bounds and time-outs of connections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ConnectionLimits {
    /// Connections at the same time.
    pub max_connections: usize,
    /// Connections from one address; loopback addresses are exempt.
    pub max_connections_per_address: usize,
    /// Time from a request's first byte to the end of its head.
    pub head_timeout: Duration,
    /// Idle time between requests.
    pub keep_alive: Duration,
    /// Time from the end of a head to the end of its body, plus a second for every [`BODY_BYTES_PER_SECOND`] of it.
    pub body_timeout: Duration,
    /// Time without progress on a write.
    pub write_timeout: Duration,
    /// Bytes of a body that carries a message.
    pub max_body_bytes: usize,
    /// Bytes of an import.
    pub import_max_bytes: u64,
    /// Bytes of a client's WebSocket message.
    pub max_ws_message_bytes: usize,
    /// Time from one WebSocket ping to the next.
    pub ws_ping: Duration,
    /// Bytes that wait for one subscriber in memory.
    pub subscriber_queue_bytes: usize,
}

/// Web Push.
#[derive(Clone, Debug, Default)]
pub(crate) struct PushConfig {
    /// The operator's address, for push services.
    pub contact: String,
    /// True if push services of the private network are allowed.
    pub allow_private: bool,
}

/// The webhook.
#[derive(Clone, Debug, Default)]
pub(crate) struct WebhookConfig {
    /// The receiver's address; unset: none.
    pub url: Option<Secret>,
    /// The name of the messages' form.
    pub format: String,
    /// The token of the service.
    pub token: Option<Secret>,
    /// True if messages have buttons that answer prompts.
    pub buttons: bool,
    /// The address of the page, for links in messages.
    pub page: Option<String>,
    /// The secret that signs its messages.
    pub secret: Option<Secret>,
    /// The events that are sent.
    pub events: Vec<String>,
    /// True if addresses of the private network are allowed.
    pub allow_private: bool,
    /// Number of attempts for one message.
    pub attempts: u32,
    /// Time that one attempt may take.
    pub timeout: Duration,
}

/// The hook.
#[derive(Clone, Debug, Default)]
pub(crate) struct HookConfig {
    /// The program; unset: none.
    pub command: Option<PathBuf>,
    /// Time that one run may take.
    pub timeout: Duration,
}

/// The settings of one built-in CLI.
#[derive(Clone, Debug, Default)]
pub(crate) struct CliSettings {
    /// Its program: a name for `PATH`, or an absolute path.
    pub binary: String,
    /// The model that it is asked for.
    pub model: Option<String>,
    /// The address of its API, where that can be set.
    pub api_base: Option<String>,
    /// Its API key.
    pub api_key: Option<Secret>,
}

/// The slowest that a large body may arrive, in bytes a second.
pub(crate) const BODY_BYTES_PER_SECOND: usize = 64 * 1024;

/// Every setting. All paths are absolute.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// The directory in which the server was started.
    pub working_dir: PathBuf,
    /// The home directory of the server's user, as the environment names it.
    pub home: Option<String>,
    /// The address to listen on.
    pub host: IpAddr,
    /// The port to listen on; 0 is any free one.
    pub port: u16,
    /// True to log more.
    pub debug: bool,
    /// The path below which everything is served, as in `/agents`; empty is the root.
    pub base_path: String,
    /// A folder to serve the page from, instead of the files inside the program.
    pub static_dir: Option<PathBuf>,
    /// True to allow styles in the markup of pages in that folder.
    pub static_inline_styles: bool,
    /// `TERMINAL`: workers can have terminals.
    pub terminal: bool,
    /// Number of workers that may run at the same time.
    pub max_workers: usize,
    /// Silence in mid-turn after which a worker counts as stalled.
    pub worker_timeout: Duration,
    /// Interval at which the files of followed sessions are read where they cannot be watched.
    pub transcript_poll: Duration,
    /// The folder of the workers' folders.
    pub workers_base_dir: PathBuf,
    /// Runners with their arguments, separated by commas, the default first.
    pub runner: Option<String>,
    /// Entries of the home directory that sandboxes show or hide besides the default ones.
    pub sandbox_home: Vec<HomeChange>,
    /// The folder of declared runners; it may be missing.
    pub runners_dir: PathBuf,
    /// Folder of the workers' git worktrees.
    pub worktree_dir: PathBuf,
    /// The folder of project files; it may be missing.
    pub projects_dir: PathBuf,
    /// The folder of presets; it may be missing.
    pub presets_dir: PathBuf,
    /// Number of messages that may wait for one worker.
    pub max_queue: usize,
    /// The fate of running workers when the server stops.
    pub on_exit: OnExit,
    /// Time that a CLI has to end by itself when it is stopped.
    pub stop_grace: Duration,
    /// Time after which an idle worker is hibernated; `None` is never.
    pub idle_stop: Option<Duration>,
    /// The memory that is kept available.
    pub memory_reserve: MemoryReserve,
    /// The limits of workers that have none of their own.
    pub worker_limits: WorkerLimits,
    /// True if messages that failed at a usage limit are sent again.
    pub resend_after_limit: bool,
    /// Number of times that one message is.
    pub resend_attempts: u32,
    /// Number of workers that one worker's agent may make.
    pub children_max: usize,
    /// Number of workers that may be above one of those.
    pub depth_max: usize,
    /// True if the files of a worker's project are recorded at the beginning and the end of each turn.
    pub turn_trees: bool,
    /// The part of the server's environment that a CLI receives.
    pub worker_env: WorkerEnvMode,
    /// Environment variables that every CLI gets; a `*` at the end matches any ending.
    pub worker_env_pass: Vec<String>,
    /// The CLI of a worker that names none. The adapter registry checks that there is one.
    pub default_ai_cli: String,
    /// The built-in CLIs that workers can use; `None`: every one that is found.
    pub enabled_ai_clis: Option<Vec<String>>,
    /// The folder of declared adapters; it may be missing.
    pub adapters_dir: PathBuf,
    /// Claude Code.
    pub claude: CliSettings,
    /// OpenCode.
    pub opencode: CliSettings,
    /// Gemini CLI.
    pub gemini: CliSettings,
    /// Codex.
    pub codex: CliSettings,
    /// Folders that projects must lie in; empty is anywhere. Symbolic links in them are not resolved yet.
    pub project_roots: Vec<PathBuf>,
    /// Which requests over loopback need no token.
    pub local_access: LocalAccess,
    /// The token that clients must send, when it was set. [`crate::token::auth_token`] knows the one that counts.
    pub auth_token: Option<Secret>,
    /// File of the generated token.
    pub auth_token_file: PathBuf,
    /// More host names of this server, in lower case, IPv6 addresses in brackets. See [`Config::host_names`].
    pub allowed_hosts: Vec<String>,
    /// Origins of other web pages that may use the API, as browsers write them.
    pub allowed_origins: Vec<String>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// Bounds and time-outs of connections.
    pub limits: ConnectionLimits,
    /// Budgets.
    pub budgets: Budgets,
    /// Notifications of browsers.
    pub push: PushConfig,
    /// Notifications of programs and services.
    pub webhook: WebhookConfig,
    /// The program that runs on its events.
    pub hook: HookConfig,
    /// The lowest level that is logged.
    pub log_level: LevelFilter,
    /// The log's file.
    pub log_file: PathBuf,
    /// Bytes after which it is set aside.
    pub log_max_bytes: u64,
    /// Number of rotated files that are kept.
    pub log_keep: u32,
    /// Warnings to show at the start, such as a key that others can read.
    pub warnings: Vec<String>,
    values: BTreeMap<&'static str, ShownValue>,
}

/// A setting's value as it may be shown, and where it came from.
#[derive(Clone, Debug)]
struct ShownValue {
    text: String,
    source: ValueSource,
}

impl Config {
    /// Returns the source of a setting's value: [`ValueSource::Default`] for an unknown name.
    pub(crate) fn source(&self, name: &str) -> ValueSource {
        self.values.get(name).map_or(ValueSource::Default, |shown| shown.source)
    }

    /// A setting's value as it may be shown: secrets masked, paths absolute; empty when it is unset.
    pub(crate) fn shown(&self, name: &str) -> &str {
        self.values.get(name).map_or("", |shown| &shown.text)
    }

    /// Returns whether there is a token that clients can send: always, unless only programs of this machine can reach
    /// the server
    /// and neither `AUTH_TOKEN` nor `LOCAL_ACCESS` asks for one.
    pub(crate) fn needs_token(&self) -> bool {
        !self.host.is_loopback() || self.auth_token.is_some() || self.local_access == LocalAccess::Token
    }

    /// The first runner of `RUNNER` that isolates its workers from the server: any but `none`.
    pub(crate) fn isolating_runner(&self) -> Option<&str> {
        let entries = self.runner.as_deref().unwrap_or_default().split(',').map(str::trim);
        entries.into_iter().find(|entry| !entry.is_empty() && *entry != NO_RUNNER)
    }

    /// Every name that a `Host` header may have, without port: lower case, IPv6 addresses in brackets.
    pub(crate) fn host_names(&self) -> Vec<String> {
        let mut names: Vec<String> = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned).into();
        let own = (!self.host.is_unspecified()).then(|| network::host_form(self.host));
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
            home: None,
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            debug: false,
            base_path: String::new(),
            static_dir: None,
            static_inline_styles: false,
            terminal: true,
            max_workers: 0,
            worker_timeout: Duration::ZERO,
            transcript_poll: Duration::ZERO,
            workers_base_dir: PathBuf::new(),
            runner: None,
            sandbox_home: Vec::new(),
            runners_dir: PathBuf::new(),
            worktree_dir: PathBuf::new(),
            projects_dir: PathBuf::new(),
            presets_dir: PathBuf::new(),
            max_queue: 0,
            on_exit: OnExit::Leave,
            stop_grace: Duration::ZERO,
            idle_stop: None,
            memory_reserve: MemoryReserve::Auto,
            worker_limits: WorkerLimits::default(),
            resend_after_limit: false,
            resend_attempts: 0,
            children_max: 0,
            depth_max: 0,
            turn_trees: false,
            worker_env: WorkerEnvMode::Clean,
            worker_env_pass: Vec::new(),
            default_ai_cli: String::new(),
            enabled_ai_clis: None,
            adapters_dir: PathBuf::new(),
            claude: CliSettings::default(),
            opencode: CliSettings::default(),
            gemini: CliSettings::default(),
            codex: CliSettings::default(),
            project_roots: Vec::new(),
            local_access: LocalAccess::Token,
            auth_token: None,
            auth_token_file: PathBuf::new(),
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            limits: ConnectionLimits::default(),
            budgets: Budgets::default(),
            push: PushConfig::default(),
            webhook: WebhookConfig::default(),
            hook: HookConfig::default(),
            log_level: LevelFilter::Info,
            log_file: PathBuf::new(),
            log_max_bytes: 0,
            log_keep: 0,
            warnings: Vec::new(),
            values: BTreeMap::new(),
        }
    }
}

impl ValueSource {
    /// Returns whether it is the `.env` file.
    pub(crate) const fn is_dotenv(self) -> bool {
        matches!(self, Self::DotEnv(_))
    }
}
