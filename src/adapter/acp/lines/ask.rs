//! Permission prompts.

use serde_json::{Value, json};

use super::Fold;
use super::tool::{diffs, summary};
use crate::adapter::acp::state::{ASKS_MAX, Ask, remembered};
use crate::adapter::field;
use crate::event::{Body, PermissionOption};

/// Most answers that a prompt offers.
const OPTIONS_MAX: usize = 16;

impl Fold<'_> {
    /// Whether one more prompt may be open.
    pub(super) fn may_ask(&self) -> bool {
        self.state.asks.len() < ASKS_MAX
    }

    pub(super) fn ask(&mut self, id: Value, mut params: Value) {
        self.took();
        self.flush();
        let call = field::take(&mut params, "toolCall");
        let tool_call_id = field::text_or_empty(&call, "toolCallId").to_owned();
        // For some agents the prompt is the first sign of the call. What is known of it already is not told again in
        // the prompt's shorter words.
        if self.state.tool(&tool_call_id).is_none() {
            self.tell_call(&tool_call_id, &call);
        }
        let options: Vec<PermissionOption> = params
            .get("options")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default()
            .iter()
            .take(OPTIONS_MAX)
            .map(option)
            .collect();
        let diff = call.get("content").and_then(diffs);
        let mut input = call.get("rawInput").filter(|input| input.is_object()).cloned();
        let mut text = field::text_or_empty(&call, "title").to_owned();
        let mut tool_name = text.clone();
        if let Some(tool) = self.state.tool(&tool_call_id) {
            // It is shown with the result, where the result says nothing of what was changed.
            tool.asked = diff.as_ref().and_then(remembered);
            input = input.or_else(|| tool.input.clone());
            tool_name.clone_from(&tool.name);
            text = if text.is_empty() { summary(tool) } else { format!("{tool_name}: {text}") };
        }
        let mut input = input.unwrap_or_else(|| json!({"title": field::text_or_empty(&call, "title")}));
        if let (Some(diff), Some(fields)) = (diff, input.as_object_mut()) {
            fields.insert("diff".to_owned(), diff);
        }
        let request_id = format!("ask-{}", self.record.seq);
        let body = Body::PermissionRequest {
            request_id: request_id.clone().into(),
            tool_call_id: Some(tool_call_id.clone().into()),
            tool_name: tool_name.into(),
            input,
            options: options.clone(),
        };
        self.state.asks.push(Ask { request_id, id, tool_call_id, options, answered: false });
        self.tell(text, body);
    }

    /// The agent withdraws what it asked.
    pub(super) fn withdrawn(&mut self, id: &Value) {
        self.state.declines.retain(|declined| declined.id != *id);
        if let Some(at) = self.state.asks.iter().position(|ask| ask.id == *id) {
            let ask = self.state.asks.remove(at);
            self.close(ask);
        }
    }

    /// The turn is over: nobody waits for an answer any more.
    pub(super) fn end_asks(&mut self) {
        for ask in std::mem::take(&mut self.state.asks) {
            self.close(ask);
        }
    }

    fn close(&mut self, ask: Ask) {
        let body = Body::PermissionResolved {
            request_id: ask.request_id.into(),
            decision: "cancelled".into(),
            by: "cli".into(),
        };
        self.tell("The permission prompt was withdrawn", body);
    }
}

fn option(option: &Value) -> PermissionOption {
    let text = |key| field::text_or_empty(option, key).to_owned();
    PermissionOption { id: text("optionId"), label: text("name"), kind: text("kind") }
}
