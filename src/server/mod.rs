//! The composition root: starts all parts of the server in the order in which data flows, and stops them in the same
//! order.

mod access;
mod agents;
mod error;
mod greeting;
mod notices;
mod process;
mod rule_answers;
mod schedule_runs;
mod workers;

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Weak};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use self::access::{close_memory, guard, http_limits};
use self::agents::AgentCatalog;
use self::error::StartError;
use self::notices::Notices;
pub(crate) use self::process::respect_nohup;
use self::process::{raise_descriptor_limit, stop_signal, survive_file_size_limit};
use self::rule_answers::RuleAnswers;
use crate::access::Tokens;
use crate::api::{self, Api, ApiSettings, Clis, Gate, Readiness, Searches, SocketLimits, Waits};
use crate::assets::Assets;
use crate::audit::Audit;
use crate::banner;
use crate::budgets::BudgetBook;
use crate::clock::Micros;
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::http;
use crate::http::guard::GuardRules;
use crate::http::throttle::Throttle;
use crate::logins::Logins;
use crate::presets::Presets;
use crate::projects::Projects;
use crate::rules::RuleBook;
use crate::schedules::ScheduleBook;
use crate::thread::Thread;
use crate::token;
use crate::websocket::frame;
use crate::worker::Registry;
use crate::worker::registry::{budgets, line_counts, stall, turn_trees, upkeep};
use crate::worker::run::launch::AgentGate;

/// Time that requests in progress may take when the server stops.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(3);

/// Time from one look for expired tokens to the next. Their requests are refused at once; what they have open ends then.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(10);

/// The WebSocket close code of a server that goes down (RFC 6455, section 7.4.1).
const GOING_AWAY: u16 = 1001;

/// The server that has taken its port and its data folder, and answers requests for its liveness only.
struct BoundServer {
    config: Arc<Config>,
    stop: Receiver<()>,
    address: SocketAddr,
    data: Arc<DataDir>,
    guard: GuardRules,
    gate: Arc<Gate>,
    http: http::Server,
}

/// The parts of a server that is ready to serve.
struct ServerParts {
    agents: AgentCatalog,
    registry: Arc<Registry>,
    api: Arc<Api>,
    notices: Notices,
    rule_threads: Vec<WatchThread>,
}

/// Runs the server until a signal stops it.
///
/// # Errors
/// Fails when it cannot start.
pub(crate) fn run(config: Config) -> Result<(), StartError> {
    let opened = open(config)?;
    let parts = assemble(&opened)?;
    serve(opened, parts)
}

/// Prepares the process, takes the port and the data folder, and begins to answer requests for liveness.
fn open(config: Config) -> Result<BoundServer, StartError> {
    close_memory();
    raise_descriptor_limit();
    survive_file_size_limit();
    let stop = stop_signal()?;
    let token = token::auth_token(&config)?;
    let listener = bind(&config)?;
    let address = listener.local_addr()?;
    let data = Arc::new(DataDir::take(&config.workers_base_dir)?);
    let guard = guard(&config, token);
    // From here on the server is live and not ready; other requests wait for the end of the start.
    let gate = Arc::new(Gate::new(guard.clone(), config.base_path.clone()));
    let service = Arc::clone(&gate) as Arc<dyn http::Service>;
    let http = http::Server::start(listener, service, http_limits(&config.limits))?;
    Ok(BoundServer { config: Arc::new(config), stop, address, data, guard, gate, http })
}

/// Loads adapters and workers, and puts the API together.
fn assemble(opened: &BoundServer) -> Result<ServerParts, StartError> {
    let config = &opened.config;
    let presets = Presets::new(&config.presets_dir);
    if let Err(error) = presets.make_folder() {
        log::warn!("PRESETS_DIR: {} cannot be made: {error}", config.presets_dir.display());
    }
    let agents = AgentCatalog::load(config);
    let notices = Notices::start(config, &opened.guard, &agents)?;
    let project_roots = workers::roots(config)?;
    let rules = Arc::new(RuleBook::open(opened.data.path()));
    let schedules = Arc::new(ScheduleBook::open(opened.data.path()));
    let answering = RuleAnswers::new(Arc::clone(&rules), schedule_runs::reporting(&schedules, notices.notifier()));
    let budgets = Arc::new(BudgetBook::open(opened.data.path())?);
    let base = banner::base_url(config, opened.address);
    let gate = AgentGate { url: format!("{base}{}", api::MCP_PATH), base, tokens: Arc::clone(opened.guard.tokens()) };
    let links = (answering.notifier(), budgets, gate);
    let registry = workers::open_registry(config, &opened.data, &agents, project_roots.clone(), links)?;
    let rule_threads = answering.start(&registry)?;
    notices.push.attach(&registry);
    let assets = Assets::new(config.static_dir.as_deref(), config.static_inline_styles)?;
    let api = Arc::new_cyclic(|itself| Api {
        itself: Weak::clone(itself),
        registry: Arc::clone(&registry),
        clis: Clis {
            adapters: Arc::clone(&agents.adapters),
            probes: Arc::clone(&agents.probes),
            sessions: Arc::clone(&agents.sessions),
            default: config.default_ai_cli.clone(),
            with_key: agents::kinds_with_key(config),
            home: std::env::home_dir(),
        },
        projects: Projects::new(&config.projects_dir),
        presets,
        guard: opened.guard.clone(),
        throttle: Throttle::default(),
        assets,
        settings: ApiSettings {
            project_roots,
            base_path: config.base_path.clone(),
            body_bytes_max: config.limits.max_body_bytes,
            import_bytes_max: config.limits.import_max_bytes,
            sockets: SocketLimits {
                message_bytes: config.limits.max_ws_message_bytes,
                ping_interval: config.limits.ws_ping,
                write_time: config.limits.write_timeout,
                queue_bytes: config.limits.subscriber_queue_bytes,
            },
            connections_max: config.limits.max_connections,
            terminal: config.terminal,
            webhook_queue_max: notices.webhook_queue_max(),
        },
        readiness: Readiness::new(Arc::clone(&opened.data)),
        searches: Searches::default(),
        traffic: api::traffic(),
        push: Arc::clone(&notices.push),
        audit: Arc::new(Audit::open(&config.workers_base_dir)),
        answers: Arc::clone(&notices.answers),
        rules,
        schedules,
        waits: Waits::default(),
    });
    Ok(ServerParts { agents, registry, api, notices, rule_threads })
}

