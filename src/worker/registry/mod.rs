//! All workers: created, found, started within the limit, deleted; loaded and attached to when the server starts.

pub(crate) mod answers;
pub(crate) mod budgets;
pub(in crate::worker) mod by_rule;
pub(crate) mod children;
mod comparing;
pub(in crate::worker) mod create;
pub(in crate::worker) mod deletion;
pub(crate) mod groups;
pub(crate) mod handover;
pub(crate) mod import;
pub(crate) mod line_counts;
pub(crate) mod listed;
pub(crate) mod past_spending;
mod reviews;
mod room;
pub(crate) mod rule_preview;
mod sleep;
pub(crate) mod stall;
mod stored;
pub(in crate::worker) mod take_over;
pub(crate) mod turn_trees;
pub(crate) mod upkeep;
pub(in crate::worker) mod worktrees;

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit};

use crate::access::{EVERYTHING, Reach};
use crate::adapter::{Adapter, READ_ONLY};
use crate::config::MemoryReserve;
use crate::data_dir::DataDir;
use crate::hub::Feed;
use crate::journal::{Control, Entry, Reader, WorkerOptions, records};
use crate::thread::Thread;
use crate::worker::error::WorkerError;
use crate::worker::follow::Followers;
use crate::worker::place::git;
use crate::worker::place::worktree::NewWorktree;
use crate::worker::publish::summary::WaitingPrompt;
use crate::worker::registry::past_spending::{PastSpending, PastSpent};
use crate::worker::registry::room::Room;
use crate::worker::run::launch::Launcher;
use crate::worker::run::queue::NewMessage;
use crate::worker::run::worker::Worker;
use crate::worker::state::SettledMessage;
use crate::worker::state::status::{ProcessState, Status};

/// Longest wait at the server's start for all running shims together.
const READY_TIMEOUT: Duration = Duration::from_secs(3);

/// File descriptors that workers leave free: a dozen for the server's own files, and the rest for connections.
const DESCRIPTORS_RESERVED: u64 = 28;
/// File descriptors that a running worker needs in the server: its shim's socket, twice, and its journal.
const DESCRIPTORS_PER_WORKER: u64 = 3;

/// Finds the adapter of a CLI type. A stored worker's type may have been disabled or removed since.
pub(crate) type FindAdapter = Box<dyn Fn(&str) -> Arc<dyn Adapter> + Send + Sync>;

/// All workers of this server.
pub(crate) struct Registry {
    data: Arc<DataDir>,
    max_running: usize,
    /// Memory and places for running workers.
    pub(in crate::worker) room: Room,
    pub(in crate::worker) launcher: Arc<Launcher>,
    pub(in crate::worker) find_adapter: FindAdapter,
    pub(in crate::worker) feed: Arc<Feed>,
    /// Follows sessions that run elsewhere.
    pub(in crate::worker) followers: Followers,
    workers: RwLock<HashMap<String, Arc<Worker>>>,
    /// Held while a worker is created, so that an idempotency key creates one worker.
    pub(in crate::worker) creating: Mutex<()>,
    /// Held while a group is created or one of its workers is chosen.
    pub(in crate::worker) grouping: Mutex<()>,
    /// Held while a worker is counted against the limit and begins to start.
    starting: Mutex<()>,
    pub(in crate::worker) imports: import::Imports,
    pub(in crate::worker) past_spending: PastSpending,
    /// Workers of an earlier server whose first message was not sent.
    pub(in crate::worker) unopened: Mutex<Vec<Arc<Worker>>>,
}

/// The parameters of a new worker.
#[derive(Clone, Debug)]
pub(crate) struct NewWorker {
    /// Its name.
    pub name: String,
    /// Its CLI's working directory, resolved and allowed.
    pub project_path: String,
    /// Its adapter.
    pub ai_cli_type: String,
    /// The remaining options.
    pub options: WorkerOptions,
    /// The worker that it is forked from.
    pub forked_from: Option<String>,
    /// The session that it follows instead of starting its own.
    pub follow: Option<ToFollow>,
    /// The git worktree of the project that is created for it.
    pub worktree: Option<NewWorktree>,
}

/// A session that runs elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct ToFollow {
    /// The CLI's id of the session.
    pub session_id: String,
    /// Its transcript.
    pub path: PathBuf,
}

