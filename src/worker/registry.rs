//! All workers: made, found, started within the limit, deleted; loaded and attached to when the server starts.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::commands::{NewMessage, check_name};
use super::error::WorkerError;
use super::follow::Followers;
use super::launch::Launcher;
use super::state::Settled;
use super::status::{Process, Status};
use super::view::WaitingPrompt;
use super::worker::Worker;
use super::worktree::NewWorktree;
use crate::adapter::{Adapter, READ_ONLY};
use crate::hub::{Feed, Snapshot};
use crate::journal::{Control, Entry, Reader, WorkerOptions, records};
use crate::wire;

/// How long a start of the server waits for the shims that live, all of them together.
const READY_TIMEOUT: Duration = Duration::from_secs(3);

/// Finds the adapter of a CLI type: for a stored worker too, whose type may have been disabled or removed since.
pub type FindAdapter = Box<dyn Fn(&str) -> Arc<dyn Adapter> + Send + Sync>;

/// All workers of this server.
pub struct Registry {
    pub(super) base: PathBuf,
    max_running: usize,
    launcher: Arc<Launcher>,
    pub(super) find_adapter: FindAdapter,
    feed: Arc<Feed>,
    /// Follows sessions that run elsewhere.
    followers: Followers,
    workers: RwLock<HashMap<String, Arc<Worker>>>,
    /// Held while a worker is made, so that an idempotency key is good for one.
    creating: Mutex<()>,
    /// Held while a worker is counted against the limit and begins to start.
    starting: Mutex<()>,
}

