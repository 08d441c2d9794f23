//! The server: everything put together, in the order in which data flows, and taken apart in the same order.

use std::collections::BTreeSet;
use std::fs::DirBuilder;
use std::io::IsTerminal as _;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::adapter::acp::{Gemini, GeminiSettings, OpenCode, OpenCodeSettings};
use crate::adapter::claude::{Claude, ClaudeSettings};
use crate::adapter::codex::{Codex, CodexSettings};
use crate::adapter::declared;
use crate::adapter::missing::Missing;
use crate::adapter::probe::Probes;
use crate::adapter::registry::Registry as Adapters;
use crate::adapter::{Adapter, Launch};
use crate::api::{Api, Gate, Readiness, Searches, SocketLimits, Traffic};
use crate::assets::Assets;
use crate::banner::{self, BannerFacts, CliFact, Program};
use crate::config::{self, Config, OnExit, Secret};
use crate::data_dir::DataDir;
use crate::http;
use crate::http::guard::GuardRules;
use crate::http::throttle::Throttle;
use crate::journal::WorkerOptions;
use crate::runner::{self, Runner};
use crate::sessions::Catalog;
use crate::thread::Thread;
use crate::token::{self, AuthToken};
use crate::webhook::{self, Webhook};
use crate::websocket::frame;
use crate::worker::changes::Tell;
use crate::worker::launch::Launcher;
use crate::worker::place::Places;
use crate::worker::{Registry, stall, upkeep};
use crate::worker_env::{EnvRequest, inner_env, runner_env, worker_env};

/// How long the banner waits for the CLIs' versions.
const PROBE_WAIT: Duration = Duration::from_millis(1_500);
/// How long requests in progress may take when the server stops.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(3);

/// How long the webhook may take for what waits when the server stops.
const WEBHOOK_GRACE: Duration = Duration::from_secs(2);

/// The WebSocket close code of a server that goes down (RFC 6455, section 7.4.1).
const GOING_AWAY: u16 = 1001;

/// Why the server does not start. Its text says what to do.
pub type StartError = Box<dyn std::error::Error>;

