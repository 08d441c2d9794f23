//! The adapter on recordings of the real CLI, and on lines that no recording has.

mod captures;
mod commands;
mod fold;
mod golden;
mod newer;
mod random;

use std::sync::Arc;

use crate::adapter::claude::{Claude, ClaudeSettings};
use crate::adapter::testing::recorded::{OwnedRecord, TestFold};

pub(super) fn adapter() -> Claude {
    Claude::new(ClaudeSettings { binary: "claude".into(), model: None, api_key: None })
}

/// A fold at the beginning of a journal.
fn fresh() -> TestFold {
    TestFold::with_volatile(Arc::new(adapter()), vec![br#"{"type":"stream_event""#.to_vec()])
}

/// A fold after a process has started and answered `initialize`.
fn ready() -> TestFold {
    let mut fold = fresh();
    fold.take(&OwnedRecord::started());
    fold.write_due();
    fold.out(r#"{"type":"control_response","response":{"subtype":"success","request_id":"rs-worker-initialize","response":{"commands":[]}}}"#);
    fold
}
