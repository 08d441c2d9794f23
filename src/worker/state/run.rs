//! One run of the CLI: the explanation of its end, and the consequences for its messages and its session.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::messages::{LOST, message_state};
use super::{SettledMessage, State, SteeredMessage, push_bounded, shortened};
use crate::adapter::Activity;
use crate::event::{Body, Event, TurnEnd};
use crate::journal::{By, Control, MemoryExhaustion};
use crate::worker::state::failure::{RunEnd, useful_line};
use crate::worker::state::status::ProcessState;

/// Earlier sessions that are stored; beyond that, the oldest is dropped.
const EARLIER_MAX: usize = 16;
/// Messages of a run without any answer that are stored.
const SENT_MAX: usize = 16;
/// The code of the error with which the CLI reports that it does not have the session to resume.
const SESSION_GONE: &str = "session_not_found";
/// Errors that do not explain the end of a run.
const HARMLESS: [&str; 4] = ["request_refused", "api_retry", "message_refused", SESSION_GONE];

/// A session that the worker had before its present one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlierSession {
    /// The CLI's own id of it.
    pub session_id: String,
    /// The reason for leaving it, unless that was requested.
    pub reason: Option<String>,
}

/// One run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Run {
    /// True if it continues or forks a session.
    resumes: bool,
    /// True if the CLI has become ready for a message.
    ready: bool,
    /// True if the CLI has reported that it does not have the session.
    session_gone: bool,
    /// The last error that may explain the end.
    error: Option<String>,
    /// The first useful line of stdout that is not part of the protocol.
    said: Option<String>,
    /// The request that the CLI has not answered yet while it starts, and the time of the request.
    awaited: Option<(String, u64)>,
    /// Messages that were sent before the CLI's first answer.
    sent: Vec<SteeredMessage>,
    /// True if the CLI has answered since.
    answered: bool,
}

impl Run {
    /// Returns whether the CLI has reported that it does not have the session.
    pub(super) fn lost_session(&self) -> bool {
        self.session_gone
    }
}

impl State {
    /// Stores what an event says about the run.
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

    /// Stores the CLI's readiness after a record: a ready CLI has left the errors of its start behind.
    pub fn note_activity(&mut self, activity: Activity) {
        if activity == Activity::Idle && matches!(self.process, ProcessState::Running { .. }) {
            self.run.ready = true;
            self.run.error = None;
        }
    }

    /// Stores the request that the CLI has not answered yet while it starts. Once that changes, it is not stalled any
    /// more.
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

    /// Stores that a message was sent to the CLI.
    pub(super) fn note_sent(&mut self, sent: SteeredMessage) {
        if std::mem::take(&mut self.run.answered) {
            self.run.sent.clear();
        }
        if self.run.sent.len() < SENT_MAX {
            self.run.sent.push(sent);
        }
    }

    /// Changes the CLI's session id: the one before stays listed, if the CLI had that session.
    pub(super) fn leave_session(&mut self, reason: Option<&str>) {
        if let Some(session_id) = self.session_id.clone().filter(|_| self.session_used) {
            self.earlier_sessions.retain(|earlier| earlier.session_id != session_id);
            let earlier = EarlierSession { session_id, reason: reason.map(shortened) };
            push_bounded(&mut self.earlier_sessions, earlier, EARLIER_MAX);
        }
    }

    /// Accepts a new session that the CLI has named.
    pub(super) fn session_is_there(&mut self) {
        self.run.session_gone = false;
    }

    /// Handles a CLI that does not have the session to resume: the next start begins a new one.
    fn lose_session(&mut self, reason: &str) {
        if self.session_id.is_none() || !self.session_used {
            self.session_id = self.options.resume_session.clone().or(self.session_id.take());
            self.session_used = self.session_id.is_some();
        }
        self.leave_session(Some(reason));
        self.session_used = false;
        (self.options.resume_session, self.options.fork) = (None, false);
        // The apparent answer of a plain program was its error message.
        (self.run.session_gone, self.run.answered) = (true, false);
    }

