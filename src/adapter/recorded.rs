//! Recordings of real CLIs as records, and what every adapter promises of its own: for tests.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use crate::adapter::{Action, Activity, Adapter, LaunchRequest, Session, SessionChoice};
use crate::clock::Micros;
use crate::event::{Content, Event};
use crate::journal::{Control, Kind, Record, WorkerOptions};

/// Longest value that a golden line repeats, in characters.
const VALUE_MAX: usize = 100;
/// Set to write the `.events` files anew instead of comparing with them.
pub(in crate::adapter) const UPDATE: &str = "RS_WORKER_UPDATE_GOLDEN";

/// A record that owns its payload.
#[derive(Clone, Debug)]
pub(in crate::adapter) struct Entry {
    pub(in crate::adapter) time: u64,
    pub(in crate::adapter) kind: Kind,
    pub(in crate::adapter) payload: Vec<u8>,
}

impl Entry {
    pub(in crate::adapter) fn new(kind: Kind, payload: impl Into<Vec<u8>>) -> Self {
        Self { time: 1_700_000_000_000_000, kind, payload: payload.into() }
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
            options,
            forked_from: None,
            worktree: None,
        })
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
        })
    }
}

/// A fold with what it told so far, as the wire would carry it.
pub(in crate::adapter) struct Told {
    adapter: Arc<dyn Adapter>,
    volatile: Vec<Vec<u8>>,
    pub(in crate::adapter) session: Box<dyn Session>,
    seq: u64,
    events: Vec<Value>,
}

impl Told {
    pub(in crate::adapter) fn new(adapter: Arc<dyn Adapter>) -> Self {
        let options = WorkerOptions::default();
        let session = SessionChoice::New("new");
        let request = LaunchRequest { project_path: Path::new("/project"), options: &options, session };
        let volatile = adapter.launch(&request).unwrap().volatile;
        let session = adapter.open();
        Self { adapter, volatile, session, seq: 100, events: Vec::new() }
    }

    pub(in crate::adapter) fn is_volatile(&self, entry: &Entry) -> bool {
        entry.kind == Kind::Out && self.volatile.iter().any(|prefix| entry.payload.starts_with(prefix))
    }

    pub(in crate::adapter) fn take(&mut self, entry: &Entry) {
        let control = (entry.kind == Kind::Ctl).then(|| Control::from_json(&entry.payload));
        let len = entry.payload.len() as u64 + 22;
        let record = Record { seq: self.seq, time: Micros(entry.time), kind: entry.kind, payload: &entry.payload, len };
        let volatile = self.is_volatile(entry);
        let events = &mut self.events;
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

    pub(in crate::adapter) fn out(&mut self, line: &Value) {
        self.take(&Entry::new(Kind::Out, line.to_string()));
    }

    pub(in crate::adapter) fn wrote(&mut self, line: &Value) {
        self.take(&Entry::new(Kind::In, line.to_string()));
    }

    pub(in crate::adapter) fn control(&mut self, control: &Control) {
        self.take(&Entry::control(control));
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
            self.take(&Entry::new(Kind::In, line.clone()));
        }
        lines.iter().map(|line| serde_json::from_slice(line).unwrap()).collect()
    }

    /// The events told since the last call.
    pub(in crate::adapter) fn told(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.events)
    }

    pub(in crate::adapter) fn types(&mut self) -> Vec<String> {
        self.told().iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    }

    pub(in crate::adapter) fn save_and_restore(&mut self) {
        let saved = serde_json::to_string(&self.session.save()).unwrap();
        let restored = self.adapter.restore(&serde_json::from_str(&saved).unwrap());
        self.session = restored.expect("our own state is readable");
        assert_eq!(serde_json::to_string(&self.session.save()).unwrap(), saved, "a state survives its own saving");
    }
}

/// The recordings of one adapter: `NAME.journal` as records, or `NAME.jsonl` and `NAME.stdin.jsonl` as the lines of
/// JSON-RPC that went each way.
pub(in crate::adapter) struct Recordings {
    pub(in crate::adapter) adapter: Arc<dyn Adapter>,
    pub(in crate::adapter) folder: PathBuf,
    pub(in crate::adapter) names: Vec<String>,
}

impl Recordings {
    /// Those in a folder of `tests/captures` whose name begins with `prefix`.
    pub(in crate::adapter) fn new(adapter: Arc<dyn Adapter>, folder: &str, prefix: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures").join(folder);
        let mut names = Vec::new();
        for entry in fs::read_dir(&folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let stem = name.strip_suffix(".stdin.jsonl").or_else(|| name.strip_suffix(".journal"));
            names.extend(stem.filter(|stem| stem.starts_with(prefix)).map(str::to_owned));
        }
        names.sort();
        assert!(!names.is_empty(), "the recordings are in place");
        Self { adapter, folder, names }
    }

