//! The registry of workers as the settings want it, and the fate of workers when the server stops.

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use super::agents::AgentCatalog;
use super::error::StartError;
use crate::adapter::missing::MissingAdapter;
use crate::adapter::{Adapter, Launch};
use crate::banner;
use crate::budgets::BudgetBook;
use crate::cgroup::Delegation;
use crate::config::{Config, OnExit};
use crate::data_dir::DataDir;
use crate::journal::{By, WorkerOptions};
use crate::projects::Projects;
use crate::runner::{self, Runner};
use crate::thread::Thread;
use crate::worker::place::runner::Places;
use crate::worker::publish::changes::ChangeNotifier;
use crate::worker::publish::moments::Moments;
use crate::worker::run::budget_gate::{BudgetGate, BudgetSettings};
use crate::worker::run::launch::{AgentGate, Launcher, MakeCommandEnv, MakeEnv, MakeShellEnv, WorkerSettings};
use crate::worker::state::status::Status;
use crate::worker::{Registry, Worker};
use crate::worker_env::{EnvRequest, command_env, inner_env, runner_env, worker_env};

/// Billionths of a US dollar in a millionth: a price per million tokens becomes one per token.
const NANO_USD_PER_MICRO_USD: u64 = 1_000;
/// Characters of an id that distinguish workers of the same name.
const ID_SHOWN: usize = 8;

/// Loads all workers, and attaches to those that run.
pub(super) fn open_registry(
    config: &Arc<Config>,
    data: &Arc<DataDir>,
    agents: &AgentCatalog,
    project_roots: Vec<PathBuf>,
    (notify, budgets, gate): (ChangeNotifier, Arc<BudgetBook>, AgentGate),
) -> Result<Arc<Registry>, StartError> {
    let settings = WorkerSettings {
        queue_max: config.max_queue,
        transcript_poll: config.transcript_poll,
        turn_trees: config.turn_trees,
        resend_attempts: if config.resend_after_limit { config.resend_attempts } else { 0 },
        project_roots,
        worktree_dir: config.worktree_dir.clone(),
        projects: Projects::new(&config.projects_dir),
        limits: config.worker_limits,
        children_max: config.children_max,
        depth_max: config.depth_max,
    };
    let places = Places::new(config)?;
    if let Some(warning) = places.runners.setuid_warning(nix::unistd::geteuid().as_raw()) {
        log::warn!("{warning}");
    }
    let launcher = Launcher {
        exe: std::env::current_exe()?,
        grace: config.stop_grace,
        make_env: make_env(config, agents),
        make_shell_env: make_shell_env(config, agents),
        make_command_env: make_command_env(config, agents),
        places,
        sessions: Arc::clone(&agents.sessions),
        notify: Some(notify),
        budgets: BudgetGate::new(
            budgets,
            BudgetSettings {
                tool_wait: config.budgets.tool_wait,
                token_nano_usd: config.budgets.token_price.saturating_mul(NANO_USD_PER_MICRO_USD),
            },
        ),
        moments: if config.turn_trees { Moments::open() } else { Moments::default() },
        groups: Delegation::take(),
        settings,
        agents: gate,
    };
    let adapters = Arc::clone(&agents.adapters);
    let find = move |kind: &str| adapters.find(kind).unwrap_or_else(|| Arc::new(MissingAdapter::new(kind)));
    Ok(Registry::open(Arc::clone(data), (config.max_workers, config.memory_reserve), launcher, Box::new(find))?)
}

/// Returns the environment of a runner's own program, with that of the command inside it.
fn around(runner: &Runner, inner: &[(OsString, OsString)]) -> Vec<(OsString, OsString)> {
    let mut env = runner_env(runner.needs(), std::env::vars_os());
    env.push((runner::ENV.into(), runner::packed(&runner.entry, inner)));
    env
}

/// Returns the environment of a command, or that of its runner.
fn env_for(config: &Config, request: &EnvRequest<'_>, runner: Option<&Runner>) -> Vec<(OsString, OsString)> {
    match runner {
        None => worker_env(config, request, std::env::vars_os()),
        Some(runner) => around(runner, &inner_env(config, request, std::env::vars_os())),
    }
}

