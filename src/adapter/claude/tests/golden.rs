//! Every recording keeps the promises of the adapters.

use serde_json::Value;

use super::{captures, fresh};
use crate::adapter::testing::recorded::{Recordings, Style};

fn recordings() -> Recordings {
    Recordings::new(("claude", ""), Style::Changes, fresh, captures::load)
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
