//! One rule applied to one line: which event it gives and what it changes in the fold's state. Pure.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::course::{Course, End};
use super::file::TOOL_KINDS;
use super::path::{Flag, Path, Source, text_of};
use super::rules::{Facts, Gives, Of, ToolCall, ToolResult, TurnCompleted, Usage as Counts};
use crate::adapter::common::{STRING_MAX, bound, cut};
use crate::event::{Body, Event, Sink, Text, ToolKind, Usage};
use crate::journal::Record;

/// Longest message that is put together from pieces, in bytes. A longer one is told in several; the bound is what the
/// saved state may hold.
pub const MESSAGE_BYTES_MAX: usize = 128 * 1024;
/// Longest summary of a tool's input behind its name, in characters.
const SUMMARY_CHARS_MAX: usize = 200;

/// What the CLI said of its session, so that only news are told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct SessionFacts {
    model: Option<String>,
    cwd: Option<String>,
    permission_mode: Option<String>,
}

/// A message whose pieces have come so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Assembly {
    thinking: bool,
    message_id: Option<String>,
    text: String,
}

/// The state of the fold.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct State {
    pub(super) course: Course,
    /// What the CLI said of its session.
    pub(super) facts: SessionFacts,
    /// The message that its pieces are put together to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) assembly: Option<Assembly>,
    /// Tokens of the session so far, of a CLI that counts so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) counted: Option<Usage>,
}

impl State {
    /// Tells the message whose pieces have come so far.
    pub(super) fn flush(&mut self, sink: &mut dyn Sink) {
        if let Some(Assembly { thinking, message_id, text }) = self.assembly.take() {
            let of = if thinking { Of::Thinking } else { Of::Assistant };
            sink.event(Event::new(text, said(of, message_id.map(Cow::Owned), None)));
        }
    }

    /// The CLI has named its session; tells it when that is news.
    pub(super) fn session_named(&mut self, id: &str, sink: &mut dyn Sink) {
        if self.course.session_named(id) {
            self.flush(sink);
            self.facts = SessionFacts::default();
            self.counted = None;
            sink.event(Event::new("", session(Some(id), &SessionFacts::default(), None)));
        }
    }

    /// Adds a piece to the message that it belongs to.
    fn add(&mut self, of: Of, message_id: Option<&str>, piece: &str, sink: &mut dyn Sink) {
        let thinking = of == Of::Thinking;
        let same = self.assembly.as_ref().is_some_and(|message| {
            message.thinking == thinking
                && message.message_id.as_deref() == message_id
                && message.text.len() + piece.len() <= MESSAGE_BYTES_MAX
        });
        if !same {
            self.flush(sink);
        }
        let new = || Assembly { thinking, message_id: message_id.map(str::to_owned), text: String::new() };
        self.assembly.get_or_insert_with(new).text.push_str(piece);
        if piece.len() > MESSAGE_BYTES_MAX {
            self.flush(sink);
        }
    }
}

/// A rule and the line that it holds for.
pub(super) struct Given<'r> {
    pub(super) gives: &'r Gives,
    pub(super) line: &'r Value,
    pub(super) tool_kinds: &'r BTreeMap<String, ToolKind>,
    /// What goes before the CLI's ids, when they begin anew in every process.
    pub(super) process: Option<u64>,
    pub(super) record: &'r Record<'r>,
}

impl<'r> Given<'r> {
    /// Tells the event and changes the state. `false` when the line lacks what the event needs: the rule is then taken
    /// for one that does not match.
    pub(super) fn apply(&self, state: &mut State, sink: &mut dyn Sink) -> bool {
        self.try_apply(state, sink).is_some()
    }

