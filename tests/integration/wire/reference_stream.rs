//! `/ws/{id}` without parameters: the stream for clients of the reference.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use super::{builder, idle_worker, say, server, start};
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};
use crate::support::ws::WsClient;

/// Reads until the end of a turn has arrived, in any frame.
#[track_caller]
fn read_turn(ws: &mut WsClient) {
    ws.wait_for("the end of a turn", DEADLINE, |frame| frame["content"]["type"] == "turn_completed");
}

/// The types of events, by the type of the frames in which they came.
fn types(ws: &WsClient) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::<_, Vec<String>>::new();
    for frame in ws.frames.iter().filter(|frame| frame["content"].is_object()) {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let of_frame = found.entry(text(&frame["type"])).or_default();
        of_frame.push(text(&frame["content"]["type"]));
    }
    found.values_mut().for_each(|types| types.sort());
    found.values_mut().for_each(Vec::dedup);
    found
}

/// A client that is connected before any message.
fn live(server: &TestServer, worker: &str, query: &str) -> WsClient {
    let mut ws = server.ws(&format!("/ws/{worker}{query}"));
    ws.send_json(&json!({"type": "ping"}));
    ws.wait_for("pong", DEADLINE, |frame| frame["type"] == "pong");
    ws
}

#[test]
fn output_frames_carry_whole_messages_tools_and_prompts() {
    let server = server();
    let worker = idle_worker(&server, "claude");
    let mut ws = live(&server, &worker, "");
    ws.send_json(&json!({"type": "message", "content": "deltas 40"}));
    read_turn(&mut ws);
    ws.send_json(&json!({"type": "message", "content": "tool Bash {\"command\": \"true\"}"}));
    read_turn(&mut ws);
    ws.send_json(&json!({"type": "message", "content": "permission"}));
    let prompt = ws.wait_for_event("permission_request", DEADLINE);
    ws.send_json(&json!({"type": "permission", "request_id": prompt["request_id"], "decision": "allow"}));
    read_turn(&mut ws);
    let types = types(&ws);
    let output = ["assistant", "permission_request", "tool_call", "tool_result"];
    assert_eq!(types["output"], output, "{types:?}");
    for other in ["message_state", "permission_resolved", "turn_completed", "turn_started", "user"] {
        assert!(types["event"].iter().any(|kind| kind == other), "{other}: {types:?}");
    }
    assert_eq!(types.len(), 2);
    let said = ws.events().into_iter().filter(|event| event["type"] == "assistant");
    assert_eq!(said.filter(|event| event["content"].as_str().unwrap().starts_with("w0 w1")).count(), 1);
    let seqs: Vec<u64> = ws.frames.iter().filter_map(|frame| frame["seq"].as_u64()).collect();
    assert!(seqs.is_sorted_by(|a, b| a < b), "each event once, in order: {seqs:?}");
}

#[test]
fn any_parameter_of_the_stream_asks_for_all_of_it() {
    let server = server();
    let worker = idle_worker(&server, "claude");
    for (number, query) in ["?since=0", "?raw=1", "?raw=0", "?deltas=1", "?blocks=1", "?blocks=0"].iter().enumerate() {
        let mut ws = live(&server, &worker, query);
        // The message is being written until the client has received a piece of it.
        let seen = server.dir().join(format!("seen-{number}"));
        say(&server, &worker, &format!("deltas 20 0 {}", seen.display()));
        ws.wait_for_event("delta", DEADLINE);
        fs::write(seen, "").unwrap();
        ws.wait_for_event("turn_completed", DEADLINE);
        assert!(types(&ws)["output"].iter().any(|kind| kind == "message_state"), "{query}");
        assert!(ws.frames.iter().all(|frame| frame["type"] != "event"), "{query}");
    }
}

#[test]
fn client_of_the_reference_that_reads_too_slowly_misses_nothing() {
    let server = start(builder().env("SUBSCRIBER_QUEUE_BYTES", "65536"));
    let worker = idle_worker(&server, "claude");
    let mut slow = live(&server, &worker, "");
    say(&server, &worker, "lines 4000 0 4000");
    eventually(DEADLINE, "it falls behind", || {
        let metrics = server.get("/metrics").text();
        let lags = metrics.lines().find_map(|line| line.strip_prefix("rs_worker_lags_total "));
        lags.is_some_and(|lags| lags != "0").then_some(())
    });
    read_turn(&mut slow);
    let lines: Vec<String> = slow
        .events()
        .iter()
        .map(|event| event["content"].as_str().unwrap_or_default())
        .map(|text| text.split(" x").next().unwrap_or_default().to_owned())
        .collect();
    let expected = (1..=4000).map(|number| format!("line {number}")).chain(["4000 lines".to_owned()]);
    assert_eq!(lines, expected.collect::<Vec<_>>());
}
