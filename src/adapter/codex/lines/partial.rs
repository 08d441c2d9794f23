//! Messages and thoughts that are being written: shown piece by piece, and emitted as far as they have come when the CLI cuts
//! them short.

use serde_json::Value;

use super::CodexFold;
use crate::adapter::codex::deltas;
use crate::adapter::codex::state::{PARTIAL_BYTES_MAX, PARTIALS_MAX, Partial};

impl CodexFold<'_, '_> {
    /// A piece of a message or a thought. Says whether the notification is one.
    pub(super) fn piece(&mut self, method: &str, params: &mut Value) -> bool {
        let Some((thinking, text)) = deltas::take_piece(method, params) else { return false };
        let thread = params.get("threadId").and_then(Value::as_str).unwrap_or_default();
        // A sub-agent's text follows whole, in the result of the call that started it.
        if text.is_empty() || self.state.parent(thread).is_some() {
            return true;
        }
        let id = params.get("itemId").and_then(Value::as_str).unwrap_or_default();
        // It is shown before a message that is put together from it.
        let at = self.partial(id, thinking);
        self.state.partials[at].text.push_str(&text);
        self.out.piece(thinking, (!id.is_empty()).then(|| id.to_owned()), text);
        if self.state.partials[at].text.len() > PARTIAL_BYTES_MAX {
            self.emit_partial(at);
        }
        true
    }

    /// The place of the message that a piece belongs to.
    fn partial(&mut self, id: &str, thinking: bool) -> usize {
        let at = self.state.partials.iter().position(|partial| partial.id == id && partial.thinking == thinking);
        at.unwrap_or_else(|| {
            if self.state.partials.len() >= PARTIALS_MAX {
                self.emit_partial(0);
                self.state.partials.remove(0);
            }
            self.state.partials.push(Partial { id: id.to_owned(), thinking, ..Partial::default() });
            self.state.partials.len() - 1
        })
    }

    /// Emits what has come of a message and was not emitted yet.
    fn emit_partial(&mut self, at: usize) {
        let partial = &mut self.state.partials[at];
        let text = std::mem::take(&mut partial.text);
        partial.reported += text.len();
        let (thinking, id) = (partial.thinking, partial.message_id());
        self.out.said(thinking, id, None, text);
    }

    /// Emits unfinished messages as far as they have come: they may never follow whole. `over`: nothing more comes.
    pub(super) fn cut_short(&mut self, over: bool) {
        for at in 0..self.state.partials.len() {
            self.emit_partial(at);
        }
        if over {
            self.state.partials.clear();
        }
    }

    /// The part of the whole `text` of a message or thought that was not emitted yet.
    pub(super) fn whole(&mut self, id: Option<&str>, thinking: bool, mut text: String) -> String {
        let is_it = |partial: &Partial| Some(partial.id.as_str()) == id && partial.thinking == thinking;
        if let Some(at) = self.state.partials.iter().position(is_it) {
            let reported = self.state.partials.remove(at).reported;
            if reported > 0 && text.is_char_boundary(reported) {
                text.drain(..reported);
            }
        }
        text
    }
}
