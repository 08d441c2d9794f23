//! The `jsonl` family: every line of stdout is a JSON object, and the file's rules say what it means. Pure.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;

use super::emit::{DeclaredState, LineFields};
use super::family::Family;
use super::file::AdapterFile;
use super::rules::Emits;
use super::saved;
use super::text::{plain, stderr};
use crate::adapter::kit::text::{STRING_MAX, cut};
use crate::adapter::kit::{Emitter, emitter::is_like_request};
use crate::adapter::{Action, Activity, Command, Refusal, Session};
use crate::event::{Body, Event, TurnEnd};
use crate::journal::{Control, Kind, Record};
use crate::json::{self, Read};

/// Most bytes of a line that an event's readable text shows when nothing else is known of it.
const SHOWN_BYTES_MAX: usize = 2_000;

/// Most rules that apply to one line; further ones are passed over. A rule gives four events at most, so a record is
/// always longer than the number of its events.
const RULES_PER_LINE_MAX: usize = 4;

/// The fold of one worker.
pub(super) struct JsonlSession {
    file: Arc<AdapterFile>,
    state: DeclaredState,
}

impl JsonlSession {
    /// A fold at the beginning of a journal.
    pub(super) fn open(file: Arc<AdapterFile>) -> Self {
        Self { file, state: DeclaredState::default() }
    }

    /// A fold in a saved state; `None` when another version, or another file, made it.
    pub(super) fn restore(file: Arc<AdapterFile>, saved: &Value) -> Option<Self> {
        let state = saved::restore(&file, saved)?;
        Some(Self { file, state })
    }

    /// A line, or a piece of one, of stdout. A piece is read when it is JSON without the rest: the last line of a CLI
    /// that ends without a newline. Pieces of a line that went past the length limit are reported, shortened.
    fn output(&mut self, record: &Record<'_>, goes_on: bool, out: &mut Emitter<'_, '_>) {
        if self.state.turns.continues(goes_on) {
            return self.piece(record, out);
        }
        match json::read(record.payload) {
            Read::Strict(line) => self.line(record, &line, out),
            Read::Lenient(read) if goes_on && (read.broken.is_some() || read.values.is_empty()) => {
                self.piece(record, out);
            }
            Read::Lenient(read) => {
                read.values.iter().for_each(|line| self.line(record, line, out));
                if let Some(broken) = read.broken {
                    self.broken(&broken.text, out);
                }
            }
        }
    }

    /// Notes who has said something by the events from `before` on: the agent, or the CLI about itself.
    fn note_said(&mut self, before: usize, out: &Emitter<'_, '_>) {
        for event in &out.events()[before..] {
            match &event.body {
                body if is_of_agent(body) => self.state.turns.set_answered(),
                Body::Unknown { .. } => self.state.turns.complain(&event.content),
                Body::Error { .. } => self.state.turns.err(&event.content),
                Body::TurnCompleted(TurnEnd { is_error: true, result, .. }) => {
                    self.state.turns.err(&event.content);
                    self.state.turns.err(result.as_deref().unwrap_or_default());
                }
                _ => {}
            }
        }
    }

    fn piece(&mut self, record: &Record<'_>, out: &mut Emitter<'_, '_>) {
        self.state.flush(out);
        let content = format!("a piece of a line, {} bytes: {}", record.payload.len(), shown(record.payload));
        out.emit(content, Body::notice("partial_line"));
    }

    fn broken(&mut self, text: &str, out: &mut Emitter<'_, '_>) {
        self.state.flush(out);
        let raw = Value::String(cut(text.to_owned(), STRING_MAX));
        out.emit(shown(text.as_bytes()).into_owned(), Body::Unknown { raw });
        if is_like_request(text) {
            out.unread_request(text);
        }
    }

