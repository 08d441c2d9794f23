//! The fold of one Codex worker. It runs on the worker's reader thread and does no I/O.

use serde_json::Value;

use crate::adapter::codex::lines::Fold;
use crate::adapter::codex::state::{STATE_VERSION, State};
use crate::adapter::codex::{deltas, encode};
use crate::adapter::{Action, Activity, Command, Refusal, Session, common};
use crate::event::Sink;
use crate::journal::{Control, Kind, Record};

/// The fold: all of it is saved.
#[derive(Debug, Default)]
pub(super) struct CodexSession {
    state: State,
}

impl CodexSession {
    /// The fold with this saved state; `None` when another version saved it.
    pub(super) fn restore(saved: &Value) -> Option<Self> {
        let state = <State as serde::Deserialize>::deserialize(saved).ok()?;
        (state.version == STATE_VERSION).then_some(Self { state })
    }
}

impl Session for CodexSession {
    fn record(&mut self, record: &Record<'_>, control: Option<&Control>, sink: &mut dyn Sink) {
        let mut fold = Fold { state: &mut self.state, record, sink };
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

    fn volatile(&mut self, record: &Record<'_>, sink: &mut dyn Sink) {
        deltas::line(&self.state, record.payload, sink);
    }

    fn activity(&self) -> Activity {
        match (self.state.is_ready(), self.state.is_busy()) {
            (_, true) => Activity::Busy,
            (true, false) => Activity::Idle,
            (false, false) => Activity::Starting,
        }
    }

    fn due(&self) -> Option<Action> {
        encode::due(&self.state)
    }

    fn encode(&self, command: &Command<'_>) -> Result<Action, Refusal> {
        encode::encode(&self.state, command)
    }

    fn save(&self) -> Value {
        let mut saved = serde_json::to_value(&self.state).unwrap_or_default();
        if let Some(version) = saved.get_mut("version") {
            *version = STATE_VERSION.into();
        }
        saved
    }
}
