//! The reason of a stalled worker: it says whether its transcript grows while its output is silent.

use serde_json::json;

use super::{answer, append, builder};
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::TestWorker;

#[test]
fn a_stalled_worker_says_whether_its_transcript_grows_or_its_process_waits() {
    let server = builder("stalled").env("WORKER_TIMEOUT", "4").start();
    for grows in [false, true] {
        let worker = TestWorker::create(&server, "claude", &json!({}));
        let session = worker.wait_status(&server, "idle")["session_id"].as_str().unwrap().to_owned();
        let folder = server.home().join(".claude/projects/-project");
        std::fs::create_dir_all(&folder).unwrap();
        let transcript = folder.join(format!("{session}.jsonl"));
        append(&transcript, &answer("a0", "before"));
        worker.say(&server, SILENT);
        worker.wait_status(&server, "busy");
        let reason = eventually(DEADLINE, "it is stalled", || {
            if grows {
                append(&transcript, &answer("a1", "more"));
            }
            let shown = worker.show(&server);
            (shown["status"] == "stalled").then(|| shown["reason"].as_str().unwrap().to_owned())
        });
        let expected = if grows { "its transcript has grown" } else { "has not grown either, and the process waits" };
        assert!(reason.contains(expected), "{reason}");
        worker.call(&server, "stop").expect(200);
    }
}

/// A prompt that the fake CLI takes and then says nothing for long.
const SILENT: &str = "hang";
