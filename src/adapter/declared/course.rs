//! What both families fold alike: the process, the turns, the session and the options of one worker. Pure.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::file::{File, Input, Interrupt, LineRule, Newlines};
use super::options;
use super::template::{Name, Values};
use crate::adapter::{Action, Activity, Command, Message, Refusal};
use crate::event::{Body, Event, Sink, Usage};
use crate::journal::{Control, Record, WorkerOptions};

/// Longest argument of a command line that Linux takes, in bytes without the final NUL (`MAX_ARG_STRLEN`).
pub const ARGUMENT_BYTES_MAX: usize = 128 * 1024 - 1;

/// The fold that both families share.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Course {
    /// Where the CLI works.
    #[serde(skip_serializing_if = "String::is_empty")]
    project_path: String,
    /// What the next process is started with; kept for one process a message only.
    #[serde(skip_serializing_if = "is_default")]
    options: WorkerOptions,
    /// The CLI's session.
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<String>,
    /// Whether the CLI has that session, so that it can be resumed.
    #[serde(skip_serializing_if = "is_default")]
    session_exists: bool,
    /// A process runs.
    #[serde(skip_serializing_if = "is_default")]
    running: bool,
    /// Offset of the record that told of its start: the process's number.
    process: u64,
    /// It has said that it is ready, or need not say it.
    #[serde(skip_serializing_if = "is_default")]
    ready: bool,
    /// A message was delivered whose process has not started yet.
    #[serde(skip_serializing_if = "is_default")]
    launching: bool,
    /// The message that the CLI has not shown to have taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Delivered>,
    /// The running turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    turn: Option<Turn>,
    /// The last stdout record was a piece of a line that goes on.
    #[serde(skip_serializing_if = "is_default")]
    in_line: bool,
}

/// A message that went to the CLI.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Delivered {
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
    /// That record's time, in microseconds since the epoch.
    micros: u64,
    /// Somebody asked for its end.
    #[serde(skip_serializing_if = "is_default")]
    interrupted: bool,
    /// Tokens so far, where they were told.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
    /// Cost so far, where it was told.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_usd: Option<f64>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What is known of a turn's end; what is absent comes from the turn itself.
#[derive(Clone, Debug, Default)]
pub(super) struct End<'a> {
    pub(super) content: Cow<'a, str>,
    pub(super) stop_reason: Option<Cow<'a, str>>,
    pub(super) duration_ms: Option<u64>,
    pub(super) usage: Option<Usage>,
    pub(super) cost_usd: Option<f64>,
    pub(super) is_error: bool,
    pub(super) result: Option<Cow<'a, str>>,
}

impl Course {
    /// Takes a `ctl` record.
    pub(super) fn control(&mut self, file: &File, record: &Record<'_>, control: &Control, sink: &mut dyn Sink) {
        match control {
            Control::Created { project_path, options, .. } => {
                self.project_path.clone_from(project_path);
                if file.per_message {
                    self.options = WorkerOptions { env: Vec::new(), ..options.clone() };
                }
            }
            Control::Configured { model, permission_mode } if file.per_message => {
                if model.is_some() {
                    self.options.model.clone_from(model);
                }
                if permission_mode.is_some() {
                    self.options.permission_mode.clone_from(permission_mode);
                }
            }
            Control::Launching { session_id, resume } => {
                self.lose_process(record, sink);
                // An id of ours that the CLI never took up is no session to resume, whatever is asked.
                let taken_up = self.session_exists || self.session_id != *session_id;
                self.session_exists = *resume && session_id.is_some() && taken_up;
                self.session_id.clone_from(session_id);
            }
            Control::Started { .. } => self.started(file, record, sink),
            Control::SpawnFailed { .. } | Control::ShimLost { .. } => self.lose_process(record, sink),
            Control::Exited { exit_code, signal, shim_stays, .. } => {
                self.exited(file, record, (*exit_code, signal.as_deref()), *shim_stays, sink);
            }
            Control::InterruptRequested { .. } => {
                if let Some(turn) = &mut self.turn {
                    turn.interrupted = true;
                }
            }
            Control::MessageDelivered { message_id, client_message_id, .. } => {
                self.message = Some(Delivered { id: message_id.clone(), client_id: client_message_id.clone() });
                self.delivered(file, record, sink);
            }
            _ => {}
        }
    }

    fn delivered(&mut self, file: &File, record: &Record<'_>, sink: &mut dyn Sink) {
        if file.per_message {
            self.launching = !self.running;
        } else if file.tells_turns() {
            self.begin_turn(record, sink);
        }
    }

    fn started(&mut self, file: &File, record: &Record<'_>, sink: &mut dyn Sink) {
        self.running = true;
        self.process = record.seq;
        self.launching = false;
        self.in_line = false;
        self.ready = file.ready.is_none();
        if file.per_message {
            self.begin_turn(record, sink);
            self.consumed(sink);
        } else if file.command.uses(Name::SessionId) && !self.session_exists {
            self.session_is_there(sink);
        }
    }