impl Registry {
    /// Loads all workers of the data folder and attaches to the running shims.
    ///
    /// # Errors
    /// Fails when the folder cannot be read.
    pub(crate) fn open(
        data: Arc<DataDir>,
        (max_running, reserve): (usize, MemoryReserve),
        launcher: Launcher,
        find_adapter: FindAdapter,
    ) -> std::io::Result<Arc<Self>> {
        let base = data.path().to_owned();
        git::remove_left_over(&base);
        let launcher = Arc::new(launcher);
        let registry = Arc::new(Self {
            data,
            max_running,
            room: Room::new(reserve),
            followers: Followers::start(&launcher)?,
            launcher,
            find_adapter,
            feed: Arc::default(),
            workers: RwLock::default(),
            creating: Mutex::default(),
            grouping: Mutex::default(),
            starting: Mutex::default(),
            imports: import::Imports::default(),
            past_spending: PastSpending::load(&base),
            unopened: Mutex::default(),
        });
        let (mut attached, mut torn, mut dirs) = (Vec::new(), Vec::new(), Vec::new());
        for entry in fs::read_dir(&base)? {
            let dir = entry?.path();
            if dir.join("journal").is_file() {
                dirs.push(dir);
            } else {
                import::remove_left_over(&dir);
            }
        }
        for worker in stored::load_all(&registry, dirs) {
            if worker.hold_for_restore() {
                torn.push(Arc::clone(&worker));
            }
            if worker.state().is_running() {
                match worker.reattach() {
                    Ok(()) => attached.push(Arc::clone(&worker)),
                    Err(error) => log::error!("worker {}: {error}", worker.id()),
                }
            }
            if matches!(worker.state().process, ProcessState::Following) {
                registry.followers.add(&worker);
            }
            registry.write().insert(worker.id().to_owned(), worker);
        }
        registry.name_origins();
        registry.past_spending.settle(|id| registry.read().contains_key(id));
        registry.open_budgets();
        registry.note_unopened();
        // No command is accepted before that: an earlier server's last command may still be in transit.
        let deadline = Instant::now() + READY_TIMEOUT;
        for worker in attached {
            worker.wait_until_ready(deadline);
        }
        // A shim may have recorded the beginning of a restore only now.
        let late = registry.all().into_iter().filter(|worker| !torn.iter().any(|known| known.id() == worker.id()));
        torn.extend(late.filter(|worker| worker.hold_for_restore()).collect::<Vec<_>>());
        if !torn.is_empty() {
            let complete = move || torn.iter().for_each(|worker| worker.complete_restore());
            Thread::spawn("restores", complete)?.detach();
        }
        registry.finish_moves()?;
        registry.end_lost_checks()?;
        Ok(registry)
    }

    /// Completes, in the background, what an earlier server has begun to do with branches, and ends its pushes.
    fn finish_moves(&self) -> std::io::Result<()> {
        let is_torn = |worker: &Arc<Worker>| {
            let state = worker.state();
            state.moving.is_some() || state.sending.is_some()
        };
        let begun: Vec<_> = self.all().into_iter().filter(is_torn).collect();
        if begun.is_empty() {
            return Ok(());
        }
        let finish = move || {
            for worker in &begun {
                worker.finish_move_at_start();
                worker.end_sending_at_start();
            }
        };
        // Commands for these workers wait, and it ends with its last one.
        Thread::spawn("branches".to_owned(), finish).map(Thread::detach)
    }

    pub(in crate::worker) fn load(&self, dir: &Path) -> std::io::Result<Arc<Worker>> {
        let (id, kind) = identity(dir)?;
        Worker::load(dir, &id, (self.find_adapter)(&kind), &self.launcher, &self.feed)
    }

    /// Creates the folder of a new worker.
    pub(in crate::worker) fn make_dir(&self, id: &str) -> Result<PathBuf, WorkerError> {
        self.data.hold().map_err(|error| WorkerError::Unavailable(error.to_string()))?;
        let dir = self.data.path().join(id);
        fs::DirBuilder::new().mode(0o700).create(&dir)?;
        Ok(dir)
    }

