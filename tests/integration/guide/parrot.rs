use std::path::PathBuf;

use rs_worker::adapter::{Action, Activity, Adapter, Cli, Command, Launch, LaunchRequest, Refusal, Session};
use rs_worker::event::{Body, Event, Sink};
use rs_worker::journal::{Control, Kind, Record};
use serde_json::{Value, json};

/// What is known of the program `cat`, which says again what it is told.
pub(crate) struct Parrot {
    cli: Cli,
}

impl Default for Parrot {
    fn default() -> Self {
        let text = str::to_owned;
        let capabilities = vec![text("turns"), text("interrupt")];
        let (kind, name, binary) = (text("parrot"), text("Parrot"), text("cat"));
        let (description, install) = (text("Says again what it is told"), text("apt-get install coreutils"));
        Self { cli: Cli { kind, name, binary, description, install, config_options: Vec::new(), capabilities } }
    }
}

impl Adapter for Parrot {
    fn cli(&self) -> &Cli {
        &self.cli
    }

    fn launch(&self, request: &LaunchRequest<'_>) -> Result<Launch, Refusal> {
        let args = request.options.args.clone();
        Ok(Launch { program: PathBuf::from(&self.cli.binary), args, stop_by_eof: true, ..Launch::default() })
    }

    fn open(&self) -> Box<dyn Session> {
        Box::new(Talk { turn: None })
    }

    fn restore(&self, saved: &Value) -> Option<Box<dyn Session>> {
        Some(Box::new(Talk { turn: saved.get("turn")?.as_u64() }))
    }
}

/// The fold: the record that began the running turn. It must be all that is known, for it is saved and restored.
struct Talk {
    turn: Option<u64>,
}

impl Session for Talk {
    fn record(&mut self, record: &Record<'_>, control: Option<&Control>, sink: &mut dyn Sink) {
        let ended = matches!(control, Some(Control::Exited { .. } | Control::ShimLost { .. }));
        match (record.kind, self.turn) {
            // What was written to it comes back as a record, and begins its turn.
            (Kind::In, None) => {
                self.turn = Some(record.seq);
                let turn_id = format!("turn-{}", record.seq).into();
                sink.event(Event::new("Turn started", Body::TurnStarted { turn_id }));
            }
            (Kind::Out, Some(turn)) => {
                let text = String::from_utf8_lossy(record.payload);
                sink.event(Event::new(text, Body::Assistant { message_id: None, parent_tool_call_id: None }));
                self.end_turn(turn, "end_turn", sink);
            }
            (_, Some(turn)) if ended => self.end_turn(turn, "process_ended", sink),
            _ => {}
        }
    }

    fn volatile(&mut self, _record: &Record<'_>, _sink: &mut dyn Sink) {}

    fn activity(&self) -> Activity {
        if self.turn.is_some() { Activity::Busy } else { Activity::Idle }
    }

    fn encode(&self, command: &Command<'_>) -> Result<Action, Refusal> {
        match command {
            Command::Message(message) => Ok(Action::Write(vec![message.content.replace('\n', " ").into_bytes()])),
            Command::Interrupt => Ok(Action::Signal(2)),
            _ => Err(Refusal::Unsupported("Parrot cannot do that".to_owned())),
        }
    }

    fn save(&self) -> Value {
        json!({ "turn": self.turn })
    }
}

impl Talk {
    fn end_turn(&mut self, turn: u64, stop_reason: &'static str, sink: &mut dyn Sink) {
        self.turn = None;
        let (turn_id, is_error) = (format!("turn-{turn}").into(), stop_reason != "end_turn");
        let body = Body::TurnCompleted {
            turn_id,
            stop_reason: stop_reason.into(),
            duration_ms: None,
            usage: None,
            cost_usd: None,
            is_error,
            result: None,
        };
        sink.event(Event::new("Turn ended", body));
    }
}