    fn exited(
        &mut self,
        file: &File,
        record: &Record<'_>,
        (code, signal): (Option<i32>, Option<&str>),
        shim_stays: bool,
        sink: &mut dyn Sink,
    ) {
        let ok = code == Some(0);
        if file.per_message && shim_stays {
            // A session that was named on the command line exists once a process has ended well with it.
            if ok && file.command.uses(Name::SessionId) && !self.session_exists {
                self.session_is_there(sink);
            }
            if self.turn.as_ref().is_some_and(|turn| !turn.interrupted) && !ok {
                let content = match (code, signal) {
                    (Some(code), _) => format!("the process ended with exit code {code}"),
                    (None, signal) => format!("the process was ended by {}", signal.unwrap_or("a signal")),
                };
                self.end_turn(record, End { content: content.into(), is_error: true, ..End::default() }, sink);
            }
            self.end_turn(record, End::default(), sink);
        }
        self.lose_process(record, sink);
    }

    /// No process runs any more, whatever it was doing.
    fn lose_process(&mut self, record: &Record<'_>, sink: &mut dyn Sink) {
        let end = End { stop_reason: Some("process_ended".into()), is_error: true, ..End::default() };
        self.end_turn(record, end, sink);
        self.running = false;
        self.ready = false;
        self.launching = false;
        self.in_line = false;
        self.message = None;
    }

    /// The session that the CLI was told to use exists from now on.
    fn session_is_there(&mut self, sink: &mut dyn Sink) {
        let Some(id) = &self.session_id else { return };
        self.session_exists = true;
        let body = Body::Session {
            session_id: Some(Cow::Borrowed(id)),
            model: None,
            cwd: None,
            permission_mode: None,
            tools: None,
            commands: None,
            mcp_servers: None,
        };
        sink.event(Event::new("", body));
    }

    /// The CLI has named its session. Says whether that is news.
    pub(super) fn session_named(&mut self, id: &str) -> bool {
        if self.session_exists && self.session_id.as_deref() == Some(id) {
            return false;
        }
        self.session_id = Some(id.to_owned());
        self.session_exists = true;
        true
    }

    /// Begins a turn, unless one runs.
    pub(super) fn begin_turn(&mut self, record: &Record<'_>, sink: &mut dyn Sink) {
        if self.turn.is_some() {
            return;
        }
        self.turn = Some(Turn { seq: record.seq, micros: record.time.0, ..Turn::default() });
        sink.event(Event::new("", Body::TurnStarted { turn_id: turn_id(record.seq).into() }));
    }

    /// The CLI has shown that it took the message.
    pub(super) fn consumed(&mut self, sink: &mut dyn Sink) {
        if let Some(Delivered { id, client_id }) = self.message.take() {
            let state = "consumed";
            let client_message_id = client_id.map(Cow::Owned);
            let body = Body::MessageState { message_id: id.into(), client_message_id, state, text: None };
            sink.event(Event::new(state, body));
        }
    }

