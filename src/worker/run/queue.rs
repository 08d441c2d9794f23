//! A worker's message queue: messages that clients send, edit and remove.

use std::time::Instant;

use serde_json::Value;

use crate::adapter::{Command, Message};
use crate::journal::Control;
use crate::worker::error::WorkerError;
use crate::worker::run::drive::{delivered, queued};
use crate::worker::run::mailbox::CommandBatch;
use crate::worker::run::worker::Worker;
use crate::worker::state::status::Status;
use crate::worker::state::{QueuedMessage, SettledMessage, State, content_hash};

/// A message from a client.
#[derive(Clone, Debug, Default)]
pub(crate) struct NewMessage {
    /// The text.
    pub content: String,
    /// Images and files: `{"media_type","data"}` with base64.
    pub attachments: Vec<Value>,
    /// The client's own id: the same again is the same message.
    pub client_message_id: Option<String>,
    /// True if it joins the running turn.
    pub steer: bool,
    /// True if the conversation so far is to precede its text.
    pub with_history: bool,
    /// The hash of the client's message, once other text precedes its text.
    pub sent_hash: Option<u64>,
    /// The ids of the review comments in it.
    pub review: Vec<String>,
}

impl NewMessage {
    /// Puts text before the message's own. It is still the same message of the client.
    pub(crate) fn extended(self, content: String) -> Self {
        Self { sent_hash: Some(self.hash()), content, ..self }
    }

    /// Returns the hash of the client's message.
    fn hash(&self) -> u64 {
        self.sent_hash.unwrap_or_else(|| content_hash(&self.content, &self.attachments))
    }

    /// Returns the message that the worker has accepted under the same client's id.
    ///
    /// # Errors
    /// Fails when that message has another content.
    pub(in crate::worker) fn accepted_before(&self, state: &State) -> Result<Option<SettledMessage>, WorkerError> {
        let Some(id) = self.client_message_id.as_deref() else { return Ok(None) };
        let Some(settled) = state.message_of_client(id) else { return Ok(None) };
        // Saved states of earlier versions have no hash.
        if settled.content_hash.is_some_and(|hash| hash != self.hash()) {
            let text = format!("the id {id:?} was used for another message; use a new id for a new message");
            return Err(WorkerError::Reused { field: "client_message_id", text });
        }
        Ok(Some(settled))
    }
}

impl Worker {
    /// Accepts a message: it waits in the queue until the CLI is idle, or joins the running turn.
    pub(in crate::worker) fn accept(&self, message: NewMessage) -> Result<SettledMessage, WorkerError> {
        if message.content.trim().is_empty() && message.attachments.is_empty() {
            return Err(WorkerError::Invalid("content must not be empty".to_owned()).in_field("content"));
        }
        self.require_journal()?;
        let claim = message.client_message_id.as_ref().map(|id| self.claim(format!("message {id}")));
        let state = self.state();
        if let Some(settled) = message.accepted_before(&state)? {
            return Ok(settled);
        }
        self.require_attachments_taken(&message, &state)?;
        let queue_max = self.launcher.settings.queue_max;
        let message_id = uuid::Uuid::new_v4().to_string();
        let Some(_place) = self.admission.reserve(&message_id, queue_max, || self.state()) else {
            return Err(WorkerError::Limit(format!("{queue_max} messages wait already (see MAX_QUEUE)")));
        };
        // What would join a turn that a budget is about to end waits for the next one.
        let is_held = || self.launcher.budgets.holds(self.id(), &state).is_some();
        let in_turn = matches!(state.status, Status::Busy | Status::Stalled | Status::Waiting);
        let steer = message.steer && in_turn && !is_held();
        let accepted = Control::MessageQueued {
            message_id: message_id.clone(),
            client_message_id: message.client_message_id.clone(),
            content: message.content.clone(),
            attachments: message.attachments.clone(),
            steer,
            sent_hash: message.sent_hash,
            review: message.review.clone(),
        };
        let batch = CommandBatch::of(&accepted);
        if steer {
            self.steer(batch, &message_id, &message)?;
        } else {
            self.queue(&batch, &message_id)?;
        }
        drop(claim);
        self.state()
            .message(&message_id)
            .ok_or_else(|| WorkerError::Unavailable("the message was accepted, but not seen again".to_owned()))
    }

