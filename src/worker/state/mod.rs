//! What is known of a worker: a fold over its control records and its adapter's events.
//!
//! It has no I/O and no clock, and it can be saved and restored at any record boundary. The adapter's session is folded
//! beside it ([`Fold`](super::fold::Fold)).

mod follow;
mod limit;
mod messages;
mod prompts;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

pub use follow::{FILES_MAX, Follow};
pub use limit::{Held, Limited, Sent, UsageLimit};
use messages::{LOST, message_state};
pub use messages::{Queued, Settled};
pub(super) use prompts::PROMPTS_MAX;
pub use prompts::{Answered, Asked, Prompt};

use super::status::{Process, Status, exit_text};
use crate::adapter::Activity;
use crate::clock::Micros;
use crate::event::{Body, Event, Usage};
use crate::journal::{Control, Record, WorkerOptions, Worktree};

/// Who stops a worker that nobody has used for long.
pub const IDLE: &str = "idle";
/// Bytes of a reason for people.
const REASON_BYTES_MAX: usize = 2_000;

/// What is known of a worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    /// Grows with every change but that of `last_activity`. It is not saved: it only tells readers of one process when
    /// to look again.
    #[serde(skip)]
    pub revision: u64,
    /// Its name.
    pub name: String,
    /// Its CLI's working directory.
    pub project_path: String,
    /// Its adapter.
    pub ai_cli_type: String,
    /// What it was asked for, with later changes of model and mode.
    pub options: WorkerOptions,
    /// The worker that it was forked from.
    pub forked_from: Option<String>,
    /// The git worktree that is its own.
    #[serde(default)]
    pub worktree: Option<Box<Worktree>>,
    /// Whether something of that worktree may be there.
    #[serde(default)]
    pub worktree_begun: bool,
    /// Whether it is whole.
    #[serde(default)]
    pub worktree_made: bool,
    /// When it was made.
    pub created_at: u64,
    /// The time of its last record.
    pub last_activity: u64,
    /// Where its process stands.
    pub process: Process,
    /// Its status, as its last `status` event told it.
    pub status: Status,
    /// Why, where there is more to say.
    pub reason: Option<String>,
    /// Why its turn is taken for stalled.
    pub stalled: Option<String>,
    /// The session that runs elsewhere and is followed, as long as the worker has not taken it over.
    #[serde(default)]
    pub follow: Option<Follow>,
    /// The CLI's session.
    pub session_id: Option<String>,
    /// Whether the session has had a turn, so that the CLI can resume it.
    pub session_used: bool,
    /// The model that the CLI says it uses.
    pub model: Option<String>,
    /// The permission mode that the CLI says it is in.
    pub permission_mode: Option<String>,
    /// Messages that wait, first one first.
    pub queue: VecDeque<Queued>,
    /// Messages that went, latest last.
    pub settled: VecDeque<Settled>,
    /// Open prompts, oldest first.
    pub prompts: Vec<Prompt>,
    /// Answered prompts, latest last.
    pub answered: VecDeque<Answered>,
    /// Who asked for its last stop, while it is stopped.
    pub stopped_by: Option<String>,
    /// Why it was hibernated, while it is.
    pub hibernated: Option<String>,
    /// The provider's usage limit, while there is something to say of it.
    pub limit: Option<UsageLimit>,
    /// Messages that went into the running turn.
    pub in_turn: Vec<Sent>,
    /// Messages whose turn has just failed at the usage limit.
    pub limited: Option<Limited>,
    /// What the queue waits for.
    pub held: Option<Held>,
    /// The running turn.
    pub turn_id: Option<String>,
    /// Turns so far.
    pub turns: u64,
    /// Tokens so far.
    pub usage: Usage,
    /// Cost so far in billionths of a US dollar: a whole number is the same after it was saved.
    pub cost_nano_usd: u64,
}

impl Default for State {
    fn default() -> Self {
        Self {
            revision: 0,
            name: String::new(),
            project_path: String::new(),
            ai_cli_type: String::new(),
            options: WorkerOptions::default(),
            forked_from: None,
            worktree: None,
            worktree_begun: false,
            worktree_made: false,
            created_at: 0,
            last_activity: 0,
            process: Process::Stopped,
            status: Status::Stopped,
            reason: None,
            stalled: None,
            follow: None,
            session_id: None,
            session_used: false,
            model: None,
            permission_mode: None,
            queue: VecDeque::new(),
            settled: VecDeque::new(),
            prompts: Vec::new(),
            answered: VecDeque::new(),
            stopped_by: None,
            hibernated: None,
            limit: None,
            in_turn: Vec::new(),
            limited: None,
            held: None,
            turn_id: None,
            turns: 0,
            usage: Usage::default(),
            cost_nano_usd: 0,
        }
    }
}

