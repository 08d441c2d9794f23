//! A worker as others see it: a copy of its state that is read without waiting for whoever folds.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use crate::clock::Micros;
use crate::event::Usage;
use crate::journal::Worktree;
use crate::wire;
use crate::worker::history::page::HistoryEnd;
use crate::worker::place::look::ChangedLines;
use crate::worker::state::listing;
use crate::worker::state::status::Status;
use crate::worker::state::{EarlierSessions, Prompt, State};

/// The latest published copy of a worker's state.
pub(crate) struct Views {
    state: Mutex<Arc<State>>,
    place: Mutex<HistoryEnd>,
    warning: Mutex<Option<Arc<str>>>,
    /// The size of the project's changes, as it was found last.
    changed: Mutex<Option<Arc<ChangedLines>>>,
    /// The journal can't be written, so the CLI waits.
    waits_for_disk: AtomicBool,
    /// The summary as it was last written, for as long as nothing has changed: lists are asked for far more often.
    written: Mutex<Option<Arc<Written>>>,
}

/// A worker's summary as JSON.
#[derive(Debug)]
pub(crate) struct Written {
    /// The time of the worker's creation: lists are in this order.
    pub created_at: u64,
    /// The JSON of its [`Summary`].
    pub json: Vec<u8>,
    of: Version,
}

/// All that a summary is made of.
#[derive(Debug)]
struct Version {
    state: Arc<State>,
    place: HistoryEnd,
    warning: Option<Arc<str>>,
    changed: Option<Arc<ChangedLines>>,
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.state, &other.state)
            && (self.place, &self.warning, &self.changed) == (other.place, &other.warning, &other.changed)
    }
}

/// A worker on the wire: the reference's fields first, then ours.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Summary {
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
    /// The time of its creation.
    pub created_at: Micros,
    /// The time of its last record: `at` for `last_seq`.
    pub last_activity: Micros,
    /// The reason for its status, where there is more to say.
    pub reason: Option<String>,
    /// It was stopped because nobody used it; the next message starts it again.
    pub hibernated: bool,
    /// The provider's usage limit, while there is something to say of it.
    pub rate_limit: Option<Limit>,
    /// The time at which messages that wait for the end of the limit are sent again.
    pub resend_at: Option<Micros>,
    /// The problem that needs attention now: a full disk, or a request of the CLI that was not understood.
    pub warning: Option<String>,
    /// It follows a session that runs elsewhere; it accepts no messages until it has taken that over.
    pub read_only: bool,
    /// The CLI's own id of its session.
    pub session_id: Option<String>,
    /// Its sessions before that, latest last: the CLI may have them still.
    pub earlier_sessions: EarlierSessions,
    /// The model, as the CLI says, else as it was asked for.
    pub model: Option<String>,
    /// The permission mode, likewise.
    pub permission_mode: Option<String>,
    /// The settings of the next start.
    pub next_start: NextStart,
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
    /// True if lists show it before all that are not pinned.
    pub pinned: bool,
    /// True if lists hide it.
    pub archived: bool,
    /// The time until which lists hide it.
    pub snoozed_until: Option<Micros>,
    /// The first line of the agent's latest message, as of the last change of its status.
    pub last_text: Option<String>,
    /// Tokens in the model's context.
    pub context_tokens: Option<u64>,
    /// Tokens that fit into it.
    pub context_window: Option<u64>,
    /// The size of the project's changes after its last turn.
    pub changed: Option<ChangedLines>,
    /// The windows of the provider's plan, as the CLI reported them last.
    pub plan_windows: Vec<PlanWindow>,
}

/// A window of a plan on the wire.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PlanWindow {
    /// The CLI's name of it.
    pub window: String,
    /// `allowed`, `warning` or `rejected`.
    pub status: String,
    /// The used part, in percent.
    pub used_percent: Option<u64>,
    /// The time when it starts anew.
    pub resets_at: Option<Micros>,
}

/// The settings that the next start of a worker asks its CLI for; `null` is the CLI's own choice.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct NextStart {
    /// The model.
    pub model: Option<String>,
    /// The permission mode.
    pub permission_mode: Option<String>,
}

/// A usage limit on the wire.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Limit {
    /// `warning` or `rejected`.
    pub status: String,
    /// The time of its end.
    pub resets_at: Option<Micros>,
}

/// An open prompt on the wire.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct WaitingPrompt {
    /// The worker that asks.
    pub worker_id: String,
    /// Its name.
    pub worker_name: String,
    /// The prompt.
    #[serde(flatten)]
    pub prompt: Prompt,
    /// The time of the request.
    pub timestamp: Micros,
}

impl PlanWindow {
    fn of(window: &listing::PlanWindow) -> Self {
        Self {
            window: window.window.clone(),
            status: window.status.clone(),
            used_percent: window.used_percent,
            resets_at: window.resets_at.map(Micros),
        }
    }
}

impl Views {
    /// The first copy.
    pub(in crate::worker) fn new(state: State, end: u64) -> Self {
        Self {
            place: Mutex::new(HistoryEnd { end, time: Micros(state.last_activity) }),
            state: Mutex::new(Arc::new(state)),
            warning: Mutex::new(None),
            changed: Mutex::new(None),
            waits_for_disk: AtomicBool::new(false),
            written: Mutex::new(None),
        }
    }