    /// A recording as records, with the beginning and the end of its process.
    pub(in crate::adapter) fn load(&self, name: &str) -> Vec<Entry> {
        let mut entries = vec![Entry::created(&self.adapter.cli().kind, WorkerOptions::default()), Entry::started()];
        if let Ok(journal) = fs::read(self.folder.join(format!("{name}.journal"))) {
            for line in journal.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
                let record = Record::parse(line, 0).expect("a record");
                entries.push(Entry { time: record.time.0, kind: record.kind, payload: record.payload.to_vec() });
            }
        } else {
            let lines = |suffix: &str| fs::read_to_string(self.folder.join(format!("{name}{suffix}"))).unwrap();
            entries.extend(interleave(&lines(".stdin.jsonl"), &lines(".jsonl")));
        }
        entries.push(Entry::exited());
        entries
    }

    fn told(&self) -> Told {
        Told::new(Arc::clone(&self.adapter))
    }

    /// Every recording gives the events that stand beside it.
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
        let mut told = self.told();
        let (mut text, mut last) = (String::new(), Activity::Starting);
        for entry in self.load(name) {
            told.take(&entry);
            if entry.kind == Kind::In {
                let _ = writeln!(text, "<- {}", short(&String::from_utf8_lossy(&entry.payload)));
            }
            for event in told.told().iter().filter(|event| event["type"] != "delta") {
                let _ = writeln!(text, "{}", compact(event));
            }
            let now = told.session.activity();
            if now != last && now != Activity::Starting {
                let _ = writeln!(text, "-- {now:?}");
            }
            last = now;
        }
        text
    }

    /// No line of a recording is unknown.
    pub(in crate::adapter) fn are_understood(&self) {
        for name in &self.names {
            let mut told = self.told();
            self.load(name).iter().for_each(|entry| told.take(entry));
            let unknown = told.told().into_iter().find(|event| event["type"] == "unknown");
            assert_eq!(unknown, None, "{name}");
        }
    }

    /// A fold that is saved and restored before every record gives the same events, and wants the same to be written.
    pub(in crate::adapter) fn can_be_cut_anywhere(&self) {
        for name in &self.names {
            let (mut whole, mut cut) = (self.told(), self.told());
            for entry in &self.load(name) {
                if whole.is_volatile(entry) {
                    continue;
                }
                whole.take(entry);
                cut.save_and_restore();
                cut.take(entry);
                assert_eq!(cut.session.due(), whole.session.due(), "{name}");
            }
            assert_eq!(cut.told(), whole.told(), "{name}");
        }
    }

    /// Volatile lines change nothing that is saved.
    pub(in crate::adapter) fn keep_their_state_over_volatile_lines(&self) {
        for name in &self.names {
            let mut told = self.told();
            for entry in self.load(name) {
                let before = told.is_volatile(&entry).then(|| told.session.save());
                told.take(&entry);
                if let Some(before) = before {
                    assert_eq!(told.session.save(), before, "{name}");
                }
            }
        }
    }

    /// Of these recordings, the deltas add up to the messages that follow; those in `cut_short` are never repeated whole.
    pub(in crate::adapter) fn have_deltas_that_add_up(&self, cut_short: &[&str]) {
        for name in &self.names {
            let mut told = self.told();
            self.load(name).iter().for_each(|entry| told.take(entry));
            let mut streamed = HashMap::<(Value, String), String>::new();
            for event in told.told() {
                let kind = event["type"].as_str().unwrap();
                if kind == "delta" {
                    let of = event["of"].as_str().unwrap().to_owned();
                    *streamed.entry((event["message_id"].clone(), of)).or_default() += event["text"].as_str().unwrap();
                } else if ["assistant", "thinking"].contains(&kind) {
                    let text = streamed.remove(&(event["message_id"].clone(), kind.to_owned()));
                    assert_eq!(text.as_deref(), event["content"].as_str(), "{name}");
                }
            }
            assert_eq!(!streamed.is_empty(), cut_short.contains(&name.as_str()), "{name}: {streamed:?}");
        }
    }

    /// Every process ends without an open turn, and with a small state whose `lists` are empty.
    pub(in crate::adapter) fn end_with_nothing_open(&self, lists: &[&str]) {
        for name in &self.names {
            let mut told = self.told();
            self.load(name).iter().for_each(|entry| told.take(entry));
            let events = told.told();
            let count = |kind: &str| events.iter().filter(|event| event["type"] == kind).count();
            assert_eq!(count("turn_started"), count("turn_completed"), "{name}");
            let saved = told.session.save();
            for list in lists {
                assert_eq!(saved[list].as_array().map(Vec::len), Some(0), "{name}: {list}");
            }
            assert!(saved.to_string().len() < 4_096, "{name}: a state is small");
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
    if count <= VALUE_MAX {
        return text;
    }
    let start: String = text.chars().take(VALUE_MAX).collect();
    format!("{start}…({count})")
}

/// Puts each line of stdin before the first output that could not be there without it.
fn interleave(stdin: &str, stdout: &str) -> Vec<Entry> {
    let out: Vec<&str> = stdout.lines().collect();
    let parsed: Vec<Value> = out.iter().map(|line| serde_json::from_str(line).unwrap_or_default()).collect();
    let (mut placed, mut at) = (Vec::<(usize, &str)>::new(), 0);
    for line in stdin.lines().filter(|line| !line.is_empty()) {
        let input: Value = serde_json::from_str(line).unwrap_or_default();
        let find = |test: &dyn Fn(&Value) -> bool| (at..out.len()).find(|&index| test(&parsed[index]));
        at = match (input.get("id"), input.get("method")) {
            (Some(id), Some(_)) => find(&|line| line.get("method").is_none() && line["id"] == *id).unwrap_or(out.len()),
            (Some(id), None) => {
                find(&|line| line.get("method").is_some() && line["id"] == *id).map_or(out.len(), |index| index + 1)
            }
            _ => at,
        };
        placed.push((at, line));
    }
    let mut entries = Vec::new();
    let mut placed = placed.into_iter().peekable();
    for (index, line) in out.iter().enumerate() {
        while let Some((_, input)) = placed.next_if(|(at, _)| *at <= index) {
            entries.push(Entry::new(Kind::In, input));
        }
        entries.push(Entry::new(Kind::Out, *line));
    }
    entries.extend(placed.map(|(_, input)| Entry::new(Kind::In, input)));
    entries
}
