//! Every recording gives the events that stand beside it, from the beginning and from every record boundary.

use std::fmt::Write as _;
use std::fs;

use serde_json::Value;

use super::{Told, captures};

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
    for name in captures::names() {
        let mut told = Told::new();
        let mut text = String::new();
        for entry in captures::load(&name) {
            told.take(&entry);
            let written = if entry.kind == crate::journal::Kind::In { "<- " } else { "" };
            if !written.is_empty() {
                let line: String = String::from_utf8_lossy(&entry.payload).chars().take(VALUE_MAX).collect();
                let _ = writeln!(text, "{written}{line}");
            }
            for event in told.told().iter().filter(|event| event["type"] != "delta") {
                let _ = writeln!(text, "{}", compact(event));
            }
            let _ = match told.session.activity() {
                crate::adapter::Activity::Starting => Ok(()),
                activity
                    if text.lines().rev().find(|line| line.starts_with("-- ")) != Some(&format!("-- {activity:?}")) =>
                {
                    writeln!(text, "-- {activity:?}")
                }
                _ => Ok(()),
            };
        }
        let path = captures::folder().join(format!("{name}.events"));
        if update {
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

#[test]
fn no_line_of_a_recording_is_unknown() {
    for name in captures::names() {
        let mut told = Told::new();
        captures::load(&name).iter().for_each(|entry| told.take(entry));
        // The README says why this kind is left raw: a worker never registers a hook of its own.
        let is_left_raw = |event: &Value| event["raw"]["request"]["subtype"] == "hook_callback";
        let unknown = told.told().into_iter().find(|event| event["type"] == "unknown" && !is_left_raw(event));
        assert_eq!(unknown, None, "{name}");
    }
}

#[test]
fn a_fold_restored_at_any_record_gives_the_same_events() {
    for name in captures::names() {
        let entries = captures::load(&name);
        let mut whole = Told::new();
        entries.iter().filter(|entry| !entry.is_volatile()).for_each(|entry| whole.take(entry));
        let whole = whole.told();
        let mut cut = Told::new();
        for entry in entries.iter().filter(|entry| !entry.is_volatile()) {
            cut.save_and_restore();
            cut.take(entry);
        }
        assert_eq!(cut.told(), whole, "{name}");
    }
}

#[test]
fn volatile_lines_do_not_change_the_state() {
    for name in captures::names() {
        let mut told = Told::new();
        for entry in captures::load(&name) {
            let before = entry.is_volatile().then(|| told.session.save());
            told.take(&entry);
            if let Some(before) = before {
                assert_eq!(told.session.save(), before, "{name}");
            }
        }
    }
}

#[test]
fn deltas_add_up_to_the_messages_that_follow() {
    for name in ["hello", "two_turns", "stream_2000", "tool_allowed"] {
        let mut told = Told::new();
        captures::load(name).iter().for_each(|entry| told.take(entry));
        let mut streamed = std::collections::HashMap::<(Value, String), String>::new();
        let mut messages = 0;
        for event in told.told() {
            let kind = event["type"].as_str().unwrap();
            if kind == "delta" {
                let of = event["of"].as_str().unwrap().to_owned();
                *streamed.entry((event["message_id"].clone(), of)).or_default() += event["text"].as_str().unwrap();
            } else if ["assistant", "thinking"].contains(&kind) {
                let text = streamed.remove(&(event["message_id"].clone(), kind.to_owned()));
                assert_eq!(text.as_deref(), event["content"].as_str(), "{name}");
                messages += 1;
            }
        }
        assert!(messages > 0 && streamed.is_empty(), "{name}");
    }
}

#[test]
fn every_process_ends_without_an_open_turn_or_prompt() {
    for name in captures::names() {
        let mut told = Told::new();
        captures::load(&name).iter().for_each(|entry| told.take(entry));
        let events = told.told();
        let count = |kind: &str| events.iter().filter(|event| event["type"] == kind).count();
        assert_eq!(count("turn_started"), count("turn_completed"), "{name}");
        let saved = told.session.save();
        assert_eq!(saved["turn"], Value::Null, "{name}");
        for list in ["prompts", "waiting", "requests", "declines", "plan_calls"] {
            assert_eq!(saved[list].as_array().map(Vec::len), Some(0), "{name}: {list}");
        }
        assert!(saved.to_string().len() < 4_096, "{name}: a state is small");
    }
}
