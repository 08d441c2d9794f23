//! Session files that real CLIs wrote, through the folds that follow them: for tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use crate::adapter::claude::{Claude, ClaudeSettings};
use crate::adapter::codex::{Codex, CodexSettings};
use crate::adapter::testing::recorded::{UPDATE, compact};
use crate::adapter::{Activity, Adapter, Session};
use crate::clock::Micros;
use crate::event::{Event, EventContent};
use crate::journal::{Kind, Record};

/// A recorded file: the CLI's adapter, where it is, and its lines.
struct RecordedTranscript {
    adapter: Arc<dyn Adapter>,
    path: PathBuf,
    lines: Vec<Vec<u8>>,
}

/// All of them.
fn transcripts() -> Vec<RecordedTranscript> {
    let claude = ClaudeSettings { binary: "claude".into(), model: None, api_key: None };
    let codex = CodexSettings { binary: "codex".into(), model: None, api_key: None };
    let adapters: [(&str, Arc<dyn Adapter>, usize); 2] =
        [("claude", Arc::new(Claude::new(claude)), 20), ("codex", Arc::new(Codex::new(codex)), 12)];
    let mut found = Vec::new();
    for (folder, adapter, least) in adapters {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures").join(folder);
        let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.to_str().unwrap().ends_with(".transcript.jsonl"));
        paths.sort();
        assert!(paths.len() >= least, "the recordings are in place");
        found.extend(paths.into_iter().map(|path| {
            let text = fs::read(&path).unwrap();
            let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect();
            RecordedTranscript { adapter: Arc::clone(&adapter), path, lines }
        }));
    }
    found
}

/// Returns the events of one line.
fn report(session: &mut dyn Session, seq: u64, line: &[u8]) -> Vec<Value> {
    let time = Micros(1_700_000_000_000_000);
    let record = Record { seq, time, kind: Kind::Out, payload: line, len: line.len() as u64 + 22 };
    let mut events = Vec::new();
    session.record(&record, None, &mut events);
    let content = |event: &Event<'_>| {
        let content = EventContent { body: &event.body, content: &event.content, timestamp: record.time };
        serde_json::to_value(&content).unwrap()
    };
    events.iter().map(content).collect()
}

/// All events of a fold, with the activity where it changes; `between` may put another fold in its place.
fn notify_all(
    transcript: &RecordedTranscript,
    between: impl Fn(Box<dyn Session>) -> Box<dyn Session>,
) -> (Vec<Value>, String) {
    let mut session = transcript.adapter.open_transcript().unwrap();
    let (mut events, mut text, mut last) = (Vec::new(), String::new(), Activity::Starting);
    let mut seq = 100;
    for line in &transcript.lines {
        session = between(session);
        let reported = report(&mut *session, seq, line);
        seq += line.len() as u64 + 22;
        reported.iter().for_each(|event| text.push_str(&format!("{}\n", compact(event))));
        events.extend(reported);
        let now = session.activity();
        if now != last {
            text.push_str(&format!("-- {now:?}\n"));
        }
        last = now;
    }
    (events, text)
}

#[test]
fn every_recorded_transcript_gives_the_events_beside_it() {
    let mut wrong = Vec::new();
    for transcript in transcripts() {
        let (_, text) = notify_all(&transcript, |session| session);
        let path = transcript.path.with_extension("events");
        if std::env::var_os(UPDATE).is_some() {
            fs::write(&path, &text).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        if text != expected {
            let first = text.lines().zip(expected.lines()).find(|(got, want)| got != want);
            wrong.push(format!("{}: first difference {first:?}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_line_of_a_recorded_transcript_is_unknown() {
    for transcript in transcripts() {
        let (events, _) = notify_all(&transcript, |session| session);
        let unknown = events.iter().find(|event| ["unknown", "raw"].contains(&event["type"].as_str().unwrap()));
        assert_eq!(unknown, None, "{}", transcript.path.display());
    }
}

#[test]
fn transcripts_fold_restored_at_any_line_gives_the_same_events() {
    for transcript in transcripts() {
        let restore = |session: Box<dyn Session>| {
            let saved = serde_json::to_string(&session.save()).unwrap();
            let saved: Value = serde_json::from_str(&saved).unwrap();
            transcript.adapter.restore_transcript(&saved).expect("our own state is readable")
        };
        let (whole, _) = notify_all(&transcript, |session| session);
        let (cut, _) = notify_all(&transcript, restore);
        assert_eq!(cut, whole, "{}", transcript.path.display());
    }
}
