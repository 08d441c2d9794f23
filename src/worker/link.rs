//! The server's end of a shim's socket: commands up through a bounded channel and a thread that writes them, answers
//! back to whoever waits for them.

use std::collections::{HashMap, VecDeque};
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::error::WorkerError;
use crate::journal::Control;
use crate::metrics;
use crate::shim::protocol::{self, Command, control_line, encode_command, input_line};

/// Commands that wait for a shim. More than that wait only when it does not read, because its disk is full.
const COMMANDS_MAX: usize = 256;
/// How long a command may take: a shim answers at once unless it is starting or its disk is full.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// Syncs whose time is taken; a shim has no more under way either.
const SYNCS_TIMED_MAX: usize = 64;

/// What a shim answered: the end of the journal, or why not.
pub(super) type Answer = Result<u64, String>;

/// A way to reach one shim.
pub(super) struct Link {
    commands: Sender<Vec<u8>>,
    next_id: AtomicU64,
    waiting: Mutex<HashMap<u64, Sender<Answer>>>,
    /// The syncs that the disk has not done yet, oldest first.
    syncing: Mutex<VecDeque<(u64, Instant)>>,
    ended: AtomicBool,
}

/// Records to be appended in one write, and the lines of them that go to the CLI.
#[derive(Clone, Debug, Default)]
pub(super) struct Batch {
    body: Vec<u8>,
}

impl Batch {
    /// A batch that begins with what happened.
    pub(super) fn of(control: &Control) -> Self {
        Self::default().and(control)
    }

    /// Adds something that happened.
    #[must_use]
    pub(super) fn and(mut self, control: &Control) -> Self {
        control_line(&mut self.body, control);
        self
    }

    /// The body of the `append` that this is.
    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    /// The control records alone, for an append that no shim does.
    ///
    /// # Errors
    /// When it has lines for a CLI, which needs one that runs.
    pub(super) fn controls(&self) -> Result<Vec<Vec<u8>>, WorkerError> {
        let lines = self.body.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        lines
            .map(|line| {
                line.strip_prefix(b"ctl ")
                    .map(<[u8]>::to_vec)
                    .ok_or_else(|| WorkerError::Conflict("the worker is not running: start it first".to_owned()))
            })
            .collect()
    }

    /// Adds lines for the CLI.
    #[must_use]
    pub(super) fn input(mut self, lines: &[Vec<u8>]) -> Self {
        for line in lines {
            input_line(&mut self.body, line);
        }
        self
    }
}

impl Link {
    /// A link and the channel that feeds its writer; commands given before the writer runs wait.
    pub(super) fn new() -> (Self, Receiver<Vec<u8>>) {
        let (commands, receiver) = bounded(COMMANDS_MAX);
        (
            Self {
                commands,
                next_id: AtomicU64::new(1),
                waiting: Mutex::default(),
                syncing: Mutex::default(),
                ended: AtomicBool::new(false),
            },
            receiver,
        )
    }

    /// Sends a command and tells its id, which the answer will carry.
    ///
    /// # Errors
    /// When too many wait, or the link has ended.
    pub(super) fn send(&self, command: &Command<'_>) -> Result<u64, WorkerError> {
        self.post(command, None)
    }

    /// Sends a command and waits for its answer.
    ///
    /// # Errors
    /// As [`Link::send`]; when the shim refuses or does not answer in time.
    pub(super) fn call(&self, command: &Command<'_>) -> Result<u64, WorkerError> {
        let (sender, answer) = bounded(1);
        let id = self.post(command, Some(sender))?;
        match answer.recv_timeout(ANSWER_TIMEOUT) {
            Ok(Ok(end)) => Ok(end),
            Ok(Err(reason)) => Err(WorkerError::Unavailable(reason)),
            Err(error) => {
                self.waiting().remove(&id);
                let what = if error.is_timeout() { "does not answer (is the disk full?)" } else { "has ended" };
                Err(WorkerError::Unavailable(format!("the worker's shim {what}")))
            }
        }
    }

