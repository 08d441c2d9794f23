//! Loads recordings. Those that keep stdin apart get each of its lines placed before the first output that depends on it.

use std::path::Path;

use serde_json::Value;

use crate::adapter::testing::recorded::{OwnedRecord, interleave, journal, streams};

/// A recording as records, with the beginning and the end of its process.
pub(super) fn load(folder: &Path, name: &str) -> Vec<OwnedRecord> {
    let mut records = vec![OwnedRecord::started()];
    records.extend(journal(folder, name).unwrap_or_else(|| {
        let (stdin, stdout) = streams(folder, name);
        interleave(&stdin, &stdout, place)
    }));
    records.push(OwnedRecord::exited());
    records
}

fn place(input: &Value, out: &[Value], from: usize) -> (usize, usize) {
    let at = from.max(first_dependent(input, out, from));
    // The next message cannot have begun this one's turn.
    let begins = input["type"] == "user" && out.get(at).is_some_and(|line| line["subtype"] == "init");
    (at, at + usize::from(begins))
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
