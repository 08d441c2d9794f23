//! A worker as others see it: a copy of its state that is read without waiting for whoever folds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::state::{Prompt, State};
use super::status::Status;
use crate::clock::Micros;
use crate::event::Usage;
use crate::journal::Worktree;
use crate::wire;

/// The latest published copy of a worker's state.
pub struct Views {
    state: Mutex<Arc<State>>,
    last_activity: AtomicU64,
    end: AtomicU64,
    warning: Mutex<Option<Arc<str>>>,
    /// The summary as it was last written, for as long as nothing has changed: lists are asked for far more often.
    written: Mutex<Option<Arc<Written>>>,
}

/// A worker's summary as JSON.
#[derive(Debug)]
pub struct Written {
    /// When the worker was made: lists are in this order.
    pub created_at: u64,
    /// The JSON of its [`Summary`].
    pub json: Vec<u8>,
    of: Version,
}

/// All that a summary is made of.
#[derive(Debug)]
struct Version {
    state: Arc<State>,
    last_activity: u64,
    end: u64,
    warning: Option<Arc<str>>,
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.state, &other.state)
            && (self.last_activity, self.end, &self.warning) == (other.last_activity, other.end, &other.warning)
    }
}

/// A worker on the wire: the reference's fields first, then ours.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its CLI's working directory.
    pub project_path: String,
    /// Its adapter.
    pub ai_cli_type: String,
    /// Its status.
    pub status: Status,
    /// When it was made.
    pub created_at: Micros,
    /// The time of its last record.
    pub last_activity: Micros,
    /// Why it has its status, where there is more to say.
    pub reason: Option<String>,
    /// Whether it was stopped because nobody used it, so that the next message starts it again.
    pub hibernated: bool,
    /// The provider's usage limit, while there is something to say of it.
    pub rate_limit: Option<Limit>,
    /// When messages that wait for its end are sent again.
    pub resend_at: Option<Micros>,
    /// What is wrong on the server's side now (a full disk).
    pub warning: Option<String>,
    /// Whether it follows a session that runs elsewhere: then it takes no messages until it has taken that over.
    pub read_only: bool,
    /// The CLI's own id of its session.
    pub session_id: Option<String>,
    /// The model, as the CLI says, else as it was asked for.
    pub model: Option<String>,
    /// The permission mode, likewise.
    pub permission_mode: Option<String>,
    /// Messages that wait.
    pub queued_messages: usize,
    /// Prompts that wait for an answer.
    pub open_prompts: usize,
    /// Turns so far.
    pub turns: u64,
    /// Tokens so far.
    pub usage: Usage,
    /// Cost so far in US dollars.
    pub cost_usd: f64,
    /// The cursor of its last event: `since` with it gives what is new.
    pub last_seq: u64,
    /// The CLI's process id, while it runs.
    pub pid: Option<i32>,
    /// The worker that it was forked from.
    pub forked_from: Option<String>,
    /// The git worktree that is its own.
    pub worktree: Option<Box<Worktree>>,
}

/// A usage limit on the wire.
#[derive(Clone, Debug, Serialize)]
pub struct Limit {
    /// `warning` or `rejected`.
    pub status: String,
    /// When it ends.
    pub resets_at: Option<Micros>,
}

/// An open prompt on the wire.
#[derive(Clone, Debug, Serialize)]
pub struct WaitingPrompt {
    /// The worker that asks.
    pub worker_id: String,
    /// Its name.
    pub worker_name: String,
    /// The prompt.
    #[serde(flatten)]
    pub prompt: Prompt,
    /// When it was asked.
    pub timestamp: Micros,
}

impl Views {
    /// The first copy.
    pub(super) fn new(state: State, end: u64) -> Self {
        Self {
            last_activity: AtomicU64::new(state.last_activity),
            state: Mutex::new(Arc::new(state)),
            end: AtomicU64::new(end),
            warning: Mutex::new(None),
            written: Mutex::new(None),
        }
    }

    /// The latest copy.
    pub fn state(&self) -> Arc<State> {
        Arc::clone(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The journal offset up to which the worker is folded.
    pub fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// What is wrong on the server's side now.
    pub fn warning(&self) -> Option<Arc<str>> {
        self.warning.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn warn(&self, warning: Option<&str>) {
        *self.warning.lock().unwrap_or_else(PoisonError::into_inner) = warning.map(Into::into);
    }

    /// Publishes a state; whether it is another than before.
    pub(super) fn update(&self, state: &State, end: u64) -> bool {
        self.end.store(end, Ordering::Release);
        self.last_activity.store(state.last_activity, Ordering::Release);
        let mut shared = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if shared.revision == state.revision {
            return false;
        }
        *shared = Arc::new(state.clone());
        true
    }

    /// Publishes a state that does not follow from the last one.
    pub(super) fn replace(&self, state: &State, end: u64) {
        self.end.store(end, Ordering::Release);
        self.last_activity.store(state.last_activity, Ordering::Release);
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(state.clone());
    }

    /// The worker `id` on the wire.
    pub fn summary(&self, id: &str) -> Summary {
        let state = self.state();
        let or = |reported: &Option<String>, asked: &Option<String>| reported.clone().or_else(|| asked.clone());
        Summary {
            id: id.to_owned(),
            name: state.name.clone(),
            project_path: state.project_path.clone(),
            ai_cli_type: state.ai_cli_type.clone(),
            status: state.status,
            created_at: Micros(state.created_at),
            last_activity: Micros(self.last_activity.load(Ordering::Acquire)),
            reason: state.reason.clone(),
            hibernated: state.status == Status::Stopped && state.hibernated.is_some(),
            rate_limit: state
                .limit
                .as_ref()
                .map(|limit| Limit { status: limit.status.clone(), resets_at: limit.resets_at.map(Micros) }),
            resend_at: state.held.as_ref().map(|held| Micros(held.until)),
            warning: self.warning().map(|warning| warning.to_string()),
            read_only: state.follow.is_some(),
            session_id: state.session_id.clone(),
            model: or(&state.model, &state.options.model),
            permission_mode: or(&state.permission_mode, &state.options.permission_mode),
            queued_messages: state.queue.len(),
            open_prompts: state.prompts.len(),
            turns: state.turns,
            usage: state.usage,
            cost_usd: state.cost_nano_usd as f64 / 1e9,
            last_seq: self.end().saturating_sub(1),
            pid: state.process.running().map(|pids| pids.pid),
            forked_from: state.forked_from.clone(),
            worktree: state.worktree.clone(),
        }
    }

    /// The worker `id` on the wire, as JSON.
    pub fn summary_json(&self, id: &str) -> Arc<Written> {
        // Looked at before the summary is made: what changes in between makes the next caller write it again.
        let of = Version {
            state: self.state(),
            last_activity: self.last_activity.load(Ordering::Acquire),
            end: self.end(),
            warning: self.warning(),
        };
        let mut last = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(written) = last.as_ref().filter(|written| written.of == of) {
            return Arc::clone(written);
        }
        let mut json = Vec::new();
        wire::append_json(&mut json, &self.summary(id));
        Arc::clone(last.insert(Arc::new(Written { created_at: of.state.created_at, json, of })))
    }

    /// The open prompts of the worker `id` on the wire.
    pub fn prompts(&self, id: &str) -> Vec<WaitingPrompt> {
        let state = self.state();
        let on_the_wire = |prompt: &Prompt| WaitingPrompt {
            worker_id: id.to_owned(),
            worker_name: state.name.clone(),
            prompt: prompt.clone(),
            timestamp: Micros(prompt.time),
        };
        state.prompts.iter().map(on_the_wire).collect()
    }
}
