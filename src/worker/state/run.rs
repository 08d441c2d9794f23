//! One run of the CLI: what explains its end, and what becomes of its messages and of its session.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::messages::{LOST, message_state};
use super::{Sent, Settled, State, push_bounded, shortened};
use crate::adapter::Activity;
use crate::event::{Body, Event, TurnEnd};
use crate::journal::{By, Control};
use crate::worker::state::failure::{RunEnd, useful_line};
use crate::worker::state::status::Process;

/// Earlier sessions that are remembered; the oldest is forgotten beyond that.
const EARLIER_MAX: usize = 16;
/// Messages of a run without any answer that are remembered.
const SENT_MAX: usize = 16;
/// The code of the error that says that the CLI does not have the session that it was to go on with.
const SESSION_GONE: &str = "session_not_found";
/// Errors that say nothing about why a run ended.
const HARMLESS: [&str; 4] = ["request_refused", "api_retry", "message_refused", SESSION_GONE];

/// A session that the worker had before its present one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlierSession {
    /// The CLI's own id of it.
    pub session_id: String,
    /// The reason that it was left, unless somebody wished it.
    pub reason: Option<String>,
}

/// One run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Run {
    /// True if it continues a session, or branches one off.
    resumes: bool,
    /// True if the CLI has become ready for a message.
    ready: bool,
    /// True if the CLI has said that it does not have the session.
    session_gone: bool,
    /// The last error that may explain the end.
    error: Option<String>,
    /// The first useful line of stdout that is not of the protocol.
    said: Option<String>,
    /// The answer that the CLI owes while it starts, and the time since when.
    awaited: Option<(String, u64)>,
    /// Messages that went since the CLI answered anything before.
    sent: Vec<Sent>,
    /// True if the CLI has answered since.
    answered: bool,
}

impl Run {
    /// Returns whether the CLI has said that it does not have the session.
    pub(super) fn lost_session(&self) -> bool {
        self.session_gone
    }
}

impl State {
    /// Remembers what an event says of the run.
    pub(super) fn note_run(&mut self, event: &Event<'_>) {
        match &event.body {
            Body::Error { code } if *code == SESSION_GONE => self.lose_session(&event.content),
            Body::Error { code } if !HARMLESS.contains(&code.as_ref()) => {
                self.run.error = Some(shortened(&event.content));
            }
            Body::Unknown { raw } if !self.run.ready && self.run.said.is_none() => {
                self.run.said = raw.as_str().and_then(useful_line);
            }
            Body::Assistant { .. } | Body::ToolCall { .. } | Body::TurnCompleted(TurnEnd { is_error: false, .. }) => {
                self.run.answered = true;
            }
            _ => {}
        }
    }

    /// Remembers where the CLI stands after a record: one that is ready has left the errors of its start behind.
    pub fn note_activity(&mut self, activity: Activity) {
        if activity == Activity::Idle && matches!(self.process, Process::Running { .. }) {
            self.run.ready = true;
            self.run.error = None;
        }
    }

    /// Remembers what the CLI has not answered yet while it starts. Once that changes, it is not stalled any more.
    pub fn note_awaited(&mut self, awaited: Option<String>, time: u64) {
        if self.run.awaited.as_ref().map(|(what, _)| what) == awaited.as_ref() {
            return;
        }
        self.run.awaited = awaited.map(|what| (what, time));
        self.revision += 1;
        self.stalled = None;
    }

    /// Returns the request that the CLI has not answered yet, and since when, in microseconds since the Unix epoch.
    pub fn awaited(&self) -> Option<(&str, u64)> {
        self.run.awaited.as_ref().map(|(what, since)| (what.as_str(), *since))
    }

    /// A message went to the CLI.
    pub(super) fn note_sent(&mut self, sent: Sent) {
        if std::mem::take(&mut self.run.answered) {
            self.run.sent.clear();
        }
        if self.run.sent.len() < SENT_MAX {
            self.run.sent.push(sent);
        }
    }

