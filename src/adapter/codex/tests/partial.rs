//! Messages that are cut off.

use serde_json::json;

use super::*;
use crate::adapter::codex::state::PARTIAL_BYTES_MAX;

fn piece(reported: &mut TestFold, item: &str, text: &str) {
    notify(reported, "item/agentMessage/delta", json!({"turnId": "t1", "itemId": item, "delta": text}));
}

#[test]
fn interrupted_message_is_reported_as_far_as_it_came() {
    let mut reported = ready();
    turn_started(&mut reported, "t1");
    piece(&mut reported, "m1", "Half ");
    piece(&mut reported, "m1", "a sentence");
    reported.save_and_restore();
    turn_completed(&mut reported, "t1", "interrupted");
    let events = reported.take_events();
    let types: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["turn_started", "delta", "delta", "assistant", "turn_completed"]);
    assert_eq!((&events[3]["content"], &events[3]["message_id"]), (&json!("Half a sentence"), &json!("m1")));
}

#[test]
fn partial_message_is_reported_when_its_process_ends() {
    let mut reported = ready();
    turn_started(&mut reported, "t1");
    piece(&mut reported, "m1", "Half");
    reported.take_events();
    reported.take(&OwnedRecord::exited());
    assert_eq!(reported.types(), ["assistant", "turn_completed"]);
}

#[test]
fn reported_part_of_a_message_is_not_repeated_with_it() {
    let mut reported = ready();
    turn_started(&mut reported, "t1");
    let long = "é".repeat(PARTIAL_BYTES_MAX / 2);
    piece(&mut reported, "m1", &long);
    piece(&mut reported, "m1", "x");
    completed(&mut reported, json!({"type": "agentMessage", "id": "m1", "text": format!("{long}x and the rest")}));
    let events = reported.take_events();
    let texts: Vec<&str> = events
        .iter()
        .filter(|event| event["type"] == "assistant")
        .map(|event| event["content"].as_str().unwrap())
        .collect();
    assert_eq!(texts, [format!("{long}x").as_str(), " and the rest"]);
    // One that came in one piece is emitted once.
    piece(&mut reported, "m2", "whole");
    completed(&mut reported, json!({"type": "agentMessage", "id": "m2", "text": "whole"}));
    assert_eq!(reported.types(), ["delta", "assistant"]);
}