/// What a new worker is to be.
#[derive(Clone, Debug)]
pub struct NewWorker {
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
pub struct ToFollow {
    /// The CLI's id of it.
    pub session_id: String,
    /// Its transcript.
    pub path: PathBuf,
}

impl Registry {
    /// Loads all workers below `base` and attaches to the shims that live.
    ///
    /// # Errors
    /// When the folder cannot be read or made.
    pub fn open(
        base: &Path,
        max_running: usize,
        launcher: Launcher,
        find_adapter: FindAdapter,
    ) -> std::io::Result<Arc<Self>> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(base)?;
        let launcher = Arc::new(launcher);
        let registry = Arc::new(Self {
            base: base.to_owned(),
            max_running,
            followers: Followers::start(&launcher)?,
            launcher,
            find_adapter,
            feed: Arc::default(),
            workers: RwLock::default(),
            creating: Mutex::default(),
            starting: Mutex::default(),
        });
        let mut attached = Vec::new();
        for entry in fs::read_dir(base)? {
            let dir = entry?.path();
            if !dir.join("journal").is_file() {
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

    pub(super) fn load(&self, dir: &Path) -> std::io::Result<Arc<Worker>> {
        let (id, kind) = identity(dir)?;
        Worker::load(dir, &id, (self.find_adapter)(&kind), &self.launcher, &self.feed)
    }

    /// The stream that lists of workers follow.
    pub fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }

    /// Most workers that may run at once.
    pub fn max_running(&self) -> usize {
        self.max_running
    }

    /// Most messages that may wait for one worker.
    pub fn queue_max(&self) -> usize {
        self.launcher.queue_max
    }

    /// All workers, oldest first.
    pub fn all(&self) -> Vec<Arc<Worker>> {
        let mut all: Vec<_> = self.read().values().cloned().collect();
        all.sort_by_cached_key(|worker| (worker.state().created_at, worker.id().to_owned()));
        all
    }

    /// Appends all workers on the wire, oldest first, as a JSON list.
    pub fn append_list(&self, json: &mut Vec<u8>) {
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

    /// How many workers there are, and how many of them run.
    pub fn counts(&self) -> (usize, usize) {
        let workers = self.read();
        (workers.len(), workers.values().filter(|worker| worker.state().is_running()).count())
    }

    /// One worker.
    ///
    /// # Errors
    /// When there is none with this id.
    pub fn get(&self, id: &str) -> Result<Arc<Worker>, WorkerError> {
        self.read().get(id).cloned().ok_or_else(|| WorkerError::NotFound(format!("Worker not found: {id}")))
    }

    /// The open prompts of all workers, oldest first.
    pub fn prompts(&self) -> Vec<WaitingPrompt> {
        let mut all: Vec<_> = self.read().values().flat_map(|worker| worker.views().prompts(worker.id())).collect();
        all.sort_by_key(|waiting| (waiting.timestamp, waiting.prompt.seq));
        all
    }

    /// Makes a worker and starts its CLI.
    ///
    /// # Errors
    /// When the limit is reached, the options make no sense to the CLI, or the disk does not take it. Then nothing is
    /// left of it.
    pub fn create(&self, new: NewWorker) -> Result<Arc<Worker>, WorkerError> {
        check_name(&new.name)?;
        let key = new.options.idempotency_key.clone();
        let made = || key.as_deref().and_then(|key| self.made_with(key));
        if let Some(worker) = made() {
            return Ok(worker);
        }
        let id = uuid::Uuid::new_v4().to_string();
        let planned = self.plan_worktree(&new, &id)?;
        let creating = self.creating.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(worker) = made() {
            return Ok(worker);
        }
        let starting = if new.follow.is_none() { Some(self.slot()?) } else { None };
        let adapter = (self.find_adapter)(&new.ai_cli_type);
        let dir = self.base.join(&id);
        fs::DirBuilder::new().mode(0o700).create(&dir)?;
        let (worktree, project_path) =
            planned.map_or((None, new.project_path), |(tree, path)| (Some(Box::new(tree)), path));
        let waits = worktree.is_some();
        let created = Control::Created {
            worker_id: id.clone(),
            name: new.name,
            project_path,
            ai_cli_type: new.ai_cli_type,
            options: new.options,
            forked_from: new.forked_from,
            worktree,
        };
        let made = Worker::create(&dir, &id, &created, adapter, &self.launcher, &self.feed);
        let result = made.and_then(|worker| {
            if waits {
                // Who has the same key gets this worker already, and nobody waits for git, which may take long.
                self.write().insert(id.clone(), Arc::clone(&worker));
                drop((starting, creating));
                worker.make_worktree()?;
                let _starting = self.slot()?;
                worker.launch()?;
                return Ok(worker);
            }
            match &new.follow {
                Some(follow) => worker.begin_to_follow(&follow.session_id, &follow.path)?,
                None => worker.launch()?,
            }
            Ok(worker)
        });
        match result {
            Ok(worker) => {
                self.write().insert(id, Arc::clone(&worker));
                worker.tell_feed();
                if new.follow.is_some() {
                    self.followers.add(&worker);
                }
                Ok(worker)
            }
            Err(error) => {
                self.discard(&id, &dir);
                Err(error)
            }
        }
    }

    /// Removes what is left of a worker that could not be made.
    pub(super) fn discard(&self, id: &str, dir: &Path) {
        let known = self.write().remove(id);
        if let Some(worker) = known {
            worker.core().deleted = true;
            self.say_deleted(&worker);
            if let Err(error) = self.remove_worktree(&worker, true) {
                log::error!("the worktree of worker {id}, which could not be made, is left: {error}");
            }
        }
        if let Err(error) = remove(dir) {
            log::error!("{} cannot be removed: {error}", dir.display());
        }
    }

    fn made_with(&self, key: &str) -> Option<Arc<Worker>> {
        let is_it = |worker: &&Arc<Worker>| worker.state().options.idempotency_key.as_deref() == Some(key);
        self.read().values().find(is_it).cloned()
    }

    /// Starts a worker's CLI again, its session resumed.
    ///
    /// # Errors
    /// When it runs already, the limit is reached, or it cannot be started.
    pub fn start(&self, worker: &Arc<Worker>) -> Result<(), WorkerError> {
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

    pub(super) fn followers(&self) -> &Followers {
        &self.followers
    }

    /// What all workers' starts have in common.
    pub fn launcher(&self) -> &Launcher {
        &self.launcher
    }

    /// Takes a message for a worker, which is started if it does not run.
    ///
    /// # Errors
    /// When the message makes no sense, the queue is full, or the worker cannot be started.
    pub fn post_message(&self, worker: &Arc<Worker>, message: NewMessage) -> Result<Settled, WorkerError> {
        let known = message.client_message_id.as_deref().and_then(|id| worker.state().message_of_client(id));
        if let Some(settled) = known {
            return Ok(settled);
        }
        if message.content.trim().is_empty() && message.attachments.is_empty() {
            return Err(WorkerError::Invalid("content must not be empty".to_owned()));
        }
        if worker.state().follow.is_some() {
            return Err(WorkerError::Conflict(READ_ONLY.to_owned()));
        }
        if worker.state().status == Status::Stopping {
            worker.wait_for_end(Instant::now() + self.launcher.grace);
        }
        if !worker.state().is_running() {
            match self.start(worker) {
                // Somebody else was quicker.
                Ok(()) | Err(WorkerError::Conflict(_)) => {}
                Err(error) => return Err(error),
            }
        }
        worker.accept(message)
    }

    /// Ends a worker's process tree and removes all that is kept of it, and its worktree if nothing is lost with that, or
    /// with `force`. Tells what is left.
    ///
    /// # Errors
    /// When its tree does not end, its worktree has what would be lost, or its folder cannot be removed.
    pub fn delete(&self, worker: &Arc<Worker>, force: bool) -> Result<Option<String>, WorkerError> {
        if !force {
            self.check_worktree_unused(worker)?;
        }
        worker.stop("user")?;
        if !force {
            // What it did until it was stopped counts too.
            self.check_worktree_unused(worker)?;
        }
        {
            let mut core = worker.core();
            if core.link.is_some() {
                return Err(WorkerError::Conflict("the worker was started again meanwhile".to_owned()));
            }
            core.deleted = true;
        }
        let left = self.remove_worktree(worker, force).inspect_err(|_| worker.core().deleted = false)?;
        self.write().remove(worker.id());
        self.say_deleted(worker);
        remove(worker.dir())?;
        Ok(left)
    }

    fn say_deleted(&self, worker: &Worker) {
        let mut frames = Vec::new();
        wire::json_frame(&mut frames, &serde_json::json!({"type": "worker_deleted", "worker_id": worker.id()}));
        worker.topic().close(&frames, false);
        self.feed.publish(&frames);
    }

    /// Ends the streams of all clients, after `frame`: the server stops.
    pub fn close_streams(&self, frame: &[u8]) {
        for worker in self.read().values() {
            worker.topic().close(frame, true);
        }
        self.feed.close(frame);
    }

    /// Holds a place among the running workers until the start that it is for is in the journal.
    pub(super) fn slot(&self) -> Result<MutexGuard<'_, ()>, WorkerError> {
        let guard = self.starting.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, running) = self.counts();
        if running >= self.max_running {
            let max = self.max_running;
            return Err(WorkerError::Limit(format!(
                "worker limit reached: {running} of {max} run (stop one, or raise MAX_WORKERS)"
            )));
        }
        Ok(guard)
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, HashMap<String, Arc<Worker>>> {
        self.workers.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> std::sync::RwLockWriteGuard<'_, HashMap<String, Arc<Worker>>> {
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

/// Removes a worker's folder with all that is in it.
fn remove(dir: &Path) -> std::io::Result<()> {
    // The journal goes first: a folder without one is no worker, whatever becomes of the rest. And what is removed by
    // name needs no file descriptor, of which there may be none left.
    for name in ["journal", "states", "shim.log", "shim.sock"] {
        match fs::remove_file(dir.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    match fs::remove_dir(dir).or_else(|_| fs::remove_dir_all(dir)) {
        // Somebody was quicker.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// A stored worker's id and adapter, from the head of its journal.
fn identity(dir: &Path) -> std::io::Result<(String, String)> {
    let reader = Reader::open(&dir.join("journal")).map_err(super::archive::into_io)?;
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
