//! One rule applied to one line: which event it gives and what it changes in the fold's state. Pure.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::family::TOOL_KINDS;
use super::path::{FieldSource, Flag, Path, text_of};
use super::rules::{Emits, SessionFields, TextAuthor, ToolCallFields, ToolResultFields, TurnFields, UsageFields};
use super::turns::{TurnOutcome, Turns};
use crate::adapter::kit::Emitter;
use crate::adapter::kit::session::is_session_argument;
use crate::adapter::kit::text::{STRING_MAX, bound, cut};
use crate::adapter::kit::time::DURATION_MS_MAX;
use crate::event::{Body, Event, Image, SessionFacts, Text, ToolKind, Usage, image};
use crate::journal::Record;

/// Longest message that is put together from pieces, in bytes. A longer one is emitted in several; the bound is what the
/// saved state may hold.
pub(crate) const MESSAGE_BYTES_MAX: usize = 128 * 1024;
/// Longest summary of a tool's input behind its name, in characters.
const SUMMARY_CHARS_MAX: usize = 200;

/// The facts of the session as last reported, so that only changes are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct KnownFacts {
    model: Option<String>,
    cwd: Option<String>,
    permission_mode: Option<String>,
}

/// A message whose pieces have come so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Partial {
    thinking: bool,
    message_id: Option<String>,
    text: String,
}

/// The state of the fold.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct DeclaredState {
    pub(super) turns: Turns,
    /// The facts of the session as last reported.
    pub(super) facts: KnownFacts,
    /// The message that its pieces are put together to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) partial: Option<Partial>,
    /// Tokens of the session so far, of a CLI that counts so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) counted: Option<Usage>,
}

impl DeclaredState {
    /// Emits the message whose pieces have come so far, as one piece.
    pub(super) fn unfinished<'e>(&'e self, out: &mut Emitter<'_, 'e>) {
        if let Some(Partial { thinking, message_id, text }) = &self.partial {
            out.piece(*thinking, message_id.as_deref(), text.as_str());
        }
    }

    /// Emits the message whose pieces have come so far.
    pub(super) fn flush(&mut self, out: &mut Emitter<'_, '_>) {
        if let Some(Partial { thinking, message_id, text }) = self.partial.take() {
            out.emit(text, Body::said(thinking, message_id.map(Into::into), None));
        }
    }

    /// Returns true while pieces of a message have come that are in no event yet.
    pub(super) fn holds_text(&self) -> bool {
        self.partial.is_some()
    }

    /// The CLI has named its session; emits it when that is new.
    pub(super) fn session_named(&mut self, id: &str, out: &mut Emitter<'_, '_>) {
        if self.turns.session_named(id) {
            self.flush(out);
            self.facts = KnownFacts::default();
            self.counted = None;
            out.emit("", Body::session(id.to_owned()));
        }
    }

    /// Adds a piece to the message that it belongs to.
    fn add(&mut self, of: TextAuthor, message_id: Option<&str>, piece: &str, out: &mut Emitter<'_, '_>) {
        let thinking = of == TextAuthor::Thinking;
        let same = self.partial.as_ref().is_some_and(|message| {
            message.thinking == thinking
                && message.message_id.as_deref() == message_id
                && message.text.len() + piece.len() <= MESSAGE_BYTES_MAX
        });
        if !same {
            self.flush(out);
        }
        let new = || Partial { thinking, message_id: message_id.map(str::to_owned), text: String::new() };
        self.partial.get_or_insert_with(new).text.push_str(piece);
        if piece.len() > MESSAGE_BYTES_MAX {
            self.flush(out);
        }
    }
}

/// The fields of a line that a rule holds for.
pub(super) struct LineFields<'r> {
    pub(super) emits: &'r Emits,
    pub(super) line: &'r Value,
    pub(super) tool_kinds: &'r BTreeMap<String, ToolKind>,
    /// The prefix of the CLI's ids, for those that begin anew in every process.
    pub(super) process: Option<u64>,
    pub(super) record: &'r Record<'r>,
}

