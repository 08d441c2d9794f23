//! Loads recordings. Those that keep stdin apart get each of its lines placed before the first output that depends on it.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::Entry;
use crate::journal::{Kind, Record};

pub(super) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/captures/claude")
}

/// The names of all recordings.
pub(super) fn names() -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let stem = name.strip_suffix(".stdin.jsonl").or_else(|| name.strip_suffix(".journal"));
        names.extend(stem.map(str::to_owned));
    }
    names.sort();
    assert!(names.len() > 30, "the recordings are in place");
    names
}

/// A recording as records, with the beginning and the end of its process.
pub(super) fn load(name: &str) -> Vec<Entry> {
    let folder = folder();
    let mut entries = vec![Entry::started()];
    if let Ok(journal) = fs::read(folder.join(format!("{name}.journal"))) {
        for line in journal.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            let record = Record::parse(line, 0).expect("a record");
            entries.push(Entry { time: record.time.0, kind: record.kind, payload: record.payload.to_vec() });
        }
    } else {
        let lines = |suffix: &str| fs::read_to_string(folder.join(format!("{name}{suffix}"))).unwrap();
        entries.extend(interleave(&lines(".stdin.jsonl"), &lines(".jsonl")));
    }
    entries.push(Entry::exited());
    entries
}

fn interleave(stdin: &str, stdout: &str) -> Vec<Entry> {
    let out: Vec<&str> = stdout.lines().collect();
    let parsed: Vec<Value> = out.iter().map(|line| serde_json::from_str(line).unwrap_or_default()).collect();
    let mut placed: Vec<(usize, &str)> = Vec::new();
    let mut at = 0;
    for line in stdin.lines().filter(|line| !line.is_empty()) {
        let value: Value = serde_json::from_str(line).unwrap_or_default();
        at = at.max(first_dependent(&value, &parsed, at));
        placed.push((at, line));
        // The next message cannot have begun this one's turn.
        at += usize::from(value["type"] == "user" && parsed.get(at).is_some_and(|line| line["subtype"] == "init"));
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

/// The index of the first output, from `from` on, that could not be there without this line of input.
fn first_dependent(input: &Value, out: &[Value], from: usize) -> usize {
    let find = |test: &dyn Fn(&Value) -> bool| (from..out.len()).find(|&at| test(&out[at]));
    match input["type"].as_str() {
        Some("control_response") => {
            let id = &input["response"]["request_id"];
            find(&|line| line["type"] == "control_request" && line["request_id"] == *id).map_or(out.len(), |at| at + 1)
        }
        Some("control_request") => {
            let answer = find(&|line| line["response"]["request_id"] == input["request_id"]).unwrap_or(out.len());
            let local =
                |line: &Value| line["message"]["content"].as_str().is_some_and(|text| text.starts_with("<local-"));
            let cancel = |line: &Value| line["type"] == "control_cancel_request";
            if answer > 0 && (local(&out[answer - 1]) || cancel(&out[answer - 1])) { answer - 1 } else { answer }
        }
        Some("user") => {
            let text = input["message"]["content"].as_str().unwrap_or_default();
            let shown = |line: &Value| {
                line["isReplay"] == true
                    && line["message"]["content"].as_str().is_some_and(|shown| shown.contains(text))
            };
            let replay = find(&shown).unwrap_or(out.len());
            find(&|line| line["subtype"] == "init").unwrap_or(out.len()).min(replay)
        }
        _ => out.len(),
    }
}
