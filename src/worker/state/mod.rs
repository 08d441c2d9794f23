//! The state of a worker: a fold over its control records and its adapter's events.
//!
//! It has no I/O and no clock, and it can be saved and restored at any record boundary. The adapter's session is folded
//! beside it ([`Fold`](crate::worker::state::fold::Fold)).

mod bounded;
pub(in crate::worker) mod failure;
pub(crate) mod fold;
pub(crate) mod status;
#[cfg(test)]
mod tests;

mod follow;
mod limit;
pub(in crate::worker) mod listing;
mod messages;
mod prompts;
mod run;
mod settings;
mod spending;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use bounded::{push_bounded, shortened};
pub(crate) use follow::{FILES_MAX, Follow};
pub(crate) use limit::{Held, Limited, Sent, UsageLimit};
use listing::Listing;
pub(crate) use messages::{Queued, Settled, content_hash};
pub(in crate::worker) use prompts::PROMPTS_MAX;
pub(crate) use prompts::{Asked, Prompt, Resolution};
pub(crate) use run::{EarlierSessions, Run};
pub(crate) use settings::Unconfirmed;
pub(crate) use spending::{DaySpent, Spending, Spent};

use crate::adapter::REQUEST_NOT_UNDERSTOOD;
use crate::adapter::{Activity, Cli};
use crate::clock::Micros;
use crate::event::{Body, Event, SessionFacts, Setting, TurnEnd, Usage};
use crate::journal::{By, Control, Record, WorkerOptions, Worktree};
use crate::worker::state::status::{Process, Status, exit_text};

/// Bytes of a reason for people.
const REASON_BYTES_MAX: usize = 2_000;

/// Longest session id that is taken from a CLI.
const SESSION_ID_BYTES_MAX: usize = 1_024;

/// The state of a worker.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
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
    /// The options that it was created with, with later changes of model and mode.
    pub options: WorkerOptions,
    /// The options before changes that the CLI may still refuse.
    #[serde(default)]
    unconfirmed: Unconfirmed,
    /// The worker that it was forked from.
    pub forked_from: Option<String>,
    /// The git worktree that is its own.
    #[serde(default)]
    pub worktree: Option<Box<Worktree>>,
    /// True if something of that worktree may exist.
    #[serde(default)]
    pub worktree_begun: bool,
    /// True if it is complete.
    #[serde(default)]
    pub worktree_made: bool,
    /// The time of its creation.
    pub created_at: u64,
    /// The time of its last record.
    pub last_activity: u64,
    /// The state of its process.
    pub process: Process,
    /// Its status, as its last `status` event told it.
    pub status: Status,
    /// The reason of the status, if there is more to say.
    pub reason: Option<String>,
    /// The reason that its turn is taken for stalled.
    pub stalled: Option<String>,
    /// The session that runs elsewhere and is followed, as long as the worker has not taken it over.
    #[serde(default)]
    pub follow: Option<Follow>,
    /// The CLI's session.
    pub session_id: Option<String>,
    /// The sessions before that.
    #[serde(default)]
    pub earlier_sessions: EarlierSessions,
    /// The run of the CLI, or its last one.
    #[serde(default)]
    run: Run,
    /// True if it is to be started again, with a new session.
    #[serde(default)]
    pub renew: bool,
    /// Messages that go back to the queue, since nothing could act on them.
    #[serde(default)]
    pub returned: Vec<Sent>,
    /// True if the session has had a turn, so that the CLI can resume it.
    pub session_used: bool,
    /// The model that the CLI says it uses.
    pub model: Option<String>,
    /// The permission mode that the CLI says it is in.
    pub permission_mode: Option<String>,
    /// The time at which the CLI last listed its options.
    #[serde(default)]
    pub options_listed_at: Option<u64>,
    /// Messages that wait, first one first.
    pub queue: VecDeque<Queued>,
    /// Messages that went, latest last.
    pub settled: VecDeque<Settled>,
    /// Open prompts, oldest first.
    pub prompts: Vec<Prompt>,
    /// Resolved prompts, latest last.
    #[serde(rename = "answered")]
    pub resolved: VecDeque<Resolution>,
    /// The one who asked for its last stop, while it is stopped.
    pub stopped_by: Option<By>,
    /// The reason of its hibernation, while it is hibernated.
    pub hibernated: Option<String>,
    /// The provider's usage limit, while there is something to say of it.
    pub limit: Option<UsageLimit>,
    /// Messages that went to the CLI and that no ended turn has answered.
    pub in_turn: Vec<Sent>,
    /// Messages whose turn has just failed at the usage limit.
    pub limited: Option<Limited>,
    /// A request of the CLI that was not understood, until its next turn begins.
    #[serde(default)]
    pub unread_request: Option<String>,
    /// The event that the queue waits for.
    pub held: Option<Held>,
    /// The running turn.
    pub turn_id: Option<String>,
    /// The beginning of the running turn, or of the last one.
    #[serde(default)]
    turn_seq: u64,
    /// True if somebody asked for the running turn to be interrupted.
    #[serde(default)]
    interrupted: bool,
    /// Turns so far.
    pub turns: u64,
    /// Tokens so far.
    pub usage: Usage,
    /// Cost so far in billionths of a US dollar: a whole number is the same after it was saved.
    pub cost_nano_usd: u64,
    /// Turns, tokens and cost by day and model.
    #[serde(default)]
    pub(crate) spending: Spending,
    /// The parts that lists show.
    #[serde(default)]
    pub(crate) listing: Listing,
}