impl<'r> LineFields<'r> {
    /// Emits the event and changes the state. Returns false if the line lacks what the event needs: the rule is then taken
    /// for one that does not match.
    pub(super) fn apply(&self, state: &mut DeclaredState, out: &mut Emitter<'_, '_>) -> bool {
        self.try_apply(state, out).is_some()
    }

    fn try_apply(&self, state: &mut DeclaredState, out: &mut Emitter<'_, '_>) -> Option<()> {
        match self.emits {
            Emits::Ignore => {}
            Emits::Message { of, content, message_id, parent } => {
                let content = content.spoken(self.line)?.into_owned();
                state.flush(out);
                let (message_id, parent) = (self.id(message_id.as_ref()), self.id(parent.as_ref()));
                out.emit(
                    content,
                    Body::said(*of == TextAuthor::Thinking, message_id.map(Into::into), parent.map(Into::into)),
                );
            }
            Emits::Part { of, content, message_id } => {
                let (piece, message_id) = (content.spoken(self.line)?, self.id(message_id.as_ref()));
                state.add(*of, message_id.as_deref(), &piece, out);
                // One that is too long to wait for others was emitted as a whole.
                if state.partial.is_some() {
                    out.piece(*of == TextAuthor::Thinking, message_id, piece.into_owned());
                }
            }
            Emits::Delta { of, content, message_id } => {
                let piece = content.spoken(self.line)?.into_owned();
                out.piece(*of == TextAuthor::Thinking, self.id(message_id.as_ref()), piece);
            }
            Emits::ToolCall(call) => {
                let event = self.tool_call(call)?;
                state.flush(out);
                out.push(event);
            }
            Emits::ToolResult(result) => {
                let event = self.tool_result(result)?;
                state.flush(out);
                out.push(event);
            }
            Emits::Plan { entries } => {
                let Value::Array(entries) = entries.get(self.line)? else { return None };
                state.flush(out);
                let entries: Vec<Value> = entries.iter().map(plan_entry).collect();
                let content: Vec<&str> = entries.iter().filter_map(|entry| entry["text"].as_str()).collect();
                out.emit(content.join("\n"), Body::Plan { entries });
            }
            Emits::Error { code, content } => {
                let content = content.text(self.line)?.into_owned();
                state.flush(out);
                let code = self.text(code.as_ref()).map_or("error".into(), Text::from);
                out.emit(content, Body::Error { code });
            }
            Emits::Notice { code, content } => {
                let content = content.text(self.line)?.into_owned();
                state.flush(out);
                let code = self.text(code.as_ref()).map_or("notice".into(), Text::from);
                out.emit(content, Body::notice(code));
            }
            Emits::Usage { usage, cost_usd } => {
                let counts = self.usage(usage, state)?;
                state.turns.spend(&counts, self.number(cost_usd.as_ref()));
                let (context, window) = (self.count(usage.context.as_ref()), self.count(usage.window.as_ref()));
                let body = Body::Usage { usage: counts, context_tokens: context, context_window: window };
                out.emit("", body);
            }
            Emits::TurnStarted => {
                state.flush(out);
                state.turns.begin_turn(self.record, out);
                state.turns.consumed(out);
            }
            Emits::TurnCompleted(turn) => self.turn_completed(turn, state, out),
            Emits::Session(facts) => self.session(facts, state, out),
        }
        Some(())
    }

    fn text(&self, source: Option<&FieldSource>) -> Option<String> {
        source?.text(self.line).map(Cow::into_owned)
    }

    fn id(&self, source: Option<&FieldSource>) -> Option<String> {
        let id = self.text(source)?;
        Some(match self.process {
            Some(process) => format!("{process}-{id}"),
            None => id,
        })
    }

    fn value(&self, source: Option<&FieldSource>) -> Option<Value> {
        let mut value = source?.get(self.line)?.clone();
        bound(&mut value);
        Some(value)
    }

    fn count(&self, path: Option<&Path>) -> Option<u64> {
        let value = path?.get(self.line)?;
        // A count that is written as 12.0 is 12; a negative or absurd one saturates.
        value.as_u64().or_else(|| value.as_f64().map(|number| number as u64))
    }

