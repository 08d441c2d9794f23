//! Recordings of real CLIs as records, and what every adapter promises of its own: for tests.

use std::collections::HashMap;
use std::fmt::{Display, Write as _};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use crate::adapter::{Action, Activity, Adapter, LaunchRequest, Session, SessionChoice};
use crate::clock::Micros;
use crate::event::{Body, EventContent};
use crate::journal::{Control, Kind, Record, WorkerOptions};

/// Longest value that a golden line repeats, in characters.
const VALUE_MAX: usize = 100;
/// Set to write the `.events` files anew instead of comparing with them.
pub(in crate::adapter) const UPDATE: &str = "RS_WORKER_UPDATE_GOLDEN";

/// The time of records that have none of their own, in microseconds.
const BEGIN: u64 = 1_700_000_000_000_000;

/// A record that owns its payload.
#[derive(Clone, Debug)]
pub(in crate::adapter) struct OwnedRecord {
    pub(in crate::adapter) time: u64,
    pub(in crate::adapter) kind: Kind,
    pub(in crate::adapter) payload: Vec<u8>,
}

impl OwnedRecord {
    pub(in crate::adapter) fn new(kind: Kind, payload: impl Into<Vec<u8>>) -> Self {
        Self { time: BEGIN, kind, payload: payload.into() }
    }

    pub(in crate::adapter) fn control(control: &Control) -> Self {
        Self::new(Kind::Ctl, control.to_json())
    }

    pub(in crate::adapter) fn created(kind: &str, options: WorkerOptions) -> Self {
        Self::control(&Control::Created {
            worker_id: "w".to_owned(),
            name: "w".to_owned(),
            project_path: "/project".to_owned(),
            ai_cli_type: kind.to_owned(),
            options: Box::new(options),
            forked_from: None,
            worktree: None,
        })
    }

    pub(in crate::adapter) fn launching(resume: Option<&str>) -> Self {
        let session_id = Some(resume.unwrap_or("00000000-0000-4000-8000-000000000000").to_owned());
        Self::control(&Control::Launching { session_id, resume: resume.is_some(), settings: None, limits: None })
    }

    pub(in crate::adapter) fn started() -> Self {
        Self::control(&Control::Started { pid: 2, start_time: 1, shim_pid: 1, shim_start_time: 1, argv: Vec::new() })
    }

    pub(in crate::adapter) fn exited() -> Self {
        Self::control(&Control::Exited {
            exit_code: Some(0),
            signal: None,
            stderr_tail: String::new(),
            ended: Vec::new(),
            shim_stays: false,
            out_of_memory: None,
        })
    }
}

/// A fold with its events so far, as the wire would carry them.
pub(in crate::adapter) struct TestFold {
    adapter: Arc<dyn Adapter>,
    volatile: Vec<Vec<u8>>,
    /// True if each record is later than the one before it, whatever its own time.
    is_ticking: bool,
    pub(in crate::adapter) session: Box<dyn Session>,
    pub(in crate::adapter) seq: u64,
    pub(in crate::adapter) events: Vec<Value>,
}

impl TestFold {
    pub(in crate::adapter) fn new(adapter: Arc<dyn Adapter>) -> Self {
        let options = WorkerOptions::default();
        let session = SessionChoice::New("new");
        let request = LaunchRequest { project_path: Path::new("/project"), options: &options, session };
        let volatile = adapter.launch(&request).unwrap().volatile;
        Self::with_volatile(adapter, volatile)
    }

    /// A fold to which lines that begin with one of these are volatile.
    pub(in crate::adapter) fn with_volatile(adapter: Arc<dyn Adapter>, volatile: Vec<Vec<u8>>) -> Self {
        let session = adapter.open();
        Self { adapter, volatile, is_ticking: false, session, seq: 100, events: Vec::new() }
    }

