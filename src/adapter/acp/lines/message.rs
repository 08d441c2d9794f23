//! Pieces of messages. The pieces are all that the agent sends, so they are journaled; the fold puts them together.

use serde_json::Value;

use super::Fold;
use crate::adapter::acp::state::{MESSAGE_BYTES_MAX, Message, Speaker};
use crate::adapter::field;
use crate::event::{Body, Text};

impl Fold<'_> {
    /// A piece of a message. It is shown live, and belongs to the message before unless another speaks or another
    /// message begins.
    pub(super) fn piece(&mut self, speaker: Speaker, mut update: Value) {
        let repeated = self.state.repeating().is_some();
        // What the user said is in the journal; only history that is repeated tells it.
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
            .message
            .as_ref()
            .is_some_and(|message| message.speaker == speaker && (id.is_none() || message.id == id));
        let full = self.state.message.as_ref().is_some_and(|it| it.text.len() + text.len() > MESSAGE_BYTES_MAX);
        let id = match (&self.state.message, same) {
            (Some(message), true) => message.id.clone(),
            _ => id.or_else(|| Some(format!("message-{}", self.record.seq))),
        };
        if !same || full {
            self.flush();
        }
        if !repeated {
            let of = if speaker == Speaker::Thought { "thinking" } else { "assistant" };
            let message_id = id.as_deref().map(Text::from);
            self.sink.event(crate::event::Event::new(&*text, Body::Delta { message_id, of, text: (&*text).into() }));
        }
        let message = self.state.message.get_or_insert_with(|| Message { speaker, id, text: String::new() });
        message.text.push_str(&text);
        if message.text.len() > MESSAGE_BYTES_MAX {
            self.flush();
        }
    }

    /// Tells the message whose pieces have come so far.
    pub(super) fn flush(&mut self) {
        let Some(Message { speaker, id, text }) = self.state.message.take() else { return };
        let message_id = id.map(Text::from);
        let body = match speaker {
            Speaker::Agent => Body::Assistant { message_id, parent_tool_call_id: None },
            Speaker::Thought => Body::Thinking { message_id, parent_tool_call_id: None },
            Speaker::User => Body::User { message_id: None, client_message_id: None, attachments: Vec::new() },
        };
        self.tell(text, body);
    }
}

/// A content block as text. What is no text is named.
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
