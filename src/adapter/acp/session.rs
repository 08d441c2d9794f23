//! The fold of one worker whose agent speaks the protocol. It runs on the worker's reader thread and does no I/O.

use std::sync::Arc;

use serde_json::Value;

use super::lines::AcpFold;
use super::state::{AcpState, Handshake, Partial, STATE_VERSION, Speaker};
use super::{Dialect, encode, files, options};
use crate::adapter::agent_options::AgentOption;
use crate::adapter::kit::{Emitter, LineFold as _, saved};
use crate::adapter::{Action, Activity, Command, FileRequest, Refusal, Session};
use crate::event::Event;
use crate::journal::{Control, Kind, Record};
use crate::json;

/// The fold.
#[derive(Debug)]
pub(crate) struct AcpSession {
    dialect: Arc<Dialect>,
    state: AcpState,
}

impl AcpSession {
    /// A fold at the beginning of a journal.
    pub(crate) fn open(dialect: Arc<Dialect>) -> Self {
        Self { dialect, state: AcpState::default() }
    }

    /// The fold with this saved state; `None` when another version saved it.
    pub(crate) fn restore(dialect: Arc<Dialect>, saved: &Value) -> Option<Self> {
        Some(Self { dialect, state: saved::restore(STATE_VERSION, saved)? })
    }
}

impl Session for AcpSession {
    fn record<'r>(&mut self, record: &Record<'r>, control: Option<&Control>, out: &mut Vec<Event<'r>>) {
        let out = Emitter::new(&self.dialect.name, out);
        let mut fold = AcpFold { state: &mut self.state, dialect: &self.dialect, record, out };
        match record.kind {
            Kind::Out => fold.output(record.payload),
            Kind::OutPart => fold.out.line_part(record),
            Kind::Err | Kind::ErrPart => fold.out.stderr(record),
            Kind::In => fold.input(),
            Kind::Ctl => {
                if let Some(control) = control {
                    fold.control(control);
                }
            }
        }
    }

    fn unfinished<'e>(&'e self, out: &mut Vec<Event<'e>>) {
        let Some(Partial { speaker, id, text }) = &self.state.partial else { return };
        if !matches!(speaker, Speaker::User | Speaker::Session) && self.state.repeating().is_none() {
            Emitter::new(&self.dialect.name, out).piece(*speaker == Speaker::Thought, id.as_deref(), text.as_str());
        }
    }

    fn activity(&self) -> Activity {
        match (self.state.handshake, self.state.is_busy()) {
            (_, true) => Activity::Busy,
            (Handshake::Ready, false) => Activity::Idle,
            _ => Activity::Starting,
        }
    }

    fn awaits(&self) -> Option<String> {
        let asked = self.state.requests.last().filter(|_| self.state.handshake != Handshake::Ready)?;
        Some(format!("no answer to {}", asked.method))
    }

    fn answers_settings(&self) -> bool {
        true
    }

    fn due(&self) -> Option<Action> {
        encode::due(&self.state, &self.dialect)
    }

    fn options_record(&self) -> Option<u64> {
        self.state.options_seq
    }

    fn options(&self, payload: &[u8]) -> Vec<AgentOption> {
        let line = json::value(payload).unwrap_or_default();
        options::of(options::facts_of(&line), &self.state)
    }

    fn can_fork(&self) -> Option<bool> {
        self.state.can_fork
    }

    fn holds_text(&self) -> bool {
        self.state.partial.is_some() && self.state.handshake == Handshake::Ready
    }

    fn file_request(&self, line: &[u8]) -> Option<FileRequest> {
        files::request(line)
    }

    fn file_answer(&self, line: &[u8], outcome: Result<Option<String>, String>) -> Option<Vec<u8>> {
        files::answer(line, outcome)
    }

    fn encode(&self, command: &Command<'_>) -> Result<Action, Refusal> {
        encode::encode(&self.state, &self.dialect, command)
    }

    fn save(&self) -> Value {
        saved::save(STATE_VERSION, &self.state)
    }
}
