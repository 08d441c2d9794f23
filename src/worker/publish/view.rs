//! The view of a worker: a copy of its state that is read without waiting for the thread that folds.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use crate::clock::Micros;
use crate::wire;
use crate::worker::history::page::HistoryEnd;
use crate::worker::place::look::ChangedLines;
use crate::worker::publish::summary::{
    CarriedFiles, LimitView, LimitsInForce, NextStart, ParentName, PlanWindowView, Summary, WaitingPrompt,
};
use crate::worker::state::status::Status;
use crate::worker::state::{OpenPrompt, State};

/// The latest published copy of a worker's state.
pub(crate) struct Views {
    state: Mutex<Arc<State>>,
    /// Signalled when the state has changed.
    changes: Condvar,
    place: Mutex<HistoryEnd>,
    warning: Mutex<Option<Arc<str>>>,
    /// The latest known size of the project's changes.
    changed: Mutex<Option<Arc<ChangedLines>>>,
    /// The journal can't be written, so the CLI waits.
    waits_for_disk: AtomicBool,
    /// The latest JSON of the summary, valid as long as nothing has changed: lists are requested far more often.
    written: Mutex<Option<Arc<SummaryJson>>>,
}

/// A worker's summary as JSON.
#[derive(Debug)]
pub(crate) struct SummaryJson {
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

impl Views {
    /// Creates the first copy.
    pub(in crate::worker) fn new(state: State, end: u64) -> Self {
        Self {
            place: Mutex::new(HistoryEnd { end, time: Micros(state.last_activity) }),
            state: Mutex::new(Arc::new(state)),
            changes: Condvar::new(),
            warning: Mutex::new(None),
            changed: Mutex::new(None),
            waits_for_disk: AtomicBool::new(false),
            written: Mutex::new(None),
        }
    }

    /// Returns the latest copy.
    pub(crate) fn state(&self) -> Arc<State> {
        Arc::clone(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the journal offset up to which the worker is folded.
    pub(crate) fn end(&self) -> u64 {
        self.place().end
    }

    /// Returns the end of the folded part of the journal.
    pub(crate) fn place(&self) -> HistoryEnd {
        *self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put_place(&self, state: &State, end: u64) {
        let place = HistoryEnd { end, time: Micros(state.last_activity) };
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = place;
    }

    /// Returns the present problem on the server's side.
    pub(crate) fn warning(&self) -> Option<Arc<str>> {
        self.warning.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the latest known size of the project's changes.
    pub(crate) fn changed(&self) -> Option<Arc<ChangedLines>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stores the size of the project's changes; returns whether it has changed.
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

    /// Publishes a state; returns whether it has changed. The position is updated while readers of the state are
    /// blocked, so whoever finds its records in the history finds the state, too.
    pub(in crate::worker) fn update(&self, state: &State, end: u64) -> bool {
        let mut shared = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.put_place(state, end);
        if shared.revision == state.revision {
            return false;
        }
        *shared = Arc::new(state.clone());
        self.changes.notify_all();
        true
    }

    /// Waits until the state is another one than `seen`, at most until `deadline`.
    pub(crate) fn wait_for_change(&self, seen: &Arc<State>, deadline: Instant) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while Arc::ptr_eq(&state, seen) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            (state, _) = self.changes.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Publishes a state that does not follow from the last one.
    pub(in crate::worker) fn replace(&self, state: &State, end: u64) {
        let mut shared = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.put_place(state, end);
        *shared = Arc::new(state.clone());
        self.changes.notify_all();
    }

    /// Returns the worker `id` on the wire.
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
                .map(|limit| LimitView { status: limit.status.clone(), resets_at: limit.resets_at.map(Micros) }),
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
                effort: state.options.effort.clone(),
            },
            limits: state.run_limits.as_deref().map(LimitsInForce::of),
            queued_messages: state.queue.len(),
            open_prompts: state.prompts.len(),
            turns: state.turns,
            usage: state.usage,
            cost_usd: state.cost_nano_usd as f64 / 1e9,
            last_seq: place.last_seq(),
            pid: state.process.running().map(|pids| pids.pid),
            forked_from: state.forked_from.clone(),
            carried: CarriedFiles::of(&state),
            parent: state.options.parent.as_deref().map(ParentName::of),
            handed_over_from: state.options.handover.as_ref().map(|handover| handover.from.clone()),
            group: state.options.group.as_ref().map(|part| part.id.clone()),
            worktree: state.worktree.clone(),
            preparing: state.preparing.clone(),
            pinned: state.listing.pinned,
            archived: state.listing.archived,
            snoozed_until: state.listing.snoozed_until.map(Micros),
            last_text: state.listing.last_text.clone(),
            context_tokens: state.listing.context.map(|context| context.tokens),
            context_window: state.listing.context.and_then(|context| context.window),
            changed: self.changed().as_deref().cloned(),
            plan_windows: state.listing.plan.iter().map(PlanWindowView::of).collect(),
        }
    }

    /// Returns the worker `id` on the wire, as JSON.
    pub(crate) fn summary_json(&self, id: &str) -> Arc<SummaryJson> {
        // Read before the summary is made: a change in between makes the next caller write it again.
        let of = Version { state: self.state(), place: self.place(), warning: self.warning(), changed: self.changed() };
        let mut last = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(written) = last.as_ref().filter(|written| written.of == of) {
            return Arc::clone(written);
        }
        let mut json = Vec::new();
        wire::append_json(&mut json, &self.summary(id));
        Arc::clone(last.insert(Arc::new(SummaryJson { json, of })))
    }

    /// Returns the open prompts of the worker `id` on the wire.
    pub(crate) fn prompts(&self, id: &str) -> Vec<WaitingPrompt> {
        let state = self.state();
        let on_the_wire = |prompt: &OpenPrompt| WaitingPrompt {
            worker_id: id.to_owned(),
            worker_name: state.name.clone(),
            prompt: prompt.clone(),
            timestamp: Micros(prompt.time),
        };
        state.prompts.iter().map(on_the_wire).collect()
    }
}