/// The properties of a CLI that the worker's own fold uses.
#[derive(Clone, Copy, Debug)]
pub struct Traits<'a> {
    /// Its names, and how to install it.
    pub cli: &'a Cli,
    /// True if it acknowledges every message.
    pub acknowledges: bool,
    /// True if it answers wishes for another model or mode.
    pub answers_settings: bool,
}

impl State {
    /// Notes what an event of the adapter says of the worker. Called for each, before it is passed on.
    pub fn note(&mut self, event: &Event<'_>, seq: u64, time: Micros) {
        self.revision += 1;
        self.note_run(event);
        self.listing.note(event);
        match &event.body {
            Body::Session(SessionFacts { session_id, model, permission_mode, .. }) => {
                let session_id = &session_id.clone().filter(|id| is_session_id(id));
                // One that the CLI has chosen itself is one that it has.
                if session_id.is_some() && session_id.as_deref() != self.session_id.as_deref() {
                    self.leave_session(None);
                    self.session_is_there();
                    self.session_used = true;
                }
                set(&mut self.session_id, session_id);
                set(&mut self.model, model);
                set(&mut self.permission_mode, permission_mode);
            }
            Body::Setting { setting, value, state } => self.setting_answered(*setting, value, *state == "applied"),
            Body::Options { .. } => self.options_listed_at = Some(time.0),
            Body::TurnStarted { turn_id } => {
                self.turn_id = Some(turn_id.to_string());
                (self.turn_seq, self.interrupted) = (seq, false);
                (self.limited, self.unread_request) = (None, None);
            }
            Body::RateLimit { status, resets_at, .. } => self.limit_reported(status, *resets_at, time),
            Body::TurnCompleted(end) => {
                let TurnEnd { message_ids, usage, cost_usd, is_error, .. } = end;
                self.note_spending(end, time);
                self.turn_ended(message_ids.as_deref().unwrap_or_default(), *is_error, time);
                self.turn_id = None;
                self.turns += 1;
                self.usage.add(&usage.unwrap_or_default());
                self.cost_nano_usd = self.cost_nano_usd.saturating_add(nano_usd(cost_usd.unwrap_or(0.0)));
                self.session_used |= !self.run.lost_session();
            }
            Body::Assistant { .. } | Body::ToolCall { .. } => {
                self.revision -= u64::from(self.session_used);
                self.session_used = true;
            }
            Body::MessageState { message_id, state, .. } => {
                self.session_used |= *state == "consumed" && !self.run.lost_session();
                self.settle(message_id, state);
            }
            Body::PermissionRequest { request_id, tool_call_id, tool_name, input, options, details } => {
                let asked = Asked::PermissionRequest {
                    tool_name: tool_name.to_string(),
                    input: input.clone(),
                    options: options.clone(),
                    details: details.clone(),
                };
                self.ask(event, request_id, tool_call_id.as_deref(), asked, seq, time);
            }
            Body::Question { request_id, tool_call_id, questions, details } => {
                let asked = Asked::Question { questions: questions.clone(), details: details.clone() };
                self.ask(event, request_id, tool_call_id.as_deref(), asked, seq, time);
            }
            Body::PermissionResolved { request_id, decision, by } => {
                self.close_prompt(request_id, decision, *by);
            }
            Body::QuestionResolved { request_id, answers, by } => {
                let decision = if answers.is_some() { "answered" } else { "cancelled" };
                self.close_prompt(request_id, decision, *by);
            }
            Body::Error { code } if code == REQUEST_NOT_UNDERSTOOD => {
                self.unread_request = Some(shortened(&event.content));
            }
            _ => self.revision -= 1,
        }
    }

    /// Adds a turn to the totals. What a followed session had before is read in one go, at no day of its own.
    fn note_spending(&mut self, end: &TurnEnd<'_>, time: Micros) {
        if self.follow.is_none() {
            let model = self.model.as_deref().or(self.options.model.as_deref());
            self.spending.add_turn(time, model, end);
        }
    }

    /// The messages that went since the last turn: what a turn answered, as far as a CLI that does not acknowledge
    /// messages shows.
    pub(in crate::worker) fn sent_since_last_turn(&self) -> Vec<String> {
        self.in_turn.iter().map(|sent| sent.message_id.clone()).collect()
    }

