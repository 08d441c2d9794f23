//! Every recording gives the events that stand beside it, from the beginning and from every record boundary.

use std::fmt::Write as _;
use std::fs;

use serde_json::Value;

use super::{Told, captures};
use crate::adapter::Activity;
use crate::journal::Kind;

/// Longest value that a golden line repeats, in characters.
const VALUE_MAX: usize = 100;

/// One event as one line: its type, its fields in order, its text.
fn compact(event: &Value) -> String {
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

#[test]
fn every_recording_gives_the_events_beside_it() {
    let update = std::env::var_os("RS_WORKER_UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    for capture in captures::all() {
        let mut told = Told::new(&capture.adapter);
        let mut text = String::new();
        let mut activity = Activity::Starting;
        for entry in capture.entries() {
            told.take(&entry);
            if entry.kind == Kind::In {
                let line: String = String::from_utf8_lossy(&entry.payload).chars().take(VALUE_MAX).collect();
                let _ = writeln!(text, "<- {line}");
            }
            for event in told.told().iter().filter(|event| event["type"] != "delta") {
                let _ = writeln!(text, "{}", compact(event));
            }
            if told.session.activity() != activity {
                activity = told.session.activity();
                let _ = writeln!(text, "-- {activity:?}");
            }
        }
        let path = captures::folder().join(format!("{}.events", capture.name));
        if update {
            fs::write(&path, &text).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        if text != expected {
            let first = text.lines().zip(expected.lines()).find(|(got, want)| got != want);
            wrong.push(format!("{}: first difference {first:?}", capture.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_line_of_a_recording_is_unknown() {
    for capture in captures::all() {
        let mut told = Told::new(&capture.adapter);
        capture.entries().iter().for_each(|entry| told.take(entry));
        let unknown = told.told().into_iter().find(|event| event["type"] == "unknown");
        assert_eq!(unknown, None, "{}", capture.name);
    }
}

#[test]
fn a_fold_restored_at_any_record_gives_the_same_events() {
    for capture in captures::all() {
        let entries = capture.entries();
        let (mut whole, mut cut) = (Told::new(&capture.adapter), Told::new(&capture.adapter));
        for entry in &entries {
            whole.take(entry);
            cut.save_and_restore();
            cut.take(entry);
            assert_eq!(cut.session.due(), whole.session.due(), "{}", capture.name);
        }
        assert_eq!(cut.told(), whole.told(), "{}", capture.name);
    }
}

#[test]
fn deltas_add_up_to_the_messages_that_follow() {
    for capture in captures::all().into_iter().filter(|capture| !capture.name.contains("load_part2")) {
        let mut told = Told::new(&capture.adapter);
        capture.entries().iter().for_each(|entry| told.take(entry));
        let mut streamed = std::collections::HashMap::<(Value, String), String>::new();
        for event in told.told() {
            let kind = event["type"].as_str().unwrap();
            if kind == "delta" {
                let of = event["of"].as_str().unwrap().to_owned();
                *streamed.entry((event["message_id"].clone(), of)).or_default() += event["text"].as_str().unwrap();
            } else if ["assistant", "thinking"].contains(&kind) {
                let text = streamed.remove(&(event["message_id"].clone(), kind.to_owned()));
                assert_eq!(text.as_deref(), event["content"].as_str(), "{}", capture.name);
            }
        }
        assert!(streamed.is_empty(), "{}", capture.name);
    }
}

#[test]
fn every_process_ends_without_an_open_turn_or_prompt() {
    for capture in captures::all() {
        let name = &capture.name;
        let mut told = Told::new(&capture.adapter);
        capture.entries().iter().for_each(|entry| told.take(entry));
        let events = told.told();
        let count = |kind: &str| events.iter().filter(|event| event["type"] == kind).count();
        assert_eq!(count("turn_started"), count("turn_completed"), "{name}");
        assert_eq!(
            count("tool_result"),
            {
                let mut ids: Vec<_> = events.iter().filter(|event| event["type"] == "tool_call").collect();
                ids.dedup_by_key(|event| event["tool_call_id"].clone());
                ids.len()
            },
            "{name}: every call has a result"
        );
        let saved = told.session.save();
        assert_eq!((&saved["turn"], &saved["message"]), (&Value::Null, &Value::Null), "{name}");
        for list in ["asks", "requests", "declines", "tools"] {
            assert_eq!(saved[list].as_array().map(Vec::len), Some(0), "{name}: {list}");
        }
        assert!(saved.to_string().len() < 4_096, "{name}: a state is small");
    }
}
