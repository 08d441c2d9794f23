//! All workers: made, found, started within the limit, deleted; loaded and attached to when the server starts.

pub(in crate::worker) mod create;
pub(in crate::worker) mod deletion;
pub(crate) mod import;
pub(crate) mod line_counts;
pub(crate) mod past_spending;
pub(crate) mod stall;
pub(in crate::worker) mod take_over;
pub(crate) mod upkeep;
pub(in crate::worker) mod worktrees;

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit};

use crate::adapter::{Adapter, READ_ONLY};
use crate::data_dir::DataDir;
use crate::hub::{Feed, Snapshot};
use crate::journal::{Control, Entry, Reader, WorkerOptions, records};
use crate::wire;
use crate::worker::error::WorkerError;
use crate::worker::follow::Followers;
use crate::worker::place::git;
use crate::worker::place::worktree::NewWorktree;
use crate::worker::publish::view::WaitingPrompt;
use crate::worker::registry::past_spending::{PastSpending, PastSpent};
use crate::worker::run::launch::Launcher;
use crate::worker::run::queue::NewMessage;
use crate::worker::run::worker::Worker;
use crate::worker::state::Settled;
use crate::worker::state::status::{Process, Status};

/// Longest wait at the server's start for the living shims, all of them together.
const READY_TIMEOUT: Duration = Duration::from_secs(3);

/// Descriptors that workers leave free: a dozen for the server's own files, and the rest for connections.
const DESCRIPTORS_RESERVED: u64 = 28;
/// Descriptors that a running worker holds in the server: its shim's socket, twice, and its journal.
const DESCRIPTORS_PER_WORKER: u64 = 3;

/// Finds the adapter of a CLI type: for a stored worker too, whose type may have been disabled or removed since.
pub(crate) type FindAdapter = Box<dyn Fn(&str) -> Arc<dyn Adapter> + Send + Sync>;

/// All workers of this server.
pub(crate) struct Registry {
    data: Arc<DataDir>,
    max_running: usize,
    pub(in crate::worker) launcher: Arc<Launcher>,
    pub(in crate::worker) find_adapter: FindAdapter,
    pub(in crate::worker) feed: Arc<Feed>,
    /// Follows sessions that run elsewhere.
    pub(in crate::worker) followers: Followers,
    workers: RwLock<HashMap<String, Arc<Worker>>>,
    /// Held while a worker is made, so that an idempotency key is good for one.
    pub(in crate::worker) creating: Mutex<()>,
    /// Held while a worker is counted against the limit and begins to start.
    starting: Mutex<()>,
    pub(in crate::worker) imports: import::Imports,
    pub(in crate::worker) past_spending: PastSpending,
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
    /// The rest.
    pub options: WorkerOptions,
    /// The worker that it is forked from.
    pub forked_from: Option<String>,
    /// The session that it follows instead of having one of its own.
    pub follow: Option<ToFollow>,
    /// The git worktree of the project that is made for it.
    pub worktree: Option<NewWorktree>,
}

/// A session that runs elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct ToFollow {
    /// The CLI's id of it.
    pub session_id: String,
    /// Its transcript.
    pub path: PathBuf,
}

