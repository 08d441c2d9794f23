//! The fold of one worker whose agent speaks the protocol. It runs on the worker's reader thread and does no I/O.

use std::sync::Arc;

use serde_json::Value;

use super::lines::Fold;
use super::state::{STATE_VERSION, State, Step};
use super::{Dialect, encode, files};
use crate::adapter::{Action, Activity, Command, FileRequest, Refusal, Session, common};
use crate::event::Sink;
use crate::journal::{Control, Kind, Record};

/// The fold.
#[derive(Debug)]
pub(crate) struct AcpSession {
    dialect: Arc<Dialect>,
    state: State,
}

impl AcpSession {
    /// A fold at the beginning of a journal.
    pub(crate) fn open(dialect: Arc<Dialect>) -> Self {
        Self { dialect, state: State::default() }
    }

    /// The fold with this saved state; `None` when another version saved it.
    pub(crate) fn restore(dialect: Arc<Dialect>, saved: &Value) -> Option<Self> {
        let state = <State as serde::Deserialize>::deserialize(saved).ok()?;
        (state.version == STATE_VERSION).then_some(Self { dialect, state })
    }
}

impl Session for AcpSession {
    fn record(&mut self, record: &Record<'_>, control: Option<&Control>, sink: &mut dyn Sink) {
        let mut fold = Fold { state: &mut self.state, dialect: &self.dialect, record, sink };
        match record.kind {
            Kind::Out => fold.output(),
            Kind::OutPart => common::plain_line(record, fold.sink),
            Kind::Err | Kind::ErrPart => common::stderr(record, fold.sink),
            Kind::In => fold.input(),
            Kind::Ctl => {
                if let Some(control) = control {
                    fold.control(control);
                }
            }
        }
    }

    fn volatile(&mut self, _record: &Record<'_>, _sink: &mut dyn Sink) {}

    fn activity(&self) -> Activity {
        match (self.state.step, self.state.is_busy()) {
            (_, true) => Activity::Busy,
            (Step::Ready, false) => Activity::Idle,
            _ => Activity::Starting,
        }
    }

    fn due(&self) -> Option<Action> {
        encode::due(&self.state, &self.dialect)
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
        let mut saved = serde_json::to_value(&self.state).unwrap_or_default();
        if let Some(version) = saved.get_mut("version") {
            *version = STATE_VERSION.into();
        }
        saved
    }
}
