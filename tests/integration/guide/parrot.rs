use std::path::PathBuf;

use rs_worker::testing::adapter::{Action, Activity, Adapter, Cli, Command, Launch, LaunchRequest, Refusal, Session};
use rs_worker::testing::event::{Body, Event};
use rs_worker::testing::journal::{Control, Kind, Record};
use serde_json::{Value, json};

/// The program `cat`, which repeats its input.
pub(crate) struct Parrot {
    cli: Cli,
}

impl Default for Parrot {
    fn default() -> Self {
        let text = str::to_owned;
        let capabilities = vec![text("turns"), text("interrupt")];
        let (kind, name, binary) = (text("parrot"), text("Parrot"), text("cat"));
        let (description, install) = (text("Repeats your messages"), text("apt-get install coreutils"));
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

/// The fold: the record that began the running turn. It is the whole state, since it is saved and restored.
struct Talk {
    turn: Option<u64>,
}

impl Session for Talk {
    fn record<'r>(&mut self, record: &Record<'r>, control: Option<&Control>, out: &mut Vec<Event<'r>>) {
        let ended = matches!(control, Some(Control::Exited { .. } | Control::ShimLost { .. }));
        match (record.kind, self.turn) {
            // A line that was written to it comes back as a record, and begins its turn.
            (Kind::In, None) => {
                self.turn = Some(record.seq);
                let turn_id = format!("turn-{}", record.seq).into();
                out.push(Event::new("Turn started", Body::TurnStarted { turn_id }));
            }
            (Kind::Out, Some(turn)) => {
                let text = String::from_utf8_lossy(record.payload);
                out.push(Event::new(text, Body::Assistant { message_id: None, parent_tool_call_id: None }));
                self.end_turn(turn, "end_turn", out);
            }
            (_, Some(turn)) if ended => self.end_turn(turn, "process_ended", out),
            _ => {}
        }
    }

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
    fn end_turn(&mut self, turn: u64, stop_reason: &'static str, out: &mut Vec<Event<'_>>) {
        self.turn = None;
        let body = Body::turn_completed(format!("turn-{turn}"), stop_reason, stop_reason != "end_turn");
        out.push(Event::new("Turn ended", body));
    }
}
