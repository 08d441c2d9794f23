//! Every recording of the app server keeps the promises of the adapters.

use std::path::Path;

use super::adapter;
use crate::adapter::testing::recorded::{GoldenStyle, OwnedRecord, Recordings, TestFold, journal};
use crate::journal::WorkerOptions;

fn recordings() -> Recordings {
    Recordings::new(("codex", "app_"), GoldenStyle::Lengths, || TestFold::new(adapter()), load)
}

fn load(folder: &Path, name: &str) -> Vec<OwnedRecord> {
    let mut records = vec![OwnedRecord::created("codex", WorkerOptions::default()), OwnedRecord::started()];
    records.extend(journal(folder, name));
    records.push(OwnedRecord::exited());
    records
}

#[test]
fn every_recording_gives_the_events_beside_it() {
    recordings().give_the_events_beside_them();
}

#[test]
fn no_line_of_a_recording_is_unknown() {
    recordings().are_understood(|_| false);
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
    // Also of an answer that is interrupted or steered away from, which the CLI never repeats.
    recordings().have_deltas_that_add_up();
}

#[test]
fn every_process_ends_without_an_open_turn_or_prompt() {
    recordings().end_with_nothing_open(&["prompts", "sent", "requests", "declines", "calls", "partials"]);
}
