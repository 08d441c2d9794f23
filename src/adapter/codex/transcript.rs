//! The fold over the lines of Codex's own session file (its rollout), for a session that runs elsewhere.
//!
//! The file says what was said twice: as items of the model's API (`response_item`), which are read here, and as
//! `item_completed`, which are not. Turns have lines of their own.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::adapter::codex::NAME;
use crate::adapter::kit::{self, Emitter, field, saved, session, text, time};
use crate::adapter::{ABANDONED, Action, Activity, Command, READ_ONLY, Refusal, Session};
use crate::event::{Body, Event, SessionFacts, Text, ToolKind, TurnEnd, Usage, image};
use crate::journal::{Control, Kind, Record};
use crate::json::{self, Read};

/// Changes whenever a saved fold can no longer be read.
const VERSION: u32 = 1;

/// The fold's memory.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct CodexTranscript {
    session_id: String,
    model: String,
    /// The running turn.
    turn: Option<String>,
    /// Tokens of the running turn.
    usage: Usage,
}

impl CodexTranscript {
    /// The fold with this saved state; `None` when another version saved it.
    pub(super) fn restore(saved: &Value) -> Option<Self> {
        saved::restore(VERSION, saved)
    }

    fn line(&mut self, record: &Record<'_>, out: &mut Emitter<'_, '_>) {
        match json::read(record.payload) {
            Read::Strict(line) => self.value(line, record, out),
            Read::Lenient(read) => {
                read.values.into_iter().for_each(|line| self.value(line, record, out));
                read.broken.iter().for_each(|broken| out.plain_text(&broken.text));
            }
        }
    }

    fn value(&mut self, mut line: Value, record: &Record<'_>, out: &mut Emitter<'_, '_>) {
        let kind = field::text_or_empty(&line, "type").to_owned();
        let mut payload = field::take(&mut line, "payload");
        match kind.as_str() {
            "session_meta" => {
                let id = field::text(&payload, "id").or_else(|| field::text(&payload, "session_id"));
                id.filter(|id| session::is_session_id(id)).inspect(|id| (*id).clone_into(&mut self.session_id));
                self.report_session(&payload, out);
            }
            "turn_context" => {
                if let Some(model) = field::text(&payload, "model").filter(|model| *model != self.model) {
                    model.clone_into(&mut self.model);
                    self.report_session(&payload, out);
                }
            }
            "response_item" => item(payload, out),
            "event_msg" => self.event(&payload, record, out),
            "compacted" => {
                let text = field::take_text(&mut payload, "message").filter(|text| !text.trim().is_empty());
                let text = text.unwrap_or_else(|| "The conversation was compacted".to_owned());
                out.emit(text::cut(text, text::STRING_MAX), Body::notice("compacted"));
            }
            // Internal records of the CLI.
            "world_state" | "token_usage_record" => {}
            _ => unknown(line, &kind, out),
        }
    }

    fn report_session(&self, payload: &Value, out: &mut Emitter<'_, '_>) {
        let some = |text: &str| Some(Text::from(text.to_owned())).filter(|text| !text.is_empty());
        let body = Body::Session(SessionFacts {
            session_id: some(&self.session_id),
            model: some(&self.model),
            cwd: field::text(payload, "cwd").and_then(some),
            permission_mode: field::text(payload, "approval_policy").and_then(some),
            ..SessionFacts::default()
        });
        out.emit(format!("Session {}", self.session_id), body);
    }

    fn event(&mut self, payload: &Value, record: &Record<'_>, out: &mut Emitter<'_, '_>) {
        match field::text_or_empty(payload, "type") {
            "task_started" => {
                let id = field::text(payload, "turn_id").map_or_else(|| kit::turn::id(record.seq), str::to_owned);
                self.usage = Usage::default();
                out.turn_started(id.clone());
                self.turn = Some(id);
            }
            "task_complete" => self.end_turn("end_turn", payload, out),
            "turn_aborted" => {
                let reason = field::text(payload, "reason").unwrap_or("interrupted").to_owned();
                self.end_turn(&reason, payload, out);
            }
            "token_count" => self.count(payload.get("info").unwrap_or(&Value::Null), out),
            "error" | "stream_error" => {
                let text = field::text(payload, "message").unwrap_or("Codex reports an error").to_owned();
                out.emit(text::cut(text, text::STRING_MAX), Body::Error { code: "api_error".into() });
            }
            // Said again by the items of the model's API.
            _ => {}
        }
    }

    fn count(&mut self, info: &Value, out: &mut Emitter<'_, '_>) {
        let Some(last) = info.get("last_token_usage") else { return };
        let keys = ["input_tokens", "output_tokens", "cached_input_tokens", "cache_write_input_tokens"];
        let mut usage = field::usage(last, keys, false);
        usage.input_tokens = usage.input_tokens.saturating_sub(usage.cache_read_tokens);
        self.usage.add(&usage);
        let context = field::number(last, "input_tokens").unwrap_or(0);
        let body = Body::Usage {
            usage: self.usage,
            context_tokens: Some(context),
            context_window: field::number(info, "model_context_window"),
        };
        out.emit(format!("{context} tokens in the context"), body);
    }

