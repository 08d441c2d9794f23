//! The commands to one shim: they go up through a bounded channel and a thread that writes them; acks come back to the
//! callers that wait for them.

use std::collections::{HashMap, VecDeque};
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use crate::journal::Control;
use crate::metrics;
use crate::shim::protocol::{self, ShimCommand, control_line, encode_command, input_line};
use crate::worker::error::WorkerError;

/// Capacity of the channel. It fills up only when the shim does not read, because its disk is full.
const COMMANDS_MAX: usize = 256;
/// Time limit of a command: a shim answers at once unless it is starting or its disk is full.
pub(in crate::worker) const ACK_TIMEOUT: Duration = Duration::from_secs(15);

/// Maximum number of syncs whose duration is measured; a shim has no more under way either.
const SYNCS_TIMED_MAX: usize = 64;

/// The ack of a shim: the journal's end, or the error.
pub(in crate::worker) type Ack = Result<u64, String>;

/// The commands that wait for one shim, and the callers that wait for acks.
pub(in crate::worker) struct Mailbox {
    commands: Sender<Vec<u8>>,
    next_id: AtomicU64,
    waiting: Mutex<HashMap<u64, Sender<Ack>>>,
    /// The syncs that are not complete yet, oldest first.
    syncing: Mutex<VecDeque<(u64, Instant)>>,
    ended: AtomicBool,
}

/// Records to be appended in one write, and those of their lines that go to the CLI.
#[derive(Clone, Debug, Default)]
pub(in crate::worker) struct CommandBatch {
    body: Vec<u8>,
}

impl CommandBatch {
    /// Creates a batch that begins with a control record.
    pub(in crate::worker) fn of(control: &Control) -> Self {
        Self::default().and(control)
    }

    /// Adds a control record.
    #[must_use]
    pub(in crate::worker) fn and(mut self, control: &Control) -> Self {
        control_line(&mut self.body, control);
        self
    }

    /// Returns the body of its `append`.
    pub(in crate::worker) fn body(&self) -> &[u8] {
        &self.body
    }

    /// Returns the control records only, for an append without a shim.
    ///
    /// # Errors
    /// Fails when it has lines for a CLI, which need a running one.
    pub(in crate::worker) fn controls(&self) -> Result<Vec<Vec<u8>>, WorkerError> {
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
    pub(in crate::worker) fn input(mut self, lines: &[Vec<u8>]) -> Self {
        for line in lines {
            input_line(&mut self.body, line);
        }
        self
    }
}

impl Mailbox {
    /// Creates a mailbox and the channel that feeds its writer; commands sent before the writer runs wait.
    pub(in crate::worker) fn new() -> (Self, Receiver<Vec<u8>>) {
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

    /// Sends a command and returns its id, which the ack will carry.
    ///
    /// # Errors
    /// Fails when too many commands wait, or the mailbox has ended.
    pub(in crate::worker) fn send(&self, command: &ShimCommand<'_>) -> Result<u64, WorkerError> {
        self.post(command, None)
    }

    /// Sends a command and waits for its ack.
    ///
    /// # Errors
    /// As [`Mailbox::send`]; when the shim refuses or does not answer in time.
    pub(in crate::worker) fn call(&self, command: &ShimCommand<'_>) -> Result<u64, WorkerError> {
        let (sender, ack) = bounded(1);
        let id = self.post(command, Some(sender))?;
        match ack.recv_timeout(ACK_TIMEOUT) {
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
    /// As [`Mailbox::call`].
    pub(in crate::worker) fn append(&self, batch: &CommandBatch) -> Result<u64, WorkerError> {
        self.call(&ShimCommand::Append(&batch.body))
    }

    /// Appends records, without waiting; returns the command's id.
    ///
    /// # Errors
    /// As [`Mailbox::send`].
    pub(in crate::worker) fn append_later(&self, batch: &CommandBatch) -> Result<u64, WorkerError> {
        self.send(&ShimCommand::Append(&batch.body))
    }

    /// Sends several commands as one write, so that no other command comes between them; returns the last one's id.
    ///
    /// # Errors
    /// As [`Mailbox::send`].
    pub(in crate::worker) fn send_together(&self, commands: &[ShimCommand<'_>]) -> Result<u64, WorkerError> {
        let mut bytes = Vec::new();
        let mut last = 0;
        for command in commands {
            last = self.next_id.fetch_add(1, Ordering::Relaxed);
            encode_command(&mut bytes, last, command);
        }
        self.push(bytes)?;
        Ok(last)
    }

    /// Syncs the journal to disk, without waiting. The duration is measured when the ack comes.
    ///
    /// # Errors
    /// As [`Mailbox::send`].
    pub(in crate::worker) fn sync(&self) -> Result<(), WorkerError> {
        // Held until it is added: the ack comes on another thread.
        let mut syncing = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        let id = self.send(&ShimCommand::Sync)?;
        if syncing.len() == SYNCS_TIMED_MAX {
            syncing.pop_front();
        }
        syncing.push_back((id, Instant::now()));
        Ok(())
    }

    /// Counts the commands that wait for the shim, with their limit.
    pub(in crate::worker) fn commands_waiting(&self) -> (usize, usize) {
        (self.commands.len(), COMMANDS_MAX)
    }

    /// Delivers the shim's ack to the caller that waits for it.
    pub(in crate::worker) fn acknowledge(&self, id: u64, ack: Ack) {
        let mut syncing = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = syncing.iter().position(|(sync, _)| *sync == id) {
            // The shim syncs in order: the earlier ones got no ack.
            if let (Some((_, since)), true) = (syncing.drain(..=at).next_back(), ack.is_ok()) {
                metrics::JOURNAL_SYNC.observe(since.elapsed());
            }
        }
        drop(syncing);
        if let Some(sender) = self.waiting().remove(&id) {
            // The caller may have given up.
            let _ = sender.try_send(ack);
        }
    }

    /// Wakes all callers that wait.
    pub(in crate::worker) fn ended(&self) {
        self.ended.store(true, Ordering::Release);
        self.waiting().clear();
    }

    fn post(&self, command: &ShimCommand<'_>, sender: Option<Sender<Ack>>) -> Result<u64, WorkerError> {
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
        let has_ended = || WorkerError::Unavailable("the worker's shim has ended".to_owned());
        // Read after the sender was added: either this sees the end, or the end sees the sender.
        if self.ended.load(Ordering::Acquire) {
            return Err(has_ended());
        }
        self.commands.try_send(bytes).map_err(|error| match error {
            TrySendError::Full(_) => {
                WorkerError::Unavailable("the worker's shim takes no more commands (is the disk full?)".to_owned())
            }
            TrySendError::Disconnected(_) => has_ended(),
        })
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, Sender<Ack>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The body of the writer thread: ends when the mailbox is dropped or the socket fails.
pub(in crate::worker) fn write_commands(mut socket: &UnixStream, commands: &Receiver<Vec<u8>>) {
    for command in commands {
        if let Err(error) = socket.write_all(&command) {
            log::debug!("a shim takes no more commands: {error}");
            return;
        }
    }
}