    /// The CLI's session has another id now: the one before stays listed, if it was one that the CLI had.
    pub(super) fn leave_session(&mut self, reason: Option<&str>) {
        if let Some(session_id) = self.session_id.clone().filter(|_| self.session_used) {
            self.earlier_sessions.retain(|earlier| earlier.session_id != session_id);
            let earlier = EarlierSession { session_id, reason: reason.map(shortened) };
            push_bounded(&mut self.earlier_sessions, earlier, EARLIER_MAX);
        }
    }

    /// The CLI has named a new session.
    pub(super) fn session_is_there(&mut self) {
        self.run.session_gone = false;
    }

    /// The CLI does not have the session that it was to go on with: the next start begins a new one.
    fn lose_session(&mut self, reason: &str) {
        if self.session_id.is_none() || !self.session_used {
            self.session_id = self.options.resume_session.clone().or(self.session_id.take());
            self.session_used = self.session_id.is_some();
        }
        self.leave_session(Some(reason));
        self.session_used = false;
        (self.options.resume_session, self.options.fork) = (None, false);
        // What looked like an answer of a plain program was its complaint.
        (self.run.session_gone, self.run.answered) = (true, false);
    }

    /// A process of the CLI is about to start, or has started.
    pub(super) fn run_begins(&mut self, control: &Control) {
        let sent = match control {
            Control::Launching { .. } => {
                self.renew = false;
                Vec::new()
            }
            // A process for each message starts after its message went.
            _ => std::mem::take(&mut self.run.sent),
        };
        let resumes = self.session_used || self.options.resume_session.is_some();
        self.run = Run { resumes, sent, ..Run::default() };
    }

    /// The process is gone: its prompts cannot be answered any more, and what was written to it and not taken is lost.
    /// It is not given to the next process automatically, because this one may have begun to act on it; unless it had
    /// no session to act in.
    pub(super) fn process_ended(&mut self, acknowledges: bool, out: &mut Vec<Event<'_>>) {
        self.in_turn.clear();
        if self.run.session_gone && self.run.resumes {
            self.returned = std::mem::take(&mut self.run.sent);
            if self.run.answered {
                self.returned.clear();
            }
        }
        let returned = &self.returned;
        let comes_back = |message: &Settled| returned.iter().any(|sent| sent.message_id == message.message_id);
        let unsure = |message: &&mut Settled| acknowledges && message.state == "delivered" && !comes_back(message);
        for message in self.settled.iter_mut().filter(unsure) {
            LOST.clone_into(&mut message.state);
            let text = "The CLI ended before it said that it took a message; send it again if it is still wanted";
            out.push(Event::new(text, Body::Error { code: "message_lost".into() }));
            out.push(message_state(&message.message_id, message.client_message_id.as_deref(), LOST, None));
        }
        while let Some(prompt) = self.prompts.first() {
            let request_id = prompt.request_id.clone();
            self.answer(&request_id, "cancelled", None, By::Cli, out);
        }
    }

    /// Says why the run ended, after its last record: a CLI that ended before it was ready has failed, whatever its
    /// exit code; one that only lacks the session is started again with a new one.
    pub(super) fn explain_end(&mut self, control: &Control, install: &str) {
        match control {
            Control::SpawnFailed { error, missing } => {
                self.renew = false;
                if *missing && !install.is_empty() {
                    self.process = Process::Failed { reason: shortened(&format!("{error}; to install it: {install}")) };
                }
            }
            Control::Exited { exit_code, signal, stderr_tail, .. } => {
                let failed = match &self.process {
                    Process::Failed { .. } => true,
                    Process::Ended { .. } => !self.run.ready && *exit_code == Some(0),
                    _ => false,
                };
                if !failed {
                    return;
                }
                if self.run.session_gone && self.run.resumes {
                    let reason = "The session can't be resumed: a new one is started".to_owned();
                    self.process = Process::Ended { reason };
                    self.renew = true;
                    return;
                }
                let end = RunEnd {
                    exit_code: *exit_code,
                    signal: signal.as_deref(),
                    stderr_tail,
                    error: self.run.error.as_deref(),
                    said: self.run.said.as_deref(),
                };
                self.process = Process::Failed { reason: shortened(&end.sentence()) };
            }
            _ => {}
        }
    }
}

/// The earlier sessions of a worker, latest last.
pub(crate) type EarlierSessions = VecDeque<EarlierSession>;
