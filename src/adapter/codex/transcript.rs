//! The fold over the lines of Codex's own session file (its rollout), for a session that runs elsewhere.
//!
//! The file says what was said twice: as items of the model's API (`response_item`), which are read here, and as
//! `item_completed`, which are not. Turns have lines of their own.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::adapter::{ABANDONED, Action, Activity, Command, READ_ONLY, Refusal, Session, common, field};
use crate::event::{Body, Event, Sink, Text, ToolKind, Usage};
use crate::journal::{Control, Kind, Record};

/// Changes whenever a saved fold can no longer be read.
const VERSION: u32 = 1;

/// The fold's memory.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Transcript {
    version: u32,
    session_id: String,
    model: String,
    /// The running turn.
    turn: Option<String>,
    /// Tokens of the running turn.
    usage: Usage,
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
        let kind = field::text_or_empty(&line, "type").to_owned();
        let mut payload = field::take(&mut line, "payload");
        match kind.as_str() {
            "session_meta" => {
                let id = field::text(&payload, "id").or_else(|| field::text(&payload, "session_id"));
                id.unwrap_or_default().clone_into(&mut self.session_id);
                self.tell_session(&payload, sink);
            }
            "turn_context" => {
                if let Some(model) = field::text(&payload, "model").filter(|model| *model != self.model) {
                    model.clone_into(&mut self.model);
                    self.tell_session(&payload, sink);
                }
            }
            "response_item" => item(payload, sink),
            "event_msg" => self.event(&payload, record, sink),
            "compacted" => {
                let text = field::take_text(&mut payload, "message").filter(|text| !text.trim().is_empty());
                let text = text.unwrap_or_else(|| "The conversation was compacted".to_owned());
                tell(sink, common::cut(text, common::STRING_MAX), Body::Notice { code: "compacted".into() });
            }
            // What the CLI keeps for itself.
            "world_state" | "token_usage_record" => {}
            _ => unknown(line, &kind, sink),
        }
    }

    fn tell_session(&self, payload: &Value, sink: &mut dyn Sink) {
        let some = |text: &str| Some(Text::from(text.to_owned())).filter(|text| !text.is_empty());
        let body = Body::Session {
            session_id: some(&self.session_id),
            model: some(&self.model),
            cwd: field::text(payload, "cwd").and_then(some),
            permission_mode: field::text(payload, "approval_policy").and_then(some),
            tools: None,
            commands: None,
            mcp_servers: None,
        };
        tell(sink, format!("Session {}", self.session_id), body);
    }

    fn event(&mut self, payload: &Value, record: &Record<'_>, sink: &mut dyn Sink) {
        match field::text_or_empty(payload, "type") {
            "task_started" => {
                let id = field::text(payload, "turn_id").map_or_else(|| format!("turn-{}", record.seq), str::to_owned);
                self.usage = Usage::default();
                tell(sink, "Turn started", Body::TurnStarted { turn_id: id.clone().into() });
                self.turn = Some(id);
            }
            "task_complete" => self.end_turn("end_turn", payload, sink),
            "turn_aborted" => {
                let reason = field::text(payload, "reason").unwrap_or("interrupted").to_owned();
                self.end_turn(&reason, payload, sink);
            }
            "token_count" => self.count(payload.get("info").unwrap_or(&Value::Null), sink),
            "error" | "stream_error" => {
                let text = field::text(payload, "message").unwrap_or("Codex reports an error").to_owned();
                tell(sink, common::cut(text, common::STRING_MAX), Body::Error { code: "api_error".into() });
            }
            // Said again by the items of the model's API.
            _ => {}
        }
    }

    fn count(&mut self, info: &Value, sink: &mut dyn Sink) {
        let Some(last) = info.get("last_token_usage") else { return };
        let count = |key| field::number(last, key).unwrap_or(0);
        let cached = count("cached_input_tokens");
        let usage = Usage {
            input_tokens: count("input_tokens").saturating_sub(cached),
            output_tokens: count("output_tokens"),
            cache_read_tokens: cached,
            cache_write_tokens: count("cache_write_input_tokens"),
        };
        self.usage.add(&usage);
        let context = count("input_tokens");
        let body = Body::Usage {
            usage: self.usage,
            context_tokens: Some(context),
            context_window: field::number(info, "model_context_window"),
        };
        tell(sink, format!("{context} tokens in the context"), body);
    }

    fn end_turn(&mut self, reason: &str, payload: &Value, sink: &mut dyn Sink) {
        let Some(turn) = self.turn.take() else { return };
        let failed = reason != "end_turn";
        let body = Body::TurnCompleted {
            turn_id: turn.into(),
            stop_reason: reason.to_owned().into(),
            duration_ms: field::number(payload, "duration_ms"),
            usage: Some(self.usage),
            cost_usd: None,
            is_error: failed,
            result: field::text(payload, "last_agent_message").map(|text| text.to_owned().into()),
        };
        tell(sink, if failed { "Turn interrupted" } else { "Turn completed" }, body);
    }
}

