//! The fold over the lines of Claude Code's own session file, for a session that runs elsewhere.
//!
//! Its `user` and `assistant` lines are those of stdout with a few fields under other names, so they are put into that
//! form and read by the same code. What stdout has and the file has not are the lines that begin and end a turn: a turn
//! begins with a prompt, and ends with a message that the model ended, an interrupt, or `turn_duration`. The first lines
//! of a session may be in the wrong order (the answer before its prompt), so a prompt that was answered already begins
//! no turn.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::adapter::claude::NAME;
use crate::adapter::claude::lines::ClaudeFold;
use crate::adapter::claude::state::ClaudeState;
use crate::adapter::kit::{Emitter, field, push_bounded, saved, session, time};
use crate::adapter::{ABANDONED, Action, Activity, Command, Refusal, Session};
use crate::event::{Body, Event, SessionFacts, TurnEnd};
use crate::journal::{Control, Kind, Record};
use crate::json::{self, Read};

/// Changes whenever a saved fold can no longer be read.
const VERSION: u32 = 2;
/// Lines whose prompt has not come yet.
const PARENTS_MAX: usize = 64;
/// Reasons for which the model ends a message that end the turn too.
const ENDS: [&str; 5] = ["end_turn", "stop_sequence", "max_tokens", "refusal", "model_context_window_exceeded"];

/// Kinds of lines in which the CLI keeps notes for itself: settings to restore, sums, the requests it has sent.
const BOOKKEEPING: [&str; 46] = [
    "agent-color",
    "agent-name",
    "agent-setting",
    "ai-title",
    "api-request",
    "api-request-blob",
    "api-request-resumed",
    "api-request-shape",
    "artifact-autoreact-ledger",
    "artifact-comment-monitor",
    "atis-latch",
    "attribution-snapshot",
    "bridge-session",
    "content-replacement",
    "continued-in",
    "cost-state",
    "custom-title",
    "data-flow-incomplete",
    "data-flow-records",
    "derived-from",
    "dev-mods",
    "ended-by-model",
    "file-history-delta",
    "file-history-snapshot",
    "fork-context-ref",
    "frame-link",
    "history-suppression",
    "host-row",
    "hybrid-organization",
    "isolation-latch",
    "last-prompt",
    "memory-mode",
    "mode",
    "observer-ref",
    "permission-mode",
    "pr-link",
    "progress",
    "queue-operation",
    "relocated",
    "repl-mode",
    "resume-head-vouch",
    "session-owner",
    "summary",
    "tag",
    "tools-used",
    "worktree-state",
];

/// The fold's memory.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct ClaudeTranscript {
    state: ClaudeState,
    /// The sub-agent's tool call whose file the next lines are from.
    parent: Option<String>,
    /// The message that ended the last turn: more blocks of it begin no other.
    ended: String,
    /// The lines that answers followed on, without their prompt yet.
    parents: Vec<String>,
}

impl ClaudeTranscript {
    /// The fold with this saved state; `None` when another version saved it.
    pub(super) fn restore(saved: &Value) -> Option<Self> {
        saved::restore(VERSION, saved)
    }

