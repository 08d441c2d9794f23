//! Pages of history on the wire.

use super::archive::Page;

/// The event types that are part of the conversation: what history shows unless asked for more.
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

/// Whether an event of this type is part of the conversation.
pub fn is_message(event_type: &str) -> bool {
    MESSAGES.contains(&event_type)
}

/// The events of a page as a JSON list.
pub fn list_json(page: &Page) -> Vec<u8> {
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

/// `{"messages": [...], "has_more", "last_seq"}` for a worker whose journal ends at `end`.
pub fn page_json(page: &Page, end: u64) -> Vec<u8> {
    let mut json = b"{\"messages\":".to_vec();
    json.extend(list_json(page));
    json.extend(format!(",\"has_more\":{},\"last_seq\":{}}}", page.has_more, end.saturating_sub(1)).bytes());
    json
}