    fn number(&self, path: Option<&Path>) -> Option<f64> {
        path?.get(self.line)?.as_f64()
    }

    fn holds(&self, flag: Option<&Flag>) -> bool {
        flag.is_some_and(|flag| flag.holds(self.line))
    }

    fn tool_call(&self, call: &ToolCallFields) -> Option<Event<'static>> {
        let (id, name) = (self.id(Some(&call.id))?, self.text(Some(&call.name))?);
        let input = self.value(call.input.as_ref()).unwrap_or(Value::Null);
        let content = self.text(call.content.as_ref()).unwrap_or_else(|| summary(&name, &input));
        let word = self.text(call.kind.as_ref());
        let body = Body::ToolCall {
            kind: self.tool_kind(word.as_deref().unwrap_or(&name)),
            tool_call_id: id.into(),
            name: name.into(),
            input,
            locations: call
                .locations
                .as_ref()
                .and_then(|source| source.get(self.line))
                .map(locations)
                .unwrap_or_default(),
            parent_tool_call_id: self.id(call.parent.as_ref()).map(Into::into),
        };
        Some(Event::new(content, body))
    }

    fn tool_kind(&self, word: &str) -> ToolKind {
        let named = TOOL_KINDS.iter().find(|(name, _)| *name == word).map(|(_, kind)| *kind);
        self.tool_kinds.get(word).copied().or(named).unwrap_or(ToolKind::Other)
    }

    fn tool_result(&self, result: &ToolResultFields) -> Option<Event<'static>> {
        if !image::is_in(self.line) {
            return self.tool_result_with(result, Vec::new());
        }
        let mut line = self.line.clone();
        let images = image::take(&mut line);
        LineFields { line: &line, ..*self }.tool_result_with(result, images)
    }

    fn tool_result_with(&self, result: &ToolResultFields, images: Vec<Image>) -> Option<Event<'static>> {
        let output = self.value(result.output.as_ref()).unwrap_or(Value::Null);
        let shown = result.content.as_ref().and_then(|source| source.get(self.line)).unwrap_or(&output);
        let content = match self.text(result.content.as_ref()) {
            // Blocks of which some are images: their texts.
            _ if !images.is_empty() && shown.is_array() => texts(shown),
            Some(content) => cut(content, STRING_MAX),
            None if output.is_null() => String::new(),
            None => text_of(&output).into_owned(),
        };
        let body = Body::ToolResult {
            tool_call_id: self.id(Some(&result.id))?.into(),
            is_error: self.holds(result.is_error.as_ref()),
            output,
            diff: self.value(result.diff.as_ref()),
            images,
            parent_tool_call_id: self.id(result.parent.as_ref()).map(Into::into),
        };
        Some(Event::new(content, body))
    }

    fn turn_completed(&self, turn: &TurnFields, state: &mut DeclaredState, out: &mut Emitter<'_, '_>) {
        state.flush(out);
        // A turn that began by itself is reported whole.
        state.turns.begin_turn(self.record, out);
        state.turns.consumed(out);
        let text = |source: &Option<FieldSource>| self.text(source.as_ref());
        let usage = turn.usage.as_ref().and_then(|usage| self.usage(usage, state));
        let end = TurnOutcome {
            content: text(&turn.content).unwrap_or_default().into(),
            stop_reason: text(&turn.stop_reason).map(Cow::Owned),
            duration_ms: self.count(turn.duration_ms.as_ref()).filter(|ms| *ms <= DURATION_MS_MAX),
            usage,
            cost_usd: self.number(turn.cost_usd.as_ref()),
            is_error: self.holds(turn.is_error.as_ref()),
            result: text(&turn.result).map(Cow::Owned),
        };
        state.turns.end_turn(self.record, end, out);
    }

    fn session(&self, facts: &SessionFields, state: &mut DeclaredState, out: &mut Emitter<'_, '_>) {
        let text = |source: &Option<FieldSource>| self.text(source.as_ref());
        let id = text(&facts.session_id).filter(|id| is_session_argument(id));
        let new_id = id.as_deref().is_some_and(|id| state.turns.session_named(id));
        if new_id {
            state.counted = None;
        }
        let said = KnownFacts {
            model: text(&facts.model),
            cwd: text(&facts.cwd),
            permission_mode: text(&facts.permission_mode),
        };
        if new_id || said != state.facts {
            state.flush(out);
            out.emit("", session(id, &said, self.value(facts.tools.as_ref())));
            state.facts = said;
        }
    }

    /// The tokens that the line reports, as those of this line alone; `None` when it reports none.
    fn usage(&self, counts: &UsageFields, state: &mut DeclaredState) -> Option<Usage> {
        let paths = [&counts.input, &counts.output, &counts.cache_read, &counts.cache_write];
        let [input, output, read, write] = paths.map(|path| self.count(path.as_ref()));
        if [input, output, read, write].iter().all(Option::is_none) {
            return None;
        }
        let cached = if counts.input_includes_cached { read.unwrap_or(0) } else { 0 };
        let mut usage = Usage {
            input_tokens: input.unwrap_or(0).saturating_sub(cached),
            output_tokens: output.unwrap_or(0),
            cache_read_tokens: read.unwrap_or(0),
            cache_write_tokens: write.unwrap_or(0),
        };
        if counts.cumulative {
            usage = usage.less(&state.counted.replace(usage).unwrap_or_default());
        }
        Some(usage)
    }
}