    /// Appends records and waits until they are in the journal and folded.
    ///
    /// # Errors
    /// As [`Link::call`].
    pub(super) fn append(&self, batch: &Batch) -> Result<u64, WorkerError> {
        self.call(&Command::Append(&batch.body))
    }

    /// Appends records, without waiting; tells the command's id.
    ///
    /// # Errors
    /// As [`Link::send`].
    pub(super) fn append_later(&self, batch: &Batch) -> Result<u64, WorkerError> {
        self.send(&Command::Append(&batch.body))
    }

    /// Sends several commands of which nobody else's may come between, as one write; tells the last one's id.
    ///
    /// # Errors
    /// As [`Link::send`].
    pub(super) fn send_together(&self, commands: &[Command<'_>]) -> Result<u64, WorkerError> {
        let mut bytes = Vec::new();
        let mut last = 0;
        for command in commands {
            last = self.next_id.fetch_add(1, Ordering::Relaxed);
            encode_command(&mut bytes, last, command);
        }
        self.push(bytes)?;
        Ok(last)
    }

    /// Has the journal brought to the disk, without waiting. How long that takes is counted when the answer comes.
    ///
    /// # Errors
    /// As [`Link::send`].
    pub(super) fn sync(&self) -> Result<(), WorkerError> {
        // Held until it is noted: the answer comes on another thread.
        let mut syncing = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        let id = self.send(&Command::Sync)?;
        if syncing.len() == SYNCS_TIMED_MAX {
            syncing.pop_front();
        }
        syncing.push_back((id, Instant::now()));
        Ok(())
    }

    /// How many commands wait for the shim, and how many may.
    pub(super) fn commands_waiting(&self) -> (usize, usize) {
        (self.commands.len(), COMMANDS_MAX)
    }

    /// Hands the shim's answer to whoever waits for it.
    pub(super) fn answered(&self, id: u64, answer: Answer) {
        let mut syncing = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = syncing.iter().position(|(sync, _)| *sync == id) {
            // They are done in order: those before it got no answer.
            if let (Some((_, since)), true) = (syncing.drain(..=at).next_back(), answer.is_ok()) {
                metrics::JOURNAL_SYNC.observe(since.elapsed());
            }
        }
        drop(syncing);
        if let Some(sender) = self.waiting().remove(&id) {
            // The asker may have given up: then nobody is there to tell.
            let _ = sender.try_send(answer);
        }
    }

    /// Ends the waiting of all who wait.
    pub(super) fn ended(&self) {
        self.ended.store(true, Ordering::Release);
        self.waiting().clear();
    }

    fn post(&self, command: &Command<'_>, sender: Option<Sender<Answer>>) -> Result<u64, WorkerError> {
        if !command.fits() {
            let limit = protocol::BODY_MAX;
            return Err(WorkerError::Invalid(format!("the message is too long: {limit} bytes are allowed")));
        }
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let mut bytes = Vec::new();
        encode_command(&mut bytes, id, command);
        if let Some(sender) = sender {
            self.waiting().insert(id, sender);
        }
        self.push(bytes).inspect_err(|_| {
            self.waiting().remove(&id);
        })?;
        Ok(id)
    }

    fn push(&self, bytes: Vec<u8>) -> Result<(), WorkerError> {
        let gone = || WorkerError::Unavailable("the worker's shim has ended".to_owned());
        // Looked at after the sender was noted: either this sees the end, or the end sees the sender.
        if self.ended.load(Ordering::Acquire) {
            return Err(gone());
        }
        self.commands.try_send(bytes).map_err(|error| match error {
            TrySendError::Full(_) => {
                WorkerError::Unavailable("the worker's shim takes no more commands (is the disk full?)".to_owned())
            }
            TrySendError::Disconnected(_) => gone(),
        })
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, Sender<Answer>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Body of a link's writer thread: ends when the link is dropped or the socket fails.
pub(super) fn write_commands(mut socket: &UnixStream, commands: &Receiver<Vec<u8>>) {
    for command in commands {
        if let Err(error) = socket.write_all(&command) {
            log::debug!("a shim takes no more commands: {error}");
            return;
        }
    }
}
