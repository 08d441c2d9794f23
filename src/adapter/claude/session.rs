//! The fold of one Claude Code worker. It runs on the worker's reader thread and does no I/O.

use serde_json::Value;

use crate::adapter::agent_options::AgentOption;
use crate::adapter::claude::NAME;
use crate::adapter::claude::deltas::Live;
use crate::adapter::claude::lines::ClaudeFold;
use crate::adapter::claude::state::{ClaudeState, STATE_VERSION};
use crate::adapter::claude::{encode, options};
use crate::adapter::kit::{Emitter, LineFold as _, saved};
use crate::adapter::{Action, Activity, Command, Refusal, Session};
use crate::event::Event;
use crate::journal::{Control, Kind, Record};

/// The fold: what is saved, and what concerns only the message that is being streamed.
#[derive(Debug, Default)]
pub(super) struct ClaudeSession {
    state: ClaudeState,
    live: Live,
}

impl ClaudeSession {
    /// The fold with this saved state; `None` when another version saved it.
    pub(super) fn restore(saved: &Value) -> Option<Self> {
        Some(Self { state: saved::restore(STATE_VERSION, saved)?, live: Live::default() })
    }
}

impl Session for ClaudeSession {
    fn record<'r>(&mut self, record: &Record<'r>, control: Option<&Control>, out: &mut Vec<Event<'r>>) {
        let mut fold = ClaudeFold::new(&mut self.state, record, out);
        match record.kind {
            Kind::Out => fold.output(record.payload),
            Kind::OutPart => fold.out.line_part(record),
            Kind::Err | Kind::ErrPart => fold.out.stderr(record),
            Kind::In => fold.input(),
            Kind::Ctl => match control {
                Some(Control::Started { .. }) => {
                    fold.process_ended();
                    self.state.start_process();
                    self.live = Live::default();
                }
                Some(Control::Exited { exit_code, stderr_tail, .. }) => {
                    fold.process_ended();
                    if *exit_code != Some(0) {
                        fold.failed(stderr_tail);
                    }
                    self.state.end_process();
                    self.live = Live::default();
                }
                Some(Control::ShimLost { .. } | Control::SpawnFailed { .. }) => {
                    fold.process_ended();
                    self.state.end_process();
                    self.live = Live::default();
                }
                _ => {}
            },
        }
    }

    fn volatile<'e>(&'e mut self, record: &Record<'e>, out: &mut Vec<Event<'e>>) {
        let Self { state, live } = self;
        live.line(state, record.payload, &mut Emitter::new(NAME, out));
    }

    fn unfinished<'e>(&'e self, out: &mut Vec<Event<'e>>) {
        let partial = &self.state.partial;
        if partial.from_start {
            let mut out = Emitter::new(NAME, out);
            out.piece(true, self.state.message_id(), partial.thinking.as_str());
            out.piece(false, self.state.message_id(), partial.text.as_str());
        }
    }

    fn activity(&self) -> Activity {
        match (self.state.handshake.ready, self.state.is_busy()) {
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

    fn awaits(&self) -> Option<String> {
        let asked = self.state.requests.last().filter(|_| !self.state.handshake.ready)?;
        Some(format!("no answer to {}", asked.subtype))
    }

    fn answers_settings(&self) -> bool {
        true
    }

    fn options_record(&self) -> Option<u64> {
        self.state.options_seq
    }

    fn options(&self, payload: &[u8]) -> Vec<AgentOption> {
        options::of(payload, &self.state)
    }

    fn has_background_work(&self) -> bool {
        self.state.timers || !self.state.background.is_empty()
    }

    fn encode(&self, command: &Command<'_>) -> Result<Action, Refusal> {
        encode::encode(&self.state, command)
    }

    fn save(&self) -> Value {
        saved::save(STATE_VERSION, &self.state)
    }
}