fn session(id: Option<String>, facts: &KnownFacts, tools: Option<Value>) -> Body<'static> {
    let owned = |fact: &Option<String>| fact.clone().map(Text::from);
    Body::Session(SessionFacts {
        session_id: id.map(Text::from),
        model: owned(&facts.model),
        cwd: owned(&facts.cwd),
        permission_mode: owned(&facts.permission_mode),
        tools,
        ..SessionFacts::default()
    })
}

/// A tool's name and the part of its input that says most.
fn summary(name: &str, input: &Value) -> String {
    let reporting = ["command", "file_path", "filePath", "path", "pattern", "query", "url", "description", "prompt"];
    match reporting.iter().find_map(|key| input.get(key)).and_then(Value::as_str) {
        None => name.to_owned(),
        Some(text) => format!("{name}: {}", text.chars().take(SUMMARY_CHARS_MAX).collect::<String>()),
    }
}

/// The texts of content blocks.
fn texts(blocks: &Value) -> String {
    let blocks = blocks.as_array().map(Vec::as_slice).unwrap_or_default();
    let texts: Vec<&str> = blocks.iter().filter_map(|block| block.get("text")?.as_str()).collect();
    cut(texts.join("\n"), STRING_MAX)
}

/// Files as `[{"path","line"?}]`, from a list of objects or of names, or from a single name.
fn locations(value: &Value) -> Vec<Value> {
    let one = |item: &Value| match item {
        Value::String(path) => Some(json!({"path": path})),
        Value::Object(map) => {
            let path = map.get("path").or_else(|| map.get("file"))?.as_str()?;
            Some(match map.get("line").and_then(Value::as_u64) {
                Some(line) => json!({"path": path, "line": line}),
                None => json!({"path": path}),
            })
        }
        _ => None,
    };
    match value {
        Value::Array(items) => items.iter().filter_map(one).collect(),
        other => one(other).into_iter().collect(),
    }
}

/// An entry of a to-do list as `{"text","status"}`, from the names that CLIs use.
fn plan_entry(entry: &Value) -> Value {
    let text = ["text", "content", "step", "title", "description"].iter().find_map(|key| entry.get(key)?.as_str());
    let text = text.map_or_else(|| text_of(entry), Cow::Borrowed);
    let status = match (entry.get("status").and_then(Value::as_str), entry.get("completed")) {
        (Some("completed" | "done"), _) | (None, Some(Value::Bool(true))) => "completed",
        (Some("in_progress" | "in-progress" | "inProgress"), _) => "in_progress",
        _ => "pending",
    };
    json!({"text": text, "status": status})
}