    fn line<'r>(&mut self, record: &Record<'r>, out: &mut Vec<Event<'r>>) {
        match json::read(record.payload) {
            Read::Strict(line) => self.value(line, record, out),
            Read::Lenient(read) => {
                read.values.into_iter().for_each(|line| self.value(line, record, out));
                read.broken.iter().for_each(|broken| Emitter::new(NAME, out).plain_text(&broken.text));
            }
        }
    }

    fn value<'r>(&mut self, mut line: Value, record: &Record<'r>, out: &mut Vec<Event<'r>>) {
        let kind = field::take_text(&mut line, "type");
        self.session(&line, kind.as_deref(), record, out);
        match kind.as_deref() {
            Some("assistant") => self.assistant(line, record, out),
            Some("user") => self.user(line, record, out),
            Some("system") => self.system(&line, record, out),
            Some("attachment") => {
                let attachment = field::take(&mut line, "attachment");
                if let Some("queued_command") = field::text(&attachment, "type")
                    && let Some(prompt) = field::text(&attachment, "prompt")
                {
                    self.fold(record, out).out.foreign_message(prompt.to_owned());
                }
            }
            Some(kind) if is_bookkeeping(kind, &line) => {}
            kind => {
                let kind = kind.map(str::to_owned);
                self.fold(record, out).unknown(line, kind.as_deref());
            }
        }
    }

    fn fold<'f, 'r>(&'f mut self, record: &'f Record<'r>, out: &'f mut Vec<Event<'r>>) -> ClaudeFold<'f, 'r> {
        ClaudeFold::new(&mut self.state, record, out)
    }

    /// Emits the session's facts when they have changed.
    fn session<'r>(&mut self, line: &Value, kind: Option<&str>, record: &Record<'r>, out: &mut Vec<Event<'r>>) {
        if self.parent.is_some() {
            return;
        }
        let model = line.get("message").and_then(|message| field::text(message, "model"));
        let model = model.filter(|model| *model != "<synthetic>");
        let mode = field::text(line, "permissionMode").filter(|_| matches!(kind, Some("user" | "permission-mode")));
        let facts = &mut self.state.facts;
        let mut changed = false;
        for (known, reported) in [
            (&mut facts.session_id, field::text(line, "sessionId").filter(|id| session::is_session_argument(id))),
            (&mut facts.model, model),
            (&mut facts.permission_mode, mode),
        ] {
            if let Some(reported) = reported.filter(|reported| !reported.is_empty() && *reported != known.as_str()) {
                reported.clone_into(known);
                changed = true;
            }
        }
        if changed {
            let facts = self.state.facts.clone();
            let some = |text: String| (!text.is_empty()).then(|| text.into());
            let content = format!("Session {}", facts.session_id);
            let body = Body::Session(SessionFacts {
                session_id: some(facts.session_id),
                model: some(facts.model),
                cwd: field::text(line, "cwd").map(|cwd| cwd.to_owned().into()),
                permission_mode: some(facts.permission_mode),
                ..SessionFacts::default()
            });
            self.fold(record, out).out.emit(content, body);
        }
    }

    /// The tool call whose sub-agent a line belongs to, put where stdout has it.
    fn mark_parent(&self, line: &mut Value) -> bool {
        let sub_agent = field::is_true(line, "isSidechain");
        let own = || field::text(line, "agentId").unwrap_or("sub-agent").to_owned();
        let parent = self.parent.clone().or_else(|| sub_agent.then(own));
        let Some(parent) = parent else { return false };
        if let Some(fields) = line.as_object_mut() {
            fields.insert("parent_tool_use_id".to_owned(), parent.into());
        }
        true
    }

    fn assistant<'r>(&mut self, mut line: Value, record: &Record<'r>, out: &mut Vec<Event<'r>>) {
        let sub_agent = self.mark_parent(&mut line);
        let message = line.get("message").unwrap_or(&Value::Null);
        let id = field::text_or_empty(message, "id").to_owned();
        let reason = field::text_or_empty(message, "stop_reason").to_owned();
        let blocks = field::list(message, "content");
        // Thinking that ends a message has its text after it.
        let last = blocks.iter().any(|block| field::text(block, "type") != Some("thinking"));
        let failed = field::is_true(&line, "isApiErrorMessage");
        if failed && let Some(fields) = line.as_object_mut() {
            fields.entry("error").or_insert_with(|| "api_error".into());
        }
        if sub_agent {
            return self.fold(record, out).assistant(line);
        }
        if let Some(parent) = field::text(&line, "parentUuid") {
            push_bounded(&mut self.parents, parent.to_owned(), PARENTS_MAX);
        }
        if id.is_empty() || id != self.ended {
            self.fold(record, out).start_turn();
        }
        self.fold(record, out).assistant(line);
        if last && ENDS.contains(&reason.as_str()) && self.state.turn.is_some() {
            self.ended = id;
            self.end_turn(if failed { "error" } else { &reason }, None, record, out);
        }
    }

    fn user<'r>(&mut self, mut line: Value, record: &Record<'r>, out: &mut Vec<Event<'r>>) {
        if field::is_true(&line, "isMeta") {
            return;
        }
        let sub_agent = self.mark_parent(&mut line);
        if let Some(fields) = line.as_object_mut()
            && let Some(result) = fields.remove("toolUseResult")
        {
            fields.insert("tool_use_result".to_owned(), result);
        }
        if field::is_true(&line, "isCompactSummary") {
            let text = line.get("message").and_then(|message| field::text(message, "content")).map(str::to_owned);
            return self.fold(record, out).notice("compact_summary", text);
        }
        let text = prompt(&line).unwrap_or_default().to_owned();
        let interrupted = text.starts_with("[Request interrupted by user");
        let answered = self.take_parent(field::text_or_empty(&line, "uuid"));
        let local = ["<local-command-", "<command-", "<bash-"].iter().any(|tag| text.starts_with(tag));
        if !sub_agent && !text.is_empty() && !interrupted && !local && !answered {
            self.fold(record, out).start_turn();
        }
        self.fold(record, out).user(line);
        if interrupted && !sub_agent {
            self.end_turn("interrupted", None, record, out);
        }
    }

    /// Returns true if an answer has followed on this line already.
    fn take_parent(&mut self, uuid: &str) -> bool {
        let at = self.parents.iter().position(|parent| parent == uuid);
        at.map(|at| self.parents.remove(at)).is_some()
    }

    fn system<'r>(&mut self, line: &Value, record: &Record<'r>, out: &mut Vec<Event<'r>>) {
        match field::text_or_empty(line, "subtype") {
            "turn_duration" => self.end_turn("end_turn", time::duration_ms(line, "durationMs"), record, out),
            subtype => {
                let (subtype, text) = (subtype.to_owned(), field::text(line, "content").map(str::to_owned));
                self.fold(record, out).notice(&subtype, text);
            }
        }
    }

    fn end_turn<'r>(&mut self, reason: &str, duration_ms: Option<u64>, record: &Record<'r>, out: &mut Vec<Event<'r>>) {
        let Some(turn) = self.state.turn.take() else { return };
        self.parents.clear();
        let body = Body::TurnCompleted(TurnEnd {
            turn_id: turn.id().into(),
            stop_reason: reason.to_owned().into(),
            duration_ms,
            usage: Some(turn.usage),
            is_error: matches!(reason, "error" | "interrupted"),
            ..TurnEnd::default()
        });
        let content = if reason == "interrupted" { "Turn interrupted" } else { "Turn completed" };
        self.fold(record, out).out.emit(content, body);
    }
}

