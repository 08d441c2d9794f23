//! The state of a worker: a fold over its control records and its adapter's events.
//!
//! It has no I/O and no clock, and it can be saved and restored at any record boundary. The adapter's session is folded
//! beside it ([`Fold`](crate::worker::state::fold::Fold)).

mod bounded;
pub(crate) mod budget;
mod derived;
pub(in crate::worker) mod failure;
pub(crate) mod fold;
pub(crate) mod status;
#[cfg(test)]
mod tests;

mod follow;
pub(in crate::worker) mod grouped;
mod limit;
pub(in crate::worker) mod listing;
mod messages;
pub(in crate::worker) mod preparing;
mod prompts;
mod remote;
mod review;
mod run;
mod settings;
mod spending;
pub(in crate::worker) mod trees;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use bounded::{push_bounded, shortened};
use budget::BudgetState;
pub(crate) use follow::{FILES_MAX, Follow};
use grouped::GroupState;
pub(crate) use limit::{LimitWait, LimitedMessages, SteeredMessage, UsageLimit};
use listing::Listing;
pub(crate) use messages::{QueuedMessage, SettledMessage, content_hash};
pub(crate) use preparing::SetupProgress;
pub(in crate::worker) use prompts::PROMPTS_MAX;
pub(crate) use prompts::{OpenPrompt, PromptSubject, Resolution};
pub(crate) use review::{COMMENTS_BYTES_MAX, COMMENTS_MAX, CommentStage, Review, ReviewEntry, ViewedFile};
pub(crate) use run::{EarlierSessions, Run};
pub(crate) use settings::UnconfirmedSettings;
pub(crate) use spending::{DaySpent, Spending, Spent};
pub(crate) use trees::{RestoredFiles, Trees};

use crate::adapter::Cli;
use crate::adapter::REQUEST_NOT_UNDERSTOOD;
use crate::clock::Micros;
use crate::event::{Body, CliSetting, Event, SessionFacts, TurnEnd, Usage};
use crate::journal::{BranchMove, By, Control, MoveEnd, Record, RemoteStep, RunLimits, WorkerOptions, Worktree};
use crate::worker::state::status::{ProcessState, Status, exit_text};

/// Longest reason for people, in bytes.
const REASON_BYTES_MAX: usize = 2_000;

/// Longest session id that is accepted from a CLI.
const SESSION_ID_BYTES_MAX: usize = 1_024;

