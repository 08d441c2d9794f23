//! The table of settings. It alone says which there are: it drives the reading of `.env` and the environment, the
//! banner, `.env.example` and the README's table.

use std::path::PathBuf;
use std::time::Duration;

pub use super::group::Group;
use super::value::Value;
use super::{Config, OnExit, WorkerEnvMode};

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its name in `.env` and in the environment.
    pub name: &'static str,
    /// Where it belongs.
    pub group: Group,
    /// Its name for people.
    pub label: &'static str,
    /// Its default, as it would be written in `.env`. Empty: there is none, and `doc` says what that means.
    pub default: &'static str,
    /// What it does, in sentences.
    pub doc: &'static str,
    /// The environment variable that is asked after its own name.
    pub fallback: Option<&'static str>,
    /// What it takes.
    pub(super) value: Value,
}

impl Setting {
    /// What is allowed, as the end of a sentence that begins "must be".
    pub fn allowed(&self) -> String {
        self.value.allowed()
    }

    /// Whether its value must be masked wherever it is shown.
    pub const fn is_secret(&self) -> bool {
        self.value.is_secret()
    }

    /// The unit that follows a shown value: `s`, or nothing.
    pub fn suffix(&self) -> &'static str {
        self.value.suffix()
    }

    /// The environment variables that can set it, in the order in which they are asked.
    pub fn environment_names(&self) -> impl Iterator<Item = &'static str> {
        [Some(self.name), self.fallback].into_iter().flatten()
    }

    const fn new(group: Group, name: &'static str, label: &'static str, default: &'static str, value: Value) -> Self {
        Self { name, group, label, default, doc: "", fallback: None, value }
    }

    const fn doc(self, doc: &'static str) -> Self {
        Self { doc, ..self }
    }

    const fn or_else(self, name: &'static str) -> Self {
        Self { fallback: Some(name), ..self }
    }
}

