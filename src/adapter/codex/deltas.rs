//! The pieces of a message or a thought while it is being written.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use crate::adapter::codex::state::CodexState;
use crate::adapter::kit::{Emitter, field};
use crate::event::Text;
use crate::json;

/// The separator of two parts of a thought.
pub(super) const BETWEEN_PARTS: &str = "\n\n";

#[derive(Deserialize)]
struct DeltaLine<'a> {
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    params: DeltaParams<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeltaParams<'a> {
    #[serde(borrow, default)]
    thread_id: Cow<'a, str>,
    #[serde(borrow, default)]
    item_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    delta: Cow<'a, str>,
    #[serde(default)]
    summary_index: u64,
}

/// Takes the piece out of a notification, with whether it is one of a thought; `None` when it is of another kind.
pub(super) fn take_piece(method: &str, params: &mut Value) -> Option<(bool, Text<'static>)> {
    let thinking = match method {
        "item/agentMessage/delta" | "item/plan/delta" => false,
        "item/reasoning/summaryTextDelta" | "item/reasoning/textDelta" => true,
        "item/reasoning/summaryPartAdded" => {
            let is_first = field::number(params, "summaryIndex").unwrap_or(0) == 0;
            return Some((true, if is_first { "" } else { BETWEEN_PARTS }.into()));
        }
        _ => return None,
    };
    Some((thinking, field::take_text(params, "delta").unwrap_or_default().into()))
}

/// Takes one volatile line, of a process that was started by a build to which pieces of messages were volatile. The output
/// of commands and of sub-agents gives no event: it follows whole.
pub(super) fn line<'e>(state: &CodexState, line: &'e [u8], out: &mut Emitter<'_, 'e>) {
    match serde_json::from_slice(line) {
        Ok(line) => emit_piece(state, line, out, |text| text),
        Err(_) => {
            let repaired = json::repaired(line).unwrap_or_default();
            let line = serde_json::from_slice(&repaired);
            let _ = line.map(|line| emit_piece(state, line, out, |text| text.into_owned().into()));
        }
    }
}

/// `keep` gives a text of the line the lifetime of the event.
fn emit_piece<'l, 'e>(
    state: &CodexState,
    line: DeltaLine<'l>,
    out: &mut Emitter<'_, 'e>,
    keep: impl Fn(Text<'l>) -> Text<'e>,
) {
    let DeltaLine { method, params } = line;
    let (thinking, text) = match method.as_ref() {
        "item/agentMessage/delta" | "item/plan/delta" => (false, params.delta),
        "item/reasoning/summaryTextDelta" | "item/reasoning/textDelta" => (true, params.delta),
        "item/reasoning/summaryPartAdded" if params.summary_index > 0 => (true, BETWEEN_PARTS.into()),
        _ => return,
    };
    if state.parent(&params.thread_id).is_none() {
        out.piece(thinking, params.item_id.map(&keep), keep(text));
    }
}
