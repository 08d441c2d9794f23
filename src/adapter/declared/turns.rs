//! The part of the fold that both families share: the process, the turns, the session and the options of one worker.
//! Pure.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::file::AdapterFile;
use super::template::Name;
use crate::adapter::Activity;
use crate::adapter::kit::text::cut;
use crate::adapter::kit::{Emitter, session, turn, wanted};
use crate::event::{Body, TurnEnd, Usage};
use crate::journal::{Control, Record, WorkerOptions};

/// Output that is not the agent's work is kept until it is longer than this, in bytes.
const COMPLAINT_MAX: usize = 2_000;
/// Longest output in lines that is taken for a complaint although it may be the agent's.
const COMPLAINT_LINES_MAX: u32 = 3;
/// A process that ends within this time of its start without a message has failed at its start, in microseconds.
const START_TAKES_MAX: u64 = 60 * 1_000_000;
/// Exit codes by which a program says that it failed. Those above are a shell's, for programs that it can't run and for
/// signals.
const OWN_FAILURES: std::ops::RangeInclusive<i32> = 1..=125;

/// The fold that both families share.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Turns {
    /// The CLI's working directory.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) project_path: String,
    /// The options of the next process; kept for one process a message only.
    #[serde(skip_serializing_if = "is_default")]
    pub(super) options: WorkerOptions,
    /// The CLI's session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) session_id: Option<String>,
    /// True if the CLI has that session, so that it can be resumed.
    #[serde(skip_serializing_if = "is_default")]
    pub(super) session_exists: bool,
    /// A process runs.
    #[serde(skip_serializing_if = "is_default")]
    running: bool,
    /// Offset of the record of its start: the process's number.
    process: u64,
    /// The time of that record, in microseconds since the epoch.
    started_micros: u64,
    /// Ready, as it said or need not say.
    #[serde(skip_serializing_if = "is_default")]
    ready: bool,
    /// A message was delivered whose process has not started yet.
    #[serde(skip_serializing_if = "is_default")]
    launching: bool,
    /// The message that the CLI has not shown to have taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<DeliveredMessage>,
    /// The running turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    turn: Option<Turn>,
    /// The agent has said or done something in this process.
    #[serde(skip_serializing_if = "is_default")]
    answered: bool,
    /// The process was started to continue a session.
    #[serde(skip_serializing_if = "is_default")]
    resumes: bool,
    /// Named its session.
    #[serde(skip_serializing_if = "is_default")]
    named: bool,
    /// The beginning of the process's output that is not the agent's work: errors, and lines that no rule knows.
    #[serde(skip_serializing_if = "String::is_empty")]
    complaint: String,
    /// An error was part of it.
    #[serde(skip_serializing_if = "is_default")]
    erred: bool,
    /// Lines of such output that may as well be the agent's.
    #[serde(skip_serializing_if = "is_default")]
    texts: u32,
    /// Somebody asked for the end of the process.
    #[serde(skip_serializing_if = "is_default")]
    stopping: bool,
    /// The previous process failed to continue the session, and printed nothing.
    #[serde(skip_serializing_if = "is_default")]
    failed_before: bool,
    /// The last stdout record was a part of a line that continues.
    #[serde(skip_serializing_if = "is_default")]
    in_line: bool,
}

/// A message that went to the CLI.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct DeliveredMessage {
    /// Our id of it.
    id: String,
    /// The client's.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
}

/// A turn that runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Turn {
    /// Offset of the record that began it.
    seq: u64,
    /// The time of that record, in microseconds since the epoch.
    micros: u64,
    /// Somebody asked for its end.
    #[serde(skip_serializing_if = "is_default")]
    interrupted: bool,
    /// Tokens so far, where they were reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
    /// Cost so far, where it was reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_usd: Option<f64>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The known facts of a turn's end; absent ones come from the turn itself.
