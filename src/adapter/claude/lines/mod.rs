//! The lines of the protocol, one file for each group of kinds that change together.

mod assistant;
pub(super) mod control;
mod input;
mod plan;
mod result;
mod system;
mod unfinished;
mod user;

pub(super) use control::QUESTION_TOOL;
use serde_json::Value;

use crate::adapter::claude::state::{State, Turn};
use crate::adapter::common;
use crate::adapter::field;
use crate::event::{Body, Event, Sink, Text};
use crate::journal::Record;

/// One step of the fold: a record meets the state, and its events go to the sink.
pub(super) struct Fold<'f> {
    pub(super) state: &'f mut State,
    pub(super) record: &'f Record<'f>,
    pub(super) sink: &'f mut dyn Sink,
}

impl Fold<'_> {
    /// Takes a whole line of stdout.
    pub(super) fn output(&mut self) {
        let Ok(mut line) = serde_json::from_slice::<Value>(self.record.payload) else {
            return common::plain_line(self.record, self.sink);
        };
        match field::take_text(&mut line, "type").as_deref() {
            Some("assistant") => self.assistant(line),
            Some("user") => self.user(line),
            Some("result") => self.result(line),
            Some("system") => self.system(line),
            Some("control_request") => self.control_request(line),
            Some("control_response") => self.control_response(line),
            Some("control_cancel_request") => self.control_cancel_request(&line),
            Some("rate_limit_event") => self.rate_limit(&line),
            Some("auth_status") => self.auth_status(&line),
            Some("tool_use_summary") => self.notice("tool_use_summary", field::take_text(&mut line, "summary")),
            Some("prompt_suggestion") => self.notice("prompt_suggestion", field::take_text(&mut line, "suggestion")),
            Some("stream_event") => self.piece(line),
            // Signs of life.
            Some("tool_progress" | "keep_alive" | "transcript_mirror" | "command_lifecycle") => {}
            kind => {
                let kind = kind.map(str::to_owned);
                self.unknown(line, kind.as_deref());
            }
        }
    }

    /// The process has ended: so has its turn.
    pub(super) fn process_ended(&mut self) {
        self.cut_short();
        if let Some(turn) = self.state.turn.take() {
            self.tell(
                "Turn ended: the process ended",
                Body::TurnCompleted {
                    turn_id: turn.id().into(),
                    stop_reason: "process_ended".into(),
                    duration_ms: None,
                    usage: None,
                    cost_usd: None,
                    is_error: true,
                    result: None,
                },
            );
        }
    }

    /// Tells an event.
    pub(super) fn tell<'e>(&mut self, content: impl Into<Text<'e>>, body: Body<'e>) {
        self.sink.event(Event::new(content, body));
    }

    /// Tells something that is no message of the agent. Nothing to say tells nothing.
    pub(super) fn notice(&mut self, code: &str, text: Option<String>) {
        if let Some(text) = text.filter(|text| !text.trim().is_empty()) {
            self.tell(common::cut(text, common::STRING_MAX), Body::Notice { code: code.into() });
        }
    }

    /// Tells an error.
    fn error(&mut self, code: &str, text: impl Into<String>) {
        self.tell(text.into(), Body::Error { code: code.into() });
    }

    /// Passes on what this build does not know. `kind` is the line's type where that was taken out of it.
    pub(super) fn unknown(&mut self, mut raw: Value, kind: Option<&str>) {
        if let (Some(kind), Some(fields)) = (kind, raw.as_object_mut()) {
            fields.insert("type".to_owned(), kind.into());
        }
        common::bound(&mut raw);
        let subtype = field::text(&raw, "subtype").map(|subtype| format!("/{subtype}")).unwrap_or_default();
        let content = format!("unknown line of Claude Code: {}{subtype}", kind.unwrap_or("without a type"));
        self.tell(content, Body::Unknown { raw });
    }

    /// Begins a turn unless one runs. The record that begins it names it.
    pub(super) fn start_turn(&mut self) {
        self.state.ready = true;
        if self.state.turn.is_none() {
            let turn = Turn { seq: self.record.seq, ..Turn::default() };
            self.tell("Turn started", Body::TurnStarted { turn_id: turn.id().into() });
            self.state.turn = Some(turn);
        }
    }

    /// Tells a message that somebody else gave to the CLI.
    pub(super) fn prompt(&mut self, text: String) {
        let body = Body::User { message_id: None, client_message_id: None, attachments: Vec::new() };
        self.tell(text, body);
    }

    /// The CLI took the message that waits at `at`.
    fn consumed(&mut self, at: usize) {
        let message = self.state.waiting.remove(at);
        if let Some(id) = message.id {
            self.tell(
                "The agent took the message",
                Body::MessageState { message_id: id.into(), client_message_id: None, state: "consumed", text: None },
            );
        }
    }
}

/// The sub-agent's tool call that a line belongs to.
fn parent(line: &mut Value) -> Option<String> {
    field::take_text(line, "parent_tool_use_id")
}