    /// Handles the start of a process of the CLI.
    pub(super) fn run_begins(&mut self, control: &Control) {
        let sent = match control {
            Control::Launching { .. } => {
                self.renew = false;
                Vec::new()
            }
            // With one process per message, the process starts after its message was sent.
            _ => std::mem::take(&mut self.run.sent),
        };
        let resumes = self.session_used || self.options.resume_session.is_some();
        self.run = Run { resumes, sent, ..Run::default() };
    }

    /// Handles the end of the process: its prompts cannot be answered any more, and messages that were written to it
    /// but not read are lost. They are not given to the next process automatically, because this one may have begun to
    /// act on them; unless it had no session to act in.
    pub(super) fn process_ended(&mut self, acknowledges: bool, out: &mut Vec<Event<'_>>) {
        self.in_turn.clear();
        if self.run.session_gone && self.run.resumes {
            self.returned = std::mem::take(&mut self.run.sent);
            if self.run.answered {
                self.returned.clear();
            }
        }
        let returned = &self.returned;
        let comes_back = |message: &SettledMessage| returned.iter().any(|sent| sent.message_id == message.message_id);
        let unsure =
            |message: &&mut SettledMessage| acknowledges && message.state == "delivered" && !comes_back(message);
        for message in self.settled.iter_mut().filter(unsure) {
            LOST.clone_into(&mut message.state);
            self.review.returned(&message.message_id);
            let text = "The CLI ended before it said that it took a message; send it again if it is still wanted";
            out.push(Event::new(text, Body::Error { code: "message_lost".into() }));
            out.push(message_state(&message.message_id, message.client_message_id.as_deref(), LOST, None));
        }
        // Those about budgets wait for a person, whether a CLI runs or not.
        while let Some(prompt) = self.prompts.iter().find(|prompt| prompt.budget().is_none()) {
            let request_id = prompt.request_id.clone();
            self.answer(&request_id, "cancelled", None, (By::Cli, None), out);
        }
    }

    /// Explains the end of the run, after its last record: a CLI that ended before it was ready has failed, whatever
    /// its exit code; one that only lacks the session is started again with a new one.
    pub(super) fn explain_end(&mut self, control: &Control, install: &str) {
        match control {
            Control::SpawnFailed { error, missing } => {
                self.renew = false;
                if *missing && !install.is_empty() {
                    self.process =
                        ProcessState::Failed { reason: shortened(&format!("{error}; to install it: {install}")) };
                }
            }
            Control::Exited { exit_code, signal, stderr_tail, out_of_memory, .. } => {
                let failed = match &self.process {
                    ProcessState::Failed { .. } => true,
                    ProcessState::Ended { .. } => !self.run.ready && *exit_code == Some(0),
                    _ => false,
                };
                if !failed {
                    return;
                }
                if self.run.session_gone && self.run.resumes {
                    let reason = "The session can't be resumed: a new one is started".to_owned();
                    self.process = ProcessState::Ended { reason };
                    self.renew = true;
                    return;
                }
                let exhausted = self.exhausted(control);
                let end = RunEnd {
                    exhausted: out_of_memory.and(exhausted.as_deref()),
                    exit_code: *exit_code,
                    signal: signal.as_deref(),
                    stderr_tail,
                    error: self.run.error.as_deref(),
                    said: self.run.said.as_deref(),
                };
                self.process = ProcessState::Failed { reason: shortened(&end.sentence()) };
            }
            _ => {}
        }
    }
}

impl State {
    /// Describes the memory whose lack has ended the process of an exit record, and what to do.
    pub(super) fn exhausted(&self, control: &Control) -> Option<String> {
        let Control::Exited { out_of_memory: Some(exhausted), .. } = control else { return None };
        let limit = self.run_limits.as_ref().and_then(|run| run.limits.memory);
        Some(match (exhausted, limit) {
            (MemoryExhaustion::Worker, Some(limit)) => format!(
                "the kernel killed it because the worker's processes needed more than its memory limit of {} MiB; raise \
                 `memory` of the worker (or WORKER_MEMORY), then send a message to start it again",
                limit >> 20
            ),
            _ => "the kernel killed it because the machine ran out of memory; stop other workers or raise MEMORY_RESERVE, \
                  then send a message to start it again"
                .to_owned(),
        })
    }
}

/// The earlier sessions of a worker, latest last.
pub(crate) type EarlierSessions = VecDeque<EarlierSession>;