#[derive(Clone, Debug, Default)]
pub(super) struct TurnOutcome {
    pub(super) content: Cow<'static, str>,
    pub(super) stop_reason: Option<Cow<'static, str>>,
    pub(super) duration_ms: Option<u64>,
    pub(super) usage: Option<Usage>,
    pub(super) cost_usd: Option<f64>,
    pub(super) is_error: bool,
    pub(super) result: Option<Cow<'static, str>>,
}

impl Turns {
    /// Takes a `ctl` record.
    pub(super) fn control(
        &mut self,
        file: &AdapterFile,
        record: &Record<'_>,
        control: &Control,
        out: &mut Emitter<'_, '_>,
    ) {
        match control {
            Control::Created { project_path, options, .. } => {
                self.project_path.clone_from(project_path);
                if file.per_message {
                    self.options = WorkerOptions { env: Vec::new(), ..(**options).clone() };
                }
            }
            Control::Moved { project_path } => self.project_path.clone_from(project_path),
            Control::Configured { model, permission_mode } if file.per_message => {
                wanted::configure(
                    (&mut self.options.model, &mut self.options.permission_mode),
                    (model, permission_mode),
                );
            }
            Control::Launching { session_id, resume, .. } => {
                self.lose_process(record, out);
                // An id of ours that the CLI never accepted is not a session to resume.
                let taken_up = self.session_exists || self.session_id != *session_id;
                self.session_exists = *resume && session_id.is_some() && taken_up;
                self.session_id.clone_from(session_id);
            }
            Control::Started { .. } => self.started(file, record, out),
            Control::SpawnFailed { .. } | Control::ShimLost { .. } => self.lose_process(record, out),
            Control::Exited { exit_code, signal, shim_stays, stderr_tail, .. } => {
                let has_lost = self.look_for_session(file, record, *exit_code, stderr_tail, out);
                let ok = *exit_code == Some(0) && !has_lost;
                self.exited(file, record, (*exit_code, signal.as_deref(), ok), *shim_stays, out);
            }
            Control::StopRequested { .. } => self.stopping = true,
            Control::InterruptRequested { .. } => {
                if let Some(turn) = &mut self.turn {
                    turn.interrupted = true;
                }
            }
            Control::MessageDelivered { message_id, client_message_id, .. } => {
                self.message = Some(DeliveredMessage { id: message_id.clone(), client_id: client_message_id.clone() });
                self.delivered(file, record, out);
            }
            _ => {}
        }
    }

    fn delivered(&mut self, file: &AdapterFile, record: &Record<'_>, out: &mut Emitter<'_, '_>) {
        if file.per_message {
            self.launching = !self.running;
        } else if file.reports_turns() {
            self.begin_turn(record, out);
        }
    }

    fn started(&mut self, file: &AdapterFile, record: &Record<'_>, out: &mut Emitter<'_, '_>) {
        self.running = true;
        self.answered = false;
        self.stopping = false;
        self.complaint.clear();
        self.texts = 0;
        self.erred = false;
        (self.resumes, self.named) = (self.session_exists, false);
        (self.process, self.started_micros) = (record.seq, record.time.0);
        self.launching = false;
        self.in_line = false;
        self.ready = file.ready.is_none();
        if file.per_message {
            self.begin_turn(record, out);
            self.consumed(out);
        } else if file.command.uses(Name::SessionId) && !self.session_exists {
            self.session_is_there(out);
        }
    }

    fn exited(
        &mut self,
        file: &AdapterFile,
        record: &Record<'_>,
        (code, signal, ok): (Option<i32>, Option<&str>, bool),
        shim_stays: bool,
        out: &mut Emitter<'_, '_>,
    ) {
        if file.per_message && shim_stays {
            // A session that was named on the command line exists once a process has ended well with it.
            if ok && file.command.uses(Name::SessionId) && !self.session_exists {
                self.session_is_there(out);
            }
            if self.turn.as_ref().is_some_and(|turn| !turn.interrupted) && !ok {
                let content = match (code, signal) {
                    (Some(code), _) => format!("the process ended with exit code {code}"),
                    (None, signal) => format!("the process was ended by {}", signal.unwrap_or("a signal")),
                };
                self.end_turn(
                    record,
                    TurnOutcome { content: content.into(), is_error: true, ..TurnOutcome::default() },
                    out,
                );
            }
            self.end_turn(record, TurnOutcome::default(), out);
        }
        self.lose_process(record, out);
    }

