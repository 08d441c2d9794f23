//! Volatile lines: the pieces of a message while it is being written.

use std::borrow::Cow;

use serde::Deserialize;

use crate::event::{Body, Event, Sink};

/// The message that is being streamed. It is not saved: a delta that finds no beginning has no message id.
#[derive(Debug, Default)]
pub(super) struct Live {
    message_id: Option<String>,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, default)]
    event: Option<StreamEvent<'a>>,
    #[serde(borrow, default)]
    parent_tool_use_id: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct StreamEvent<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    message: Option<Message<'a>>,
    #[serde(borrow, default)]
    delta: Option<Delta<'a>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    text: Cow<'a, str>,
    #[serde(borrow, default)]
    thinking: Cow<'a, str>,
}

impl Live {
    /// Takes one volatile line. Pieces of tool input, signatures, progress reports and sub-agents' pieces tell nothing:
    /// the whole message follows.
    pub(super) fn line(&mut self, line: &[u8], sink: &mut dyn Sink) {
        let Ok(Line { event: Some(event), parent_tool_use_id: None }) = serde_json::from_slice::<Line<'_>>(line) else {
            return;
        };
        match event.kind.as_ref() {
            "message_start" => {
                self.message_id = event.message.and_then(|message| message.id).map(Cow::into_owned);
            }
            "message_stop" => self.message_id = None,
            "content_block_delta" => {
                let Some(delta) = event.delta else { return };
                let (of, text) =
                    if delta.thinking.is_empty() { ("assistant", delta.text) } else { ("thinking", delta.thinking) };
                if !text.is_empty() {
                    let message_id = self.message_id.as_deref().map(Cow::Borrowed);
                    sink.event(Event::new(text.clone(), Body::Delta { message_id, of, text }));
                }
            }
            _ => {}
        }
    }
}
