//! The `jsonl` family: every line of stdout is a JSON object, and the file's rules say what it means. Pure.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::file::{Family, File};
use super::give::{Given, State};
use super::rules::Gives;
use super::text::plain;
use crate::adapter::common::{STRING_MAX, bound, cut};
use crate::adapter::{Action, Activity, Command, Refusal, Session};
use crate::event::{Body, Event, Sink};
use crate::journal::{Control, Kind, Record};

/// The version of what [`Session::save`] gives.
const STATE_VERSION: u32 = 1;
/// Most bytes of a line that an event's readable text shows when nothing else is known of it.
const SHOWN_BYTES_MAX: usize = 2_000;

/// Most rules that apply to one line; further ones are passed over. A rule gives four events at most, so a record is
/// always longer than the number of its events.
const RULES_PER_LINE_MAX: usize = 4;

/// The fold of one worker.
pub(super) struct JsonlSession {
    file: Arc<File>,
    state: State,
}

/// What [`Session::save`] gives.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved<S> {
    /// [`STATE_VERSION`].
    v: u32,
    /// The fingerprint of the adapter's file.
    file: u64,
    state: S,
}

impl JsonlSession {
    /// A fold at the beginning of a journal.
    pub(super) fn open(file: Arc<File>) -> Self {
        Self { file, state: State::default() }
    }

    /// A fold in a saved state; `None` when another version, or another file, made it.
    pub(super) fn restore(file: Arc<File>, saved: &Value) -> Option<Self> {
        let saved = Saved::<State>::deserialize(saved).ok()?;
        (saved.v == STATE_VERSION && saved.file == file.fingerprint).then_some(Self { file, state: saved.state })
    }

    /// A line, or a piece of one, of stdout. A piece is read when it is JSON by itself: the last line of a CLI that
    /// ends without a newline. Pieces of a line that went past the length limit are told of, shortened.
    fn output(&mut self, record: &Record<'_>, goes_on: bool, sink: &mut dyn Sink) {
        let continued = self.state.course.continues(goes_on);
        let json = if continued { None } else { serde_json::from_slice::<Value>(record.payload).ok() };
        match json {
            Some(line) => self.line(record, &line, sink),
            None if continued || goes_on => {
                self.state.flush(sink);
                let content = format!("a piece of a line, {} bytes: {}", record.payload.len(), shown(record.payload));
                sink.event(Event::new(content, Body::Notice { code: "partial_line".into() }));
            }
            None if record.payload.iter().all(u8::is_ascii_whitespace) => {}
            None => {
                self.state.flush(sink);
                let raw = Value::String(cut(String::from_utf8_lossy(record.payload).into_owned(), STRING_MAX));
                sink.event(Event::new(shown(record.payload), Body::Unknown { raw }));
            }
        }
    }

    fn line(&mut self, record: &Record<'_>, line: &Value, sink: &mut dyn Sink) {
        let Self { file, state } = self;
        let Family::Jsonl { session_id, ids_restart, tool_kinds, rules } = &file.family else { return };
        if state.course.awaits_ready()
            && file.ready.as_ref().is_some_and(|rule| rule.matches(record.payload, Some(line)))
        {
            state.course.set_ready();
        }
        if let Some(id) = session_id.as_ref().and_then(|path| path.get(line)).and_then(Value::as_str) {
            state.session_named(id, sink);
        }
        // A volatile line that is recorded all the same was shown live already, when it was not too long for that.
        if file.volatile.iter().any(|prefix| record.payload.starts_with(prefix)) {
            return;
        }
        let mut known = false;
        for rule in rules.iter().filter(|rule| rule.when.holds(line)).take(RULES_PER_LINE_MAX) {
            let process = ids_restart.then(|| state.course.process());
            let given = Given { gives: &rule.gives, line, tool_kinds, process, record };
            known |= given.apply(state, sink);
        }
        if !known {
            state.flush(sink);
            let mut raw = line.clone();
            bound(&mut raw);
            sink.event(Event::new(shown(record.payload), Body::Unknown { raw }));
        }
    }
}

impl Session for JsonlSession {
    fn record(&mut self, record: &Record<'_>, control: Option<&Control>, sink: &mut dyn Sink) {
        match record.kind {
            Kind::Out => self.output(record, false, sink),
            Kind::OutPart => self.output(record, true, sink),
            Kind::Err | Kind::ErrPart => sink.event(Event::new(plain(record.payload), Body::Stderr {})),
            Kind::In => {}
            Kind::Ctl => {
                let Some(control) = control else { return };
                if ends_process(control) {
                    self.state.flush(sink);
                }
                self.state.course.control(&self.file, record, control, sink);
            }
        }
    }

    fn volatile(&mut self, record: &Record<'_>, sink: &mut dyn Sink) {
        let Family::Jsonl { ids_restart, tool_kinds, rules, .. } = &self.file.family else { return };
        let Ok(line) = serde_json::from_slice::<Value>(record.payload) else { return };
        for rule in rules.iter().filter(|rule| matches!(rule.gives, Gives::Delta { .. }) && rule.when.holds(&line)) {
            // A delta leaves the state as it is; a new one shows that to the compiler.
            let process = ids_restart.then(|| self.state.course.process());
            Given { gives: &rule.gives, line: &line, tool_kinds, process, record }.apply(&mut State::default(), sink);
        }
    }

    fn activity(&self) -> Activity {
        self.state.course.activity(&self.file)
    }

    fn encode(&self, command: &Command<'_>) -> Result<Action, Refusal> {
        self.state.course.encode(&self.file, command)
    }

    fn save(&self) -> Value {
        let saved = Saved { v: STATE_VERSION, file: self.file.fingerprint, state: &self.state };
        serde_json::to_value(saved).unwrap_or_default()
    }
}

/// Whether what is said about a process means that no more of its output belongs to what came before.
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

/// The beginning of a line, as text.
fn shown(line: &[u8]) -> Cow<'_, str> {
    if line.len() <= SHOWN_BYTES_MAX {
        return plain(line);
    }
    Cow::Owned(format!("{}…", plain(&line[..SHOWN_BYTES_MAX]).trim_end_matches('\u{fffd}')))
}
