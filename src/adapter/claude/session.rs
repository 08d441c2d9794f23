//! The fold of one Claude Code worker. It runs on the worker's reader thread and does no I/O.

use serde_json::Value;

use crate::adapter::claude::deltas::Live;
use crate::adapter::claude::encode;
use crate::adapter::claude::lines::Fold;
use crate::adapter::claude::state::{STATE_VERSION, State};
use crate::adapter::{Action, Activity, Command, Refusal, Session, common};
use crate::event::Sink;
use crate::journal::{Control, Kind, Record};

/// The fold: what is saved, and what concerns only the message that is being streamed.
#[derive(Debug, Default)]
pub(super) struct ClaudeSession {
    state: State,
    live: Live,
}

impl ClaudeSession {
    /// The fold with this saved state; `None` when another version saved it.
    pub(super) fn restore(saved: &Value) -> Option<Self> {
        let state = <State as serde::Deserialize>::deserialize(saved).ok()?;
        (state.version == STATE_VERSION).then(|| Self { state, live: Live::default() })
    }
}

impl Session for ClaudeSession {
    fn record(&mut self, record: &Record<'_>, control: Option<&Control>, sink: &mut dyn Sink) {
        let mut fold = Fold { state: &mut self.state, record, sink };
        match record.kind {
            Kind::Out => fold.output(),
            Kind::OutPart => common::plain_line(record, fold.sink),
            Kind::Err | Kind::ErrPart => common::stderr(record, fold.sink),
            Kind::In => fold.input(),
            Kind::Ctl => match control {
                Some(Control::Started { .. }) => {
                    fold.process_ended();
                    self.state.start_process();
                    self.live = Live::default();
                }
                Some(Control::Exited { .. } | Control::ShimLost { .. } | Control::SpawnFailed { .. }) => {
                    fold.process_ended();
                    self.state.end_process();
                    self.live = Live::default();
                }
                _ => {}
            },
        }
    }

    fn volatile(&mut self, record: &Record<'_>, sink: &mut dyn Sink) {
        self.live.line(record.payload, sink);
    }

    fn activity(&self) -> Activity {
        match (self.state.ready, self.state.is_busy()) {
            (_, true) => Activity::Busy,
            (true, false) => Activity::Idle,
            (false, false) => Activity::Starting,
        }
    }

    fn due(&self) -> Option<Action> {
        encode::due(&self.state)
    }

    fn acknowledges(&self) -> bool {
        true
    }

    fn has_background_work(&self) -> bool {
        self.state.timers || !self.state.background.is_empty()
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
