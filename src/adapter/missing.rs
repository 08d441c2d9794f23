//! The placeholder of an adapter that does not exist any more: its file was removed, or another build had it.
//!
//! A stored worker of such a type is still listed, its history can be read line by line, a CLI of it that still runs can
//! be stopped, and it can be deleted. It cannot be started or talked to.

use serde_json::Value;

use super::kit::emitter::Emitter;
use super::{Activity, Adapter, Cli, Command, Launch, LaunchRequest, Refusal, Session};
use crate::event::Event;
use crate::journal::{Control, Kind, Record};

/// An adapter that knows nothing but its name.
#[derive(Debug)]
pub(crate) struct MissingAdapter {
    cli: Cli,
}

struct MissingLines {
    refusal: String,
}

impl MissingAdapter {
    /// The placeholder for the type `kind`.
    pub(crate) fn new(kind: &str) -> Self {
        Self {
            cli: Cli {
                kind: kind.to_owned(),
                name: kind.to_owned(),
                binary: String::new(),
                description: "an adapter that is not there any more".to_owned(),
                install: String::new(),
                config_options: Vec::new(),
                capabilities: Vec::new(),
            },
        }
    }

    fn refusal(&self) -> String {
        format!(
            "no adapter for the CLI type {}: put its file back into ADAPTERS_DIR and restart the server",
            self.cli.kind
        )
    }
}

impl Adapter for MissingAdapter {
    fn cli(&self) -> &Cli {
        &self.cli
    }

    fn launch(&self, _request: &LaunchRequest<'_>) -> Result<Launch, Refusal> {
        Err(Refusal::Unsupported(self.refusal()))
    }

    fn open(&self) -> Box<dyn Session> {
        Box::new(MissingLines { refusal: self.refusal() })
    }

    fn restore(&self, saved: &Value) -> Option<Box<dyn Session>> {
        // Another adapter's saved state can't be read here: the caller then folds from the beginning.
        saved.is_null().then(|| self.open())
    }
}

impl Session for MissingLines {
    fn record<'r>(&mut self, record: &Record<'r>, _control: Option<&Control>, out: &mut Vec<Event<'r>>) {
        let mut out = Emitter::new("", out);
        match record.kind {
            Kind::Out | Kind::OutPart => out.plain_text(&String::from_utf8_lossy(record.payload)),
            Kind::Err | Kind::ErrPart => out.stderr(record),
            Kind::In | Kind::Ctl => {}
        }
    }

    fn activity(&self) -> Activity {
        Activity::Busy
    }

    fn encode(&self, _command: &Command<'_>) -> Result<super::Action, Refusal> {
        Err(Refusal::Unsupported(self.refusal.clone()))
    }

    fn save(&self) -> Value {
        Value::Null
    }
}
