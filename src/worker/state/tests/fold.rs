//! The fold of a worker, its adapter's and its own together, on all recordings: it can be cut at any record.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::adapter::Adapter;
use crate::adapter::acp::{Gemini, GeminiSettings, OpenCode, OpenCodeSettings};
use crate::adapter::claude::{Claude, ClaudeSettings};
use crate::adapter::codex::{Codex, CodexSettings};
use crate::adapter::declared;
use crate::clock::Micros;
use crate::event::{EventContent, numbered};
use crate::journal::{Control, Kind, Record};
use crate::worker::state::fold::Fold;

/// Records of a recording that are tried with the adapters of other CLIs: each adapter folds all of them.
const FOREIGN_RECORDS: usize = 60;

struct Recording {
    /// The name of its folder: the CLI.
    cli: String,
    path: PathBuf,
    records: Vec<(Kind, Vec<u8>)>,
}

fn project(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn adapters() -> Vec<Arc<dyn Adapter>> {
    let mut all: Vec<Arc<dyn Adapter>> = vec![
        Arc::new(Claude::new(ClaudeSettings::default())),
        Arc::new(OpenCode::new(OpenCodeSettings::default())),
        Arc::new(Codex::new(CodexSettings::default())),
        Arc::new(Gemini::new(GeminiSettings::default())),
    ];
    let examples = declared::load(&project("adapters/examples"), &[]);
    assert!(examples.errors.is_empty(), "{:?}", examples.errors);
    all.extend(examples.adapters.into_iter().map(|adapter| adapter as Arc<dyn Adapter>));
    all
}

/// Returns every recording of a CLI's output.
fn recordings() -> Vec<Recording> {
    let mut all = Vec::new();
    for cli in ["claude", "opencode", "codex", "gemini"] {
        for entry in std::fs::read_dir(project("tests/captures").join(cli)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            let mut records = beginning();
            if name.ends_with(".journal") {
                let lines = text.lines().filter_map(|line| Record::parse(line.as_bytes(), 0));
                records.extend(lines.map(|record| (record.kind, record.payload.to_vec())));
            } else if name.ends_with(".jsonl") && name.matches('.').count() == 1 {
                records.extend(text.lines().map(|line| (Kind::Out, line.as_bytes().to_vec())));
            } else {
                continue;
            }
            records.extend(ending());
            all.push(Recording { cli: cli.to_owned(), path, records });
        }
    }
    assert!(all.len() > 90, "the recordings are in place");
    all
}

fn control(value: Value) -> (Kind, Vec<u8>) {
    let control: Control = serde_json::from_value(value).unwrap();
    assert_ne!(control, Control::Unknown);
    (Kind::Ctl, control.to_json())
}

/// Returns the part of a journal before a CLI's first line: queued messages and a sent one.
fn beginning() -> Vec<(Kind, Vec<u8>)> {
    let message =
        |id: &str| json!({"type": "message_queued", "message_id": id, "client_message_id": id, "content": "x"});
    vec![
        control(
            json!({"type": "created", "worker_id": "w", "name": "w", "project_path": "/project", "ai_cli_type": "x"}),
        ),
        control(json!({"type": "launching", "session_id": "s"})),
        control(json!({"type": "started", "pid": 2, "start_time": 1, "shim_pid": 1, "shim_start_time": 1, "argv": []})),
        control(message("m1")),
        control(message("m2")),
        control(json!({"type": "message_edited", "message_id": "m2", "content": "y"})),
        control(json!({"type": "message_delivered", "message_id": "m1", "content": "x"})),
    ]
}

/// Returns the part after its last line: a usage limit that a message waits for, a hibernation, and the next message.
fn ending() -> Vec<(Kind, Vec<u8>)> {
    vec![
        control(json!({"type": "message_held", "message_id": "m1", "content": "x", "until": 9, "attempt": 1})),
        control(json!({"type": "limit_over"})),
        control(json!({"type": "interrupt_requested", "by": "user"})),
        control(json!({"type": "stop_requested", "by": "idle", "reason": "hibernated"})),
        control(json!({"type": "exited", "exit_code": 0})),
        control(json!({"type": "launching", "session_id": "s", "resume": true})),
    ]
}

/// Returns the events of some records, and the fold at their end. `cut`: it is saved and restored before each of them.
fn fold(adapter: &Arc<dyn Adapter>, records: &[(Kind, Vec<u8>)], cut: bool) -> (Vec<Value>, Vec<u8>) {
    let mut fold = Fold::new(Arc::clone(adapter));
    let (mut events, mut seq) = (Vec::new(), 100);
    for (kind, payload) in records {
        if cut {
            fold = Fold::restore(adapter, &fold.save()).expect("our own state is readable");
        }
        let record = Record { seq, time: Micros(seq), kind: *kind, payload, len: payload.len() as u64 + 22 };
        let mut own = Vec::new();
        fold.record(&record, &mut own);
        for (seq, event) in numbered(&record, &own) {
            let content = EventContent { body: &event.body, content: &event.content, timestamp: record.time };
            events.push(json!([seq, content]));
        }
        seq = record.end();
    }
    (events, fold.save())
}

#[test]
fn every_recording_folds_the_same_when_cut_before_any_record() {
    let adapters = adapters();
    for Recording { cli, path, records } in recordings() {
        for adapter in &adapters {
            let own = adapter.cli().kind.starts_with(&cli);
            let records = if own { &records[..] } else { &records[..records.len().min(FOREIGN_RECORDS)] };
            let (whole, cut) = (fold(adapter, records, false), fold(adapter, records, true));
            assert!(whole.0 == cut.0, "{} with {}: other events", path.display(), adapter.cli().kind);
            assert!(whole.1 == cut.1, "{} with {}: another state", path.display(), adapter.cli().kind);
        }
    }
}