    /// Looks for a session that is missing or damaged as the reason why a process failed to continue it. Then the next
    /// process begins a new session, and this returns true.
    fn look_for_session(
        &mut self,
        file: &AdapterFile,
        record: &Record<'_>,
        code: Option<i32>,
        stderr_tail: &str,
        out: &mut Emitter<'_, '_>,
    ) -> bool {
        let failed_before = std::mem::take(&mut self.failed_before);
        let Some(session) = self.session_id.clone().filter(|_| self.resumes && !self.answered) else {
            return false;
        };
        // A program that ends well may have warned of something else, unless it counts that as an error.
        if code == Some(0) && !(file.per_message && self.erred) {
            return false;
        }
        let stderr = stderr_tail.lines().filter(|_| code != Some(0));
        let lines = || self.complaint.lines().chain(stderr.clone()).filter(|line| !line.trim().is_empty());
        let why = match lines().find(|line| session::says_session_is_gone(line)) {
            Some(line) => line.to_owned(),
            None if self.texts > 0 || !self.failed_to_resume(file, record, code) || lines().any(session::may_pass) => {
                return false;
            }
            None => match (lines().next_back(), failed_before) {
                (Some(line), _) => line.to_owned(),
                (None, true) => format!("the process ended with exit code {} twice", code.unwrap_or_default()),
                // It may have been an accident.
                (None, false) => {
                    self.failed_before = true;
                    return false;
                }
            },
        };
        out.error("session_not_found", session::session_gone(&file.cli.name, &session, &why));
        self.session_exists = false;
        self.session_id = Some(session::next_session_id(&session, record.seq));
        true
    }

    /// Returns true if the process ended with a failure of its own before the agent could do anything.
    fn failed_to_resume(&self, file: &AdapterFile, record: &Record<'_>, code: Option<i32>) -> bool {
        let is_own_failure = code.is_some_and(|code| OWN_FAILURES.contains(&code));
        let is_interrupted = self.turn.as_ref().is_some_and(|turn| turn.interrupted);
        let is_new = record.time.0.saturating_sub(self.started_micros) <= START_TAKES_MAX;
        let was_at_it = file.per_message || !self.ready || self.turn.is_some() || is_new;
        // One that names its session has it, and failed at something else.
        is_own_failure && !self.named && !self.stopping && !is_interrupted && was_at_it
    }

    /// Notes a line of a program whose errors look like what its agent says: only its exit code distinguishes them.
    pub(super) fn said_text(&mut self, line: &str) {
        self.complain(line);
        self.texts = self.texts.saturating_add(1);
        if self.texts > COMPLAINT_LINES_MAX {
            self.answered = true;
        }
    }

    /// Notes an error.
    pub(super) fn err(&mut self, text: &str) {
        self.erred = true;
        self.complain(text);
    }

    /// Notes output that is not the agent's work.
    pub(super) fn complain(&mut self, text: &str) {
        if self.complaint.len() < COMPLAINT_MAX {
            self.complaint.push_str(&cut(text.to_owned(), COMPLAINT_MAX));
            self.complaint.push('\n');
        }
    }

    /// The agent has said or done something in this process.
    pub(super) fn set_answered(&mut self) {
        self.answered = true;
    }

    /// No process runs any more, whatever it was doing.
    fn lose_process(&mut self, record: &Record<'_>, out: &mut Emitter<'_, '_>) {
        let end = TurnOutcome { stop_reason: Some("process_ended".into()), is_error: true, ..TurnOutcome::default() };
        self.end_turn(record, end, out);
        self.running = false;
        self.ready = false;
        self.launching = false;
        self.in_line = false;
        self.message = None;
    }

