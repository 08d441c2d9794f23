//! The reason of a stalled worker: it includes whether its transcript grows while its output is silent.

use serde_json::json;

use super::{answer, append, builder};
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::TestWorker;

#[test]
fn stalled_worker_reports_a_growing_transcript_or_a_waiting_process() {
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

/// A prompt after which the fake CLI prints nothing for long.
const SILENT: &str = "hang";