    fn try_apply(&self, state: &mut State, sink: &mut dyn Sink) -> Option<()> {
        match self.gives {
            Gives::Ignore => {}
            Gives::Message { of, content, message_id, parent } => {
                let content = content.text(self.line)?;
                state.flush(sink);
                let (message_id, parent) = (self.id(message_id.as_ref()), self.id(parent.as_ref()));
                sink.event(Event::new(content, said(*of, message_id, parent)));
            }
            Gives::Part { of, content, message_id } => {
                let (piece, message_id) = (content.text(self.line)?, self.id(message_id.as_ref()));
                state.add(*of, message_id.as_deref(), &piece, sink);
                delta(*of, &piece, message_id, sink);
            }
            Gives::Delta { of, content, message_id } => {
                delta(*of, &content.text(self.line)?, self.id(message_id.as_ref()), sink);
            }
            Gives::ToolCall(call) => {
                let event = self.tool_call(call)?;
                state.flush(sink);
                sink.event(event);
            }
            Gives::ToolResult(result) => {
                let event = self.tool_result(result)?;
                state.flush(sink);
                sink.event(event);
            }
            Gives::Plan { entries } => {
                let Value::Array(entries) = entries.get(self.line)? else { return None };
                state.flush(sink);
                let entries: Vec<Value> = entries.iter().map(plan_entry).collect();
                let content: Vec<&str> = entries.iter().filter_map(|entry| entry["text"].as_str()).collect();
                sink.event(Event::new(content.join("\n"), Body::Plan { entries }));
            }
            Gives::Error { code, content } => {
                let content = content.text(self.line)?;
                state.flush(sink);
                let code = self.text(code.as_ref()).unwrap_or("error".into());
                sink.event(Event::new(content, Body::Error { code }));
            }
            Gives::Notice { code, content } => {
                let content = content.text(self.line)?;
                state.flush(sink);
                let code = self.text(code.as_ref()).unwrap_or("notice".into());
                sink.event(Event::new(content, Body::Notice { code }));
            }
            Gives::Usage { usage, cost_usd } => {
                let counts = self.usage(usage, state)?;
                state.course.spend(&counts, self.number(cost_usd.as_ref()));
                let (context, window) = (self.count(usage.context.as_ref()), self.count(usage.window.as_ref()));
                let body = Body::Usage { usage: counts, context_tokens: context, context_window: window };
                sink.event(Event::new("", body));
            }
            Gives::TurnStarted => {
                state.flush(sink);
                state.course.begin_turn(self.record, sink);
                state.course.consumed(sink);
            }
            Gives::TurnCompleted(turn) => self.turn_completed(turn, state, sink),
            Gives::Session(facts) => self.session(facts, state, sink),
        }
        Some(())
    }

