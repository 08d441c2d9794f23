//! Pieces of messages. The pieces are all that the agent sends, so they are journaled; the fold puts them together.

use serde_json::Value;

use super::AcpFold;
use crate::adapter::acp::state::{MESSAGE_BYTES_MAX, Partial, Speaker};
use crate::adapter::kit::{field, text};
use crate::event::Body;

/// The code of a message between the agent's own sessions.
const SESSION_MESSAGE: &str = "session_message";

impl AcpFold<'_, '_> {
    /// A piece of a message. It is shown live, and belongs to the message before unless another speaks or another
    /// message begins.
    pub(super) fn piece(&mut self, speaker: Speaker, mut update: Value) {
        let repeated = self.state.repeating().is_some();
        // The user's messages are in the journal; only repeated history shows them.
        if speaker == Speaker::User && !repeated {
            return;
        }
        let id = field::take_text(&mut update, "messageId");
        let text = text_of(&field::take(&mut update, "content"));
        if text.is_empty() {
            return;
        }
        let same = self
            .state
            .partial
            .as_ref()
            .is_some_and(|message| message.speaker == speaker && (id.is_none() || message.id == id));
        let full = self.state.partial.as_ref().is_some_and(|it| it.text.len() + text.len() > MESSAGE_BYTES_MAX);
        let id = match (&self.state.partial, same) {
            (Some(message), true) => message.id.clone(),
            _ => id.or_else(|| Some(format!("message-{}", self.record.seq))),
        };
        if !same || full {
            self.flush();
        }
        let partial = self.state.partial.get_or_insert_with(|| Partial { speaker, id, text: String::new() });
        partial.text.push_str(&text);
        let is_long = partial.text.len() > MESSAGE_BYTES_MAX;
        if !repeated && speaker != Speaker::Session {
            let id = partial.id.clone();
            self.out.piece(speaker == Speaker::Thought, id, text);
        }
        if is_long {
            self.flush();
        }
    }

    /// A message as a whole, which replaces what has come of it in pieces.
    pub(super) fn whole(&mut self, speaker: Speaker, update: &mut Value) {
        let id = field::take_text(update, "messageId");
        let blocks = field::take(update, "content");
        let blocks = field::elements(&blocks);
        let text: String = blocks.iter().map(text_of).collect();
        let replaces = |message: &Partial| message.speaker == speaker && id.is_some() && message.id == id;
        if self.state.partial.as_ref().is_some_and(replaces) {
            self.state.partial = None;
        }
        self.flush();
        if !text.is_empty() {
            self.state.partial = Some(Partial { speaker, id, text: text::cut(text, MESSAGE_BYTES_MAX) });
            self.flush();
        }
    }

    /// Emits the message whose pieces have come so far.
    pub(super) fn flush(&mut self) {
        let Some(Partial { speaker, id, text }) = self.state.partial.take() else { return };
        let message_id = id.map(Into::into);
        let body = match speaker {
            Speaker::Agent | Speaker::Thought => Body::said(speaker == Speaker::Thought, message_id, None),
            Speaker::User => Body::foreign_message(),
            Speaker::Session => Body::notice(SESSION_MESSAGE),
        };
        self.out.emit(text, body);
    }
}

/// A content block as text. Other content is named.
pub(super) fn text_of(block: &Value) -> String {
    match field::text_or_empty(block, "type") {
        "text" => field::text_or_empty(block, "text").to_owned(),
        "image" | "audio" => {
            format!("[{}]", field::text(block, "mimeType").unwrap_or(field::text_or_empty(block, "type")))
        }
        "resource_link" => format!("[{}]", field::text_or_empty(block, "uri")),
        "resource" => {
            let resource = block.get("resource").unwrap_or(&Value::Null);
            match field::text(resource, "text") {
                Some(text) => text.to_owned(),
                None => format!("[{}]", field::text_or_empty(resource, "uri")),
            }
        }
        _ => String::new(),
    }
}
