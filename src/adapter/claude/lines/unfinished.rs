//! `stream_event` lines that stand in the journal: those of a block that was being written as the process ended, which no
//! `assistant` line repeats, and single ones that were too long to be volatile, which one does.

use serde_json::Value;

use super::Fold;
use crate::adapter::field;

/// What stands before a text whose beginning was longer ago than the shim remembers.
const CUT: &str = "[…] ";

impl Fold<'_> {
    /// Takes one. Nothing is told before it is known that the block does not follow whole.
    pub(super) fn piece(&mut self, mut line: Value) {
        if line.get("parent_tool_use_id").is_some_and(|parent| !parent.is_null()) {
            return;
        }
        let mut event = field::take(&mut line, "event");
        let unfinished = &mut self.state.unfinished;
        match field::text_or_empty(&event, "type") {
            "message_start" => {
                unfinished.message_id = event.get("message").and_then(|it| field::text(it, "id")).map(str::to_owned)
            }
            "content_block_start" => {
                unfinished.clear();
                unfinished.from_start = true;
            }
            "content_block_delta" => {
                let mut delta = field::take(&mut event, "delta");
                if let Some(text) = field::take_text(&mut delta, "text") {
                    unfinished.text.push_str(&text);
                } else if let Some(text) = field::take_text(&mut delta, "thinking") {
                    unfinished.thinking.push_str(&text);
                }
            }
            _ => {}
        }
    }

    /// The process has ended: what it was writing is told as far as it came.
    pub(super) fn cut_short(&mut self) {
        let mut unfinished = std::mem::take(&mut self.state.unfinished);
        let turn = self.state.turn.as_ref().map(|turn| turn.message_id.clone());
        let id = unfinished.message_id.take().or(turn).filter(|id| !id.is_empty());
        for (mut text, thinking) in [(unfinished.thinking, true), (unfinished.text, false)] {
            if !unfinished.from_start && !text.is_empty() {
                text.insert_str(0, CUT);
            }
            self.said(id.as_deref(), None, text, thinking);
        }
    }
}