    fn text(&self, source: Option<&'r Source>) -> Option<Text<'r>> {
        source?.text(self.line)
    }

    fn id(&self, source: Option<&'r Source>) -> Option<Text<'r>> {
        let id = self.text(source)?;
        Some(match self.process {
            Some(process) => format!("{process}-{id}").into(),
            None => id,
        })
    }

    fn value(&self, source: Option<&'r Source>) -> Option<Value> {
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

    fn tool_call(&self, call: &'r ToolCall) -> Option<Event<'r>> {
        let (id, name) = (self.id(Some(&call.id))?, call.name.text(self.line)?);
        let input = self.value(call.input.as_ref()).unwrap_or(Value::Null);
        let content = self.text(call.content.as_ref()).unwrap_or_else(|| summary(&name, &input).into());
        let word = self.text(call.kind.as_ref());
        let body = Body::ToolCall {
            kind: self.tool_kind(word.as_deref().unwrap_or(&name)),
            tool_call_id: id,
            name,
            input,
            locations: call
                .locations
                .as_ref()
                .and_then(|source| source.get(self.line))
                .map(locations)
                .unwrap_or_default(),
            parent_tool_call_id: self.id(call.parent.as_ref()),
        };
        Some(Event { content, body })
    }

    fn tool_kind(&self, word: &str) -> ToolKind {
        let named = TOOL_KINDS.iter().find(|(name, _)| *name == word).map(|(_, kind)| *kind);
        self.tool_kinds.get(word).copied().or(named).unwrap_or(ToolKind::Other)
    }

    fn tool_result(&self, result: &'r ToolResult) -> Option<Event<'r>> {
        let output = self.value(result.output.as_ref()).unwrap_or(Value::Null);
        let content = match self.text(result.content.as_ref()) {
            Some(content) if content.len() > STRING_MAX => cut(content.into_owned(), STRING_MAX).into(),
            Some(content) => content,
            None if output.is_null() => "".into(),
            None => text_of(&output).into_owned().into(),
        };
        let body = Body::ToolResult {
            tool_call_id: self.id(Some(&result.id))?,
            is_error: self.holds(result.is_error.as_ref()),
            output,
            diff: self.value(result.diff.as_ref()),
            parent_tool_call_id: self.id(result.parent.as_ref()),
        };
        Some(Event { content, body })
    }

    fn turn_completed(&self, turn: &TurnCompleted, state: &mut State, sink: &mut dyn Sink) {
        state.flush(sink);
        // A turn that began by itself is told whole.
        state.course.begin_turn(self.record, sink);
        state.course.consumed(sink);
        let text =
            |source: &Option<Source>| source.as_ref().and_then(|source| Some(source.text(self.line)?.into_owned()));
        let usage = turn.usage.as_ref().and_then(|usage| self.usage(usage, state));
        let end = End {
            content: text(&turn.content).unwrap_or_default().into(),
            stop_reason: text(&turn.stop_reason).map(Cow::Owned),
            duration_ms: self.count(turn.duration_ms.as_ref()),
            usage,
            cost_usd: self.number(turn.cost_usd.as_ref()),
            is_error: self.holds(turn.is_error.as_ref()),
            result: text(&turn.result).map(Cow::Owned),
        };
        state.course.end_turn(self.record, end, sink);
    }

    fn session(&self, facts: &Facts, state: &mut State, sink: &mut dyn Sink) {
        let text =
            |source: &Option<Source>| source.as_ref().and_then(|source| Some(source.text(self.line)?.into_owned()));
        let id = text(&facts.session_id);
        let new_id = id.as_deref().is_some_and(|id| state.course.session_named(id));
        if new_id {
            state.counted = None;
        }
        let said = SessionFacts {
            model: text(&facts.model),
            cwd: text(&facts.cwd),
            permission_mode: text(&facts.permission_mode),
        };
        if new_id || said != state.facts {
            state.flush(sink);
            sink.event(Event::new("", session(id.as_deref(), &said, self.value(facts.tools.as_ref()))));
            state.facts = said;
        }
    }

    /// The tokens that the line tells, as those of this line alone; `None` when it tells none.
    fn usage(&self, counts: &Counts, state: &mut State) -> Option<Usage> {
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
            let before = state.counted.replace(usage).unwrap_or_default();
            usage.input_tokens = usage.input_tokens.saturating_sub(before.input_tokens);
            usage.output_tokens = usage.output_tokens.saturating_sub(before.output_tokens);
            usage.cache_read_tokens = usage.cache_read_tokens.saturating_sub(before.cache_read_tokens);
            usage.cache_write_tokens = usage.cache_write_tokens.saturating_sub(before.cache_write_tokens);
        }
        Some(usage)
    }
}

fn said<'a>(of: Of, message_id: Option<Text<'a>>, parent: Option<Text<'a>>) -> Body<'a> {
    match of {
        Of::Assistant => Body::Assistant { message_id, parent_tool_call_id: parent },
        Of::Thinking => Body::Thinking { message_id, parent_tool_call_id: parent },
    }
}

fn delta(of: Of, piece: &str, message_id: Option<Text<'_>>, sink: &mut dyn Sink) {
    let of = match of {
        Of::Assistant => "assistant",
        Of::Thinking => "thinking",
    };
    sink.event(Event::new(piece, Body::Delta { message_id, of, text: piece.into() }));
}

fn session<'a>(id: Option<&'a str>, facts: &'a SessionFacts, tools: Option<Value>) -> Body<'a> {
    Body::Session {
        session_id: id.map(Cow::Borrowed),
        model: facts.model.as_deref().map(Cow::Borrowed),
        cwd: facts.cwd.as_deref().map(Cow::Borrowed),
        permission_mode: facts.permission_mode.as_deref().map(Cow::Borrowed),
        tools,
        commands: None,
        mcp_servers: None,
    }
}

/// A tool's name and the part of its input that says most.
fn summary(name: &str, input: &Value) -> String {
    let telling = ["command", "file_path", "filePath", "path", "pattern", "query", "url", "description", "prompt"];
    match telling.iter().find_map(|key| input.get(key)).and_then(Value::as_str) {
        None => name.to_owned(),
        Some(text) => format!("{name}: {}", text.chars().take(SUMMARY_CHARS_MAX).collect::<String>()),
    }
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
