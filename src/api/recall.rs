//! The conversation so far as text before a message, for a CLI whose session is lost.

use std::io;

use serde_json::Value;

use crate::worker::Worker;
use crate::worker::history::archive::Selection;
use crate::worker::history::blocks::BlockScope;

/// Maximum number of messages that are repeated, and their size limit: the newest. A CLI has a bounded context.
const MESSAGES_MAX: usize = 400;
const BYTES_MAX: usize = 64 * 1024;
/// The tags around the repeated conversation.
const OPENING: &str = "Our conversation so far, from a session that is lost. Continue from it.\n\n<conversation>\n";
const CLOSING: &str = "</conversation>\n\n";

/// Returns `content` with the worker's conversation before it, or unchanged when there is none.
///
/// # Errors
/// Fails when the journal can't be read.
pub(super) fn with_history(worker: &Worker, content: &str) -> io::Result<String> {
    let is_said = |kind: &str| matches!(kind, "user" | "assistant");
    let said = Selection { limit: MESSAGES_MAX, filter: &is_said, blocks: BlockScope::Nothing };
    let page = worker.archive().page_before(worker.views().end(), &said)?;
    let mut is_whole = !page.has_more;
    let (mut said, mut bytes) = (Vec::new(), 0);
    for event in page.events.iter().rev() {
        let Ok(event) = serde_json::from_slice::<Value>(&event.json) else { continue };
        let text = event["content"].as_str().unwrap_or_default();
        let who = if event["type"] == "user" { "User" } else { "Assistant" };
        let part = format!("## {who}\n\n{}\n\n", own_text(text).replace(CLOSING.trim_end(), "(end of conversation)"));
        bytes += part.len();
        if bytes > BYTES_MAX {
            is_whole = false;
            break;
        }
        said.push(part);
    }
    if said.is_empty() {
        return Ok(content.to_owned());
    }
    let before = if is_whole { "" } else { "(Its beginning is left out.)\n\n" };
    said.push(format!("{OPENING}{before}"));
    said.reverse();
    Ok(format!("{}{CLOSING}{content}", said.concat()))
}

/// Returns the text of a user without a conversation that was put before it.
fn own_text(text: &str) -> &str {
    let repeated = text.strip_prefix(OPENING).and_then(|rest| rest.split_once(CLOSING));
    repeated.map_or(text, |(_, own)| own)
}