    /// A fold whose records are each later than the one before it.
    pub(in crate::adapter) fn ticking(adapter: &Arc<dyn Adapter>) -> Self {
        Self { is_ticking: true, ..Self::with_volatile(Arc::clone(adapter), Vec::new()) }
    }

    pub(in crate::adapter) fn is_volatile(&self, entry: &OwnedRecord) -> bool {
        entry.kind == Kind::Out && self.volatile.iter().any(|prefix| entry.payload.starts_with(prefix))
    }

    pub(in crate::adapter) fn take(&mut self, entry: &OwnedRecord) {
        let control = (entry.kind == Kind::Ctl).then(|| Control::from_json(&entry.payload));
        let len = entry.payload.len() as u64 + 22;
        let time = Micros(if self.is_ticking { BEGIN + self.seq } else { entry.time });
        let record = Record { seq: self.seq, time, kind: entry.kind, payload: &entry.payload, len };
        let volatile = self.is_volatile(entry);
        let mut events = Vec::new();
        if volatile {
            self.session.volatile(&record, &mut events);
        } else {
            self.session.record(&record, control.as_ref(), &mut events);
            self.seq += len;
        }
        self.events.extend(events.iter().map(|event| {
            let content = EventContent { body: &event.body, content: &event.content, timestamp: record.time };
            serde_json::to_value(&content).unwrap()
        }));
        let numbered = events.iter().filter(|event| !matches!(event.body, Body::Delta { .. }));
        assert!((numbered.count() as u64) < len, "a record has room for its events' sequence numbers");
    }

    pub(in crate::adapter) fn out(&mut self, line: &(impl Display + ?Sized)) {
        self.take(&OwnedRecord::new(Kind::Out, line.to_string()));
    }

    pub(in crate::adapter) fn wrote(&mut self, line: &(impl Display + ?Sized)) {
        self.take(&OwnedRecord::new(Kind::In, line.to_string()));
    }

    pub(in crate::adapter) fn control(&mut self, control: &Control) {
        self.take(&OwnedRecord::control(control));
    }

    /// Writes what is due, as the worker does, and lets it come back as records.
    pub(in crate::adapter) fn write_due(&mut self) -> Vec<Value> {
        let due = self.session.due();
        self.wrote_all(due)
    }

    pub(in crate::adapter) fn wrote_all(&mut self, action: Option<Action>) -> Vec<Value> {
        let Some(Action::Write(lines)) = action else { return Vec::new() };
        for line in &lines {
            assert!(!line.contains(&b'\n'), "one line each");
            self.take(&OwnedRecord::new(Kind::In, line.clone()));
        }
        lines.iter().map(|line| serde_json::from_slice(line).unwrap()).collect()
    }

    /// The events since the last call.
    pub(in crate::adapter) fn take_events(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.events)
    }

    pub(in crate::adapter) fn types(&mut self) -> Vec<String> {
        self.take_events().iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    }

    pub(in crate::adapter) fn save_and_restore(&mut self) {
        let saved = serde_json::to_string(&self.session.save()).unwrap();
        let restored = self.adapter.restore(&serde_json::from_str(&saved).unwrap());
        self.session = restored.expect("our own state is readable");
        assert_eq!(serde_json::to_string(&self.session.save()).unwrap(), saved, "a state survives its own saving");
    }
}

/// The display of inputs and activities in golden files.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::adapter) enum GoldenStyle {
    /// Inputs with their lengths; activities but that of starting.
    Lengths,
    /// Plain inputs; activities but that of starting, which does not part two equal ones.
    Changes,
    /// Plain inputs; all activities.
    All,
}

/// The recordings of one adapter.
pub(in crate::adapter) struct Recordings {
    pub(in crate::adapter) folder: PathBuf,
    pub(in crate::adapter) names: Vec<String>,
    style: GoldenStyle,
    begin: Box<dyn Fn() -> TestFold>,
    load: fn(&Path, &str) -> Vec<OwnedRecord>,
}

