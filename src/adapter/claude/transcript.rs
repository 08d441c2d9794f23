//! The fold over the lines of Claude Code's own session file, for a session that runs elsewhere.
//!
//! Its `user` and `assistant` lines are those of stdout with a few fields under other names, so they are put into that
//! form and read by the same code. What stdout has and the file has not are the lines that begin and end a turn: a turn
//! begins with a prompt, and ends with a message that the model ended, an interrupt, or `turn_duration`. The first lines
//! of a session may stand in the wrong order (the answer before its prompt), so a prompt that was answered already begins
//! no turn.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::adapter::claude::lines::Fold;
use crate::adapter::claude::state::{State, push_bounded};
use crate::adapter::{ABANDONED, Action, Activity, Command, Refusal, Session, common, field};
use crate::event::{Body, Sink};
use crate::journal::{Control, Kind, Record};

/// Changes whenever a saved fold can no longer be read.
const VERSION: u32 = 1;
/// Lines whose prompt has not come yet.
const PARENTS_MAX: usize = 64;
/// Reasons for which the model ends a message that end the turn too.
const ENDS: [&str; 5] = ["end_turn", "stop_sequence", "max_tokens", "refusal", "model_context_window_exceeded"];

/// The fold's memory.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Transcript {
    version: u32,
    state: State,
    /// The sub-agent's tool call whose file the next lines are from.
    parent: Option<String>,
    /// The message that ended the last turn: more blocks of it begin no other.
    ended: String,
    /// The lines that answers followed on, without their prompt yet.
    parents: Vec<String>,
}

impl Transcript {
    /// The fold with this saved state; `None` when another version saved it.
    pub(super) fn restore(saved: &Value) -> Option<Self> {
        <Self as Deserialize>::deserialize(saved).ok().filter(|transcript| transcript.version == VERSION)
    }

    fn line(&mut self, record: &Record<'_>, sink: &mut dyn Sink) {
        let Ok(mut line) = serde_json::from_slice::<Value>(record.payload) else {
            return common::plain_line(record, sink);
        };
        let kind = field::take_text(&mut line, "type");
        self.session(&line, kind.as_deref(), record, sink);
        match kind.as_deref() {
            Some("assistant") => self.assistant(line, record, sink),
            Some("user") => self.user(line, record, sink),
            Some("system") => self.system(&line, record, sink),
            Some("attachment") => {
                let attachment = field::take(&mut line, "attachment");
                if let Some("queued_command") = field::text(&attachment, "type")
                    && let Some(prompt) = field::text(&attachment, "prompt")
                {
                    self.fold(record, sink).prompt(prompt.to_owned());
                }
            }
            // What the CLI keeps for itself.
            Some(
                "queue-operation"
                | "last-prompt"
                | "mode"
                | "permission-mode"
                | "file-history-snapshot"
                | "summary"
                | "progress"
                | "custom-title"
                | "ai-title"
                | "agent-name"
                | "agent-color"
                | "agent-setting"
                | "tag"
                | "pr-link"
                | "content-replacement"
                | "worktree-state",
            ) => {}
            kind => {
                let kind = kind.map(str::to_owned);
                self.fold(record, sink).unknown(line, kind.as_deref());
            }
        }
    }

    fn fold<'f>(&'f mut self, record: &'f Record<'f>, sink: &'f mut dyn Sink) -> Fold<'f> {
        Fold { state: &mut self.state, record, sink }
    }