    /// Returns the stream that lists of workers follow.
    pub(crate) fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }

    /// Returns the maximum number of running workers.
    pub(crate) fn max_running(&self) -> usize {
        self.max_running
    }

    /// Returns the maximum number of queued messages of one worker.
    pub(crate) fn queue_max(&self) -> usize {
        self.launcher.settings.queue_max
    }

    /// Returns all workers, oldest first.
    pub(crate) fn all(&self) -> Vec<Arc<Worker>> {
        let mut all: Vec<_> = self.read().values().cloned().collect();
        all.sort_by_cached_key(|worker| (worker.state().created_at, worker.id().to_owned()));
        all
    }

    /// Counts the workers, and those of them that run.
    pub(crate) fn counts(&self) -> (usize, usize) {
        self.counts_in(&EVERYTHING)
    }

    /// Counts the workers in reach, and those of them that run.
    pub(crate) fn counts_in(&self, reach: &Reach) -> (usize, usize) {
        let workers = self.read();
        let seen = || workers.values().filter(|worker| worker.is_in(reach));
        (seen().count(), seen().filter(|worker| worker.state().is_running()).count())
    }

    /// Returns tokens and cost of deleted workers.
    pub(crate) fn past_spending(&self) -> Vec<PastSpent> {
        self.past_spending.entries()
    }

    /// Returns one worker.
    ///
    /// # Errors
    /// Fails when no worker has this id.
    pub(crate) fn get(&self, id: &str) -> Result<Arc<Worker>, WorkerError> {
        self.read().get(id).cloned().ok_or_else(|| WorkerError::NotFound(format!("Worker not found: {id}")))
    }

    /// One worker in reach.
    ///
    /// # Errors
    /// Fails when there is none with this id, or it is out of reach: the text is the same.
    pub(crate) fn visible(&self, id: &str, reach: &Reach) -> Result<Arc<Worker>, WorkerError> {
        let seen = self.read().get(id).filter(|worker| worker.is_in(reach)).cloned();
        seen.ok_or_else(|| WorkerError::NotFound(format!("Worker not found: {id}")))
    }

    /// The open prompts of the workers in reach, oldest first.
    pub(crate) fn prompts(&self, reach: &Reach) -> Vec<WaitingPrompt> {
        let workers = self.read();
        let seen = workers.values().filter(|worker| worker.is_in(reach));
        let mut all: Vec<_> = seen.flat_map(|worker| worker.views().prompts(worker.id())).collect();
        all.sort_by_key(|waiting| (waiting.timestamp, waiting.prompt.seq));
        all
    }

    /// Counts the workers whose CLI waits because their journal can't be written.
    pub(crate) fn waiting_for_disk(&self) -> usize {
        self.read().values().filter(|worker| worker.views().waits_for_disk()).count()
    }

    /// Starts a worker's CLI again and resumes its session.
    ///
    /// # Errors
    /// Fails when it runs already, the limit is reached, or it cannot be started.
    pub(crate) fn start(&self, worker: &Arc<Worker>) -> Result<(), WorkerError> {
        if worker.state().is_running() {
            return Err(WorkerError::Conflict(format!("the worker is {} already", worker.state().status.as_str())));
        }
        if let (Some(follow), Some(session_id)) = (&worker.state().follow, &worker.state().session_id) {
            if !matches!(worker.state().process, ProcessState::Following) {
                worker.begin_to_follow(session_id, Path::new(&follow.path))?;
            }
            self.followers.add(worker);
            return Ok(());
        }
        worker.make_worktree()?;
        let _starting = self.slot()?;
        // An earlier server may have been killed before the setup began.
        if worker.state().needs_setup() && worker.begin_setup()? { Ok(()) } else { worker.launch() }
    }

    /// Sets up a worker's worktree again, and starts its CLI afterwards.
    ///
    /// # Errors
    /// Fails when it has no worktree, runs, or there is nothing to set up.
    pub(crate) fn prepare(&self, worker: &Arc<Worker>) -> Result<(), WorkerError> {
        let state = worker.state();
        if state.is_running() {
            let text = format!("the worker is {}: stop it first", state.status.as_str());
            return Err(WorkerError::Conflict(text));
        }
        let nothing = "there is nothing to set up: neither a worktree with setup commands in a project file, nor a .worktreeinclude";
        if state.worktree.is_none() {
            return Err(WorkerError::Conflict(nothing.to_owned()));
        }
        worker.make_worktree()?;
        let _starting = self.slot()?;
        if worker.begin_setup()? { Ok(()) } else { Err(WorkerError::Conflict(nothing.to_owned())) }
    }

    pub(in crate::worker) fn followers(&self) -> &Followers {
        &self.followers
    }

    /// Returns the launcher of all workers.
    pub(crate) fn launcher(&self) -> &Launcher {
        &self.launcher
    }

    /// Accepts a message for a worker, which is started if it does not run.
    ///
    /// # Errors
    /// Fails when the message is invalid, the queue is full, or the worker cannot be started.
    pub(crate) fn post_message(
        &self,
        worker: &Arc<Worker>,
        message: NewMessage,
    ) -> Result<SettledMessage, WorkerError> {
        if let Some(settled) = message.accepted_before(&worker.state())? {
            return Ok(settled);
        }
        if message.content.trim().is_empty() && message.attachments.is_empty() {
            return Err(WorkerError::Invalid("content must not be empty".to_owned()).in_field("content"));
        }
        if worker.state().follow.is_some() {
            return Err(WorkerError::Conflict(READ_ONLY.to_owned()));
        }
        if worker.state().status == Status::Stopping {
            worker.wait_for_end(Instant::now() + self.launcher.grace);
        }
        if worker.state().hibernated.is_some() && !worker.state().is_running() {
            let settled = worker.accept(message)?;
            // It is accepted, so what keeps the worker from starting is seen there, and it is tried again.
            if let Err(error) = self.wake(worker) {
                log::warn!("worker {}: a message waits, but it cannot be started: {error}", worker.id());
            }
            return Ok(settled);
        }
        if !worker.state().is_running() && !worker.state().waits_for_setup() {
            match self.start(worker) {
                Ok(()) => {}
                // Another request was faster.
                Err(WorkerError::Conflict(_)) if worker.state().is_running() => {}
                Err(error) => return Err(error),
            }
        }
        worker.accept(message)
    }

    /// Ends the streams of all clients after sending `frame`: the server stops.
    pub(crate) fn close_streams(&self, frame: &[u8]) {
        for worker in self.read().values() {
            worker.topic().close(frame, true);
        }
        self.feed.close(frame);
    }

    /// Reserves a place among the running workers until the start is in the journal.
    pub(in crate::worker) fn slot(&self) -> Result<MutexGuard<'_, ()>, WorkerError> {
        let guard = self.starting.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, running) = self.counts();
        if running >= self.max_running {
            let max = self.max_running;
            return Err(WorkerError::Limit(format!(
                "worker limit reached: {running} of {max} run (stop one, or raise MAX_WORKERS)"
            )));
        }
        check_descriptors(running)?;
        Ok(guard)
    }

    pub(in crate::worker) fn read(&self) -> std::sync::RwLockReadGuard<'_, HashMap<String, Arc<Worker>>> {
        self.workers.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::worker) fn write(&self) -> std::sync::RwLockWriteGuard<'_, HashMap<String, Arc<Worker>>> {
        self.workers.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes sure that one more than `running` workers leave the server descriptors to accept connections with: else nobody