impl Recordings {
    /// Lists the recordings in a folder of `tests/captures` whose name begins with `prefix`. `begin` makes a fold, and
    /// `load` reads a recording as records, with the beginning and the end of its process.
    pub(in crate::adapter) fn new(
        (folder, prefix): (&str, &str),
        style: GoldenStyle,
        begin: impl Fn() -> TestFold + 'static,
        load: fn(&Path, &str) -> Vec<OwnedRecord>,
    ) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures").join(folder);
        let mut names = Vec::new();
        for entry in fs::read_dir(&folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            names.extend(name.strip_suffix(".journal").filter(|stem| stem.starts_with(prefix)).map(str::to_owned));
        }
        names.sort();
        assert!(names.len() > 12, "the recordings are in place");
        Self { folder, names, style, begin: Box::new(begin), load }
    }

    /// Keeps the recordings whose name `keep` accepts.
    pub(in crate::adapter) fn only(mut self, keep: impl Fn(&str) -> bool) -> Self {
        self.names.retain(|name| keep(name));
        self
    }

    /// A fold over a whole recording.
    fn folded(&self, name: &str) -> TestFold {
        let mut fold = (self.begin)();
        (self.load)(&self.folder, name).iter().for_each(|record| fold.take(record));
        fold
    }

    /// Every recording gives the events that are stored beside it.
    pub(in crate::adapter) fn give_the_events_beside_them(&self) {
        let mut wrong = Vec::new();
        for name in &self.names {
            let text = self.events(name);
            let path = self.folder.join(format!("{name}.events"));
            if std::env::var_os(UPDATE).is_some() {
                fs::write(&path, &text).unwrap();
            }
            let expected = fs::read_to_string(&path).unwrap_or_default();
            if text != expected {
                let first = text.lines().zip(expected.lines()).find(|(got, want)| got != want);
                wrong.push(format!("{name}: first difference {first:?}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    fn events(&self, name: &str) -> String {
        let mut fold = (self.begin)();
        let (mut text, mut last) = (String::new(), Activity::Starting);
        for record in (self.load)(&self.folder, name) {
            fold.take(&record);
            if record.kind == Kind::In {
                let line = String::from_utf8_lossy(&record.payload);
                let shown = if self.style == GoldenStyle::Lengths { short(&line) } else { beginning(&line) };
                let _ = writeln!(text, "<- {shown}");
            }
            for event in fold.take_events().iter().filter(|event| event["type"] != "delta") {
                let _ = writeln!(text, "{}", compact(event));
            }
            let now = fold.session.activity();
            let is_start = now == Activity::Starting;
            if now != last && (!is_start || self.style == GoldenStyle::All) {
                let _ = writeln!(text, "-- {now:?}");
            }
            if !is_start || self.style != GoldenStyle::Changes {
                last = now;
            }
        }
        text
    }

    /// No line of a recording is unknown, but those that are left raw.
    pub(in crate::adapter) fn are_understood(&self, is_left_raw: impl Fn(&Value) -> bool) {
        for name in &self.names {
            let events = self.folded(name).take_events();
            let unknown = events.into_iter().find(|event| event["type"] == "unknown" && !is_left_raw(event));
            assert_eq!(unknown, None, "{name}");
        }
    }

    /// A fold that is saved and restored before every record gives the same events, and wants the same to be written.
    pub(in crate::adapter) fn can_be_cut_anywhere(&self) {
        for name in &self.names {
            let (mut whole, mut cut) = ((self.begin)(), (self.begin)());
            for record in
                (self.load)(&self.folder, name).iter().filter(|record| !whole.is_volatile(record)).collect::<Vec<_>>()
            {
                whole.take(record);
                cut.save_and_restore();
                cut.take(record);
                assert_eq!(cut.session.due(), whole.session.due(), "{name}");
            }
            assert_eq!(cut.take_events(), whole.take_events(), "{name}");
        }
    }

    /// Volatile lines change nothing that is saved.
    pub(in crate::adapter) fn keep_their_state_over_volatile_lines(&self) {
        for name in &self.names {
            let mut fold = (self.begin)();
            for record in (self.load)(&self.folder, name) {
                let before = fold.is_volatile(&record).then(|| fold.session.save());
                fold.take(&record);
                if let Some(before) = before {
                    assert_eq!(fold.session.save(), before, "{name}");
                }
            }
        }
    }

    /// The deltas add up to the messages that follow.
    pub(in crate::adapter) fn have_deltas_that_add_up(&self) {
        for name in &self.names {
            let mut streamed = HashMap::<(Value, String), String>::new();
            for event in self.folded(name).take_events() {
                let kind = event["type"].as_str().unwrap();
                if kind == "delta" {
                    let of = event["of"].as_str().unwrap().to_owned();
                    *streamed.entry((event["message_id"].clone(), of)).or_default() +=
                        event["content"].as_str().unwrap();
                } else if ["assistant", "thinking"].contains(&kind) {
                    let text = streamed.remove(&(event["message_id"].clone(), kind.to_owned()));
                    assert_eq!(text.as_deref(), event["content"].as_str(), "{name}");
                }
            }
            assert!(streamed.is_empty(), "{name}: {streamed:?}");
        }
    }

    /// Every process ends without an open turn, and with a small state whose `lists` are empty.
    pub(in crate::adapter) fn end_with_nothing_open(&self, lists: &[&str]) {
        for name in &self.names {
            let mut fold = self.folded(name);
            let events = fold.take_events();
            let count = |kind: &str| events.iter().filter(|event| event["type"] == kind).count();
            assert_eq!(count("turn_started"), count("turn_completed"), "{name}");
            let saved = fold.session.save();
            assert_eq!(saved["turn"], Value::Null, "{name}");
            for list in lists {
                assert_eq!(saved[list].as_array().map(Vec::len), Some(0), "{name}: {list}");
            }
            assert!(saved.to_string().len() < 4_096, "{name}: a state is small");
        }
    }

    /// Every tool call has one result.
    pub(in crate::adapter) fn have_a_result_for_every_call(&self) {
        for name in &self.names {
            let events = self.folded(name).take_events();
            let mut ids: Vec<_> = events.iter().filter(|event| event["type"] == "tool_call").collect();
            ids.dedup_by_key(|event| event["tool_call_id"].clone());
            let results = events.iter().filter(|event| event["type"] == "tool_result").count();
            assert_eq!(results, ids.len(), "{name}");
        }
    }
}

/// One event as one line: its type, its fields in order, its text.
pub(in crate::adapter) fn compact(event: &Value) -> String {
    let fields = event.as_object().unwrap();
    let mut line = event["type"].as_str().unwrap().to_owned();
    for (key, value) in fields.iter().filter(|(key, _)| !["type", "content", "timestamp"].contains(&key.as_str())) {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let _ = write!(line, " {key}={}", short(&text));
    }
    let _ = write!(line, " | {}", short(event["content"].as_str().unwrap()));
    line
}

fn short(text: &str) -> String {
    let text = text.replace('\n', "\\n");
    let count = text.chars().count();
    if count <= VALUE_MAX { text } else { format!("{}…({count})", beginning(&text)) }
}

fn beginning(text: &str) -> String {
    text.chars().take(VALUE_MAX).collect()
}

/// Reads `NAME.journal` as records.
pub(in crate::adapter) fn journal(folder: &Path, name: &str) -> Vec<OwnedRecord> {
    let journal = fs::read(folder.join(format!("{name}.journal"))).unwrap();
    let lines = journal.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let records = lines.map(|line| Record::parse(line, 0).expect("a record"));
    records.map(|it| OwnedRecord { time: it.time.0, kind: it.kind, payload: it.payload.to_vec() }).collect()
}
