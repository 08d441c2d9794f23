//! The tool that waits for a worker. It always knows: status, answer and cursor come from the worker's state, however long
//! ago something happened.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::arguments::ToolError;
use super::look::{self, CURSORS};
use super::session::{SessionCall, ToolResult, path};
use super::shown::{self, ANSWER_CHARS_MAX};
use crate::worker::state::State;
use crate::worker::state::status::Status;

/// Bounds of the time limit in seconds: clients end a request after 60.
pub(super) const SECONDS: (u64, u64) = (0, 55);
const SECONDS_DEFAULT: u64 = 30;
/// Longest time between two looks at the client and its token.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Events since a cursor that are returned.
const EVENTS_MAX: u64 = 50;
/// Returns whether nothing more will happen without a person or another message.
fn is_settled(state: &State) -> bool {
    match state.status {
        // A message that was held back by a usage limit waits for hours.
        Status::Idle => state.queue.is_empty() || state.held.is_some(),
        Status::Waiting | Status::Stopped | Status::Failed => true,
        Status::Preparing | Status::Starting | Status::Busy | Status::Stalled | Status::Stopping => false,
    }
}

pub(super) fn wait(tool: &mut SessionCall<'_, '_>) -> ToolResult {
    let id = tool.arguments.worker_id()?;
    let seconds = tool.arguments.number("timeout_seconds", SECONDS)?.unwrap_or(SECONDS_DEFAULT);
    let since = tool.arguments.number("cursor", CURSORS)?;
    let deadline = Instant::now() + Duration::from_secs(seconds);
    let call = tool.call;
    let worker = call.visible(&id)?;
    let client = call.token().map_or("", |token| token.id.as_str());
    let slot = call.api.waits.begin(client, tool.agent()?.is_some())?;
    let is_settled = loop {
        let state = worker.state();
        if is_settled(&state) {
            break true;
        }
        let now = Instant::now();
        if now >= deadline || call.request.client.has_gone() {
            break false;
        }
        worker.views().wait_for_change(&state, deadline.min(now + LOOK_INTERVAL));
        // The worker may be deleted, the token ended, and the agent's own run over.
        call.visible(&id)?;
        if call.require_unexpired().is_err() {
            return Err(ToolError::new("unauthorized", "the token has expired"));
        }
        tool.agent()?;
    };
    drop(slot);
    result(tool, &id, since, is_settled)
}

/// The worker as it is now, with its last answer and what is new.
fn result(tool: &SessionCall<'_, '_>, id: &str, since: Option<u64>, is_settled: bool) -> ToolResult {
    let worker = tool.call.visible(id)?;
    // Read before the messages, so that nothing after its cursor is lost.
    let summary =
        serde_json::to_value(tool.call.summary(&worker)).map_err(|_| ToolError::new("internal", "not JSON"))?;
    let prompts = serde_json::to_value(worker.views().prompts(id)).unwrap_or_default();
    let prompts: Vec<Value> = prompts.as_array().into_iter().flatten().map(shown::prompt).collect();
    let (answer, is_cut) = answer(tool, id)?;
    let mut waited = json!({
        "worker": shown::worker(&summary),
        "settled": is_settled,
        "timed_out": !is_settled,
        "answer": answer,
        "answer_truncated": is_cut,
        "prompts": prompts,
        "cursor": summary["last_seq"],
    });
    if let Some(since) = since {
        let page = look::page(tool, id, (Some(since), None), EVENTS_MAX)?;
        for name in ["messages", "has_more", "resync_required", "cursor"] {
            waited[name] = page[name].clone();
        }
    }
    Ok(waited)
}

/// The last text of the agent, and whether it was cut.
fn answer(tool: &SessionCall<'_, '_>, id: &str) -> Result<(Value, bool), ToolError> {
    let query = [("types", "assistant".to_owned()), ("limit", "1".to_owned())];
    let page = tool.get(&path(id, "/messages"), &query)?;
    let last = page["messages"].as_array().and_then(|messages| messages.last());
    let Some(text) = last.and_then(|event| event["content"].as_str()) else { return Ok((Value::Null, false)) };
    let (text, is_cut) = shown::cut(text, ANSWER_CHARS_MAX);
    Ok((json!(text), is_cut))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_worker_with_a_queue_is_not_settled() {
        let mut state = State::default();
        state.status = Status::Idle;
        assert!(is_settled(&state));
        let message =
            json!({"message_id": "m", "client_message_id": null, "content": "", "attachments": 0, "seq": 0, "time": 0});
        state.queue.push_back(serde_json::from_value(message).unwrap());
        assert!(!is_settled(&state));
        for (status, settled) in [(Status::Busy, false), (Status::Waiting, true), (Status::Failed, true)] {
            state.status = status;
            assert_eq!(is_settled(&state), settled, "{status:?}");
        }
    }
}