    /// Tells the session's facts when they are new.
    fn session(&mut self, line: &Value, kind: Option<&str>, record: &Record<'_>, sink: &mut dyn Sink) {
        if self.parent.is_some() {
            return;
        }
        let model = line.get("message").and_then(|message| field::text(message, "model"));
        let model = model.filter(|model| *model != "<synthetic>");
        let mode = field::text(line, "permissionMode").filter(|_| matches!(kind, Some("user" | "permission-mode")));
        let facts = &mut self.state.facts;
        let mut changed = false;
        for (known, told) in [
            (&mut facts.session_id, field::text(line, "sessionId")),
            (&mut facts.model, model),
            (&mut facts.permission_mode, mode),
        ] {
            if let Some(told) = told.filter(|told| *told != known.as_str()) {
                told.clone_into(known);
                changed = true;
            }
        }
        if changed {
            let facts = self.state.facts.clone();
            let some = |text: String| (!text.is_empty()).then(|| text.into());
            let content = format!("Session {}", facts.session_id);
            let body = Body::Session {
                session_id: some(facts.session_id),
                model: some(facts.model),
                cwd: field::text(line, "cwd").map(|cwd| cwd.to_owned().into()),
                permission_mode: some(facts.permission_mode),
                tools: None,
                commands: None,
                mcp_servers: None,
            };
            self.fold(record, sink).tell(content, body);
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

    fn assistant(&mut self, mut line: Value, record: &Record<'_>, sink: &mut dyn Sink) {
        let sub_agent = self.mark_parent(&mut line);
        let message = line.get("message").unwrap_or(&Value::Null);
        let id = field::text_or_empty(message, "id").to_owned();
        let reason = field::text_or_empty(message, "stop_reason").to_owned();
        let blocks = message.get("content").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        // Thinking that ends a message has its text after it.
        let last = blocks.iter().any(|block| field::text(block, "type") != Some("thinking"));
        let failed = field::is_true(&line, "isApiErrorMessage");
        if failed && let Some(fields) = line.as_object_mut() {
            fields.entry("error").or_insert_with(|| "api_error".into());
        }
        if sub_agent {
            return self.fold(record, sink).assistant(line);
        }
        if let Some(parent) = field::text(&line, "parentUuid") {
            push_bounded(&mut self.parents, parent.to_owned(), PARENTS_MAX);
        }
        if id.is_empty() || id != self.ended {
            self.fold(record, sink).start_turn();
        }
        self.fold(record, sink).assistant(line);
        if last && ENDS.contains(&reason.as_str()) && self.state.turn.is_some() {
            self.ended = id;
            self.end_turn(if failed { "error" } else { &reason }, None, record, sink);
        }
    }

    fn user(&mut self, mut line: Value, record: &Record<'_>, sink: &mut dyn Sink) {
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
            return self.fold(record, sink).notice("compact_summary", text);
        }
        let text = prompt(&line).unwrap_or_default().to_owned();
        let interrupted = text.starts_with("[Request interrupted by user");
        let answered = self.take_parent(field::text_or_empty(&line, "uuid"));
        let local = ["<local-command-", "<command-", "<bash-"].iter().any(|tag| text.starts_with(tag));
        if !sub_agent && !text.is_empty() && !interrupted && !local && !answered {
            self.fold(record, sink).start_turn();
        }
        self.fold(record, sink).user(line);
        if interrupted && !sub_agent {
            self.end_turn("interrupted", None, record, sink);
        }
    }

    /// Whether an answer has followed on this line already.
    fn take_parent(&mut self, uuid: &str) -> bool {
        let at = self.parents.iter().position(|parent| parent == uuid);
        at.map(|at| self.parents.remove(at)).is_some()
    }

    fn system(&mut self, line: &Value, record: &Record<'_>, sink: &mut dyn Sink) {
        match field::text_or_empty(line, "subtype") {
            "turn_duration" => self.end_turn("end_turn", field::number(line, "durationMs"), record, sink),
            subtype => {
                let (subtype, text) = (subtype.to_owned(), field::text(line, "content").map(str::to_owned));
                self.fold(record, sink).notice(&subtype, text);
            }
        }
    }

    fn end_turn(&mut self, reason: &str, duration_ms: Option<u64>, record: &Record<'_>, sink: &mut dyn Sink) {
        let Some(turn) = self.state.turn.take() else { return };
        self.parents.clear();
        let body = Body::TurnCompleted {
            turn_id: turn.id().into(),
            stop_reason: reason.to_owned().into(),
            duration_ms,
            usage: Some(turn.usage),
            cost_usd: None,
            is_error: matches!(reason, "error" | "interrupted"),
            result: None,
        };
        let content = if reason == "interrupted" { "Turn interrupted" } else { "Turn completed" };
        self.fold(record, sink).tell(content, body);
    }
}

/// The text of a line that is no tool's result.
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

impl Session for Transcript {
    fn record(&mut self, record: &Record<'_>, control: Option<&Control>, sink: &mut dyn Sink) {
        match (record.kind, control) {
            (Kind::Out, _) => self.line(record, sink),
            (Kind::OutPart, _) => common::plain_line(record, sink),
            (Kind::Ctl, Some(Control::Transcript { parent_tool_call_id, .. })) => {
                self.parent.clone_from(parent_tool_call_id);
            }
            (Kind::Ctl, Some(Control::FollowNoted { code, .. })) if code == ABANDONED => {
                self.end_turn("interrupted", None, record, sink);
            }
            _ => {}
        }
    }

    fn volatile(&mut self, _record: &Record<'_>, _sink: &mut dyn Sink) {}

    fn activity(&self) -> Activity {
        if self.state.turn.is_some() { Activity::Busy } else { Activity::Idle }
    }

    fn encode(&self, _command: &Command<'_>) -> Result<Action, Refusal> {
        Err(Refusal::Unsupported(crate::adapter::READ_ONLY.to_owned()))
    }

    fn save(&self) -> Value {
        serde_json::to_value(Self { version: VERSION, ..self.clone() }).unwrap_or_default()
    }
}