/// Takes the events that a control record brings about.
type Emit<'e> = &'e mut dyn FnMut(Event<'_>);

impl State {
    /// Notes what an event of the adapter says of the worker. Called for each, before it is passed on.
    pub fn note(&mut self, event: &Event<'_>, seq: u64, time: Micros) {
        self.revision += 1;
        match &event.body {
            Body::Session { session_id, model, permission_mode, .. } => {
                // One that the CLI has chosen itself is one that it has.
                if session_id.is_some() && session_id.as_deref() != self.session_id.as_deref() {
                    self.session_used = true;
                }
                set(&mut self.session_id, session_id);
                set(&mut self.model, model);
                set(&mut self.permission_mode, permission_mode);
            }
            Body::TurnStarted { turn_id } => {
                self.turn_id = Some(turn_id.to_string());
                self.limited = None;
            }
            Body::RateLimit { status, resets_at } => self.limit_told(status, *resets_at),
            Body::TurnCompleted { usage, cost_usd, is_error, .. } => {
                self.turn_ended(*is_error, time);
                self.turn_id = None;
                self.turns += 1;
                self.usage.add(&usage.unwrap_or_default());
                self.cost_nano_usd = self.cost_nano_usd.saturating_add(nano_usd(cost_usd.unwrap_or(0.0)));
                self.session_used = true;
            }
            Body::Assistant { .. } | Body::ToolCall { .. } => {
                self.revision -= u64::from(self.session_used);
                self.session_used = true;
            }
            Body::MessageState { message_id, state, .. } => {
                self.session_used |= *state == "consumed";
                self.settle(message_id, state);
            }
            Body::PermissionRequest { request_id, tool_call_id, tool_name, input, options } => {
                let asked = Asked::PermissionRequest {
                    tool_name: tool_name.to_string(),
                    input: input.clone(),
                    options: options.clone(),
                };
                self.ask(event, request_id, tool_call_id.as_deref(), asked, seq, time);
            }
            Body::Question { request_id, tool_call_id, questions } => {
                let asked = Asked::Question { questions: questions.clone() };
                self.ask(event, request_id, tool_call_id.as_deref(), asked, seq, time);
            }
            Body::PermissionResolved { request_id, decision, by } => {
                self.close_prompt(request_id, decision, by);
            }
            Body::QuestionResolved { request_id, answers, by } => {
                let decision = if answers.is_some() { "answered" } else { "cancelled" };
                self.close_prompt(request_id, decision, by);
            }
            _ => self.revision -= 1,
        }
    }

    /// Takes a control record and emits the events that are the worker's own. `acknowledges` says whether the CLI tells of
    /// every message that it took it.
    pub fn control(&mut self, control: &Control, record: &Record<'_>, acknowledges: bool, emit: Emit<'_>) {
        self.revision += 1;
        match control {
            Control::Created { name, project_path, ai_cli_type, options, forked_from, worktree, .. } => {
                self.name.clone_from(name);
                self.project_path.clone_from(project_path);
                self.ai_cli_type.clone_from(ai_cli_type);
                self.options.clone_from(options);
                self.forked_from.clone_from(forked_from);
                self.worktree.clone_from(worktree);
                self.created_at = record.time.0;
            }
            Control::WorktreeBegun {} => self.worktree_begun = true,
            Control::WorktreeMade {} => self.worktree_made = true,
            Control::Renamed { name } => self.name.clone_from(name),
            Control::Configured { model, permission_mode } => {
                if model.is_some() {
                    self.options.model.clone_from(model);
                }
                if permission_mode.is_some() {
                    self.options.permission_mode.clone_from(permission_mode);
                }
            }
            Control::Launching { session_id, .. } => {
                // From here on the session is the worker's own.
                self.follow = None;
                (self.stopped_by, self.hibernated) = (None, None);
                if session_id.is_some() {
                    self.session_id.clone_from(session_id);
                }
            }
            Control::Following { session_id, path } => {
                self.session_id = Some(session_id.clone());
                self.session_used = true;
                self.follow.get_or_insert_default().begin(path);
            }
            Control::Transcript { file, offset, inode, .. } => {
                self.revision -= 1;
                if let Some(follow) = &mut self.follow {
                    follow.place(file, *offset, *inode);
                }
            }
            Control::FollowNoted { code, text } => {
                emit(Event::new(text.as_str(), Body::Notice { code: code.as_str().into() }));
            }
            Control::StopRequested { by, reason } if self.process.pids().is_some() => {
                self.stopped_by = Some(by.clone());
                self.hibernated = reason.clone().filter(|_| by == IDLE);
            }
            Control::MessageQueued { .. }
            | Control::MessageEdited { .. }
            | Control::MessageRemoved { .. }
            | Control::MessageHeld { .. }
            | Control::LimitOver {}
            | Control::MessageDelivered { .. } => self.message_control(control, record, emit),
            Control::PermissionAnswered { request_id, decision, answers, by, .. } => {
                self.answer(request_id, decision, answers.as_ref(), by, emit);
            }
            Control::Stalled { reason } => self.stalled = Some(shortened(reason)),
            Control::SpawnFailed { error } => {
                self.process_ended(acknowledges, emit);
                emit(Event::new(error.as_str(), Body::Error { code: "spawn_failed".into() }));
            }
            Control::Exited { exit_code, signal, stderr_tail, ended, .. } => {
                self.process_ended(acknowledges, emit);
                let content = self.hibernated.clone().unwrap_or_else(|| exit_text(*exit_code, signal.as_deref()));
                let body = Body::Exit {
                    exit_code: *exit_code,
                    signal: signal.as_deref().map(Into::into),
                    stderr_tail: stderr_tail.as_str().into(),
                    ended: ended.clone(),
                };
                emit(Event::new(content, body));
            }
            Control::ShimLost { ended } => {
                self.process_ended(acknowledges, emit);
                let body = Body::Exit { exit_code: None, signal: None, stderr_tail: "".into(), ended: ended.clone() };
                emit(Event::new("The worker's shim was killed; its process tree has been ended", body));
            }
            _ => {}
        }
        self.process.control(control);
    }

    /// The status that follows from everything so far, with its reason.
    pub fn derive_status(&self, activity: Activity) -> (Status, Option<&str>) {
        match &self.process {
            Process::Stopped => (Status::Stopped, self.hibernated.as_deref()),
            Process::Ended { reason } => (Status::Stopped, Some(reason)),
            Process::Failed { reason } => (Status::Failed, Some(reason)),
            // One that has a process for each message has none before the first.
            Process::Launching if activity == Activity::Idle => (Status::Idle, None),
            Process::Launching => (Status::Starting, None),
            Process::Following if activity == Activity::Busy => (Status::Busy, None),
            Process::Following => (Status::Idle, None),
            Process::Stopping { .. } => (Status::Stopping, self.hibernated.as_deref()),
            Process::Running { .. } | Process::BetweenTurns { .. } if !self.prompts.is_empty() => {
                (Status::Waiting, self.prompts.first().map(|prompt| prompt.content.as_str()))
            }
            Process::Running { .. } | Process::BetweenTurns { .. } => match (activity, &self.stalled) {
                (Activity::Starting, None) => (Status::Starting, None),
                (Activity::Idle, _) => (Status::Idle, None),
                (Activity::Busy, None) => (Status::Busy, None),
                (Activity::Busy | Activity::Starting, Some(reason)) => (Status::Stalled, Some(reason)),
            },
        }
    }

    /// Whether processes of the worker may live: what counts against the worker limit.
    pub fn is_running(&self) -> bool {
        self.status.is_running() && !matches!(self.process, Process::Following)
    }

    /// The process is gone: its prompts cannot be answered any more, and what was written to it and not taken is lost.
    /// It is not given to the next process by itself, because this one may have begun to act on it.
    fn process_ended(&mut self, acknowledges: bool, emit: Emit<'_>) {
        self.in_turn.clear();
        let unsure = |message: &&mut Settled| acknowledges && message.state == "delivered";
        for message in self.settled.iter_mut().filter(unsure) {
            LOST.clone_into(&mut message.state);
            let text = "The CLI ended before it said that it took a message; send it again if it is still wanted";
            emit(Event::new(text, Body::Error { code: "message_lost".into() }));
            emit(message_state(&message.message_id, message.client_message_id.as_deref(), LOST, None));
        }
        while let Some(prompt) = self.prompts.first() {
            let request_id = prompt.request_id.clone();
            self.answer(&request_id, "cancelled", None, "cli", emit);
        }
    }
}

/// Dollars as a whole number of billionths.
pub(super) fn nano_usd(usd: f64) -> u64 {
    // What is negative or no number costs nothing: the conversion saturates.
    (usd * 1e9).round() as u64
}

fn set(field: &mut Option<String>, value: &Option<crate::event::Text<'_>>) {
    if let Some(value) = value
        && field.as_deref() != Some(value.as_ref())
    {
        *field = Some(value.to_string());
    }
}

fn push_bounded<T>(queue: &mut VecDeque<T>, item: T, max: usize) {
    if queue.len() == max {
        queue.pop_front();
    }
    queue.push_back(item);
}

fn shortened(text: &str) -> String {
    text.chars()
        .scan(0, |bytes, c| {
            *bytes += c.len_utf8();
            (*bytes <= REASON_BYTES_MAX).then_some(c)
        })
        .collect()
}
