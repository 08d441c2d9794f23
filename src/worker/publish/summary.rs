//! The parts of a worker's view on the wire.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::cgroup::WorkerLimits;
use crate::clock::Micros;
use crate::event::Usage;
use crate::journal::{Parent, RunLimits, Worktree};
use crate::worker::place::look::ChangedLines;
use crate::worker::state::listing;
use crate::worker::state::status::Status;
use crate::worker::state::{EarlierSessions, OpenPrompt, SetupProgress, State};

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
    pub(super) fn of(run: &RunLimits) -> Self {
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
    pub(super) fn of(parent: &Parent) -> Self {
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
    pub(super) fn of(state: &State) -> Option<Self> {
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
    pub(super) fn of(window: &listing::PlanWindow) -> Self {
        Self {
            window: window.window.clone(),
            status: window.status.clone(),
            used_percent: window.used_percent,
            resets_at: window.resets_at.map(Micros),
        }
    }
}