    /// Returns the name of the budget for which its queue waits.
    pub(crate) fn held_by_budget(&self) -> Option<String> {
        self.launcher.budgets.holds(self.id(), &self.state())
    }

    /// Refuses a message that the CLI is known to reject while the sender still gets the error; the message is checked
    /// again when it is delivered.
    fn require_attachments_taken(&self, message: &NewMessage, state: &State) -> Result<(), WorkerError> {
        let knows = matches!(state.status, Status::Idle | Status::Busy | Status::Waiting | Status::Stalled);
        if message.attachments.is_empty() || !knows {
            return Ok(());
        }
        let command = Message { id: "", content: &message.content, attachments: &message.attachments };
        match self.encode(&Command::Message(&command)) {
            Err(error @ WorkerError::Invalid(_)) => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Queues a message. If the shim ends meanwhile, the message waits for the next one.
    fn queue(&self, batch: &CommandBatch, message_id: &str) -> Result<(), WorkerError> {
        match self.append(batch) {
            Err(WorkerError::Unavailable(_)) if self.wait_for_end(Instant::now()) => {
                // All records of the shim are folded by now, so it is known whether the message is among them.
                if self.state().message(message_id).is_some() { Ok(()) } else { self.append(batch) }
            }
            done => done,
        }
    }

    fn steer(&self, batch: CommandBatch, message_id: &str, message: &NewMessage) -> Result<(), WorkerError> {
        let NewMessage { content, attachments, client_message_id, .. } = message;
        let command = Message { id: message_id, content, attachments };
        let action = self.encode(&Command::Steer(&command))?;
        let as_queued = QueuedMessage {
            message_id: message_id.to_owned(),
            client_message_id: client_message_id.clone(),
            content: content.clone(),
            attachments: attachments.len(),
            content_hash: None,
            seq: 0,
            time: 0,
            attempt: 0,
            shown: None,
        };
        self.act(batch.and(&delivered(&as_queued, attachments)), &action)
    }

    /// Changes the text of a queued message.
    ///
    /// # Errors
    /// Fails when it is not queued any more.
    pub(crate) fn edit_message(&self, message_id: &str, content: &str) -> Result<(), WorkerError> {
        if content.trim().is_empty() {
            return Err(WorkerError::Invalid("content must not be empty".to_owned()).in_field("content"));
        }
        let _hold = self.hold_queue();
        self.must_wait(message_id)?;
        self.append(&CommandBatch::of(&Control::MessageEdited {
            message_id: message_id.to_owned(),
            content: content.to_owned(),
        }))?;
        // It may have been on its way to the CLI.
        self.must_wait(message_id)
    }

    /// Removes a queued message.
    ///
    /// # Errors
    /// Fails when it is not queued any more.
    pub(crate) fn remove_message(&self, message_id: &str) -> Result<(), WorkerError> {
        let _hold = self.hold_queue();
        self.must_wait(message_id)?;
        self.append(&CommandBatch::of(&Control::MessageRemoved { message_id: message_id.to_owned(), reason: None }))?;
        // It may have been on its way to the CLI.
        match self.state().message(message_id) {
            Some(settled) if settled.state != "removed" => Err(no_longer_waits(&settled)),
            _ => Ok(()),
        }
    }

    fn must_wait(&self, message_id: &str) -> Result<(), WorkerError> {
        let state = self.state();
        if queued(&state, message_id).is_some() {
            return Ok(());
        }
        Err(match state.message(message_id) {
            Some(settled) => no_longer_waits(&settled),
            None => WorkerError::NotFound(format!("message not found: {message_id}")),
        })
    }
}

fn no_longer_waits(settled: &SettledMessage) -> WorkerError {
    WorkerError::Conflict(format!("message {} is {} already", settled.message_id, settled.state))
}
