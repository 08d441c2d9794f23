//! Every recording keeps the promises of the adapters.

use super::captures;
use crate::adapter::testing::recorded::{GoldenStyle, Recordings, TestFold};

fn recordings() -> [Recordings; 2] {
    [("opencode", super::opencode()), ("gemini", super::gemini())].map(|(cli, adapter)| {
        Recordings::new((cli, "acp_"), GoldenStyle::All, move || TestFold::ticking(&adapter), captures::load)
    })
}

#[test]
fn every_recording_gives_the_events_beside_it() {
    recordings().iter().for_each(Recordings::give_the_events_beside_them);
}

#[test]
fn no_line_of_a_recording_is_unknown() {
    recordings().iter().for_each(|recordings| recordings.are_understood(|_| false));
}

#[test]
fn a_fold_restored_at_any_record_gives_the_same_events() {
    recordings().iter().for_each(Recordings::can_be_cut_anywhere);
}

#[test]
fn deltas_add_up_to_the_messages_that_follow() {
    for recordings in recordings() {
        recordings.only(|name| !name.contains("load_part2")).have_deltas_that_add_up();
    }
}

#[test]
fn every_process_ends_without_an_open_turn_or_prompt() {
    for recordings in recordings() {
        recordings.end_with_nothing_open(&["prompts", "requests", "declines", "calls"]);
        recordings.have_a_result_for_every_call();
    }
}