    /// Ends the turn, when one runs.
    pub(super) fn end_turn(&mut self, record: &Record<'_>, end: End<'_>, sink: &mut dyn Sink) {
        let Some(turn) = self.turn.take() else { return };
        let otherwise = match (turn.interrupted, end.is_error) {
            (true, _) => "interrupted",
            (false, true) => "error",
            (false, false) => "end_turn",
        };
        let since = record.time.0.saturating_sub(turn.micros) / 1_000;
        let body = Body::TurnCompleted {
            turn_id: turn_id(turn.seq).into(),
            stop_reason: end.stop_reason.unwrap_or(Cow::Borrowed(otherwise)),
            duration_ms: Some(end.duration_ms.unwrap_or(since)),
            usage: end.usage.or(turn.usage),
            cost_usd: end.cost_usd.or(turn.cost_usd),
            is_error: end.is_error,
            result: end.result,
        };
        sink.event(Event::new(end.content, body));
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

    /// Whether the record is, or ends, a piece of a line that earlier records began; `goes_on` says whether the next
    /// one continues it.
    pub(super) fn continues(&mut self, goes_on: bool) -> bool {
        std::mem::replace(&mut self.in_line, goes_on)
    }

    /// The number of the process that runs, or ran last: no other of the worker has it.
    pub(super) fn process(&self) -> u64 {
        self.process
    }

    /// Whether the CLI still has to say that it is ready.
    pub(super) fn awaits_ready(&self) -> bool {
        self.running && !self.ready
    }

    /// The CLI is ready.
    pub(super) fn set_ready(&mut self) {
        self.ready = true;
    }

    /// See [`crate::adapter::Session::activity`].
    pub(super) fn activity(&self, file: &File) -> Activity {
        let in_turn = self.turn.is_some();
        match (file.per_message, self.running) {
            (true, running) if running || self.launching || in_turn => Activity::Busy,
            (true, _) => Activity::Idle,
            (false, true) if self.ready && in_turn => Activity::Busy,
            (false, true) if self.ready => Activity::Idle,
            (false, _) => Activity::Starting,
        }
    }

    /// See [`crate::adapter::Session::encode`].
    pub(super) fn encode(&self, file: &File, command: &Command<'_>) -> Result<Action, Refusal> {
        let kind = &file.cli.kind;
        let restart = |name: Name| -> Result<Action, Refusal> {
            if !file.starts_with(name) {
                return Err(Refusal::Unsupported(format!("{kind} takes no {}", name.as_str())));
            }
            if !file.per_message {
                let reason = format!("{kind} takes its {} at its start only; restart the worker", name.as_str());
                return Err(Refusal::Unsupported(reason));
            }
            // The `ctl` record that tells of it is all that is needed: the next message's process is started with it.
            Ok(Action::Write(Vec::new()))
        };
        match command {
            Command::Message(message) => self.message(file, message),
            Command::Steer(_) => Err(Refusal::Unsupported(format!("{kind} takes no message within a turn"))),
            Command::Interrupt => match &file.interrupt {
                Some(Interrupt::Sigint) => Ok(Action::Signal(nix::sys::signal::Signal::SIGINT as i32)),
                Some(Interrupt::Line(line)) => Ok(Action::Write(vec![line.clone().into_bytes()])),
                None => Err(Refusal::Unsupported(format!("{kind} cannot be interrupted; stop the worker instead"))),
            },
            Command::Permission { request_id, .. } | Command::Answer { request_id, .. } => {
                Err(Refusal::NotOpen(format!("{kind} has not asked {request_id}")))
            }
            Command::SetModel(_) => restart(Name::Model),
            Command::SetPermissionMode(_) => restart(Name::PermissionMode),
        }
    }

    fn message(&self, file: &File, message: &Message<'_>) -> Result<Action, Refusal> {
        if !message.attachments.is_empty() {
            let reason = format!("{} takes text only; send the message without attachments", file.cli.kind);
            return Err(Refusal::Unsupported(reason));
        }
        let session_id = self.session_id.as_deref().unwrap_or_default();
        let values = Values {
            message: Some(message.content),
            message_id: message.id,
            ..options::values(&self.options, &self.project_path, session_id)
        };
        let lines = file.input.as_ref().map(|input| lines(input, &values)).unwrap_or_default();
        if !file.per_message {
            return Ok(Action::Write(lines));
        }
        let resume = file.resume_command.as_ref().filter(|_| self.session_exists);
        let command = resume.unwrap_or(&file.command);
        let args = command.arguments(&values);
        if args.iter().any(|arg| arg.len() > ARGUMENT_BYTES_MAX || arg.contains('\0')) {
            return Err(Refusal::Invalid(format!(
                "{} takes a message on its command line: at most {ARGUMENT_BYTES_MAX} bytes and no NUL; put the text \
                 into a file of the project and name it",
                file.cli.kind
            )));
        }
        Ok(Action::Run { program: command.program.clone().into(), args, stdin: lines })
    }
}

fn turn_id(seq: u64) -> String {
    format!("turn-{seq}")
}

/// The stdin lines of a message.
fn lines(input: &Input, values: &Values<'_>) -> Vec<Vec<u8>> {
    match input {
        // A template with an unset text at its very top gives nothing; `{message}` is always set, so it gives a line.
        Input::Json(template) => {
            template.fill(values).map(|value| value.to_string().into_bytes()).into_iter().collect()
        }
        Input::Line { newlines, end_line } => {
            let text = values.message.unwrap_or_default().replace("\r\n", "\n");
            let mut lines: Vec<Vec<u8>> = match newlines {
                Newlines::Lines => text.split('\n').map(|line| line.as_bytes().to_vec()).collect(),
                Newlines::Escape => vec![text.replace('\\', "\\\\").replace('\n', "\\n").into_bytes()],
                Newlines::Space => vec![text.replace('\n', " ").into_bytes()],
            };
            lines.extend(end_line.as_ref().map(|line| line.clone().into_bytes()));
            lines
        }
    }
}

impl LineRule {
    /// Whether a line, without its newline, is the one that is meant. `json` is the line when it is JSON.
    pub(super) fn matches(&self, line: &[u8], json: Option<&serde_json::Value>) -> bool {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match self {
            Self::Line(text) => line == text.as_bytes(),
            Self::Prefix(text) => line.starts_with(text.as_bytes()),
            Self::When(when) => json.is_some_and(|json| when.holds(json)),
        }
    }
}