    fn line(&mut self, record: &Record<'_>, line: &Value, out: &mut Emitter<'_, '_>) {
        let Self { file, state } = self;
        let Family::Jsonl { session_id, ids_restart, tool_kinds, rules } = &file.family else { return };
        if state.turns.awaits_ready()
            && file.ready.as_ref().is_some_and(|rule| rule.matches(record.payload, Some(line)))
        {
            state.turns.set_ready();
        }
        if let Some(id) = session_id.as_ref().and_then(|path| path.get(line)).and_then(Value::as_str) {
            state.session_named(id, out);
        }
        // A volatile line that is recorded all the same was shown live already, when it was not too long for that.
        if file.volatile.iter().any(|prefix| record.payload.starts_with(prefix)) {
            return;
        }
        let mut known = false;
        for rule in rules.iter().filter(|rule| rule.when.holds(line)).take(RULES_PER_LINE_MAX) {
            let process = ids_restart.then(|| state.turns.process());
            let fields = LineFields { emits: &rule.emits, line, tool_kinds, process, record };
            known |= fields.apply(state, out);
        }
        if !known {
            state.flush(out);
            out.unknown(shown(record.payload).into_owned(), line.clone());
        }
    }
}

impl Session for JsonlSession {
    fn record<'r>(&mut self, record: &Record<'r>, control: Option<&Control>, out: &mut Vec<Event<'r>>) {
        let file = Arc::clone(&self.file);
        let out = &mut Emitter::new(&file.cli.name, out);
        match record.kind {
            Kind::Out => {
                let before = out.events().len();
                self.output(record, false, out);
                self.note_said(before, out);
            }
            Kind::OutPart => {
                let before = out.events().len();
                self.output(record, true, out);
                self.note_said(before, out);
            }
            Kind::Err | Kind::ErrPart => stderr(record, out),
            Kind::In => {}
            Kind::Ctl => {
                let Some(control) = control else { return };
                // Text that came after the end of its turn belongs before the next message.
                let is_late = matches!(control, Control::Quiet {} | Control::MessageDelivered { .. });
                if ends_process(control) || (is_late && self.activity() != Activity::Busy) {
                    self.state.flush(out);
                }
                self.state.turns.control(&self.file, record, control, out);
            }
        }
    }

    fn volatile<'e>(&'e mut self, record: &Record<'e>, out: &mut Vec<Event<'e>>) {
        let out = &mut Emitter::new(&self.file.cli.name, out);
        let Family::Jsonl { ids_restart, tool_kinds, rules, .. } = &self.file.family else { return };
        let Some(line) = json::value(record.payload) else { return };
        for rule in rules.iter().filter(|rule| matches!(rule.emits, Emits::Delta { .. }) && rule.when.holds(&line)) {
            // A delta leaves the state as it is; a new one shows that to the compiler.
            let process = ids_restart.then(|| self.state.turns.process());
            LineFields { emits: &rule.emits, line: &line, tool_kinds, process, record }
                .apply(&mut DeclaredState::default(), out);
        }
    }

    fn unfinished<'e>(&'e self, out: &mut Vec<Event<'e>>) {
        self.state.unfinished(&mut Emitter::new(&self.file.cli.name, out));
    }

    fn awaits(&self) -> Option<String> {
        self.state.turns.awaits_ready().then(|| "it printed no line that means ready".to_owned())
    }

    fn activity(&self) -> Activity {
        self.state.turns.activity(&self.file)
    }

    fn holds_text(&self) -> bool {
        self.state.holds_text()
    }

    fn encode(&self, command: &Command<'_>) -> Result<Action, Refusal> {
        self.state.turns.encode(&self.file, command)
    }

    fn save(&self) -> Value {
        saved::save(&self.file, &self.state)
    }
}

/// Returns true for a record about a process after which no more of its output belongs to what came before.
fn ends_process(control: &Control) -> bool {
    matches!(
        control,
        Control::Launching { .. }
            | Control::Started { .. }
            | Control::SpawnFailed { .. }
            | Control::Exited { .. }
            | Control::ShimLost { .. }
    )
}

/// Returns true for the body of an event by which the agent has said or done something.
fn is_of_agent(body: &Body<'_>) -> bool {
    matches!(
        body,
        Body::Assistant { .. } | Body::Thinking { .. } | Body::Delta { .. } | Body::ToolCall { .. } | Body::Plan { .. }
    )
}

/// The beginning of a line, as text.
fn shown(line: &[u8]) -> Cow<'_, str> {
    if line.len() <= SHOWN_BYTES_MAX {
        return plain(line);
    }
    Cow::Owned(format!("{}…", plain(&line[..SHOWN_BYTES_MAX]).trim_end_matches('\u{fffd}')))
}
