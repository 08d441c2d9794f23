//! The pieces of a message or a thought while it is being written.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use crate::adapter::codex::state::State;
use crate::event::{Body, Event, Sink, Text};

/// What stands between two parts of a thought.
pub(super) const BETWEEN_PARTS: &str = "\n\n";

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    params: Params<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Params<'a> {
    #[serde(borrow, default)]
    thread_id: Cow<'a, str>,
    #[serde(borrow, default)]
    item_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    delta: Cow<'a, str>,
    #[serde(default)]
    summary_index: u64,
}

/// The piece in a notification, and whether it is one of a thought; `None` when it is of another kind.
pub(super) fn piece<'p>(method: &str, params: &'p Value) -> Option<(bool, &'p str)> {
    let delta = params.get("delta").and_then(Value::as_str).unwrap_or_default();
    match method {
        "item/agentMessage/delta" | "item/plan/delta" => Some((false, delta)),
        "item/reasoning/summaryTextDelta" | "item/reasoning/textDelta" => Some((true, delta)),
        "item/reasoning/summaryPartAdded" => {
            let first = params.get("summaryIndex").and_then(Value::as_u64).unwrap_or(0) == 0;
            Some((true, if first { "" } else { BETWEEN_PARTS }))
        }
        _ => None,
    }
}

/// Takes one volatile line, of a process that was started by a build to which pieces of messages were volatile. What commands print, and what sub-agents write, tells nothing: it follows whole.
pub(super) fn line(state: &State, line: &[u8], sink: &mut dyn Sink) {
    let Ok(Line { method, params }) = serde_json::from_slice::<Line<'_>>(line) else { return };
    let (of, text): (_, Text<'_>) = match method.as_ref() {
        "item/agentMessage/delta" | "item/plan/delta" => ("assistant", params.delta),
        "item/reasoning/summaryTextDelta" | "item/reasoning/textDelta" => ("thinking", params.delta),
        "item/reasoning/summaryPartAdded" if params.summary_index > 0 => ("thinking", BETWEEN_PARTS.into()),
        _ => return,
    };
    if !text.is_empty() && state.parent(&params.thread_id).is_none() {
        sink.event(Event::new(text.clone(), Body::Delta { message_id: params.item_id, of, text }));
    }
}
