//! The lines of the protocol, one file for each group of kinds that change together.

mod assistant;
mod input;
mod notices;
mod partial;
mod plan;
pub(super) mod prompt;
mod prompts;
mod responses;
mod tasks;
mod turns;
mod user;

pub(super) use prompts::{QUESTION_TOOL, UNREADABLE};
use serde_json::Value;

use crate::adapter::claude::NAME;
use crate::adapter::claude::state::{ClaudeState, PendingRequest, Turn};
use crate::adapter::kit::{Emitter, LineFold, field, session};
use crate::event::Event;
use crate::journal::Record;
use crate::json::MalformedJson;

/// One step of the fold: a record meets the state, and its events are added to `out`.
pub(super) struct ClaudeFold<'f, 'r> {
    pub(super) state: &'f mut ClaudeState,
    pub(super) record: &'f Record<'r>,
    pub(super) out: Emitter<'f, 'r>,
    /// True if the line was not well-formed: what was read of it may differ from what the CLI meant.
    pub(super) repaired: bool,
}

impl<'f, 'r> ClaudeFold<'f, 'r> {
    /// A step that has not looked at the record yet.
    pub(super) fn new(state: &'f mut ClaudeState, record: &'f Record<'r>, out: &'f mut Vec<Event<'r>>) -> Self {
        Self { state, record, out: Emitter::new(NAME, out), repaired: false }
    }
}

impl LineFold for ClaudeFold<'_, '_> {
    fn is_repaired(&mut self) {
        self.repaired = true;
    }

    fn broken(&mut self, mut broken: MalformedJson) {
        self.out.broken_line(&broken.text);
        let mut text = |key: &str| match broken.members.remove(key) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        if let (Some("control_request"), Some(id)) = (text("type").as_deref(), text("request_id")) {
            self.state.decline(PendingRequest { id, subtype: UNREADABLE.to_owned(), ..PendingRequest::default() });
        }
    }

    fn value(&mut self, mut line: Value) {
        match field::take_text(&mut line, "type").as_deref() {
            // Shown before, and repeated because the conversation was compacted.
            Some("assistant" | "user") if field::text(&line, "uuid").is_some_and(|id| self.state.is_preserved(id)) => {}
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
            Some("conversation_reset") => self.conversation_reset(&line),
            Some("stream_event") => self.piece(line),
            // Signs of life.
            Some("tool_progress" | "keep_alive" | "transcript_mirror" | "command_lifecycle") => {}
            kind => {
                let kind = kind.map(str::to_owned);
                self.unknown(line, kind.as_deref());
            }
        }
    }
}

impl ClaudeFold<'_, '_> {
    /// Ends the turn with its process.
    pub(super) fn process_ended(&mut self) {
        self.cut_short();
        let message_ids = std::mem::take(&mut self.state.taken);
        if let Some(turn) = self.state.turn.take() {
            self.out.turn_lost(turn.id(), Some(message_ids));
        }
    }

    /// The process ends although nobody asked it to: stderr may say that its session is gone.
    pub(super) fn failed(&mut self, stderr_tail: &str) {
        if let Some(line) = stderr_tail.lines().find(|line| turns::says_no_session(line)) {
            let session = self.state.facts.session_id.clone();
            self.session_gone(&session, line);
        }
    }

    /// The CLI does not have the session that it was to resume, or can't read it. It says so twice. `session` is its id
    /// where `why` does not end with it.
    fn session_gone(&mut self, session: &str, why: &str) {
        if !std::mem::replace(&mut self.state.session_gone, true) {
            let named = why.rsplit(' ').next().filter(|_| why.starts_with(turns::NO_SESSION));
            let text = session::session_gone("Claude Code", named.unwrap_or(session), why);
            self.out.error("session_not_found", text);
        }
    }

    /// Adds a notice, where there is a text.
    pub(super) fn notice(&mut self, code: &str, text: Option<String>) {
        self.out.notice(code.to_owned(), text.unwrap_or_default());
    }

    /// Passes on what this build does not know. `kind` is the line's type where that was taken out of it.
    pub(super) fn unknown(&mut self, mut raw: Value, kind: Option<&str>) {
        if let (Some(kind), Some(fields)) = (kind, raw.as_object_mut()) {
            fields.insert("type".to_owned(), kind.into());
        }
        let subtype = field::text(&raw, "subtype").map(|subtype| format!("/{subtype}")).unwrap_or_default();
        let content = format!("unknown line of Claude Code: {}{subtype}", kind.unwrap_or("without a type"));
        self.out.unknown(content, raw);
    }

    /// Begins a turn unless one runs. The record that begins it names it.
    pub(super) fn start_turn(&mut self) {
        self.state.handshake.ready = true;
        if self.state.turn.is_none() {
            let turn = Turn { seq: self.record.seq, ..Turn::default() };
            self.out.turn_started(turn.id());
            self.state.turn = Some(turn);
        }
    }

    /// The CLI took the message that waits at `at`.
    fn consumed(&mut self, at: usize) {
        let message = self.state.sent.remove(at);
        if let Some(id) = message.id {
            self.state.take_message(&id);
            self.out.consumed(id);
        }
    }
}

/// The sub-agent's tool call that a line belongs to.
fn parent(line: &mut Value) -> Option<String> {
    field::take_text(line, "parent_tool_use_id")
}
