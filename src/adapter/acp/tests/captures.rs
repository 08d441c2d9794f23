//! Loads recordings. They keep stdin apart; each of its lines is placed before the first output that depends on it.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use super::{Entry, gemini, opencode};
use crate::adapter::Adapter;
use crate::journal::{Kind, WorkerOptions};

/// One recording.
pub(super) struct Capture {
    /// As in `opencode/acp_hello`.
    pub(super) name: String,
    pub(super) adapter: Arc<dyn Adapter>,
}

pub(super) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/captures")
}

/// All recordings of the protocol.
pub(super) fn all() -> Vec<Capture> {
    let mut all = Vec::new();
    for (cli, adapter) in [("opencode", opencode()), ("gemini", gemini())] {
        let mut names = Vec::new();
        for entry in fs::read_dir(folder().join(cli)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let stem = name.strip_suffix(".stdin.jsonl").filter(|stem| stem.starts_with("acp_"));
            names.extend(stem.map(|stem| format!("{cli}/{stem}")));
        }
        names.sort();
        assert!(names.len() >= 13, "the recordings of {cli} are in place");
        all.extend(names.into_iter().map(|name| Capture { name, adapter: Arc::clone(&adapter) }));
    }
    all
}

impl Capture {
    /// The recording as records, with the beginning and the end of its worker and its process.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let lines = |suffix: &str| fs::read_to_string(folder().join(format!("{}{suffix}", self.name))).unwrap();
        let (stdin, stdout) = (lines(".stdin.jsonl"), lines(".jsonl"));
        let mut loaded = stdin.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let loaded = loaded.find(|line| line["method"] == "session/load");
        let resume = loaded.as_ref().map(|line| line["params"]["sessionId"].as_str().unwrap());
        let mut entries = vec![Entry::created(WorkerOptions::default()), Entry::launching(resume), Entry::started()];
        entries.extend(interleave(&self.name, &stdin, &stdout));
        entries.push(Entry::exited());
        entries
    }
}

fn interleave(name: &str, stdin: &str, stdout: &str) -> Vec<Entry> {
    let out: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut placed: Vec<(usize, &str)> = Vec::new();
    let mut at = 0;
    for line in stdin.lines().filter(|line| !line.is_empty()) {
        let value: Value = serde_json::from_str(line).unwrap();
        at = at.max(place(name, &value, &out));
        placed.push((at, line));
    }
    let mut entries = Vec::new();
    let mut placed = placed.into_iter().peekable();
    for (index, line) in stdout.lines().enumerate() {
        while let Some((_, input)) = placed.next_if(|(at, _)| *at <= index) {
            entries.push(Entry::new(Kind::In, input));
        }
        entries.push(Entry::new(Kind::Out, line));
    }
    entries.extend(placed.map(|(_, input)| Entry::new(Kind::In, input)));
    entries
}

/// The earliest index in the output before which a line of input can have been written.
fn place(name: &str, input: &Value, out: &[Value]) -> usize {
    let find = |test: &dyn Fn(&Value) -> bool| out.iter().position(test);
    let answer_to = |id: &Value| find(&|line| line["id"] == *id && line.get("method").is_none());
    let chunk = |line: &Value| line["params"]["update"]["sessionUpdate"] == "agent_message_chunk";
    match input["method"].as_str() {
        // The second of two prompts that overlap.
        Some("session/prompt") if name.ends_with("second_prompt_while_busy") && input["id"] == 4 => {
            find(&chunk).unwrap() + 3
        }
        Some("session/cancel") => {
            let mut at = find(&|line| line["result"]["stopReason"] == "cancelled").unwrap();
            let consequence = |line: &Value| {
                let update = &line["params"]["update"];
                update["sessionUpdate"] == "usage_update" || update["status"] == "failed"
            };
            while consequence(&out[at - 1]) {
                at -= 1;
            }
            at
        }
        // A request follows the answer to the one before it.
        Some(_) => match input["id"].as_u64().unwrap() {
            1 => 0,
            id => answer_to(&Value::from(id - 1)).unwrap() + 1,
        },
        None => find(&|line| line["id"] == input["id"] && line.get("method").is_some()).map_or(out.len(), |at| at + 1),
    }
}