impl Registry {
    /// Loads all workers of the data folder and attaches to the shims that live.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(crate) fn open(
        data: Arc<DataDir>,
        max_running: usize,
        launcher: Launcher,
        find_adapter: FindAdapter,
    ) -> std::io::Result<Arc<Self>> {
        let base = data.path().to_owned();
        git::remove_left_over(&base);
        let launcher = Arc::new(launcher);
        let registry = Arc::new(Self {
            data,
            max_running,
            followers: Followers::start(&launcher)?,
            launcher,
            find_adapter,
            feed: Arc::default(),
            workers: RwLock::default(),
            creating: Mutex::default(),
            starting: Mutex::default(),
            imports: import::Imports::default(),
            past_spending: PastSpending::load(&base),
        });
        let mut attached = Vec::new();
        for entry in fs::read_dir(&base)? {
            let dir = entry?.path();
            if !dir.join("journal").is_file() {
                import::remove_left_over(&dir);
                continue;
            }
            match registry.load(&dir) {
                Ok(worker) => {
                    if worker.state().is_running() {
                        match worker.reattach() {
                            Ok(()) => attached.push(Arc::clone(&worker)),
                            Err(error) => log::error!("worker {}: {error}", worker.id()),
                        }
                    }
                    if matches!(worker.state().process, Process::Following) {
                        registry.followers.add(&worker);
                    }
                    registry.write().insert(worker.id().to_owned(), worker);
                }
                Err(error) => log::error!("{} cannot be loaded and is left alone: {error}", dir.display()),
            }
        }
        // Before that nobody may ask for anything: an earlier server's last command may still be on its way.
        let deadline = Instant::now() + READY_TIMEOUT;
        for worker in attached {
            worker.wait_until_ready(deadline);
        }
        Ok(registry)
    }

    pub(in crate::worker) fn load(&self, dir: &Path) -> std::io::Result<Arc<Worker>> {
        let (id, kind) = identity(dir)?;
        Worker::load(dir, &id, (self.find_adapter)(&kind), &self.launcher, &self.feed)
    }

    /// Makes the folder of a new worker.
    pub(in crate::worker) fn make_dir(&self, id: &str) -> Result<PathBuf, WorkerError> {
        self.data.hold().map_err(|error| WorkerError::Unavailable(error.to_string()))?;
        let dir = self.data.path().join(id);
        fs::DirBuilder::new().mode(0o700).create(&dir)?;
        Ok(dir)
    }

    /// The stream that lists of workers follow.
    pub(crate) fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }

    /// Most workers that may run at once.
    pub(crate) fn max_running(&self) -> usize {
        self.max_running
    }

    /// Most messages that may wait for one worker.
    pub(crate) fn queue_max(&self) -> usize {
        self.launcher.settings.queue_max
    }

    /// All workers, oldest first.
    pub(crate) fn all(&self) -> Vec<Arc<Worker>> {
        let mut all: Vec<_> = self.read().values().cloned().collect();
        all.sort_by_cached_key(|worker| (worker.state().created_at, worker.id().to_owned()));
        all
    }

    /// Appends all workers on the wire, oldest first, as a JSON list.
    pub(crate) fn append_list(&self, json: &mut Vec<u8>) {
        let workers = self.read();
        let mut all: Vec<_> =
            workers.values().map(|worker| (worker.views().summary_json(worker.id()), worker.id())).collect();
        all.sort_unstable_by(|(a, a_id), (b, b_id)| (a.created_at, a_id).cmp(&(b.created_at, b_id)));
        json.reserve(all.iter().map(|(written, _)| written.json.len() + 1).sum::<usize>() + 2);
        json.push(b'[');
        for (at, (written, _)) in all.iter().enumerate() {
            if at > 0 {
                json.push(b',');
            }
            json.extend_from_slice(&written.json);
        }
        json.push(b']');
    }

    /// Counts the workers, and those of them that run.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let workers = self.read();
        (workers.len(), workers.values().filter(|worker| worker.state().is_running()).count())
    }

    /// Tokens and cost of the workers that were deleted.
    pub(crate) fn past_spending(&self) -> Vec<PastSpent> {
        self.past_spending.entries()
    }

    /// One worker.
    ///
    /// # Errors
    /// When there is none with this id.
    pub(crate) fn get(&self, id: &str) -> Result<Arc<Worker>, WorkerError> {
        self.read().get(id).cloned().ok_or_else(|| WorkerError::NotFound(format!("Worker not found: {id}")))
    }

    /// The open prompts of all workers, oldest first.
    pub(crate) fn prompts(&self) -> Vec<WaitingPrompt> {
        let mut all: Vec<_> = self.read().values().flat_map(|worker| worker.views().prompts(worker.id())).collect();
        all.sort_by_key(|waiting| (waiting.timestamp, waiting.prompt.seq));
        all
    }

    /// Counts the workers whose CLI waits because their journal can't be written.
    pub(crate) fn waiting_for_disk(&self) -> usize {
        self.read().values().filter(|worker| worker.views().waits_for_disk()).count()
    }

    /// Starts a worker's CLI again, its session resumed.
    ///
    /// # Errors
    /// When it runs already, the limit is reached, or it cannot be started.
    pub(crate) fn start(&self, worker: &Arc<Worker>) -> Result<(), WorkerError> {
        if worker.state().is_running() {
            return Err(WorkerError::Conflict(format!("the worker is {} already", worker.state().status.as_str())));
        }
        if let (Some(follow), Some(session_id)) = (&worker.state().follow, &worker.state().session_id) {
            if !matches!(worker.state().process, Process::Following) {
                worker.begin_to_follow(session_id, Path::new(&follow.path))?;
            }
            self.followers.add(worker);
            return Ok(());
        }
        worker.make_worktree()?;
        let _starting = self.slot()?;
        worker.launch()
    }

    pub(in crate::worker) fn followers(&self) -> &Followers {
        &self.followers
    }

    /// The launcher of all workers.
    pub(crate) fn launcher(&self) -> &Launcher {
        &self.launcher
    }

    /// Takes a message for a worker, which is started if it does not run.
    ///
    /// # Errors
    /// When the message makes no sense, the queue is full, or the worker cannot be started.
    pub(crate) fn post_message(&self, worker: &Arc<Worker>, message: NewMessage) -> Result<Settled, WorkerError> {
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
        if !worker.state().is_running() {
            match self.start(worker) {
                Ok(()) => {}
                // Somebody else was quicker.
                Err(WorkerError::Conflict(_)) if worker.state().is_running() => {}
                Err(error) => return Err(error),
            }
        }
        worker.accept(message)
    }

    /// Ends the streams of all clients, after `frame`: the server stops.
    pub(crate) fn close_streams(&self, frame: &[u8]) {
        for worker in self.read().values() {
            worker.topic().close(frame, true);
        }
        self.feed.close(frame);
    }

    /// Holds a place among the running workers until the start that it is for is in the journal.
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

impl Snapshot for Registry {
    fn snapshot(&self, frames: &mut Vec<u8>) {
        wire::text_frame(frames, |payload| {
            payload.extend_from_slice(b"{\"type\":\"workers\",\"workers\":");
            self.append_list(payload);
            payload.push(b'}');
        });
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

/// A stored worker's id and adapter, from the head of its journal.
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