/// The state of a worker.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct State {
    /// Grows with every change except those of `last_activity`. It is not saved: it only shows readers of one process
    /// that something has changed.
    #[serde(skip)]
    pub revision: u64,
    /// Its name.
    pub name: String,
    /// Its CLI's working directory.
    pub project_path: String,
    /// Its adapter.
    pub ai_cli_type: String,
    /// The options of its creation, with later changes of model and mode.
    pub options: WorkerOptions,
    /// The options before changes that the CLI may still refuse.
    #[serde(default)]
    unconfirmed: UnconfirmedSettings,
    /// The worker that it was forked from.
    pub forked_from: Option<String>,
    /// The hash of the token that the agent of its present run has, or of the last one, in hex.
    #[serde(default)]
    pub agent_token: Option<String>,
    /// Its git worktree.
    #[serde(default)]
    pub worktree: Option<Box<Worktree>>,
    /// True if something of that worktree may exist.
    #[serde(default)]
    pub worktree_begun: bool,
    /// True if it is complete.
    #[serde(default)]
    pub worktree_made: bool,
    /// True if it has received its first message, such as a conversation that it continues.
    #[serde(default)]
    pub opened: bool,
    /// The move of a branch that has begun and not ended.
    #[serde(default)]
    pub(crate) moving: Option<Box<BranchMove>>,
    /// The push or pull request that has begun and not ended.
    #[serde(default)]
    pub(crate) sending: Option<Box<RemoteStep>>,
    /// The facts by which it is compared with the others of its group.
    #[serde(default)]
    pub(crate) grouped: GroupState,
    /// The time of its creation.
    pub created_at: u64,
    /// The time of its last record.
    pub last_activity: u64,
    /// The state of its process.
    pub process: ProcessState,
    /// Its status, as of its last `status` event.
    pub status: Status,
    /// The reason of the status, if there is more to say.
    pub reason: Option<String>,
    /// The reason for which its turn is considered stalled.
    pub stalled: Option<String>,
    /// The followed session that runs elsewhere, as long as the worker has not taken it over.
    #[serde(default)]
    pub follow: Option<Follow>,
    /// The CLI's session.
    pub session_id: Option<String>,
    /// The sessions before that.
    #[serde(default)]
    pub earlier_sessions: EarlierSessions,
    /// The present run of the CLI, or the last one.
    #[serde(default)]
    run: Run,
    /// True if it must be started again, with a new session.
    #[serde(default)]
    pub renew: bool,
    /// Messages that go back to the queue, because no CLI could act on them.
    #[serde(default)]
    pub returned: Vec<SteeredMessage>,
    /// True if the session has had a turn, so that the CLI can resume it.
    pub session_used: bool,
    /// The model that the CLI reports.
    pub model: Option<String>,
    /// The permission mode that the CLI reports.
    pub permission_mode: Option<String>,
    /// The time at which the CLI last listed its options.
    #[serde(default)]
    pub options_listed_at: Option<u64>,
    /// The setup of its worktree, once it has begun.
    #[serde(default)]
    pub preparing: Option<SetupProgress>,
    /// Queued messages, first one first.
    pub queue: VecDeque<QueuedMessage>,
    /// Sent messages, latest last.
    pub settled: VecDeque<SettledMessage>,
    /// Open prompts, oldest first.
    pub prompts: Vec<OpenPrompt>,
    /// Resolved prompts, latest last.
    #[serde(rename = "answered")]
    pub resolved: VecDeque<Resolution>,
    /// The author of its last stop, while it is stopped.
    pub stopped_by: Option<By>,
    /// The reason of its hibernation, while it is hibernated.
    pub hibernated: Option<String>,
    /// The reason that a message does not wake it yet.
    #[serde(default)]
    pub wake_held: Option<String>,
    /// The limits of the present run, or of the last one.
    #[serde(default)]
    pub run_limits: Option<Box<RunLimits>>,
    /// The provider's usage limit, while it matters.
    pub limit: Option<UsageLimit>,
    /// Messages that were sent to the CLI and that no ended turn has answered.
    pub in_turn: Vec<SteeredMessage>,
    /// Messages whose turn has just failed at the usage limit.
    pub limited: Option<LimitedMessages>,
    /// A request of the CLI that was not understood, until its next turn begins.
    #[serde(default)]
    pub unread_request: Option<String>,
    /// The event that the queue waits for.
    pub held: Option<LimitWait>,
    /// The running turn.
    pub turn_id: Option<String>,
    /// The beginning of the running turn, or of the last one.
    #[serde(default)]
    turn_seq: u64,
    /// True if the interruption of the running turn was requested.
    #[serde(default)]
    interrupted: bool,
    /// Turns so far.
    pub turns: u64,
    /// Tokens so far.
    pub usage: Usage,
    /// Cost so far in billionths of a US dollar: a whole number is the same after it was saved and restored.
    pub cost_nano_usd: u64,
    /// Turns, tokens and cost by day and model.
    #[serde(default)]
    pub(crate) spending: Spending,
    /// The parts that lists show.
    #[serde(default)]
    pub(crate) listing: Listing,
    /// Recent turns with the trees of the project's files, and restores.
    #[serde(default)]
    pub(crate) trees: Trees,
    /// The comments on its changes.
    #[serde(default)]
    pub(crate) review: Review,
    /// The budgets that hold it.
    #[serde(default)]
    pub(crate) budget: BudgetState,
}

/// The properties of a CLI that the worker's fold uses.
#[derive(Clone, Copy, Debug)]
pub struct Traits<'a> {
    /// Its names, and how to install it.
    pub cli: &'a Cli,
    /// True if it acknowledges every message.
    pub acknowledges: bool,
    /// True if it answers requests for another model or mode.
    pub answers_settings: bool,
}