    /// The latest copy.
    pub(crate) fn state(&self) -> Arc<State> {
        Arc::clone(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The journal offset up to which the worker is folded.
    pub(crate) fn end(&self) -> u64 {
        self.place().end
    }

    /// The end of the folded part of the journal.
    pub(crate) fn place(&self) -> HistoryEnd {
        *self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put_place(&self, state: &State, end: u64) {
        let place = HistoryEnd { end, time: Micros(state.last_activity) };
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = place;
    }

    /// The present problem on the server's side.
    pub(crate) fn warning(&self) -> Option<Arc<str>> {
        self.warning.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The size of the project's changes, as it was found last.
    pub(crate) fn changed(&self) -> Option<Arc<ChangedLines>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Remembers the size of the project's changes; returns whether it is another than before.
    pub(in crate::worker) fn set_changed(&self, found: Option<ChangedLines>) -> bool {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        if changed.as_deref() == found.as_ref() {
            return false;
        }
        *changed = found.map(Arc::new);
        true
    }

    /// Returns true while the worker's CLI waits for a journal that can't be written.
    pub(crate) fn waits_for_disk(&self) -> bool {
        self.waits_for_disk.load(Ordering::Relaxed)
    }

    /// Records that the journal can't be written, or can be again.
    pub(in crate::worker) fn set_waits_for_disk(&self, waits: bool) {
        self.waits_for_disk.store(waits, Ordering::Relaxed);
    }

    pub(in crate::worker) fn warn(&self, warning: Option<&str>) {
        *self.warning.lock().unwrap_or_else(PoisonError::into_inner) = warning.map(Into::into);
    }

    /// Publishes a state; whether it is another than before. Whoever finds its records in the history finds it, too: the
    /// place moves while readers of the state wait.
    pub(in crate::worker) fn update(&self, state: &State, end: u64) -> bool {
        let mut shared = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.put_place(state, end);
        if shared.revision == state.revision {
            return false;
        }
        *shared = Arc::new(state.clone());
        true
    }

    /// Publishes a state that does not follow from the last one.
    pub(in crate::worker) fn replace(&self, state: &State, end: u64) {
        let mut shared = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.put_place(state, end);
        *shared = Arc::new(state.clone());
    }

    /// The worker `id` on the wire.
    pub(crate) fn summary(&self, id: &str) -> Summary {
        let (state, place) = (self.state(), self.place());
        let or = |reported: &Option<String>, asked: &Option<String>| reported.clone().or_else(|| asked.clone());
        Summary {
            id: id.to_owned(),
            name: state.name.clone(),
            project_path: state.project_path.clone(),
            ai_cli_type: state.ai_cli_type.clone(),
            status: state.status,
            created_at: Micros(state.created_at),
            last_activity: place.time,
            reason: state.reason.clone(),
            hibernated: state.status == Status::Stopped && state.hibernated.is_some(),
            rate_limit: state
                .limit
                .as_ref()
                .map(|limit| Limit { status: limit.status.clone(), resets_at: limit.resets_at.map(Micros) }),
            resend_at: state.held.as_ref().map(|held| Micros(held.until)),
            warning: self.warning().map(|warning| warning.to_string()).or_else(|| state.unread_request.clone()),
            read_only: state.follow.is_some(),
            session_id: state.session_id.clone(),
            earlier_sessions: state.earlier_sessions.clone(),
            model: or(&state.model, &state.options.model),
            permission_mode: or(&state.permission_mode, &state.options.permission_mode),
            next_start: NextStart {
                model: state.options.model.clone(),
                permission_mode: state.options.permission_mode.clone(),
            },
            queued_messages: state.queue.len(),
            open_prompts: state.prompts.len(),
            turns: state.turns,
            usage: state.usage,
            cost_usd: state.cost_nano_usd as f64 / 1e9,
            last_seq: place.last_seq(),
            pid: state.process.running().map(|pids| pids.pid),
            forked_from: state.forked_from.clone(),
            worktree: state.worktree.clone(),
            pinned: state.listing.pinned,
            archived: state.listing.archived,
            snoozed_until: state.listing.snoozed_until.map(Micros),
            last_text: state.listing.last_text.clone(),
            context_tokens: state.listing.context.map(|context| context.tokens),
            context_window: state.listing.context.and_then(|context| context.window),
            changed: self.changed().as_deref().cloned(),
            plan_windows: state.listing.plan.iter().map(PlanWindow::of).collect(),
        }
    }

    /// The worker `id` on the wire, as JSON.
    pub(crate) fn summary_json(&self, id: &str) -> Arc<Written> {
        // Looked at before the summary is made: what changes in between makes the next caller write it again.
        let of = Version { state: self.state(), place: self.place(), warning: self.warning(), changed: self.changed() };
        let mut last = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(written) = last.as_ref().filter(|written| written.of == of) {
            return Arc::clone(written);
        }
        let mut json = Vec::new();
        wire::append_json(&mut json, &self.summary(id));
        Arc::clone(last.insert(Arc::new(Written { created_at: of.state.created_at, json, of })))
    }

    /// The open prompts of the worker `id` on the wire.
    pub(crate) fn prompts(&self, id: &str) -> Vec<WaitingPrompt> {
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