/// Serves until a signal comes, then takes everything apart in the direction of the data.
fn serve(opened: BoundServer, parts: ServerParts) -> Result<(), StartError> {
    let BoundServer { config, stop, address, gate, http, .. } = opened;
    let ServerParts { agents, registry, api, notices, rule_threads } = parts;
    notices.know_workers(&registry);
    gate.open(Arc::clone(&api));
    let mut watches = start_watches(&config, &registry)?;
    watches.push(watch_expiry(api.guard.tokens(), api.guard.logins())?);
    watches.extend(schedule_runs::start(&api)?);
    greeting::announce(&config, address, &agents, &registry, &api.guard)?;

    // It ends because the signal comes, or because nobody can send one any more.
    let _ = stop.recv();
    log::info!("stopping");
    api.readiness.stop();
    drop(watches);
    drop(rule_threads);
    workers::end_workers(&config, &registry);
    let mut goodbye = Vec::new();
    frame::encode_close(&mut goodbye, GOING_AWAY, "the server stops");
    registry.close_streams(&goodbye);
    let stuck = http.shutdown(SHUTDOWN_GRACE);
    notices.finish();
    if stuck > 0 {
        log::warn!("{stuck} connections did not end in time");
    }
    log::info!("stopped");
    Ok(())
}

/// A thread that ends when its sender is dropped; the sender is declared before it, so it is dropped first.
type WatchThread = (Sender<()>, Thread);

/// Starts the threads that watch for stalled turns, for idle workers and usage limits, for budgets and for ended turns.
fn start_watches(config: &Config, registry: &Arc<Registry>) -> Result<Vec<WatchThread>, StartError> {
    let (watching, watched) = bounded(0);
    let (ours, timeout) = (Arc::clone(registry), config.worker_timeout);
    let stalls = Thread::spawn("stall watch", move || stall::watch(&ours, timeout, &watched))?;
    let (keeping, kept) = bounded(0);
    let (ours, idle_stop) = (Arc::clone(registry), config.idle_stop);
    let upkeep = Thread::spawn("upkeep", move || upkeep::run(&ours, idle_stop, &kept))?;
    let (counting, counted) = bounded(0);
    let ours = Arc::clone(registry);
    let counts = Thread::spawn("line counts", move || line_counts::run(&ours, &counted))?;
    let (spending, spent) = bounded(0);
    let ours = Arc::clone(registry);
    let budgets = Thread::spawn("budgets", move || budgets::watch(&ours, &spent))?;
    let mut watches = vec![(watching, stalls), (keeping, upkeep), (counting, counts), (spending, budgets)];
    let recorders = if config.turn_trees { turn_trees::THREADS } else { 0 };
    for _ in 0..recorders {
        let (recording, recorded) = bounded(0);
        let ours = Arc::clone(registry);
        let trees = Thread::spawn("turn trees", move || turn_trees::run(&ours, &recorded))?;
        watches.push((recording, trees));
    }
    Ok(watches)
}

/// Starts the thread that closes the connections of tokens and logins that have expired.
fn watch_expiry(tokens: &Arc<Tokens>, logins: &Arc<Logins>) -> Result<WatchThread, StartError> {
    let (watching, watched) = bounded::<()>(0);
    let (tokens, logins) = (Arc::clone(tokens), Arc::clone(logins));
    let thread = Thread::spawn("token expiry", move || {
        while watched.recv_timeout(EXPIRY_INTERVAL) == Err(RecvTimeoutError::Timeout) {
            let now = Micros::now();
            tokens.close_expired(now);
            logins.close_expired(now);
        }
    })?;
    Ok((watching, thread))
}

fn bind(config: &Config) -> Result<TcpListener, StartError> {
    let address = SocketAddr::new(config.host, config.port);
    TcpListener::bind(address).map_err(|error| {
        format!("cannot listen on {address}: {error} (see HOST and PORT; is another server running?)").into()
    })
}