    /// Takes a control record and adds the events that are the worker's own.
    pub fn control(&mut self, control: &Control, record: &Record<'_>, cli: &Traits<'_>, out: &mut Vec<Event<'_>>) {
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
            Control::Moved { project_path } => self.project_path.clone_from(project_path),
            Control::Renamed { name } => self.name.clone_from(name),
            Control::Listed(change) => self.listing.change(change),
            Control::Configured { model, permission_mode } => {
                self.wish(Setting::Model, model.as_ref(), cli.answers_settings);
                self.wish(Setting::PermissionMode, permission_mode.as_ref(), cli.answers_settings);
            }
            Control::Launching { session_id, .. } => {
                self.run_begins(control);
                // From here on the session is the worker's own.
                self.follow = None;
                (self.stopped_by, self.hibernated, self.unread_request) = (None, None, None);
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
                out.push(Event::new(text.clone(), Body::notice(code.clone())));
            }
            Control::Started { .. } => self.run_begins(control),
            Control::StopRequested { .. } if self.renew => self.renew = false,
            Control::StopRequested { by, reason } if self.process.pids().is_some() => {
                self.stopped_by = Some(*by);
                self.hibernated = reason.clone().filter(|_| *by == By::Idle);
            }
            Control::MessageQueued { .. }
            | Control::MessageEdited { .. }
            | Control::MessageRemoved { .. }
            | Control::MessageHeld { .. }
            | Control::LimitOver {}
            | Control::MessageReturned { .. }
            | Control::MessageDelivered { .. } => self.message_control(control, record, out),
            Control::PermissionAnswered { request_id, decision, answers, by, .. } => {
                self.answer(request_id, decision, answers.as_ref(), *by, out);
            }
            Control::InterruptRequested { .. } => self.interrupted = self.turn_id.is_some(),
            Control::Stalled { reason } => self.stalled = Some(shortened(reason)),
            Control::SpawnFailed { error, .. } => {
                self.process_ended(cli.acknowledges, out);
                out.push(Event::new(error.clone(), Body::Error { code: "spawn_failed".into() }));
            }
            Control::Exited { exit_code, signal, stderr_tail, ended, .. } => {
                self.process_ended(cli.acknowledges, out);
                let content = self.hibernated.clone().unwrap_or_else(|| exit_text(*exit_code, signal.as_deref()));
                let body = Body::Exit {
                    exit_code: *exit_code,
                    signal: signal.clone().map(Into::into),
                    stderr_tail: stderr_tail.clone().into(),
                    ended: ended.clone(),
                };
                out.push(Event::new(content, body));
            }
            Control::ShimLost { ended } => {
                self.process_ended(cli.acknowledges, out);
                let body = Body::Exit { exit_code: None, signal: None, stderr_tail: "".into(), ended: ended.clone() };
                out.push(Event::new("The worker's process is gone; what it left running has been ended", body));
            }
            _ => {}
        }
        self.process.control(control);
        self.explain_end(control, &cli.cli.install);
    }

    /// The status that follows from everything so far, with its reason.
    pub fn derive_status(&self, activity: Activity) -> (Status, Option<&str>) {
        match &self.process {
            Process::Ended { reason } if self.renew => (Status::Starting, Some(reason)),
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

    /// Returns whether the next message may go to the CLI: it is idle, also when a sub-agent of its own waits for an
    /// answer.
    pub fn takes_messages(&self, activity: Activity) -> bool {
        let only_sub_agents_ask = || self.prompts.iter().all(Prompt::is_of_sub_agent);
        match self.status {
            Status::Idle => true,
            Status::Waiting => activity == Activity::Idle && only_sub_agents_ask(),
            _ => false,
        }
    }

    /// The folder of its project: with a worktree, that of the repository.
    pub(crate) fn project(&self) -> &str {
        self.worktree.as_ref().map_or(&self.project_path, |worktree| &worktree.project)
    }

    /// Returns whether processes of the worker may live: such a worker counts against the worker limit.
    pub fn is_running(&self) -> bool {
        self.status.is_running() && !matches!(self.process, Process::Following | Process::Ended { .. })
    }
}

/// Dollars as a whole number of billionths.
pub(in crate::worker) fn nano_usd(usd: f64) -> u64 {
    // What is negative or no number costs nothing: the conversion saturates.
    (usd * 1e9).round() as u64
}

/// Returns whether a CLI can be given this id on its command line: one that is empty, or looks like an option, would
/// make the worker impossible to start.
fn is_session_id(id: &str) -> bool {
    !id.trim().is_empty() && !id.starts_with('-') && id.len() <= SESSION_ID_BYTES_MAX && !id.contains(char::is_control)
}

fn set(field: &mut Option<String>, value: &Option<crate::event::Text<'_>>) {
    if let Some(value) = value
        && field.as_deref() != Some(value.as_ref())
    {
        *field = Some(value.to_string());
    }
}
