//! The table of settings, the only list of them: it drives the reading of `.env` and the environment, the banner,
//! `.env.example` and `docs/configuration.md`.

use std::path::PathBuf;
use std::time::Duration;

pub(crate) use super::group::SettingGroup;
pub(crate) use super::setting::Setting;
use super::value::{GIB, KIB, Value, count};
use super::{Config, LocalAccess, OnExit, WorkerEnvMode, agents, budgets, connections, memory, notices};

/// Finds a setting by name.
pub fn setting(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

const fn number(min: u64, max: u64, put: fn(&mut Config, u64)) -> Value {
    Value::Number { min, max, unit: "", put }
}

const fn seconds(min: u64, max: u64, put: fn(&mut Config, u64)) -> Value {
    Value::Number { min, max, unit: "seconds", put }
}

use SettingGroup::{Access, Claude, Cli, Codex, Gemini, Log, OpenCode, Server, Worker};

/// Every setting, grouped.
pub static SETTINGS: &[Setting] = &[
    Setting::new(Server, "HOST", "Host", "127.0.0.1", Value::Address(|c, it| c.host = it)).doc(
        "Address to listen on. `0.0.0.0` or `::` is every address of the machine. On any other than a \
         loopback address, clients need the auth token.",
    ),
    Setting::new(Server, "PORT", "Port", "7788", number(0, 65_535, |c, it| c.port = u16::try_from(it).unwrap_or(0)))
        .doc("TCP port to listen on; 0 takes any free one, which the banner shows."),
    Setting::new(Server, "DEBUG", "Debug", "false", Value::Flag(|c, it| c.debug = it))
        .doc("Logs more: `LOG_LEVEL` defaults to `debug`."),
    Setting::new(Server, "BASE_PATH", "Base Path", "", Value::BasePath(|c, it| c.base_path = it)).doc(
        "Path below which everything is served, for a proxy that serves other sites under the same name. \
         Leave unset if your proxy strips the prefix.",
    ),
    Setting::new(Server, "STATIC_DIR", "Static Files", "", Value::Path(|c, it| c.static_dir = Some(it)))
        .doc("Folder to serve the page from while you work on it. Unset: the files in the binary."),
    Setting::new(
        Server,
        "STATIC_INLINE_STYLES",
        "Inline Styles",
        "false",
        Value::Flag(|c, it| c.static_inline_styles = it),
    )
    .doc(
        "Lets pages in `STATIC_DIR` have styles in their markup, as the page of the Python implementation does. Pages that show text of \
         agents without escaping it are safer without.",
    ),
    // Workers.
    Setting::new(Worker, "MAX_WORKERS", "Max Workers", "10", number(1, 1000, |c, it| c.max_workers = count(it)))
        .doc("Number of workers that may run at the same time; stopped ones do not count."),
    Setting::new(
        Worker,
        "WORKER_TIMEOUT",
        "Worker Timeout",
        "300",
        seconds(1, 604_800, |c, it| c.worker_timeout = Duration::from_secs(it)),
    )
    .doc("Seconds of silence within a turn after which a worker is shown as stalled. It is not stopped."),
    Setting::new(
        Worker,
        "TRANSCRIPT_POLL_SECS",
        "Transcript Polling",
        "1",
        seconds(1, 60, |c, it| c.transcript_poll = Duration::from_secs(it)),
    )
    .doc(
        "Seconds between two looks at the files of followed sessions when the system has no inotify watches \
         left.",
    ),
    Setting::new(
        Worker,
        "WORKERS_BASE_DIR",
        "Data Folder",
        "./data/workers",
        Value::Path(|c, it| c.workers_base_dir = it),
    )
    .doc("Folder of the workers' journals; created with mode 0700."),
    Setting::new(Worker, "WORKTREE_DIR", "Worktrees", "", Value::Path(|c, it| c.worktree_dir = it)).doc(
        "Folder for the git worktrees of workers; it may be outside of `PROJECT_ROOTS`. Unset: `worktrees` \
         beside `WORKERS_BASE_DIR`.",
    ),
    Setting::new(Worker, "PROJECTS_DIR", "Project Files", "", Value::Path(|c, it| c.projects_dir = it)).doc(
        "Folder of JSON files that describe projects: how worktrees are set up. It need not exist. Unset: \
         `project-files` beside `WORKERS_BASE_DIR`.",
    ),
    Setting::new(Worker, "PRESETS_DIR", "Presets", "", Value::Path(|c, it| c.presets_dir = it)).doc(
        "Folder of JSON files with presets of new workers; the API writes them too. Unset: `presets` beside \
         `WORKERS_BASE_DIR`.",
    ),
    Setting::new(Worker, "MAX_QUEUE", "Waiting Messages", "100", number(1, 10_000, |c, it| c.max_queue = count(it)))
        .doc("Number of messages that may wait for one worker; further ones are refused."),
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
    .doc(
        "What happens to running workers when the server stops: `leave` keeps them running, `stop` stops \
         them.",
    ),
    Setting::new(
        Worker,
        "STOP_GRACE_SECS",
        "Stop Grace",
        "5",
        seconds(0, 300, |c, it| c.stop_grace = Duration::from_secs(it)),
    )
    .doc("Seconds that a CLI has to end by itself when it is stopped, before it is killed."),
    Setting::new(
        Worker,
        "IDLE_STOP_SECS",
        "Idle Stop",
        "0",
        seconds(0, 2_592_000, |c, it| c.idle_stop = (it > 0).then(|| Duration::from_secs(it))),
    )
    .doc(
        "Seconds after which an idle worker is hibernated: its CLI is stopped, its session is kept, and the \
         next message starts it again. A worker is never hibernated while it waits for a permission, a timer \
         or a background task, while messages are queued, or if its CLI cannot resume a session. 0: never.",
    ),
    memory::MEMORY_RESERVE,
    memory::WORKER_MEMORY,
    memory::WORKER_CPU,
    memory::WORKER_PIDS,
    Setting::new(
        Worker,
        "TERMINAL",
        "Terminals",
        "on",
        Value::Choice { of: &["on", "off"], put: |c, it| c.terminal = it == "on" },
    )
    .doc(
        "Terminals in the folders of workers, on the page and by `rs-worker shell`. `off` removes them. Anyone with API \
         access can run commands through agents too, but a terminal of a worker without a runner is outside of any sandbox.",
    ),
    Setting::new(
        Worker,
        "RESEND_AFTER_LIMIT",
        "Resend After Limit",
        "false",
        Value::Flag(|c, it| c.resend_after_limit = it),
    )
    .doc(
        "Keeps a message whose turn failed at the provider's usage limit in the queue, with those after it, \
         and sends it again when the limit ends, if the CLI reports when that is.",
    ),
    Setting::new(
        Worker,
        "RESEND_ATTEMPTS",
        "Resend Attempts",
        "3",
        number(1, 100, |c, it| c.resend_attempts = u32::try_from(it).unwrap_or(1)),
    )
    .doc("Number of times that one message is sent again after a usage limit (`RESEND_AFTER_LIMIT`)."),
    budgets::BUDGET_TOOL_WAIT_SECS,
    budgets::BUDGET_TOKEN_PRICE,
    Setting::new(Worker, "TURN_TREES", "Turn Trees", "true", Value::Flag(|c, it| c.turn_trees = it)).doc(
        "Records the files of a worker's project at the beginning and the end of each turn, if it is in a git \
         repository, so that clients can show what a turn changed and restore files. They are kept in the \
         repository under `refs/rs-worker/`, for the last 50 turns of a worker.",
    ),
    agents::AGENT_CHILDREN_MAX,
    agents::AGENT_DEPTH_MAX,
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
        "Variables that a CLI receives. `inherit`: the server's environment without these settings, the keys \
         of other CLIs, and what describes the process that started the server (`GIT_DIR`, `NOTIFY_SOCKET`, \
         `MAKEFLAGS`, `TMUX` and the like). `clean`: only what every program needs (PATH, HOME, locale, \
         terminal, proxies, certificates), the CLI's own keys, and what `WORKER_ENV_PASS` names.",
    ),
    Setting::new(
        Worker,
        "WORKER_ENV_PASS",
        "Worker Environment Pass",
        "",
        Value::Names(|c, it| c.worker_env_pass = it),
    )
    .doc(
        "Environment variables that every CLI receives, for example `JAVA_HOME,AWS_*`. A variable that is \
         otherwise removed, such as another CLI's key, must be named in full. `AUTH_TOKEN` is never passed.",
    ),
    Setting::new(Worker, "RUNNER", "Runner", "", Value::Text(|c, it| c.runner = Some(it))).doc(
        "Where workers run: a runner, for example `bwrap` or `ssh:build.example`. Of several, separated by \
         commas, the first is the default and a worker may choose another; `none` is without a runner. Unset: \
         without a runner.",
    ),
    Setting::new(Worker, "SANDBOX_HOME", "Sandbox Home", "", Value::Home(|c, it| c.sandbox_home = it)).doc(
        "Files of the home directory that `bwrap` shows besides the toolchains and the CLI's own, for example \
         `.m2:rw,.npmrc,-.nvm`. `PATH` is read-only, `PATH:rw` is shared with the outside, `PATH:copy` is a \
         copy made at each start, `PATH:own` is empty and private to the worker, `PATH/*` is everything in a \
         folder, and `-PATH` is hidden.",
    ),
    Setting::new(Worker, "RUNNERS_DIR", "Runners Folder", "./runners", Value::Path(|c, it| c.runners_dir = it))
        .doc("Folder of JSON files that declare more runners. It need not exist."),
    // AI CLIs.
    Setting::new(Cli, "DEFAULT_AI_CLI", "Default AI CLI", "claude", Value::Cli(|c, it| c.default_ai_cli = it))
        .doc("CLI of a worker that names none."),
    Setting::new(Cli, "ENABLED_AI_CLIS", "Enabled AI CLIs", "", Value::Clis(|c, it| c.enabled_ai_clis = Some(it))).doc(
        "Built-in CLIs that workers can use: some of `claude`, `opencode`, `gemini` and `codex`. Unset: every \
         one that is found. Declared ones (`ADAPTERS_DIR`) are always enabled.",
    ),
    Setting::new(Cli, "ADAPTERS_DIR", "Adapters Folder", "./adapters", Value::Path(|c, it| c.adapters_dir = it))
        .doc("Folder of JSON files that declare more CLIs. It need not exist."),
    Setting::new(Claude, "CLAUDE_BINARY", "Binary", "claude", Value::Program(|c, it| c.claude.binary = it))
        .doc("The Claude Code program."),
    Setting::new(Claude, "CLAUDE_MODEL", "Model", "", Value::Text(|c, it| c.claude.model = Some(it)))
        .doc("Model of workers that name none. Unset: Claude Code's default."),
    Setting::new(Claude, "CLAUDE_API_KEY", "API Key", "", Value::Key(|c, it| c.claude.api_key = Some(it)))
        .or_else("ANTHROPIC_API_KEY")
        .doc(
            "API key of Claude Code. Unset: `ANTHROPIC_API_KEY` of the environment, else its own login on this \
         machine.",
        ),
    Setting::new(OpenCode, "OPENCODE_BINARY", "Binary", "opencode", Value::Program(|c, it| c.opencode.binary = it))
        .doc("The OpenCode program."),
    Setting::new(OpenCode, "OPENCODE_MODEL", "Model", "", Value::Text(|c, it| c.opencode.model = Some(it))).doc(
        "Model of workers that name none: `provider/model`, or the name of a model at `OPENCODE_API_BASE`, \
         which requires one. Unset: OpenCode's default.",
    ),
    Setting::new(OpenCode, "OPENCODE_API_BASE", "API Base", "", Value::Url(|c, it| c.opencode.api_base = Some(it)))
        .doc("Address of an OpenAI-compatible API for OpenCode. Unset: OpenCode's default."),
    Setting::new(OpenCode, "OPENCODE_API_KEY", "API Key", "", Value::Key(|c, it| c.opencode.api_key = Some(it)))
        .doc("API key of OpenCode. Unset: its own login on this machine."),
    Setting::new(Gemini, "GEMINI_BINARY", "Binary", "gemini", Value::Program(|c, it| c.gemini.binary = it))
        .doc("The Gemini CLI program."),
    Setting::new(Gemini, "GEMINI_MODEL", "Model", "", Value::Text(|c, it| c.gemini.model = Some(it)))
        .doc("Model of workers that name none. Unset: Gemini CLI's default."),
    Setting::new(Gemini, "GEMINI_API_KEY", "API Key", "", Value::Key(|c, it| c.gemini.api_key = Some(it)))
        .doc("API key of Gemini CLI. Unset: its own login on this machine."),
    Setting::new(Codex, "CODEX_BINARY", "Binary", "codex", Value::Program(|c, it| c.codex.binary = it))
        .doc("The Codex program."),
    Setting::new(Codex, "CODEX_MODEL", "Model", "", Value::Text(|c, it| c.codex.model = Some(it)))
        .doc("Model of workers that name none. Unset: Codex's default."),
    Setting::new(Codex, "CODEX_API_KEY", "API Key", "", Value::Key(|c, it| c.codex.api_key = Some(it)))
        .or_else("OPENAI_API_KEY")
        .doc(
            "API key with which Codex uses the OpenAI API, instead of its own login and model provider. Unset: \
         `OPENAI_API_KEY` of the environment, else its own login and configuration on this machine.",
        ),
    // Access.
    Setting::new(Access, "PROJECT_ROOTS", "Project Roots", "", Value::Folders(|c, it| c.project_roots = it)).doc(
        "Folders that projects must be in, for example `/home/me/code:/srv/projects`, after symbolic links \
         are resolved. Unset: anywhere.",
    ),
    Setting::new(
        Access,
        "LOCAL_ACCESS",
        "Local Access",
        "same-user",
        Value::Choice { of: &["same-user", "token", "open"], put: |c, it| c.local_access = local_access(it) },
    )
    .doc(
        "Requests over loopback that need no token. `same-user`: those of programs that run as the server's \
         own user or as root. `token`: none. `open`: those of every user. Unset: `token` if `AUTH_TOKEN` is \
         set, `HOST` is not a loopback address, or `RUNNER` names anything but `none`; with such a runner \
         only `token` is allowed, because its agents share the server's network and user.",
    ),
    Setting::new(Access, "AUTH_TOKEN", "Auth Token", "", Value::Token(|c, it| c.auth_token = Some(it))).doc(
        "Token that clients must send. Unset: one is generated and stored in `AUTH_TOKEN_FILE`, unless `HOST` \
         is a loopback address and `LOCAL_ACCESS` is not `token`.",
    ),
    Setting::new(Access, "AUTH_TOKEN_FILE", "Auth Token File", "", Value::Path(|c, it| c.auth_token_file = it))
        .doc("File of the generated token, mode 0600. Unset: `auth_token` beside `WORKERS_BASE_DIR`."),
    Setting::new(Access, "ALLOWED_HOSTS", "Allowed Hosts", "", Value::Hosts(|c, it| c.allowed_hosts = it)).doc(
        "Additional names under which clients may address this server, such as a proxy's. `localhost`, \
         `127.0.0.1`, `[::1]` and the address in `HOST` are always allowed.",
    ),
    Setting::new(Access, "ALLOWED_ORIGINS", "Allowed Origins", "", Value::Origins(|c, it| c.allowed_origins = it))
        .doc("Origins whose web pages may use the API. The server's own pages always may."),
    Setting::new(Access, "TRUSTED_PROXIES", "Trusted Proxies", "", Value::Networks(|c, it| c.trusted_proxies = it))
        .doc(
            "Proxies whose `X-Forwarded-For` is trusted, so that wrong tokens throttle the client and not the \
         proxy. Requests through a proxy need the token all the same. Unset: none.",
        ),
    // Connections.
    connections::MAX_CONNECTIONS,
    connections::MAX_CONNECTIONS_PER_ADDRESS,
    connections::HEAD_TIMEOUT_SECS,
    connections::KEEP_ALIVE_SECS,
    connections::BODY_TIMEOUT_SECS,
    connections::WRITE_TIMEOUT_SECS,
    connections::MAX_BODY_BYTES,
    connections::IMPORT_MAX_BYTES,
    connections::MAX_WS_MESSAGE_BYTES,
    connections::WS_PING_SECS,
    connections::SUBSCRIBER_QUEUE_BYTES,
    // Notifications.
    notices::PUSH_CONTACT,
    notices::PUSH_ALLOW_PRIVATE,
    notices::WEBHOOK_URL,
    notices::WEBHOOK_FORMAT,
    notices::WEBHOOK_SECRET,
    notices::WEBHOOK_TOKEN,
    notices::WEBHOOK_BUTTONS,
    notices::PUBLIC_URL,
    notices::WEBHOOK_EVENTS,
    notices::WEBHOOK_ALLOW_PRIVATE,
    notices::WEBHOOK_ATTEMPTS,
    notices::WEBHOOK_TIMEOUT_SECS,
    notices::HOOK_COMMAND,
    notices::HOOK_TIMEOUT_SECS,
    // The log.
    Setting::new(Log, "LOG_LEVEL", "Log Level", "info", Value::Level(|c, it| c.log_level = it))
        .doc("Lowest level that is logged."),
    Setting::new(Log, "LOG_FILE", "Log File", "./logs/app.log", Value::Path(|c, it| c.log_file = it))
        .doc("Log file, mode 0600; its folder is created with mode 0700. The log is written to stderr too."),
    Setting::new(
        Log,
        "LOG_MAX_BYTES",
        "Log Size",
        "10MiB",
        Value::Bytes { min: 64 * KIB, max: GIB, put: |c, it| c.log_max_bytes = it },
    )
    .doc("Size at which the log file is rotated to `app.log.1`, and older ones move up by one."),
    Setting::new(
        Log,
        "LOG_KEEP",
        "Logs Kept",
        "5",
        number(0, 100, |c, it| c.log_keep = u32::try_from(it).unwrap_or(0)),
    )
    .doc("Number of rotated log files that are kept."),
];

fn local_access(word: &str) -> LocalAccess {
    match word {
        "same-user" => LocalAccess::SameUser,
        "open" => LocalAccess::Open,
        _ => LocalAccess::Token,
    }
}

/// The file or folder beside another one, by name.
pub(super) fn beside(path: &std::path::Path, name: &str) -> PathBuf {
    path.parent().unwrap_or(path).join(name)
}
