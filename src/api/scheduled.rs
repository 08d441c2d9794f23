//! The messages of schedules: to a worker, or to a new one from a preset.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::Api;
use super::creation::{self, INITIAL_MESSAGE};
use super::error::{ApiError, mistakes_in_words};
use super::input::JsonBody;
use crate::schedules::{Busy, Schedule, ScheduleRun, ScheduleTarget};
use crate::worker::state::status::Status;
use crate::worker::state::{SettledMessage, State};
use crate::worker::{NewMessage, Worker, WorkerError};

/// The outcome of a run's message.
pub(crate) enum Sending {
    /// The worker has it.
    Sent {
        /// The worker.
        worker_id: String,
        /// The message.
        message_id: String,
        /// Its cursor.
        seq: u64,
        /// True if the worker was busy.
        queued: bool,
    },
    /// Not sent before, and was not to be sent now.
    NotSent,
    /// The worker is busy, and the schedule leaves such slots out.
    Busy,
    /// Can't be sent now, but may be later.
    Later(String),
    /// Can't be sent.
    Failed(String),
}

impl Api {
    /// Sends the message of a run, unless it was sent before: its key is in the journals. Without `may_send`, only looks.
    pub(crate) fn send_scheduled(&self, schedule: &Schedule, run: &ScheduleRun, name: &str, may_send: bool) -> Sending {
        let key = schedule.key(run);
        let text = run.text.clone().unwrap_or_default();
        let sent = match (&run.worker_id, &schedule.target) {
            (Some(worker), _) => self.send_to_worker(worker, &key, text, (schedule.busy, may_send)),
            (None, ScheduleTarget::Preset { .. }) => self.send_to_new(schedule, &key, (name, text), may_send),
            (None, ScheduleTarget::Worker { .. }) => {
                Ok(Sending::Failed("the schedule got another target before the message was sent".to_owned()))
            }
        };
        sent.unwrap_or_else(|error| {
            let text = words(&error);
            if is_passing(&error) { Sending::Later(text) } else { Sending::Failed(text) }
        })
    }

    fn send_to_worker(
        &self,
        worker: &str,
        key: &str,
        content: String,
        (busy, may_send): (Busy, bool),
    ) -> Result<Sending, ApiError> {
        let worker = self.registry.get(worker)?;
        let state = worker.state();
        if let Some(settled) = state.message_of_client(key) {
            return Ok(sent(&worker, settled, false));
        }
        if !may_send {
            return Ok(Sending::NotSent);
        }
        let is_busy = is_busy(&state);
        if is_busy && busy == Busy::Skip {
            return Ok(Sending::Busy);
        }
        let message = NewMessage { content, client_message_id: Some(key.to_owned()), ..NewMessage::default() };
        Ok(sent(&worker, self.registry.post_message(&worker, message)?, is_busy))
    }

    fn send_to_new(
        &self,
        schedule: &Schedule,
        key: &str,
        (name, text): (&str, String),
        may_send: bool,
    ) -> Result<Sending, ApiError> {
        let has_key = |worker: &Arc<Worker>| worker.state().options.idempotency_key.as_deref() == Some(key);
        let made = self.registry.all().into_iter().find(has_key);
        if let Some(worker) = &made
            && let Some(settled) = worker.state().message_of_client(INITIAL_MESSAGE)
        {
            return Ok(sent(worker, settled, false));
        }
        if !may_send && made.is_none() {
            return Ok(Sending::NotSent);
        }
        let (mut new, first) = creation::plan(self, JsonBody::of(fields(schedule, key, name, text)))?;
        // The key is that of this slot; the preset may have changed since the worker was made.
        new.options.request_hash = None;
        let Some(message) = first else {
            return Ok(Sending::Failed("neither the schedule nor its preset has a text".to_owned()));
        };
        let worker = match made {
            Some(worker) => worker,
            None => self.registry.create(new)?,
        };
        Ok(sent(&worker, self.registry.post_message(&worker, message)?, false))
    }
}

/// The request for a new worker.
fn fields(schedule: &Schedule, key: &str, name: &str, text: String) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("name".to_owned(), json!(name));
    fields.insert("idempotency_key".to_owned(), json!(key));
    if let ScheduleTarget::Preset { preset, values, project_path } = &schedule.target {
        fields.insert("preset".to_owned(), json!(preset));
        fields.insert("placeholders".to_owned(), json!(values));
        fields.insert("project_path".to_owned(), json!(project_path));
    }
    if !text.trim().is_empty() {
        fields.insert("initial_message".to_owned(), json!(text));
    }
    fields
}

fn sent(worker: &Worker, message: SettledMessage, queued: bool) -> Sending {
    let SettledMessage { message_id, seq, .. } = message;
    Sending::Sent { worker_id: worker.id().to_owned(), message_id, seq, queued }
}

/// Returns whether a message would wait: for a turn, a person, a setup or other messages.
fn is_busy(state: &State) -> bool {
    let works = matches!(state.status, Status::Busy | Status::Waiting | Status::Stalled | Status::Preparing);
    works || !state.queue.is_empty()
}

/// Returns whether the same may be possible later.
fn is_passing(error: &ApiError) -> bool {
    let mut error = match error {
        ApiError::Worker(error) => error,
        ApiError::Detail(..) | ApiError::Validation(_) => return false,
    };
    while let WorkerError::InField { error: inner, .. } = error {
        error = inner;
    }
    matches!(error, WorkerError::Limit(_) | WorkerError::Unavailable(_) | WorkerError::Io(_))
}

/// The error for people.
fn words(error: &ApiError) -> String {
    match error {
        ApiError::Detail(_, text) => text.clone(),
        ApiError::Validation(mistakes) => mistakes_in_words(&json!(mistakes)),
        ApiError::Worker(error) => error.to_string(),
    }
}
