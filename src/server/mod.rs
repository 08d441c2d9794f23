//! The server: everything put together, in the order in which data flows, and taken apart in the same order.

mod access;
mod agents;
mod error;
mod greeting;
mod notices;
mod process;
mod workers;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use self::access::{close_memory, guard, http_limits};
use self::agents::Agents;
use self::error::StartError;
use self::notices::Notices;
pub(crate) use self::process::respect_nohup;
use self::process::{raise_descriptor_limit, stop_signal, survive_file_size_limit};
use crate::api::{self, Api, ApiSettings, Clis, Gate, Readiness, Searches, SocketLimits};
use crate::assets::Assets;
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::http;
use crate::http::guard::GuardRules;
use crate::http::throttle::Throttle;
use crate::thread::Thread;
use crate::token;
use crate::websocket::frame;
use crate::worker::Registry;
use crate::worker::registry::{line_counts, stall, upkeep};

/// Time that requests in progress may take when the server stops.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(3);

/// The WebSocket close code of a server that goes down (RFC 6455, section 7.4.1).
const GOING_AWAY: u16 = 1001;

/// The server that has taken its port and its data folder, and answers requests for its liveness only.
struct Opened {
    config: Arc<Config>,
    stop: Receiver<()>,
    address: SocketAddr,
    data: Arc<DataDir>,
    guard: GuardRules,
    gate: Arc<Gate>,
    http: http::Server,
}

/// The parts of a server that is ready to serve.
struct Assembled {
    agents: Agents,
    registry: Arc<Registry>,
    api: Arc<Api>,
    notices: Notices,
}

/// Runs the server until it is told to stop.
///
/// # Errors
/// When it cannot start.
pub(crate) fn run(config: Config) -> Result<(), StartError> {
    let opened = open(config)?;
    let parts = assemble(&opened)?;
    serve(opened, parts)
}

/// Prepares the process, takes the port and the data folder, and begins to answer requests for liveness.
fn open(config: Config) -> Result<Opened, StartError> {
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
    Ok(Opened { config: Arc::new(config), stop, address, data, guard, gate, http })
}

/// Loads adapters and workers, and puts the API together.
fn assemble(opened: &Opened) -> Result<Assembled, StartError> {
    let config = &opened.config;
    let agents = Agents::load(config);
    let notices = Notices::start(config, opened.guard.logins())?;
    let project_roots = workers::roots(config)?;
    let registry = workers::open_registry(config, &opened.data, &agents, project_roots.clone(), notices.tell())?;
    notices.push.attach(&registry);
    let api = Api {
        registry: Arc::clone(&registry),
        clis: Clis {
            adapters: Arc::clone(&agents.adapters),
            probes: Arc::clone(&agents.probes),
            sessions: Arc::clone(&agents.sessions),
            default: config.default_ai_cli.clone(),
            with_key: agents::kinds_with_key(config),
            home: std::env::home_dir(),
        },
        guard: opened.guard.clone(),
        throttle: Throttle::default(),
        assets: Assets::new(config.static_dir.as_deref(), config.static_inline_styles)?,
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
            webhook_queue_max: notices.webhook_queue_max(),
        },
        readiness: Readiness::new(Arc::clone(&opened.data)),
        searches: Searches::default(),
        traffic: api::traffic(),
        push: Arc::clone(&notices.push),
        answers: Arc::clone(&notices.answers),
    };
    Ok(Assembled { agents, registry, api: Arc::new(api), notices })
}

/// Serves until a signal comes, then takes everything apart in the direction of the data.
fn serve(opened: Opened, parts: Assembled) -> Result<(), StartError> {
    let Opened { config, stop, address, gate, http, .. } = opened;
    let Assembled { agents, registry, api, notices } = parts;
    gate.open(Arc::clone(&api));
    let watches = start_watches(&config, &registry)?;
    greeting::announce(&config, address, &agents, &registry, &api.guard)?;

    // It ends because the signal comes, or because nobody can send one any more.
    let _ = stop.recv();
    log::info!("stopping");
    api.readiness.stop();
    drop(watches);
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

/// A thread that ends when its sender is dropped, which stands before it for that reason.
type Watch = (Sender<()>, Thread);

/// Starts the threads that watch for stalled turns, for idle workers and usage limits, and for ended turns.
fn start_watches(config: &Config, registry: &Arc<Registry>) -> Result<[Watch; 3], StartError> {
    let (watching, watched) = bounded(0);
    let (ours, timeout) = (Arc::clone(registry), config.worker_timeout);
    let stalls = Thread::spawn("stall watch", move || stall::watch(&ours, timeout, &watched))?;
    let (keeping, kept) = bounded(0);
    let (ours, idle_stop) = (Arc::clone(registry), config.idle_stop);
    let upkeep = Thread::spawn("upkeep", move || upkeep::run(&ours, idle_stop, &kept))?;
    let (counting, counted) = bounded(0);
    let ours = Arc::clone(registry);
    let counts = Thread::spawn("line counts", move || line_counts::run(&ours, &counted))?;
    Ok([(watching, stalls), (keeping, upkeep), (counting, counts)])
}

fn bind(config: &Config) -> Result<TcpListener, StartError> {
    let address = SocketAddr::new(config.host, config.port);
    TcpListener::bind(address).map_err(|error| {
        format!("cannot listen on {address}: {error} (see HOST and PORT; is another server running?)").into()
    })
}
