//! Every recording keeps the promises of the adapters.

use std::path::Path;

use serde_json::Value;

use super::{adapter, captures, fresh};
use crate::adapter::testing::recorded::{GoldenStyle, Recordings};
use crate::adapter::{Adapter, LaunchRequest, LinePattern, SessionChoice};
use crate::journal::{Kind, WorkerOptions};

fn recordings() -> Recordings {
    Recordings::new(("claude", ""), GoldenStyle::Changes, fresh, captures::load)
}

#[test]
fn every_recording_gives_the_events_beside_it() {
    recordings().give_the_events_beside_them();
}

#[test]
fn no_line_of_a_recording_is_unknown() {
    // docs/agents.md says why this kind is left raw: a worker never registers a hook of its own.
    recordings().are_understood(|event: &Value| event["raw"]["request"]["subtype"] == "hook_callback");
}

#[test]
fn a_fold_restored_at_any_record_gives_the_same_events() {
    recordings().can_be_cut_anywhere();
}

#[test]
fn volatile_lines_do_not_change_the_state() {
    recordings().keep_their_state_over_volatile_lines();
}

#[test]
fn deltas_add_up_to_the_messages_that_follow() {
    let streamed = ["hello", "two_turns", "stream_2000", "tool_allowed"];
    recordings().only(|name| streamed.contains(&name)).have_deltas_that_add_up();
}

#[test]
fn every_process_ends_without_an_open_turn_or_prompt() {
    recordings().end_with_nothing_open(&["prompts", "sent", "requests", "declines", "calls"]);
}

#[test]
fn every_recorded_result_ends_the_message_before_it() {
    let (options, session) = (WorkerOptions::default(), SessionChoice::New("new"));
    let request = LaunchRequest { project_path: Path::new("/project"), options: &options, session };
    let patterns = adapter().launch(&request).unwrap().message_ends;
    let ends = |pattern: &LinePattern, line: &str| {
        let has = |text: &[u8]| line.contains(std::str::from_utf8(text).unwrap());
        line.as_bytes().starts_with(&pattern.begins) && (pattern.lacks.is_empty() || !has(&pattern.lacks))
    };
    let (recordings, mut results) = (recordings(), 0);
    for name in &recordings.names {
        for record in captures::load(&recordings.folder, name).iter().filter(|record| record.kind == Kind::Out) {
            let line = String::from_utf8_lossy(&record.payload);
            let is_result = serde_json::from_str::<Value>(&line).is_ok_and(|line| line["type"] == "result");
            if is_result {
                assert!(patterns.iter().any(|pattern| ends(pattern, &line)), "{name}: {line}");
                results += 1;
            }
        }
    }
    assert!(results > 50, "the recordings have results");
}
