//! The blocks of an unfinished message, assembled as by a client.

use serde_json::Value;

/// Blocks at the end of a message that later text may change.
const OPEN_BLOCKS: usize = 2;

/// The blocks so far.
#[derive(Default)]
pub(crate) struct Blocks {
    /// The blocks.
    pub(crate) list: Vec<Value>,
    /// Characters of the message that they cover.
    pub(crate) end: usize,
    /// Deltas that changed them.
    pub(crate) changes: usize,
}

impl Blocks {
    /// Applies a delta.
    #[track_caller]
    pub(crate) fn take(&mut self, delta: &Value) {
        let Some(new) = delta["blocks"].as_array() else {
            assert!(delta["blocks_from"].is_null() && delta["blocks_end"].is_null(), "{delta}");
            return;
        };
        let number = |name: &str| usize::try_from(delta[name].as_u64().unwrap()).unwrap();
        let (from, end) = (number("blocks_from"), number("blocks_end"));
        assert!(from <= self.list.len(), "it builds on blocks that the client has: {delta}");
        assert!(end >= self.end, "they cover ever more: {delta}");
        self.list.truncate(from);
        self.list.extend(new.iter().cloned());
        (self.end, self.changes) = (end, self.changes + 1);
    }

    /// Checks that the complete message has those of its blocks that could not change any more.
    #[track_caller]
    pub(crate) fn check(&self, whole: &Value) {
        if let Some(blocks) = whole["blocks"].as_array() {
            let settled = self.list.len().saturating_sub(OPEN_BLOCKS);
            assert_eq!(&self.list[..settled], &blocks[..settled]);
        }
    }
}
