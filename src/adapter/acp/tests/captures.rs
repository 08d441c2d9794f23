//! Loads recordings. They keep stdin apart; each of its lines is placed before the first output that depends on it.

use std::path::Path;

use serde_json::Value;

use crate::adapter::testing::recorded::{OwnedRecord, interleave, streams};
use crate::journal::WorkerOptions;

/// A recording as records, with the beginning and the end of its worker and its process.
pub(super) fn load(folder: &Path, name: &str) -> Vec<OwnedRecord> {
    let (stdin, stdout) = streams(folder, name);
    let mut loaded = stdin.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let loaded = loaded.find(|line| line["method"] == "session/load");
    let resume = loaded.as_ref().map(|line| line["params"]["sessionId"].as_str().unwrap());
    let created = OwnedRecord::created("acp", WorkerOptions::default());
    let mut records = vec![created, OwnedRecord::launching(resume), OwnedRecord::started()];
    records.extend(interleave(&stdin, &stdout, |input, out, from| {
        let at = from.max(place(name, input, out));
        (at, at)
    }));
    records.push(OwnedRecord::exited());
    records
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
