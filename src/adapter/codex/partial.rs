//! Messages and thoughts that are being written: shown piece by piece, and told as far as they have come when the CLI cuts
//! them short.

use serde_json::Value;

use super::deltas;
use super::lines::Fold;
use super::state::{PARTIAL_BYTES_MAX, PARTIALS_MAX, Partial};
use crate::event::{Body, Event, Text};

impl Fold<'_> {
    /// A piece of a message or a thought. Says whether the notification is one.
    pub(super) fn piece(&mut self, method: &str, params: &Value) -> bool {
        let Some((thinking, text)) = deltas::piece(method, params) else { return false };
        let thread = params.get("threadId").and_then(Value::as_str).unwrap_or_default();
        // What a sub-agent writes follows whole, in the result of the call that started it.
        if text.is_empty() || self.state.parent(thread).is_some() {
            return true;
        }
        let id = params.get("itemId").and_then(Value::as_str).unwrap_or_default();
        let of = if thinking { "thinking" } else { "assistant" };
        let message_id = (!id.is_empty()).then(|| Text::from(id));
        self.sink.event(Event::new(text, Body::Delta { message_id, of, text: text.into() }));
        self.keep(id, thinking, text);
        true
    }

    fn keep(&mut self, id: &str, thinking: bool, text: &str) {
        let at = self.state.partials.iter().position(|partial| partial.id == id && partial.thinking == thinking);
        let at = at.unwrap_or_else(|| {
            if self.state.partials.len() >= PARTIALS_MAX {
                self.tell_partial(0);
                self.state.partials.remove(0);
            }
            self.state.partials.push(Partial { id: id.to_owned(), thinking, ..Partial::default() });
            self.state.partials.len() - 1
        });
        self.state.partials[at].text.push_str(text);
        if self.state.partials[at].text.len() > PARTIAL_BYTES_MAX {
            self.tell_partial(at);
        }
    }

    /// Tells what has come of a message and was not told.
    fn tell_partial(&mut self, at: usize) {
        let partial = &mut self.state.partials[at];
        let text = std::mem::take(&mut partial.text);
        partial.told += text.len();
        if text.is_empty() {
            return;
        }
        let message_id = (!partial.id.is_empty()).then(|| Text::from(partial.id.clone()));
        let body = if partial.thinking {
            Body::Thinking { message_id, parent_tool_call_id: None }
        } else {
            Body::Assistant { message_id, parent_tool_call_id: None }
        };
        self.sink.event(Event::new(text, body));
    }

    /// What is being written may never be told whole: it is told as far as it has come. `over`: nothing more comes.
    pub(super) fn cut_short(&mut self, over: bool) {
        for at in 0..self.state.partials.len() {
            self.tell_partial(at);
        }
        if over {
            self.state.partials.clear();
        }
    }

    /// A message or a thought is whole: what of `text` was not told yet.
    pub(super) fn whole(&mut self, id: Option<&str>, thinking: bool, mut text: String) -> String {
        let is_it = |partial: &Partial| Some(partial.id.as_str()) == id && partial.thinking == thinking;
        if let Some(at) = self.state.partials.iter().position(is_it) {
            let told = self.state.partials.remove(at).told;
            if told > 0 && text.is_char_boundary(told) {
                text.drain(..told);
            }
        }
        text
    }
}
