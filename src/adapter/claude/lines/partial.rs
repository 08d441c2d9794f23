//! `stream_event` lines in the journal: those of a block that was being written as the process ended, which no
//! `assistant` line repeats, and single ones that were too long to be volatile, which one does.

use serde_json::Value;

use super::ClaudeFold;
use crate::adapter::kit::field;

/// The mark before a text whose beginning was longer ago than the shim remembers.
const CUT: &str = "[…] ";

impl ClaudeFold<'_, '_> {
    /// Takes one. Emits nothing before it is known that the block does not follow whole.
    pub(super) fn piece(&mut self, mut line: Value) {
        if line.get("parent_tool_use_id").is_some_and(|parent| !parent.is_null()) {
            return;
        }
        let mut event = field::take(&mut line, "event");
        let partial = &mut self.state.partial;
        match field::text_or_empty(&event, "type") {
            "message_start" => {
                partial.message_id = event.get("message").and_then(|it| field::text(it, "id")).map(str::to_owned)
            }
            "content_block_start" => {
                partial.clear();
                partial.from_start = true;
            }
            "content_block_delta" => {
                let mut delta = field::take(&mut event, "delta");
                if let Some(text) = field::take_text(&mut delta, "text") {
                    partial.text.push_str(&text);
                } else if let Some(text) = field::take_text(&mut delta, "thinking") {
                    partial.thinking.push_str(&text);
                }
            }
            _ => {}
        }
    }

    /// The process has ended: emits what it was writing, as far as it came.
    pub(super) fn cut_short(&mut self) {
        let mut partial = std::mem::take(&mut self.state.partial);
        let turn = self.state.turn.as_ref().map(|turn| turn.message_id.clone());
        let id = partial.message_id.take().or(turn).filter(|id| !id.is_empty());
        for (mut text, thinking) in [(partial.thinking, true), (partial.text, false)] {
            if !partial.from_start && !text.is_empty() {
                text.insert_str(0, CUT);
            }
            self.out.said(thinking, id.as_deref(), None, text);
        }
    }
}