    /// The session that the CLI was given exists from now on.
    fn session_is_there(&mut self, out: &mut Emitter<'_, '_>) {
        let Some(id) = &self.session_id else { return };
        self.session_exists = true;
        out.emit("", Body::session(id.clone()));
    }

    /// The CLI has named its session. Says whether that is news.
    pub(super) fn session_named(&mut self, id: &str) -> bool {
        self.named = true;
        if !session::is_session_argument(id) || self.session_exists && self.session_id.as_deref() == Some(id) {
            return false;
        }
        self.session_id = Some(id.to_owned());
        self.session_exists = true;
        true
    }

    /// Begins a turn, unless one runs.
    pub(super) fn begin_turn(&mut self, record: &Record<'_>, out: &mut Emitter<'_, '_>) {
        if self.turn.is_some() {
            return;
        }
        self.turn = Some(Turn { seq: record.seq, micros: record.time.0, ..Turn::default() });
        out.emit("", Body::TurnStarted { turn_id: turn::id(record.seq).into() });
    }

    /// The CLI has shown that it took the message.
    pub(super) fn consumed(&mut self, out: &mut Emitter<'_, '_>) {
        if let Some(DeliveredMessage { id, client_id }) = self.message.take() {
            let state = "consumed";
            let client_message_id = client_id.map(Cow::Owned);
            let body =
                Body::MessageState { message_id: id.into(), client_message_id, state, text: None, attachments: None };
            out.emit(state, body);
        }
    }

    /// Ends the turn, when one runs.
    pub(super) fn end_turn(&mut self, record: &Record<'_>, end: TurnOutcome, out: &mut Emitter<'_, '_>) {
        let Some(turn) = self.turn.take() else { return };
        let otherwise = match (turn.interrupted, end.is_error) {
            (true, _) => "interrupted",
            (false, true) => "error",
            (false, false) => "end_turn",
        };
        let since = record.time.0.saturating_sub(turn.micros) / 1_000;
        let body = TurnEnd {
            turn_id: turn::id(turn.seq).into(),
            message_ids: None,
            stop_reason: end.stop_reason.unwrap_or(Cow::Borrowed(otherwise)),
            duration_ms: Some(end.duration_ms.unwrap_or(since)),
            usage: end.usage.or(turn.usage),
            cost_usd: end.cost_usd.or(turn.cost_usd),
            is_error: end.is_error,
            result: end.result,
        };
        out.emit(end.content, Body::TurnCompleted(body));
    }

    /// Adds tokens and cost to the turn.
    pub(super) fn spend(&mut self, usage: &Usage, cost_usd: Option<f64>) {
        if let Some(turn) = &mut self.turn {
            turn.usage.get_or_insert_default().add(usage);
            if let Some(cost) = cost_usd {
                *turn.cost_usd.get_or_insert(0.0) += cost;
            }
        }
    }

    /// Returns true if the record is, or ends, a piece of a line that earlier records began; `goes_on` is true if the
    /// next one continues it.
    pub(super) fn continues(&mut self, goes_on: bool) -> bool {
        std::mem::replace(&mut self.in_line, goes_on)
    }

    /// The number of the process that runs, or ran last: no other of the worker has it.
    pub(super) fn process(&self) -> u64 {
        self.process
    }

    /// Returns true while the CLI's line that means ready is awaited.
    pub(super) fn awaits_ready(&self) -> bool {
        self.running && !self.ready
    }

    /// The CLI is ready.
    pub(super) fn set_ready(&mut self) {
        self.ready = true;
    }

    /// See [`crate::adapter::Session::activity`].
    pub(super) fn activity(&self, file: &AdapterFile) -> Activity {
        let in_turn = self.turn.is_some();
        match (file.per_message, self.running) {
            (true, running) if running || self.launching || in_turn => Activity::Busy,
            (true, _) => Activity::Idle,
            (false, true) if self.ready && in_turn => Activity::Busy,
            (false, true) if self.ready => Activity::Idle,
            (false, _) => Activity::Starting,
        }
    }
}