impl State {
    /// Applies an event of the adapter, before it is passed on.
    pub fn note(&mut self, event: &Event<'_>, seq: u64, time: Micros) {
        self.revision += 1;
        self.note_run(event);
        self.listing.note(event);
        self.trees.note(event, time);
        self.note_for_budgets(event, time);
        match &event.body {
            Body::Session(SessionFacts { session_id, model, permission_mode, .. }) => {
                let session_id = &session_id.clone().filter(|id| is_session_id(id));
                // A session id that the CLI has chosen itself is one that the CLI knows.
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
                self.grouped.turn_begins(time);
            }
            Body::RateLimit { status, resets_at, .. } => self.limit_reported(status, *resets_at, time),
            Body::TurnCompleted(end) => {
                let TurnEnd { message_ids, usage, cost_usd, is_error, .. } = end;
                self.grouped.turn_ends(time);
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
            Body::PermissionRequest { .. } | Body::Question { .. } => self.ask_for_cli(event, seq, time),
            Body::PermissionResolved { request_id, decision, by, rule, .. } => {
                self.close_by_cli(request_id, decision, (*by, rule.as_deref()));
            }
            Body::QuestionResolved { request_id, answers, by } => {
                let decision = if answers.is_some() { "answered" } else { "cancelled" };
                self.close_by_cli(request_id, decision, (*by, None));
            }
            Body::Error { code } if code == REQUEST_NOT_UNDERSTOOD => {
                self.unread_request = Some(shortened(&event.content));
            }
            _ => self.revision -= 1,
        }
    }

    /// Returns the messages that were sent since the last turn: those that a turn answered, if a CLI does not
    /// acknowledge messages.
    pub(in crate::worker) fn sent_since_last_turn(&self) -> Vec<String> {
        self.in_turn.iter().map(|sent| sent.message_id.clone()).collect()
    }

    /// Applies a control record and adds the events of the worker itself.
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
            Control::GroupMade {} => self.grouped.is_made = true,
            Control::GroupKept {} => self.grouped.is_kept = true,
            Control::WorktreeBegun {} => self.worktree_begun = true,
            Control::WorktreeMade {} => self.worktree_made = true,
            Control::BranchMoving(begun) => self.moving = begun.is_valid().then(|| begun.clone()),
            Control::BranchMoved { id, end, text } => {
                let begun = self.moving.take_if(|begun| begun.id == *id);
                out.extend(begun.and_then(|begun| moved_notice(&begun, *end, text)));
            }
            Control::RemoteBegun(begun) => self.sending = begun.is_valid().then(|| begun.clone()),
            Control::RemoteEnded { id, end, text } => {
                let begun = self.sending.take_if(|begun| begun.id == *id);
                out.extend(begun.and_then(|begun| remote::notice(&begun, *end, text)));
            }
            Control::Budget(step) => self.budget_control(step, record, out),
            Control::Preparing(step) => self.setup_control(step, out),
            Control::Check(step) => self.grouped.check_control(step, record.time, out),
            Control::Moved { project_path } => self.project_path.clone_from(project_path),
            Control::Renamed { name } => self.name.clone_from(name),
            Control::TreeRecorded(_) | Control::RestoreBegun(_) | Control::RestoreDone(_) | Control::Carried(_) => {
                self.trees.control(control, record.time);
            }
            Control::Listed(change) => self.listing.change(change),
            Control::Review(change) => self.review.change(change, record.time),
            Control::Configured { model, permission_mode } => {
                self.wish(CliSetting::Model, model.as_ref(), cli.answers_settings);
                self.wish(CliSetting::PermissionMode, permission_mode.as_ref(), cli.answers_settings);
            }
            Control::Limited { limits } => self.options.limits = *limits,
            Control::WakeHeld { reason } if self.hibernated.is_some() => self.wake_held = Some(shortened(reason)),
            Control::Launching { session_id, limits, .. } => {
                self.run_begins(control);
                self.wake_held = None;
                self.run_limits.clone_from(limits);
                self.agent_token = None;
                // The session belongs to the worker from here on.
                self.follow = None;
                (self.stopped_by, self.hibernated, self.unread_request) = (None, None, None);
                if session_id.is_some() {
                    self.session_id.clone_from(session_id);
                }
            }
            Control::AgentTokenMade { sha256, .. } => self.agent_token = Some(sha256.clone()),
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
            Control::PermissionAnswered { request_id, decision, answers, updated_input, by, rule, .. } => {
                let given = answers.as_ref().or(updated_input.as_ref());
                self.answer(request_id, decision, given, (*by, rule.as_deref()), out);
            }
            Control::InterruptRequested { by } => self.interrupt_requested(*by, out),
            Control::Stalled { reason } => self.stalled = Some(shortened(reason)),
            Control::SpawnFailed { error, .. } => {
                self.process_ended(cli.acknowledges, out);
                out.push(Event::new(error.clone(), Body::Error { code: "spawn_failed".into() }));
            }
            Control::Exited { exit_code, signal, stderr_tail, ended, .. } => {
                self.process_ended(cli.acknowledges, out);
                let how = self.hibernated.clone().unwrap_or_else(|| exit_text(*exit_code, signal.as_deref()));
                let content = match self.exhausted(control) {
                    Some(text) => format!("{how}: {text}"),
                    None => how,
                };
                let body = Body::Exit {
                    exit_code: *exit_code,
                    signal: signal.clone().map(Into::into),
                    stderr_tail: stderr_tail.clone().into(),
                    ended: ended.clone(),
                };
                out.push(Event::new(content, body));
            }
            Control::ShimLost { ended, imported } => {
                self.setup_lost();
                self.process_ended(cli.acknowledges, out);
                let body = Body::Exit { exit_code: None, signal: None, stderr_tail: "".into(), ended: ended.clone() };
                let content = match imported {
                    true => "The worker was imported, without its process",
                    false => "The worker's process is gone; what it left running has been ended",
                };
                out.push(Event::new(content, body));
            }
            _ => {}
        }
        self.process.control(control);
        self.explain_end(control, &cli.cli.install);
    }
}

/// The notice of a branch that was moved, or left by a crash.
fn moved_notice<'e>(begun: &BranchMove, end: MoveEnd, text: &str) -> Option<Event<'e>> {
    let more = if text.is_empty() { String::new() } else { format!(": {text}") };
    let (words, code) = match end {
        MoveEnd::Done => (begun.about.clone(), "branch_moved"),
        MoveEnd::Left => (format!("Not done: {}{more}", begun.about), "branch_left"),
        MoveEnd::Undone | MoveEnd::Unknown => return None,
    };
    Some(Event::new(words, Body::notice(code)))
}

/// Converts dollars to a whole number of billionths.
pub(in crate::worker) fn nano_usd(usd: f64) -> u64 {
    // Negative values and NaN cost nothing: the conversion saturates.
    (usd * 1e9).round() as u64
}

/// Returns whether this id can be put on a CLI's command line: an id that is empty, or looks like an option, would make
/// the worker impossible to start.
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