/// Runs the server until it is told to stop.
///
/// # Errors
/// When it cannot start.
pub fn run(config: Config) -> Result<(), StartError> {
    raise_descriptor_limit();
    let stop = stop_signal()?;
    let token = token::auth_token(&config)?;
    let listener = bind(&config)?;
    let address = listener.local_addr()?;
    let _data = DataDir::take(&config.workers_base_dir)?;
    let config = Arc::new(config);
    // From here on it answers that it lives and is not ready; what else is asked waits for the end of the start.
    let gate = Arc::new(Gate::new(guard(&config, token.as_ref()), config.base_path.clone()));
    let service = Arc::clone(&gate) as Arc<dyn http::Service>;
    let server = http::Server::start(listener, service, http_limits(&config.limits))?;

    let loaded = declared::load(
        &config.adapters_dir,
        &built_in(&config).iter().map(|a| a.cli().kind.as_str()).collect::<Vec<_>>(),
    );
    let broken: Vec<String> = loaded.errors.iter().map(ToString::to_string).collect();
    let adapters =
        Arc::new(Adapters::new(built_in(&config), loaded.adapters, &config.enabled_ai_clis, &config.default_ai_cli));
    for problem in broken.iter().chain(adapters.problems()).chain(&config.warnings) {
        log::warn!("{problem}");
    }
    let path = std::env::var_os("PATH");
    let probes = Arc::new(Probes::start(adapters.wanted(), path.as_deref()));
    let sessions = Arc::new(sessions(&config, &adapters));
    let (webhook, delivery) =
        start_webhook(&config)?.map_or((None, None), |(webhook, delivery)| (Some(webhook), Some(delivery)));
    let has_webhook = webhook.is_some();
    let registry = open_registry(&config, &adapters, &sessions, webhook)?;
    let assets = Assets::new(config.static_dir.as_deref())?;

    let api = Api {
        registry: Arc::clone(&registry),
        adapters: Arc::clone(&adapters),
        probes: Arc::clone(&probes),
        guard: guard(&config, token.as_ref()),
        throttle: Throttle::default(),
        assets,
        sessions,
        project_roots: roots(&config)?,
        base_path: config.base_path.clone(),
        default_cli: config.default_ai_cli.clone(),
        body_bytes_max: config.limits.max_body_bytes,
        socket_limits: SocketLimits {
            message_bytes: config.limits.max_ws_message_bytes,
            ping_interval: config.limits.ws_ping,
            write_time: config.limits.write_timeout,
            queue_bytes: config.limits.subscriber_queue_bytes,
        },
        connections_max: config.limits.max_connections,
        webhook_queue_max: if has_webhook { webhook::QUEUE_MAX } else { 0 },
        readiness: Readiness::new(config.workers_base_dir.clone()),
        searches: Searches::default(),
        traffic: Traffic::default(),
    };
    let api = Arc::new(api);
    gate.open(Arc::clone(&api));
    let (watching, watched) = bounded(0);
    let watch = {
        let (registry, timeout) = (Arc::clone(&registry), config.worker_timeout);
        Thread::spawn("stall watch", move || stall::watch(&registry, timeout, &watched))?
    };
    let (keeping, kept) = bounded(0);
    let upkeep = {
        let (registry, idle_stop) = (Arc::clone(&registry), config.idle_stop);
        Thread::spawn("upkeep", move || upkeep::run(&registry, idle_stop, &kept))?
    };
    banner::print(&banner_text(&config, address, &adapters, &probes, &broken, &registry, token.as_ref()));

    // It ends because the signal comes, or because nobody can send one any more.
    let _ = stop.recv();
    log::info!("stopping");
    api.readiness.stop();
    drop(watching);
    drop(watch);
    drop(keeping);
    drop(upkeep);
    end_workers(&config, &registry);
    let mut goodbye = Vec::new();
    frame::encode_close(&mut goodbye, GOING_AWAY, "the server stops");
    registry.close_streams(&goodbye);
    let stuck = server.shutdown(SHUTDOWN_GRACE);
    if let Some(delivery) = delivery {
        delivery.finish(WEBHOOK_GRACE);
    }
    if stuck > 0 {
        log::warn!("{stuck} connections did not end in time");
    }
    Ok(())
}

/// The CLIs' own sessions; OpenCode is asked for its by the program that the workers run.
fn sessions(config: &Config, adapters: &Adapters) -> Catalog {
    let opencode = adapters.find("opencode").map(|_| config.opencode_binary.as_str());
    Catalog::new(&|name| std::env::var(name).ok(), opencode)
}

/// Most file descriptors that the server asks for: enough for the connections that can be allowed. A limit without bound
/// would slow down programs that close all descriptors there could be; the CLIs inherit it.
const DESCRIPTORS_MAX: u64 = 65_536;

/// Takes as many file descriptors as the system lets us have: shells give 1,024, which is as many as the connections.
fn raise_descriptor_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        let wanted = hard.min(DESCRIPTORS_MAX);
        if soft < wanted { setrlimit(Resource::RLIMIT_NOFILE, wanted, hard) } else { Ok(()) }
    });
    if let Err(error) = raised {
        log::warn!("the limit of file descriptors stays as it is: {error}");
    }
}

/// A channel that gets a message at SIGINT, SIGTERM or SIGHUP.
fn stop_signal() -> Result<Receiver<()>, StartError> {
    let (sender, receiver) = bounded(1);
    ctrlc::set_handler(move || {
        // A second signal while the first is being served adds nothing.
        let _ = sender.try_send(());
    })?;
    Ok(receiver)
}