/// could stop one of them.
fn check_descriptors(running: usize) -> Result<(), WorkerError> {
    let (limit, _) = getrlimit(Resource::RLIMIT_NOFILE).map_err(std::io::Error::from)?;
    let wanted = DESCRIPTORS_RESERVED + DESCRIPTORS_PER_WORKER * (running as u64 + 1);
    if limit >= wanted {
        return Ok(());
    }
    Err(WorkerError::Limit(format!(
        "the limit of {limit} file descriptors allows no more than {running} running workers \
         (stop one, or raise the limit: ulimit -n, LimitNOFILE)"
    )))
}

/// Reads a stored worker's id and adapter from the head of its journal.
fn identity(dir: &Path) -> std::io::Result<(String, String)> {
    let reader = Reader::open(&dir.join("journal")).map_err(crate::worker::history::archive::into_io)?;
    let id = reader.worker_id().to_owned();
    if dir.file_name().and_then(|name| name.to_str()) != Some(&id) {
        let error = format!("it is the journal of worker {id}, whose folder would have that name: is it a copy?");
        return Err(std::io::Error::other(error));
    }
    let mut buffer = Vec::new();
    reader.read(reader.start(), 1, &mut buffer)?;
    if let Some(Entry::Record(record)) = records(&buffer, reader.start()).next()
        && let Control::Created { worker_id, ai_cli_type, .. } = Control::from_json(record.payload)
        && worker_id == id
    {
        return Ok((id, ai_cli_type));
    }
    Err(std::io::Error::other("its journal does not begin with the worker's creation"))
}