/// Returns true for a line that the CLI keeps for itself. Those of the conversation have a `uuid`, by which the next
/// one names its parent; so a kind that a later version adds is taken for bookkeeping when it has none.
fn is_bookkeeping(kind: &str, line: &Value) -> bool {
    BOOKKEEPING.contains(&kind) || line.get("uuid").is_none()
}

/// The text of a line that is not a tool's result.
fn prompt(line: &Value) -> Option<&str> {
    match line.get("message")?.get("content")? {
        Value::String(text) => Some(text),
        Value::Array(blocks) => blocks.iter().find_map(|block| match field::text(block, "type")? {
            "text" => field::text(block, "text"),
            "image" | "document" => Some("[attachment]"),
            _ => None,
        }),
        _ => None,
    }
}

impl Session for ClaudeTranscript {
    fn record<'r>(&mut self, record: &Record<'r>, control: Option<&Control>, out: &mut Vec<Event<'r>>) {
        match (record.kind, control) {
            (Kind::Out, _) => self.line(record, out),
            (Kind::OutPart, _) => Emitter::new(NAME, out).plain_text(&String::from_utf8_lossy(record.payload)),
            (Kind::Ctl, Some(Control::Transcript { parent_tool_call_id, .. })) => {
                self.parent.clone_from(parent_tool_call_id);
            }
            (Kind::Ctl, Some(Control::FollowNoted { code, .. })) if code == ABANDONED => {
                self.end_turn("interrupted", None, record, out);
            }
            _ => {}
        }
    }

    fn activity(&self) -> Activity {
        if self.state.turn.is_some() { Activity::Busy } else { Activity::Idle }
    }

    fn encode(&self, _command: &Command<'_>) -> Result<Action, Refusal> {
        Err(Refusal::Unsupported(crate::adapter::READ_ONLY.to_owned()))
    }

    fn save(&self) -> Value {
        saved::save(VERSION, self)
    }
}