fn bind(config: &Config) -> Result<TcpListener, StartError> {
    let address = SocketAddr::new(config.host, config.port);
    TcpListener::bind(address).map_err(|error| {
        format!("cannot listen on {address}: {error} (see HOST and PORT; is another server running?)").into()
    })
}

/// The adapters that are part of the program.
fn built_in(config: &Config) -> Vec<Arc<dyn Adapter>> {
    let secret = |key: &Option<Secret>| key.as_ref().map(|key| key.expose().to_owned());
    vec![
        Arc::new(Claude::new(ClaudeSettings {
            binary: PathBuf::from(&config.claude_binary),
            model: config.claude_model.clone(),
            api_key: secret(&config.claude_api_key),
        })),
        Arc::new(OpenCode::new(OpenCodeSettings {
            binary: PathBuf::from(&config.opencode_binary),
            model: config.opencode_model.clone(),
            api_base: config.opencode_api_base.clone(),
            api_key: secret(&config.opencode_api_key),
        })),
        Arc::new(Gemini::new(GeminiSettings {
            binary: PathBuf::from(&config.gemini_binary),
            model: config.gemini_model.clone(),
            api_key: secret(&config.gemini_api_key),
        })),
        Arc::new(Codex::new(CodexSettings {
            binary: PathBuf::from(&config.codex_binary),
            model: config.codex_model.clone(),
            api_key: secret(&config.codex_api_key),
        })),
    ]
}

/// Starts the webhook, where one is set.
fn start_webhook(config: &Config) -> Result<Option<(Webhook, webhook::Delivery)>, StartError> {
    let Some(url) = config.webhook.url.clone() else { return Ok(None) };
    let Some(secret) = config.webhook.secret.clone() else {
        return Err(
            "WEBHOOK_URL is set, and WEBHOOK_SECRET is not: messages are signed, so that their receiver can trust \
                    them (openssl rand -hex 32 makes a good one)"
                .into(),
        );
    };
    let config::Webhook { events, allow_private, attempts, timeout, .. } = config.webhook.clone();
    let settings = webhook::Settings { url, secret, events, allow_private, attempts, time: timeout };
    Ok(Some(Webhook::start(&settings)?))
}

fn open_registry(
    config: &Arc<Config>,
    adapters: &Arc<Adapters>,
    sessions: &Arc<Catalog>,
    webhook: Option<Webhook>,
) -> Result<Arc<Registry>, StartError> {
    let (env_config, env_adapters) = (Arc::clone(config), Arc::clone(adapters));
    let make_env = move |adapter: &dyn Adapter, launch: &Launch, options: &WorkerOptions, runner: Option<&Runner>| {
        let own = adapter.secret_env();
        let request = EnvRequest {
            own_secrets: &own,
            other_secrets: &env_adapters.secrets_of_others(&adapter.cli().kind),
            launch: &launch.env,
            worker: &options.env,
        };
        let Some(runner) = runner else { return worker_env(&env_config, &request, std::env::vars_os()) };
        let inner = inner_env(&env_config, &request, std::env::vars_os());
        let mut env = runner_env(runner.needs(), std::env::vars_os());
        env.push((runner::ENV.into(), runner::packed(&runner.entry, &inner)));
        env
    };
    let launcher = Launcher {
        exe: std::env::current_exe()?,
        grace: config.stop_grace,
        make_env: Box::new(make_env),
        queue_max: config.max_queue,
        sessions: Arc::clone(sessions),
        transcript_poll: config.transcript_poll,
        resend_attempts: if config.resend_after_limit { config.resend_attempts } else { 0 },
        project_roots: roots(config)?,
        places: Places::new(config)?,
        tell: webhook.map(|webhook| Box::new(move |change| webhook.tell(&change)) as Tell),
        worktree_dir: config.worktree_dir.clone(),
    };
    let adapters = Arc::clone(adapters);
    let find = move |kind: &str| adapters.find(kind).unwrap_or_else(|| Arc::new(Missing::new(kind)));
    Ok(Registry::open(&config.workers_base_dir, config.max_workers, launcher, Box::new(find))?)
}

