//! The view of a worker: a copy of its state that is read without waiting for the thread that folds.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::cgroup::WorkerLimits;
use crate::clock::Micros;
use crate::event::Usage;
use crate::journal::{Parent, RunLimits, Worktree};
use crate::wire;
use crate::worker::history::page::HistoryEnd;
use crate::worker::place::look::ChangedLines;
use crate::worker::state::listing;
use crate::worker::state::status::Status;
use crate::worker::state::{EarlierSessions, OpenPrompt, SetupProgress, State};

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

/// The limits of a run on the wire.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct LimitsInForce {
    #[serde(flatten)]
    limits: Map<String, Value>,
    /// True if the kernel enforces them.
    enforced: bool,
    /// The reason why not.
    reason: Option<String>,
}

impl LimitsInForce {
    fn of(run: &RunLimits) -> Self {
        let mut limits = Map::new();
        run.limits.put(&mut limits);
        Self { limits, enforced: run.unenforced.is_none(), reason: run.unenforced.clone() }
    }

    /// The limits of workers without their own.
    pub(in crate::worker) fn usual(limits: WorkerLimits, gap: Option<String>) -> Self {
        Self::of(&RunLimits { limits, unenforced: gap })
    }
}

/// A worker on the wire: the reference's fields first, then those of this project.
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
    /// The reason for its status, if there is more to say.
    pub reason: Option<String>,
    /// True if it was stopped for being idle; the next message starts it again.
    pub hibernated: bool,
    /// The provider's usage limit, while it matters.
    pub rate_limit: Option<LimitView>,
    /// The time at which messages that wait for the end of the limit are sent again.
    pub resend_at: Option<Micros>,
    /// The problem that needs attention now: a full disk, or a request of the CLI that was not understood.
    pub warning: Option<String>,
    /// True if it follows a session that runs elsewhere; it accepts no messages until it has taken that over.
    pub read_only: bool,
    /// The CLI's own id of its session.
    pub session_id: Option<String>,
    /// Its earlier sessions, latest last: the CLI may still have them.
    pub earlier_sessions: EarlierSessions,
    /// The model as reported by the CLI, else as requested.
    pub model: Option<String>,
    /// The permission mode, likewise.
    pub permission_mode: Option<String>,
    /// The settings of the next start.
    pub next_start: NextStart,
    /// The limits of the processes of its present run, or its last one.
    pub limits: Option<LimitsInForce>,
    /// Number of queued messages.
    pub queued_messages: usize,
    /// Number of prompts that wait for an answer.
    pub open_prompts: usize,
    /// Turns so far.
    pub turns: u64,
    /// Tokens so far.
    pub usage: Usage,
    /// Cost so far in US dollars.
    pub cost_usd: f64,
    /// The cursor of its last event: a request with this `since` returns newer events.
    pub last_seq: u64,
    /// The CLI's process id, while it runs.
    pub pid: Option<i32>,
    /// The worker that it was forked from.
    pub forked_from: Option<String>,
    /// The worker whose agent has made it.
    pub parent: Option<ParentName>,
    /// The worker whose conversation it continues.
    pub handed_over_from: Option<String>,
    /// The uncommitted changes that it got from there, if it works in a copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub carried: Option<CarriedFiles>,
    /// The group that it is one of.
    pub group: Option<String>,
    /// Its git worktree.
    pub worktree: Option<Box<Worktree>>,
    /// The setup of that worktree, once it has begun.
    pub preparing: Option<SetupProgress>,
    /// True if lists show it before workers that are not pinned.
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
    /// The latest windows of the provider's plan that the CLI reported.
    pub plan_windows: Vec<PlanWindowView>,
}

impl Summary {
    /// Hides the workers that it comes from unless the client may see them.
    pub(crate) fn narrowed(mut self, is_seen: &dyn Fn(&str) -> bool) -> Self {
        self.forked_from = self.forked_from.filter(|id| is_seen(id));
        self.handed_over_from = self.handed_over_from.filter(|id| is_seen(id));
        self.parent = self.parent.filter(|parent| is_seen(&parent.id));
        self
    }
}

/// The worker whose agent has made another one, on the wire.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ParentName {
    /// Its id.
    pub id: String,
    /// Its name at that time.
    pub name: String,
}

impl ParentName {
    fn of(parent: &Parent) -> Self {
        Self { id: parent.id.clone(), name: parent.name.clone() }
    }
}

/// A window of a plan on the wire.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PlanWindowView {
    /// The CLI's name for it.
    pub window: String,
    /// `allowed`, `warning` or `rejected`.
    pub status: String,
    /// The used part, in percent.
    pub used_percent: Option<u64>,
    /// The time of the window's end.
    pub resets_at: Option<Micros>,
}

/// The settings that the next start requests from the CLI; `null` is the CLI's own choice.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct NextStart {
    /// The model.
    pub model: Option<String>,
    /// The permission mode.
    pub permission_mode: Option<String>,
    /// The effort.
    pub effort: Option<String>,
}

/// The uncommitted changes that a copy got, on the wire.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct CarriedFiles {
    /// The number of changed files in the copy.
    pub files: u64,
    /// The first of the changed files that are not in it, some with the reason.
    pub left_out: Vec<String>,
    /// The number of all those.
    pub left_out_count: u64,
}

impl CarriedFiles {
    fn of(state: &State) -> Option<Self> {
        let (handover, carried) = (state.options.handover.as_ref()?, state.trees.carried.as_ref()?);
        Some(Self {
            files: carried.files,
            left_out: handover.left_out.iter().chain(&carried.behind).cloned().collect(),
            left_out_count: carried.behind_count.saturating_add(handover.left_out_count as u64),
        })
    }
}

/// A usage limit on the wire.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct LimitView {
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
    pub prompt: OpenPrompt,
    /// The time of the request.
    pub timestamp: Micros,
}

impl PlanWindowView {
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
