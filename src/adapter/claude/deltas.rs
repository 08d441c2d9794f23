//! Volatile lines: the pieces of a message while it is being written.

use std::borrow::Cow;

use serde::Deserialize;

use crate::adapter::claude::state::ClaudeState;
use crate::adapter::kit::Emitter;
use crate::event::Text;
use crate::json;

/// The message that is being streamed. It is not saved: a delta that finds no beginning is of the message whose last
/// finished block the journal has.
#[derive(Debug, Default)]
pub(super) struct Live {
    message_id: Option<String>,
}

#[derive(Deserialize)]
struct DeltaLine<'a> {
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
    message: Option<DeltaMessage<'a>>,
    #[serde(borrow, default)]
    delta: Option<Delta<'a>>,
}

#[derive(Deserialize)]
struct DeltaMessage<'a> {
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
    /// Takes one volatile line. Pieces of tool input, signatures, progress reports and sub-agents' pieces give no event:
    /// the whole message follows.
    pub(super) fn line<'e>(&'e mut self, state: &'e ClaudeState, line: &'e [u8], out: &mut Emitter<'_, 'e>) {
        match serde_json::from_slice(line) {
            Ok(line) => self.piece(state, line, out, |text| text),
            Err(_) => {
                let repaired = json::repaired(line).unwrap_or_default();
                let line = serde_json::from_slice(&repaired);
                let _ = line.map(|line| self.piece(state, line, out, |text| text.into_owned().into()));
            }
        }
    }

    /// `keep` gives a text of the line the lifetime of the event.
    fn piece<'l, 'e>(
        &'e mut self,
        state: &'e ClaudeState,
        line: DeltaLine<'l>,
        out: &mut Emitter<'_, 'e>,
        keep: impl Fn(Text<'l>) -> Text<'e>,
    ) {
        let DeltaLine { event: Some(event), parent_tool_use_id: None } = line else { return };
        match event.kind.as_ref() {
            "message_start" => {
                self.message_id = event.message.and_then(|message| message.id).map(Cow::into_owned);
            }
            "message_stop" => self.message_id = None,
            "content_block_delta" => {
                let Some(delta) = event.delta else { return };
                let thinking = !delta.thinking.is_empty();
                let text = if thinking { delta.thinking } else { delta.text };
                let message_id = self.message_id.as_deref().or_else(|| state.message_id());
                out.piece(thinking, message_id, keep(text));
            }
            _ => {}
        }
    }
}