fn guard(config: &Config, token: Option<&AuthToken>) -> GuardRules {
    // A name can be rebound to our address; an address cannot. So where all addresses are listened on, any may be named.
    let addresses = config.host.is_unspecified();
    let token = token.map(|token| token.secret().expose().to_owned());
    GuardRules::new(config.host_names(), addresses, &config.allowed_origins, token)
        .below(&config.base_path)
        .behind(config.trusted_proxies.clone())
}

fn roots(config: &Config) -> Result<Vec<PathBuf>, StartError> {
    if config.project_roots.is_empty() {
        return Ok(Vec::new());
    }
    // Worktrees of projects that are allowed are allowed.
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&config.worktree_dir)
        .map_err(|error| format!("WORKTREE_DIR: {} cannot be made: {error}", config.worktree_dir.display()))?;
    config
        .project_roots
        .iter()
        .chain([&config.worktree_dir])
        .map(|root| {
            root.canonicalize()
                .map_err(|error| format!("PROJECT_ROOTS: {} cannot be used: {error}", root.display()).into())
        })
        .collect()
}

fn http_limits(limits: &config::Limits) -> http::Limits {
    http::Limits {
        connections: limits.max_connections,
        connections_per_address: limits.max_connections_per_address,
        connections_per_loopback_address: limits.max_connections,
        head_time: limits.head_timeout,
        idle_time: limits.keep_alive,
        body_grace: limits.body_timeout,
        body_rate: config::BODY_BYTES_PER_SECOND as u64,
        write_time: limits.write_timeout,
        ..http::Limits::default()
    }
}

fn banner_text(
    config: &Config,
    address: SocketAddr,
    adapters: &Adapters,
    probes: &Probes,
    broken: &[String],
    registry: &Registry,
    token: Option<&AuthToken>,
) -> String {
    let clis: Vec<CliFact> = adapters
        .list_within(probes, PROBE_WAIT)
        .into_iter()
        .filter(|listed| listed.enabled)
        .map(|listed| CliFact {
            program: match (listed.installed, listed.version) {
                (Some(false), _) => Program::Missing,
                (_, Some(version)) => Program::Version(version),
                (_, None) => Program::Found,
            },
            declared_in: adapters.declared_in(&listed.kind),
            kind: listed.kind,
            binary: listed.binary,
        })
        .collect();
    let (total, running) = registry.counts();
    banner::render(
        config,
        &BannerFacts {
            version: env!("CARGO_PKG_VERSION"),
            address,
            clis: &clis,
            broken_adapters: broken,
            running_workers: running,
            stopped_workers: total - running,
            token,
            on_terminal: std::io::stdout().is_terminal(),
            docs: false,
        },
    )
}

/// Leaves the running workers to the next server, or stops them, as `ON_EXIT` says.
fn end_workers(config: &Config, registry: &Registry) {
    let running: Vec<_> = registry.all().into_iter().filter(|worker| worker.state().is_running()).collect();
    if config.on_exit == OnExit::Stop {
        let stops: Vec<_> = running
            .iter()
            .map(|worker| {
                let worker = Arc::clone(worker);
                Thread::spawn("stop", move || {
                    if let Err(error) = worker.stop("server") {
                        log::error!("worker {}: {error}", worker.id());
                    }
                })
            })
            .collect();
        drop(stops);
        return;
    }
    let names: BTreeSet<String> = running.iter().map(|worker| worker.state().name.clone()).collect();
    for worker in &running {
        worker.save();
    }
    if !running.is_empty() {
        let names = names.into_iter().collect::<Vec<_>>().join(", ");
        let text = format!(
            "{} workers go on without the server: {names}\nThe next server attaches to them. To end them: rs-worker stop --all",
            running.len()
        );
        log::info!("{text}");
        banner::print(&format!("{text}\n"));
    }
}