fn tell<'e>(sink: &mut dyn Sink, content: impl Into<Text<'e>>, body: Body<'e>) {
    sink.event(Event::new(content, body));
}

fn unknown(mut raw: Value, kind: &str, sink: &mut dyn Sink) {
    common::bound(&mut raw);
    tell(sink, format!("unknown line of Codex: {kind}"), Body::Unknown { raw });
}

/// Tells an item of the model's API.
fn item(mut item: Value, sink: &mut dyn Sink) {
    let kind = field::text_or_empty(&item, "type").to_owned();
    let id = field::take_text(&mut item, "call_id").or_else(|| field::take_text(&mut item, "id")).unwrap_or_default();
    match kind.as_str() {
        "message" => message(&item, id, sink),
        "reasoning" => {
            let text = texts(item.get("summary"));
            if !text.is_empty() {
                tell(sink, text, Body::Thinking { message_id: Some(id.into()), parent_tool_call_id: None });
            }
        }
        "function_call" | "custom_tool_call" | "local_shell_call" | "web_search_call" => call(item, &kind, id, sink),
        "function_call_output" | "custom_tool_call_output" => {
            let output = field::take(&mut item, "output");
            let text = match &output {
                Value::String(text) => text.clone(),
                other => field::text(other, "content").map_or_else(|| other.to_string(), str::to_owned),
            };
            let failed = output.get("success").and_then(Value::as_bool) == Some(false)
                || text.starts_with("exec_command failed");
            let body = Body::ToolResult {
                tool_call_id: id.into(),
                is_error: failed,
                output: Value::Null,
                diff: None,
                parent_tool_call_id: None,
            };
            tell(sink, common::cut(text, common::STRING_MAX), body);
        }
        _ => unknown(item, &kind, sink),
    }
}

fn message(item: &Value, id: String, sink: &mut dyn Sink) {
    let text = texts(item.get("content"));
    let message_id = Some(id.into());
    match field::text_or_empty(item, "role") {
        "assistant" => tell(sink, text, Body::Assistant { message_id, parent_tool_call_id: None }),
        // What the CLI tells the model in the user's name begins with a tag of its own.
        "user" if !text.starts_with('<') || text.starts_with("<<") => {
            tell(sink, text, Body::User { message_id: None, client_message_id: None, attachments: Vec::new() });
        }
        _ => {}
    }
}

/// The texts of a message's parts.
fn texts(parts: Option<&Value>) -> String {
    let parts = parts.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    parts.iter().filter_map(|part| field::text(part, "text")).collect::<Vec<_>>().join("\n")
}

fn call(mut item: Value, kind: &str, id: String, sink: &mut dyn Sink) {
    let name = field::take_text(&mut item, "name").unwrap_or_else(|| kind.trim_end_matches("_call").to_owned());
    let mut input = ["arguments", "input", "action"].iter().map(|key| field::take(&mut item, key));
    let mut input = match input.find(|input| !input.is_null()) {
        Some(Value::String(text)) => serde_json::from_str(&text).unwrap_or_else(|_| json!({ "input": text })),
        Some(other) => other,
        None => Value::Null,
    };
    common::bound(&mut input);
    let command = ["cmd", "command"].iter().find_map(|key| input.get(*key));
    let (tool_kind, summary) = match command {
        Some(Value::String(command)) => (ToolKind::Execute, format!("{name}: {command}")),
        Some(command) => (ToolKind::Execute, format!("{name}: {command}")),
        None if name == "apply_patch" => (ToolKind::Edit, name.clone()),
        None => (ToolKind::Other, name.clone()),
    };
    let body = Body::ToolCall {
        tool_call_id: id.into(),
        name: name.into(),
        input,
        kind: tool_kind,
        locations: Vec::new(),
        parent_tool_call_id: None,
    };
    tell(sink, common::cut(summary, common::STRING_MAX), body);
}

impl Session for Transcript {
    fn record(&mut self, record: &Record<'_>, control: Option<&Control>, sink: &mut dyn Sink) {
        match (record.kind, control) {
            (Kind::Out, _) => self.line(record, sink),
            (Kind::OutPart, _) => common::plain_line(record, sink),
            (Kind::Ctl, Some(Control::FollowNoted { code, .. })) if code == ABANDONED => {
                self.end_turn("interrupted", &Value::Null, sink);
            }
            _ => {}
        }
    }

    fn volatile(&mut self, _record: &Record<'_>, _sink: &mut dyn Sink) {}

    fn activity(&self) -> Activity {
        if self.turn.is_some() { Activity::Busy } else { Activity::Idle }
    }

    fn encode(&self, _command: &Command<'_>) -> Result<Action, Refusal> {
        Err(Refusal::Unsupported(READ_ONLY.to_owned()))
    }

    fn save(&self) -> Value {
        serde_json::to_value(Self { version: VERSION, ..self.clone() }).unwrap_or_default()
    }
}
