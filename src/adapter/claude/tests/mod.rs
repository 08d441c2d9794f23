//! The adapter on recordings of the real CLI, and on lines that no recording has.

mod captures;
mod commands;
mod fold;
mod golden;
mod random;

use serde_json::Value;

use crate::adapter::claude::{Claude, ClaudeSettings};
use crate::adapter::{Action, Adapter, Session};
use crate::clock::Micros;
use crate::event::{Content, Event};
use crate::journal::{Control, Kind, Record};

/// A record that owns its payload.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    time: u64,
    kind: Kind,
    payload: Vec<u8>,
}

impl Entry {
    fn new(kind: Kind, payload: impl Into<Vec<u8>>) -> Self {
        Self { time: 1_700_000_000_000_000, kind, payload: payload.into() }
    }

    fn control(control: &Control) -> Self {
        Self::new(Kind::Ctl, control.to_json())
    }

    fn started() -> Self {
        Self::control(&Control::Started { pid: 2, start_time: 1, shim_pid: 1, shim_start_time: 1, argv: Vec::new() })
    }

    fn exited() -> Self {
        Self::control(&Control::Exited {
            exit_code: Some(0),
            signal: None,
            stderr_tail: String::new(),
            ended: Vec::new(),
            shim_stays: false,
        })
    }

    fn is_volatile(&self) -> bool {
        self.kind == Kind::Out && self.payload.starts_with(br#"{"type":"stream_event""#)
    }
}

pub(super) fn adapter() -> Claude {
    Claude::new(ClaudeSettings { binary: "claude".into(), model: None, api_key: None })
}

/// A fold with what it told so far, as the wire would carry it.
struct Told {
    session: Box<dyn Session>,
    seq: u64,
    events: Vec<Value>,
}

impl Told {
    fn new() -> Self {
        Self { session: adapter().open(), seq: 100, events: Vec::new() }
    }

    /// A fold after a process has started and answered `initialize`.
    fn ready() -> Self {
        let mut told = Self::new();
        told.take(&Entry::started());
        told.write_due();
        told.out(r#"{"type":"control_response","response":{"subtype":"success","request_id":"rs-worker-initialize","response":{"commands":[]}}}"#);
        told
    }

    fn take(&mut self, entry: &Entry) {
        let control = (entry.kind == Kind::Ctl).then(|| Control::from_json(&entry.payload));
        let len = entry.payload.len() as u64 + 22;
        let record = Record { seq: self.seq, time: Micros(entry.time), kind: entry.kind, payload: &entry.payload, len };
        let (events, volatile) = (&mut self.events, entry.is_volatile());
        let mut count = 0;
        let mut sink = |event: Event<'_>| {
            let content = Content { body: &event.body, content: &event.content, timestamp: record.time };
            events.push(serde_json::to_value(&content).unwrap());
            count += 1;
        };
        if volatile {
            self.session.volatile(&record, &mut sink);
        } else {
            self.session.record(&record, control.as_ref(), &mut sink);
            self.seq += len;
        }
        assert!(count < len, "a record has room for its events' sequence numbers");
    }

    fn out(&mut self, line: &str) {
        self.take(&Entry::new(Kind::Out, line));
    }

    fn wrote(&mut self, line: &str) {
        self.take(&Entry::new(Kind::In, line));
    }

    /// Writes what is due, as the worker does, and lets it come back as records.
    fn write_due(&mut self) -> Vec<Value> {
        self.wrote_all(self.session.due())
    }

    fn wrote_all(&mut self, action: Option<Action>) -> Vec<Value> {
        let Some(Action::Write(lines)) = action else { return Vec::new() };
        for line in &lines {
            assert!(!line.contains(&b'\n'), "one line each");
            self.take(&Entry::new(Kind::In, line.clone()));
        }
        lines.iter().map(|line| serde_json::from_slice(line).unwrap()).collect()
    }

    /// The events told since the last call.
    fn told(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.events)
    }

    fn types(&mut self) -> Vec<String> {
        self.told().iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    }

    fn save_and_restore(&mut self) {
        let saved = serde_json::to_string(&self.session.save()).unwrap();
        self.session = adapter().restore(&serde_json::from_str(&saved).unwrap()).expect("our own state is readable");
        assert_eq!(serde_json::to_string(&self.session.save()).unwrap(), saved, "a state survives its own saving");
    }
}