/// Finds a setting by name.
pub fn setting(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;
/// The largest body and WebSocket message that can be allowed: a message must fit one line of a journal (64 MiB), and
/// leave room there for what the CLI's protocol adds.
const MESSAGE_MAX: u64 = 32 * MIB;

const fn number(min: u64, max: u64, put: fn(&mut Config, u64)) -> Value {
    Value::Number { min, max, unit: "", put }
}

const fn seconds(min: u64, max: u64, put: fn(&mut Config, u64)) -> Value {
    Value::Number { min, max, unit: "seconds", put }
}

/// Numbers are within their setting's bounds when they get here, which all fit a `usize`.
fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

use Group::{Access, Claude, Cli, Codex, Connections, Gemini, Log, OpenCode, Server, Webhook, Worker};

/// Every setting, grouped.
pub static SETTINGS: &[Setting] = &[
    Setting::new(Server, "HOST", "Host", "127.0.0.1", Value::Address(|c, it| c.host = it)).doc(
        "The address to listen on. `0.0.0.0` or `::` is every address of the machine. On any other than a loopback \
         address, clients need the auth token.",
    ),
    Setting::new(Server, "PORT", "Port", "7788", number(0, 65_535, |c, it| c.port = u16::try_from(it).unwrap_or(0)))
        .doc("The TCP port to listen on; 0 takes any free one, which the banner shows."),
    Setting::new(Server, "DEBUG", "Debug", "false", Value::Flag(|c, it| c.debug = it))
        .doc("Logs more: `LOG_LEVEL` is `debug` unless it is set itself."),
    Setting::new(Server, "BASE_PATH", "Base Path", "", Value::BasePath(|c, it| c.base_path = it)).doc(
        "The path below which everything is served, for a proxy that has other sites under the same name. Unset: the \
         root. A proxy that takes its prefix off before it asks needs none.",
    ),
    Setting::new(Server, "STATIC_DIR", "Static Files", "", Value::Path(|c, it| c.static_dir = Some(it)))
        .doc("A folder to serve the web page from, while one works on it. Unset: the files inside the program."),
    // Workers.
    Setting::new(Worker, "MAX_WORKERS", "Max Workers", "10", number(1, 1000, |c, it| c.max_workers = count(it)))
        .doc("How many workers may run at the same time; stopped ones do not count."),
    Setting::new(
        Worker,
        "WORKER_TIMEOUT",
        "Worker Timeout",
        "300",
        seconds(1, 604_800, |c, it| c.worker_timeout = Duration::from_secs(it)),
    )
    .doc("A worker that is silent for so many seconds in the middle of a turn is shown as stalled. It is not stopped."),
    Setting::new(
        Worker,
        "TRANSCRIPT_POLL_SECS",
        "Transcript Polling",
        "1",
        seconds(1, 60, |c, it| c.transcript_poll = Duration::from_secs(it)),
    )
    .doc(
        "How often the files of followed sessions are looked at, in seconds, when the system has no more inotify watches.",
    ),
    Setting::new(
        Worker,
        "WORKERS_BASE_DIR",
        "Data Folder",
        "./data/workers",
        Value::Path(|c, it| c.workers_base_dir = it),
    )
    .doc("The folder of the workers' journals; made with mode 0700."),
    Setting::new(Worker, "WORKTREE_DIR", "Worktrees", "", Value::Path(|c, it| c.worktree_dir = it)).doc(
        "Where the git worktrees of workers are made that ask for one; it may be outside of `PROJECT_ROOTS`. Unset: \
         `worktrees` beside `WORKERS_BASE_DIR`.",
    ),
    Setting::new(Worker, "MAX_QUEUE", "Waiting Messages", "100", number(1, 10_000, |c, it| c.max_queue = count(it)))
        .doc("How many messages may wait for one worker; the next one is refused."),
    Setting::new(
        Worker,
        "ON_EXIT",
        "On Exit",
        "leave",
        Value::Choice {
            of: &["leave", "stop"],
            put: |c, it| c.on_exit = if it == "stop" { OnExit::Stop } else { OnExit::Leave },
        },
    )
    .doc("What happens to running workers when the server stops: `leave` lets them work on, `stop` ends them."),
    Setting::new(
        Worker,
        "STOP_GRACE_SECS",
        "Stop Grace",
        "5",
        seconds(0, 300, |c, it| c.stop_grace = Duration::from_secs(it)),
    )
    .doc("How many seconds a CLI that is being stopped has to end by itself before it is killed."),
    Setting::new(
        Worker,
        "IDLE_STOP_SECS",
        "Idle Stop",
        "0",
        seconds(0, 2_592_000, |c, it| c.idle_stop = (it > 0).then(|| Duration::from_secs(it))),
    )
    .doc(
        "A worker that has been idle for so many seconds is hibernated: its CLI is stopped, its session kept, and the next \
         message starts it again. Never one that waits for a permission, a timer or a background task, that has messages \
         waiting, or whose CLI cannot resume a session. 0: none is.",
    ),
    Setting::new(
        Worker,
        "RESEND_AFTER_LIMIT",
        "Resend After Limit",
        "false",
        Value::Flag(|c, it| c.resend_after_limit = it),
    )
    .doc(
        "A message whose turn failed because the provider's usage limit was reached waits in the queue, with those after \
         it, and is sent again when the limit ends, if the CLI says when that is.",
    ),
    Setting::new(
        Worker,
        "RESEND_ATTEMPTS",
        "Resend Attempts",
        "3",
        number(1, 100, |c, it| c.resend_attempts = u32::try_from(it).unwrap_or(1)),
    )
    .doc("How often one message is sent again after a usage limit (`RESEND_AFTER_LIMIT`)."),
    Setting::new(
        Worker,
        "WORKER_ENV",
        "Worker Environment",
        "inherit",
        Value::Choice {
            of: &["inherit", "clean"],
            put: |c, it| c.worker_env = if it == "clean" { WorkerEnvMode::Clean } else { WorkerEnvMode::Inherit },
        },
    )
    .doc(
        "What a CLI gets of the server's environment. `inherit`: all of it, less the settings of this file and the keys \
         of other CLIs. `clean`: only what every program needs (PATH, HOME, locale, terminal, proxies, certificates), \
         the CLI's own keys, and what `WORKER_ENV_PASS` names.",
    ),
    Setting::new(Worker, "WORKER_ENV_PASS", "Worker Environment Pass", "", Value::Names(|c, it| c.worker_env_pass = it))
        .doc(
            "Environment variables that every CLI gets, as in `JAVA_HOME,AWS_*`. A variable that would be left out, such \
             as another CLI's key, must be named in full. `AUTH_TOKEN` is never passed.",
        ),
    Setting::new(Worker, "RUNNER", "Runner", "", Value::Text(|c, it| c.runner = Some(it))).doc(
        "Where workers run: a runner, as in `bwrap` or `ssh:build.example`. Of several, separated by commas, the first is \
         the usual one, and a worker may ask for another; `none` is as they are. Unset: as they are.",
    ),
    Setting::new(Worker, "RUNNERS_DIR", "Runners Folder", "./runners", Value::Path(|c, it| c.runners_dir = it))
        .doc("A folder with JSON files, each of which declares one more runner. It need not exist."),
    // AI CLIs.
    Setting::new(Cli, "DEFAULT_AI_CLI", "Default AI CLI", "claude", Value::Cli(|c, it| c.default_ai_cli = it))
        .doc("The CLI of a worker that names none."),
    Setting::new(
        Cli,
        "ENABLED_AI_CLIS",
        "Enabled AI CLIs",
        "claude,opencode",
        Value::Clis(|c, it| c.enabled_ai_clis = it),
    )
    .doc("The built-in CLIs that workers can use. Declared ones (`ADAPTERS_DIR`) are always enabled."),
    Setting::new(Cli, "ADAPTERS_DIR", "Adapters Folder", "./adapters", Value::Path(|c, it| c.adapters_dir = it))
        .doc("A folder with JSON files, each of which declares one more CLI. It need not exist."),
    Setting::new(Claude, "CLAUDE_BINARY", "Binary", "claude", Value::Program(|c, it| c.claude_binary = it))
        .doc("The Claude Code program."),
    Setting::new(Claude, "CLAUDE_MODEL", "Model", "", Value::Text(|c, it| c.claude_model = Some(it)))
        .doc("The model of workers that name none. Unset: Claude Code's own choice."),
    Setting::new(Claude, "CLAUDE_API_KEY", "API Key", "", Value::Key(|c, it| c.claude_api_key = Some(it)))
        .or_else("ANTHROPIC_API_KEY")
        .doc("The API key of Claude Code. Unset: `ANTHROPIC_API_KEY` of the environment, else its own login on this machine."),
    Setting::new(OpenCode, "OPENCODE_BINARY", "Binary", "opencode", Value::Program(|c, it| c.opencode_binary = it))
        .doc("The OpenCode program."),
    Setting::new(OpenCode, "OPENCODE_MODEL", "Model", "", Value::Text(|c, it| c.opencode_model = Some(it)))
        .doc(
            "The model of workers that name none: `provider/model`, or the model's name at `OPENCODE_API_BASE`, which \
             needs one. Unset: OpenCode's own choice.",
        ),
    Setting::new(OpenCode, "OPENCODE_API_BASE", "API Base", "", Value::Url(|c, it| c.opencode_api_base = Some(it)))
        .doc("The address of an OpenAI-compatible API for OpenCode. Unset: its own choice."),
    Setting::new(OpenCode, "OPENCODE_API_KEY", "API Key", "", Value::Key(|c, it| c.opencode_api_key = Some(it)))
        .doc("The API key of OpenCode. Unset: its own login on this machine."),
    Setting::new(Gemini, "GEMINI_BINARY", "Binary", "gemini", Value::Program(|c, it| c.gemini_binary = it))
        .doc("The Gemini CLI program."),
    Setting::new(Gemini, "GEMINI_MODEL", "Model", "", Value::Text(|c, it| c.gemini_model = Some(it)))
        .doc("The model of workers that name none. Unset: Gemini CLI's own choice."),
    Setting::new(Gemini, "GEMINI_API_KEY", "API Key", "", Value::Key(|c, it| c.gemini_api_key = Some(it)))
        .doc("The API key of Gemini CLI. Unset: its own login on this machine."),
    Setting::new(Codex, "CODEX_BINARY", "Binary", "codex", Value::Program(|c, it| c.codex_binary = it))
        .doc("The Codex program."),
    Setting::new(Codex, "CODEX_MODEL", "Model", "", Value::Text(|c, it| c.codex_model = Some(it)))
        .doc("The model of workers that name none. Unset: Codex's own choice."),
    Setting::new(Codex, "CODEX_API_KEY", "API Key", "", Value::Key(|c, it| c.codex_api_key = Some(it)))
        .or_else("OPENAI_API_KEY")
        .doc(
            "The key with which Codex uses the OpenAI API, instead of its own login and model provider. Unset: \
             `OPENAI_API_KEY` of the environment, else its own login and configuration on this machine.",
        ),
    // Access.
    Setting::new(Access, "PROJECT_ROOTS", "Project Roots", "", Value::Folders(|c, it| c.project_roots = it)).doc(
        "Folders that projects must lie in, as in `/home/me/code:/srv/projects`, after symbolic links are resolved. \
         Unset: anywhere.",
    ),
    Setting::new(Access, "AUTH_TOKEN", "Auth Token", "", Value::Token(|c, it| c.auth_token = Some(it))).doc(
        "The token that clients must send. Unset: none is needed while `HOST` is a loopback address; else one is made \
         and kept in `AUTH_TOKEN_FILE`.",
    ),
    Setting::new(Access, "AUTH_TOKEN_FILE", "Auth Token File", "", Value::Path(|c, it| c.auth_token_file = it))
        .doc("Where a token that was made is kept, with mode 0600. Unset: `auth_token` beside `WORKERS_BASE_DIR`."),
    Setting::new(Access, "ALLOWED_HOSTS", "Allowed Hosts", "", Value::Hosts(|c, it| c.allowed_hosts = it)).doc(
        "More names under which clients may address this server, such as a proxy's. `localhost`, `127.0.0.1`, `[::1]` \
         and the address in `HOST` are always allowed.",
    ),
    Setting::new(Access, "ALLOWED_ORIGINS", "Allowed Origins", "", Value::Origins(|c, it| c.allowed_origins = it))
        .doc("Web pages of other origins that may use the API. The server's own pages always may."),
    Setting::new(Access, "TRUSTED_PROXIES", "Trusted Proxies", "", Value::Networks(|c, it| c.trusted_proxies = it)).doc(
        "Proxies whose `X-Forwarded-For` is believed, so that wrong tokens slow down the address that sent them and not \
         the proxy's. Requests that come through a proxy need the token all the same. Unset: none.",
    ),
    // Connections.
    Setting::new(
        Connections,
        "MAX_CONNECTIONS",
        "Max Connections",
        "1024",
        number(1, 65_536, |c, it| c.limits.max_connections = count(it)),
    )
    .doc("How many connections may be open; the next one gets 503."),
    Setting::new(
        Connections,
        "MAX_CONNECTIONS_PER_ADDRESS",
        "Max Connections per Address",
        "256",
        number(1, 65_536, |c, it| c.limits.max_connections_per_address = count(it)),
    )
    .doc("How many of them one client address may hold. Loopback addresses are bounded by `MAX_CONNECTIONS` alone."),
    Setting::new(
        Connections,
        "HEAD_TIMEOUT_SECS",
        "Request Head",
        "10",
        seconds(1, 300, |c, it| c.limits.head_timeout = Duration::from_secs(it)),
    )
    .doc("A request's head must have arrived whole so many seconds after its first byte."),
    Setting::new(
        Connections,
        "KEEP_ALIVE_SECS",
        "Keep Alive",
        "60",
        seconds(1, 3600, |c, it| c.limits.keep_alive = Duration::from_secs(it)),
    )
    .doc("How many seconds a connection may be idle between requests."),
    Setting::new(
        Connections,
        "BODY_TIMEOUT_SECS",
        "Request Body",
        "30",
        seconds(1, 3600, |c, it| c.limits.body_timeout = Duration::from_secs(it)),
    )
    .doc("A request's body must have arrived so many seconds after its head, plus a second for every 64 KiB of it."),
    Setting::new(
        Connections,
        "WRITE_TIMEOUT_SECS",
        "Response Write",
        "30",
        seconds(1, 600, |c, it| c.limits.write_timeout = Duration::from_secs(it)),
    )
    .doc("A client that takes nothing of what is sent to it for so many seconds is disconnected."),
    Setting::new(
        Connections,
        "MAX_BODY_BYTES",
        "Max Body",
        "25MiB",
        Value::Bytes { min: KIB, max: MESSAGE_MAX, put: |c, it| c.limits.max_body_bytes = count(it) },
    )
    .doc("The largest request body that carries a message; bodies of other requests have smaller limits of their own."),
    Setting::new(
        Connections,
        "MAX_WS_MESSAGE_BYTES",
        "Max WebSocket Message",
        "25MiB",
        Value::Bytes { min: KIB, max: MESSAGE_MAX, put: |c, it| c.limits.max_ws_message_bytes = count(it) },
    )
    .doc("The largest WebSocket message that a client may send."),
    Setting::new(
        Connections,
        "WS_PING_SECS",
        "WebSocket Ping",
        "20",
        seconds(1, 3600, |c, it| c.limits.ws_ping = Duration::from_secs(it)),
    )
    .doc("A WebSocket is pinged every so many seconds, and closed when two pings go unanswered."),
    Setting::new(
        Connections,
        "SUBSCRIBER_QUEUE_BYTES",
        "Subscriber Queue",
        "1MiB",
        Value::Bytes { min: 64 * KIB, max: 64 * MIB, put: |c, it| c.limits.subscriber_queue_bytes = count(it) },
    )
    .doc("How far a client may lag behind in memory before it is served from the journal's file."),
    // The webhook.
    Setting::new(Webhook, "WEBHOOK_URL", "URL", "", Value::SecretUrl(|c, it| c.webhook.url = Some(it))).doc(
        "Where a POST goes when a worker waits for somebody, has ended a turn or has failed. Unset: nowhere. An `https://` address needs the program curl.",
    ),
    Setting::new(Webhook, "WEBHOOK_SECRET", "Secret", "", Value::Token(|c, it| c.webhook.secret = Some(it))).doc(
        "What these messages are signed with, so that their receiver knows whom they come from; as text, or as `whsec_` \
         and base64. `WEBHOOK_URL` needs one.",
    ),
    Setting::new(
        Webhook,
        "WEBHOOK_EVENTS",
        "Events",
        "waiting,turn_completed,failed",
        Value::Words { of: &["waiting", "turn_completed", "failed"], put: |c, it| c.webhook.events = it },
    )
    .doc("What is told."),
    Setting::new(
        Webhook,
        "WEBHOOK_ALLOW_PRIVATE",
        "Allow Private Addresses",
        "false",
        Value::Flag(|c, it| c.webhook.allow_private = it),
    )
    .doc("Whether the webhook may go to this machine and to addresses of its own network, such as 10.0.0.1."),
    Setting::new(
        Webhook,
        "WEBHOOK_ATTEMPTS",
        "Attempts",
        "5",
        number(1, 10, |c, it| c.webhook.attempts = u32::try_from(it).unwrap_or(1)),
    )
    .doc("How often a message is tried before it is given up; the pauses between two tries grow."),
    Setting::new(
        Webhook,
        "WEBHOOK_TIMEOUT_SECS",
        "Timeout",
        "10",
        seconds(1, 60, |c, it| c.webhook.timeout = Duration::from_secs(it)),
    )
    .doc("How long one try may take."),
    // The log.
    Setting::new(Log, "LOG_LEVEL", "Log Level", "info", Value::Level(|c, it| c.log_level = it))
        .doc("What is logged: this level and those above it."),
    Setting::new(Log, "LOG_FILE", "Log File", "./logs/app.log", Value::Path(|c, it| c.log_file = it))
        .doc("The log's file, mode 0600; its folder is made with mode 0700. The log goes to stderr too."),
    Setting::new(
        Log,
        "LOG_MAX_BYTES",
        "Log Size",
        "10MiB",
        Value::Bytes { min: 64 * KIB, max: GIB, put: |c, it| c.log_max_bytes = it },
    )
    .doc("A log file that would grow larger is set aside as `app.log.1`, and older ones move up by one."),
    Setting::new(Log, "LOG_KEEP", "Logs Kept", "5", number(0, 100, |c, it| c.log_keep = u32::try_from(it).unwrap_or(0)))
        .doc("How many log files that were set aside are kept."),
];

/// The file or folder beside another one, by name.
pub(super) fn beside(path: &std::path::Path, name: &str) -> PathBuf {
    path.parent().unwrap_or(path).join(name)
}
