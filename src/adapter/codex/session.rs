//! The fold of one Codex worker. It runs on the worker's reader thread and does no I/O.

use serde_json::Value;

use crate::adapter::agent_options::AgentOption;
use crate::adapter::codex::lines::CodexFold;
use crate::adapter::codex::state::{CodexState, PendingRequest, STATE_VERSION};
use crate::adapter::codex::{MODEL_LIST, NAME, deltas, encode, options};
use crate::adapter::kit::{Emitter, LineFold as _, saved};
use crate::adapter::{Action, Activity, Command, Refusal, Session};
use crate::event::Event;
use crate::journal::{Control, Kind, Record};

/// The fold: all of it is saved.
#[derive(Debug, Default)]
pub(super) struct CodexSession {
    state: CodexState,
}

impl CodexSession {
    /// The fold with this saved state; `None` when another version saved it.
    pub(super) fn restore(saved: &Value) -> Option<Self> {
        Some(Self { state: saved::restore(STATE_VERSION, saved)? })
    }
}

impl Session for CodexSession {
    fn record<'r>(&mut self, record: &Record<'r>, control: Option<&Control>, out: &mut Vec<Event<'r>>) {
        let mut fold = CodexFold { state: &mut self.state, record, out: Emitter::new(NAME, out) };
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

    fn volatile<'e>(&'e mut self, record: &Record<'e>, out: &mut Vec<Event<'e>>) {
        deltas::line(&self.state, record.payload, &mut Emitter::new(NAME, out));
    }

    fn unfinished<'e>(&'e self, out: &mut Vec<Event<'e>>) {
        let mut out = Emitter::new(NAME, out);
        for partial in &self.state.partials {
            out.piece(partial.thinking, partial.message_id(), partial.text.as_str());
        }
    }

    fn activity(&self) -> Activity {
        match (self.state.is_ready(), self.state.is_busy()) {
            (_, true) => Activity::Busy,
            (true, false) => Activity::Idle,
            (false, false) => Activity::Starting,
        }
    }

    fn awaits(&self) -> Option<String> {
        let awaited = |request: &&PendingRequest| request.method != MODEL_LIST;
        let asked = self.state.requests.iter().rev().find(awaited).filter(|_| !self.state.is_ready())?;
        Some(format!("no answer to {}", asked.method))
    }

    fn options_record(&self) -> Option<u64> {
        self.state.options_seq
    }

    fn options(&self, payload: &[u8]) -> Vec<AgentOption> {
        options::of(payload, &self.state)
    }

    fn due(&self) -> Option<Action> {
        encode::due(&self.state)
    }

    fn encode(&self, command: &Command<'_>) -> Result<Action, Refusal> {
        encode::encode(&self.state, command)
    }

    fn save(&self) -> Value {
        saved::save(STATE_VERSION, &self.state)
    }
}