/// Returns the function that makes the environment of a worker's CLI, or of its runner.
fn make_env(config: &Arc<Config>, agents: &AgentCatalog) -> MakeEnv {
    let (config, adapters) = (Arc::clone(config), Arc::clone(&agents.adapters));
    Box::new(move |adapter: &dyn Adapter, launch: &Launch, options: &WorkerOptions, runner: Option<&Runner>| {
        let own = adapter.secret_env();
        let request = EnvRequest {
            own_secrets: &own,
            other_secrets: &adapters.secrets_of_others(&adapter.cli().kind),
            launch: &launch.env,
            worker: &options.env,
        };
        env_for(&config, &request, runner)
    })
}

/// Returns the function that makes the environment of a worker's terminals. The CLI's own keys are the server's too.
fn make_shell_env(config: &Arc<Config>, agents: &AgentCatalog) -> MakeShellEnv {
    let (config, adapters) = (Arc::clone(config), Arc::clone(&agents.adapters));
    Box::new(move |adapter: &dyn Adapter, options: &WorkerOptions, runner: Option<&Runner>| {
        let kind = &adapter.cli().kind;
        let secrets = [adapters.secrets_of_others(kind), adapter.secret_env()].concat();
        let request = EnvRequest { own_secrets: &[], other_secrets: &secrets, launch: &[], worker: &options.env };
        env_for(&config, &request, runner)
    })
}

/// Returns the function that makes the environment of the operator's commands, or of their runner.
fn make_command_env(config: &Arc<Config>, agents: &AgentCatalog) -> MakeCommandEnv {
    let (config, adapters) = (Arc::clone(config), Arc::clone(&agents.adapters));
    Box::new(move |variables: &[(String, String)], runner: Option<&Runner>| {
        let secrets = adapters.secrets_of_others("");
        let Some(runner) = runner else { return command_env(&config, &secrets, variables, std::env::vars_os()) };
        let none: [(OsString, OsString); 0] = [];
        around(runner, &command_env(&config, &secrets, variables, none))
    })
}

/// Returns `PROJECT_ROOTS` resolved, and the folder of worktrees with them.
pub(super) fn roots(config: &Config) -> Result<Vec<PathBuf>, StartError> {
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

/// The workers' names; those that share one are distinguished by the beginning of their ids.
fn names_of(workers: &[Arc<Worker>]) -> String {
    let name = |worker: &Arc<Worker>| worker.state().name.clone();
    let mut names: Vec<String> = workers
        .iter()
        .map(|worker| {
            let own = name(worker);
            let shared = workers.iter().filter(|other| name(other) == own).count() > 1;
            if shared { format!("{own} ({})", &worker.id()[..worker.id().len().min(ID_SHOWN)]) } else { own }
        })
        .collect();
    names.sort();
    names.join(", ")
}

/// Leaves the running workers to the next server, or stops them, as `ON_EXIT` says.
pub(super) fn end_workers(config: &Config, registry: &Registry) {
    let running: Vec<_> = registry.all().into_iter().filter(|worker| worker.state().is_running()).collect();
    // Nobody would see to the end of a setup or a check.
    let all = registry.all();
    // All are asked first, or the end of one would let the next begin.
    all.iter().for_each(|worker| worker.ask_check_to_stop());
    for worker in all {
        if let Err(error) = worker.stop_check() {
            log::error!("worker {}: {error}", worker.id());
        }
    }
    for worker in running.iter().filter(|worker| worker.state().status == Status::Preparing) {
        if let Err(error) = worker.stop(By::Server) {
            log::error!("worker {}: {error}", worker.id());
        }
    }
    let running: Vec<_> = running.into_iter().filter(|worker| worker.state().is_running()).collect();
    if config.on_exit == OnExit::Stop {
        for worker in registry.all() {
            worker.end_terminals();
        }
        let stops: Vec<_> = running
            .iter()
            .map(|worker| {
                let worker = Arc::clone(worker);
                Thread::spawn("stop", move || {
                    if let Err(error) = worker.stop(By::Server) {
                        log::error!("worker {}: {error}", worker.id());
                    }
                })
            })
            .collect();
        drop(stops);
        return;
    }
    for worker in &running {
        worker.save();
    }
    if !running.is_empty() {
        let names = names_of(&running);
        let text = format!("{} workers work on without the server: {names}", running.len());
        log::info!("{text}");
        let hint = "The next server attaches to them. To end them: rs-worker stop --all";
        banner::print(&format!("{text}\n{hint}\n"));
    }
}
