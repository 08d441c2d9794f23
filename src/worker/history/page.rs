//! Pages of history on the wire.

use crate::clock::Micros;
use crate::worker::history::archive::{Page, Selection};
use crate::worker::history::blocks::BlockScope;

/// The end of the folded part of a worker's journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HistoryEnd {
    /// The offset after the last record.
    pub end: u64,
    /// The time of the last record.
    pub time: Micros,
}

impl HistoryEnd {
    /// Returns the cursor of the last event.
    pub(crate) const fn last_seq(self) -> u64 {
        self.end.saturating_sub(1)
    }
}

/// The event types that are part of the conversation: the default selection of history.
const MESSAGES: [&str; 13] = [
    "user",
    "assistant",
    "thinking",
    "tool_call",
    "tool_result",
    "plan",
    "permission_request",
    "permission_resolved",
    "question",
    "question_resolved",
    "turn_completed",
    "error",
    "notice",
];

/// Returns whether an event of this type is part of the conversation.
pub(crate) fn is_message(event_type: &str) -> bool {
    MESSAGES.contains(&event_type)
}

/// Returns the newest events of the conversation, without blocks.
pub(crate) fn messages(limit: usize) -> Selection<'static> {
    Selection { limit, filter: &is_message, blocks: BlockScope::Nothing }
}

/// Returns the events of a page as a JSON list.
pub(crate) fn list_json(page: &Page) -> Vec<u8> {
    let mut json = vec![b'['];
    for (index, event) in page.events.iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        json.extend_from_slice(&event.json);
    }
    json.push(b']');
    json
}

/// Builds `{"messages": [...], "has_more", "last_seq", "last_timestamp"}` for a worker whose history ends at `place`.
/// `is_lost` adds that the client's cursor is invalid.
pub(crate) fn page_json(page: &Page, place: HistoryEnd, is_lost: bool) -> Vec<u8> {
    let mut json = b"{\"messages\":".to_vec();
    json.extend(list_json(page));
    json.extend(format!(",\"has_more\":{},\"last_seq\":{}", page.has_more, place.last_seq()).bytes());
    json.extend(format!(",\"last_timestamp\":\"{}\"", place.time).bytes());
    if is_lost {
        json.extend_from_slice(b",\"resync_required\":true");
    }
    json.push(b'}');
    json
}