    fn end_turn(&mut self, reason: &str, payload: &Value, out: &mut Emitter<'_, '_>) {
        let Some(turn) = self.turn.take() else { return };
        let failed = reason != "end_turn";
        let body = Body::TurnCompleted(TurnEnd {
            turn_id: turn.into(),
            stop_reason: reason.to_owned().into(),
            duration_ms: time::duration_ms(payload, "duration_ms"),
            usage: Some(self.usage),
            is_error: failed,
            result: field::text(payload, "last_agent_message").map(|text| text.to_owned().into()),
            ..TurnEnd::default()
        });
        out.emit(if failed { "Turn interrupted" } else { "Turn completed" }, body);
    }
}

fn unknown(raw: Value, kind: &str, out: &mut Emitter<'_, '_>) {
    out.unknown(format!("unknown line of Codex: {kind}"), raw);
}

/// Emits an item of the model's API.
fn item(mut item: Value, out: &mut Emitter<'_, '_>) {
    let kind = field::text_or_empty(&item, "type").to_owned();
    let id = field::take_text(&mut item, "call_id").or_else(|| field::take_text(&mut item, "id")).unwrap_or_default();
    match kind.as_str() {
        "message" => message(&item, id, out),
        "reasoning" => {
            let text = texts(item.get("summary"));
            if !text.is_empty() {
                out.emit(text, Body::Thinking { message_id: Some(id.into()), parent_tool_call_id: None });
            }
        }
        "function_call" | "custom_tool_call" | "local_shell_call" | "web_search_call" => call(item, &kind, id, out),
        "function_call_output" | "custom_tool_call_output" => {
            let mut output = field::take(&mut item, "output");
            let images = image::take(&mut output);
            let text = match &output {
                Value::String(text) => text.clone(),
                Value::Array(_) if !images.is_empty() => texts(Some(&output)),
                other => field::text(other, "content").map_or_else(|| other.to_string(), str::to_owned),
            };
            let failed = output.get("success").and_then(Value::as_bool) == Some(false)
                || text.starts_with("exec_command failed");
            let body = Body::ToolResult {
                tool_call_id: id.into(),
                is_error: failed,
                output: Value::Null,
                diff: None,
                images,
                parent_tool_call_id: None,
            };
            out.emit(text::cut(text, text::STRING_MAX), body);
        }
        _ => unknown(item, &kind, out),
    }
}

fn message(item: &Value, id: String, out: &mut Emitter<'_, '_>) {
    let text = texts(item.get("content"));
    let message_id = Some(id.into());
    match field::text_or_empty(item, "role") {
        "assistant" => out.emit(text, Body::Assistant { message_id, parent_tool_call_id: None }),
        // Text that the CLI adds in the user's name begins with a special tag.
        "user" if !text.starts_with('<') || text.starts_with("<<") => {
            out.foreign_message(text);
        }
        _ => {}
    }
}

/// The texts of a message's parts.
fn texts(parts: Option<&Value>) -> String {
    let parts = parts.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    parts.iter().filter_map(|part| field::text(part, "text")).collect::<Vec<_>>().join("\n")
}

fn call(mut item: Value, kind: &str, id: String, out: &mut Emitter<'_, '_>) {
    let name = field::take_text(&mut item, "name").unwrap_or_else(|| kind.trim_end_matches("_call").to_owned());
    let mut input = ["arguments", "input", "action"].iter().map(|key| field::take(&mut item, key));
    let mut input = match input.find(|input| !input.is_null()) {
        Some(Value::String(text)) => json::value(text.as_bytes()).unwrap_or_else(|| json!({ "input": text })),
        Some(other) => other,
        None => Value::Null,
    };
    text::bound(&mut input);
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
    out.emit(text::cut(summary, text::STRING_MAX), body);
}

impl Session for CodexTranscript {
    fn record<'r>(&mut self, record: &Record<'r>, control: Option<&Control>, out: &mut Vec<Event<'r>>) {
        let out = &mut Emitter::new(NAME, out);
        match (record.kind, control) {
            (Kind::Out, _) => self.line(record, out),
            (Kind::OutPart, _) => out.plain_text(&String::from_utf8_lossy(record.payload)),
            (Kind::Ctl, Some(Control::FollowNoted { code, .. })) if code == ABANDONED => {
                self.end_turn("interrupted", &Value::Null, out);
            }
            _ => {}
        }
    }

    fn activity(&self) -> Activity {
        if self.turn.is_some() { Activity::Busy } else { Activity::Idle }
    }

    fn encode(&self, _command: &Command<'_>) -> Result<Action, Refusal> {
        Err(Refusal::Unsupported(READ_ONLY.to_owned()))
    }

    fn save(&self) -> Value {
        saved::save(VERSION, self)
    }
}
