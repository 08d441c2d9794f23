//! Items, the parts of a turn. Each is reported when it begins, if there is anything to show then, and when it is
//! complete.

use serde_json::{Value, json};

use super::CodexFold;
use crate::adapter::codex::deltas::BETWEEN_PARTS;
use crate::adapter::codex::state::{Agent, Call};
use crate::adapter::codex::tools;
use crate::adapter::kit::field;
use crate::event::{Body, Text};

impl CodexFold<'_, '_> {
    pub(super) fn item(&mut self, mut params: Value, done: bool) {
        let parent = self.state.parent(field::text_or_empty(&params, "threadId"));
        let mut item = field::take(&mut params, "item");
        let kind = field::take_text(&mut item, "type").unwrap_or_default();
        match kind.as_str() {
            "userMessage" if done => {
                // One that joins the turn ends what was being written.
                if parent.is_none() {
                    self.cut_short(false);
                }
                self.user_message(item, parent.is_some());
            }
            "agentMessage" | "plan" if done => self.said(item, parent),
            "reasoning" if done => self.thought(item, parent),
            "contextCompaction" if done => self.out.notice("compacted", "The conversation was compacted"),
            "enteredReviewMode" if done => {
                self.out.notice("review", format!("Review of {}", field::text_or_empty(&item, "review")));
            }
            "exitedReviewMode" if done => self.out.notice("review_result", field::text_or_empty(&item, "review")),
            "subAgentActivity" if done => {
                let (path, what) = (field::text_or_empty(&item, "agentPath"), field::text_or_empty(&item, "kind"));
                self.out.notice("sub_agent", format!("Sub-agent {path} {what}"));
            }
            "hookPrompt" if done => {
                let fragments = field::list(&item, "fragments");
                let texts = fragments.iter().filter_map(|fragment| field::text(fragment, "text"));
                self.out.notice("hook_prompt", texts.collect::<Vec<_>>().join("\n"));
            }
            "userMessage" | "agentMessage" | "plan" | "reasoning" | "contextCompaction" | "enteredReviewMode"
            | "exitedReviewMode" | "subAgentActivity" | "hookPrompt" => {}
            _ => match (tools::call(&kind, &item), done) {
                (Some(call), false) => self.tool_call(call, &item, parent),
                (Some(call), true) => self.tool_result(&kind, call, item, parent),
                (None, true) => {
                    if let Some(fields) = item.as_object_mut() {
                        fields.insert("type".to_owned(), kind.into());
                    }
                    self.unknown(json!({"params": {"item": item}}), Some("item/completed"));
                }
                // It will come again when it is complete.
                (None, false) => {}
            },
        }
    }

    /// A message that the agent took: one of ours, or one that the CLI made itself.
    fn user_message(&mut self, mut item: Value, of_sub_agent: bool) {
        let client_id = field::take_text(&mut item, "clientId");
        let own = match &client_id {
            Some(id) => self.state.sent.iter().position(|message| message.id.as_ref() == Some(id)),
            None if of_sub_agent => None,
            None => self.state.sent.iter().position(|message| message.id.is_none()),
        };
        if let Some(at) = own {
            if let Some(id) = self.state.sent.remove(at).id {
                self.out.consumed(id);
            }
            return;
        }
        // A sub-agent's prompt is in the call that started it.
        if of_sub_agent {
            return;
        }
        let content = field::list(&item, "content");
        let text = content.iter().filter_map(|part| field::text(part, "text")).collect::<Vec<_>>().join("\n");
        if !text.trim().is_empty() {
            self.out.foreign_message(text);
        }
    }

    fn said(&mut self, mut item: Value, parent: Option<String>) {
        let id = field::take_text(&mut item, "id");
        let text = self.whole(id.as_deref(), false, field::take_text(&mut item, "text").unwrap_or_default());
        self.out.said(false, id.as_deref(), parent.as_deref(), text);
    }

    /// A thought: its summary, or itself where the model gives it away.
    fn thought(&mut self, mut item: Value, parent: Option<String>) {
        let parts = |key| {
            let parts = field::list(&item, key);
            parts.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(BETWEEN_PARTS)
        };
        let text = Some(parts("summary")).filter(|summary| !summary.is_empty()).unwrap_or_else(|| parts("content"));
        let id = field::take_text(&mut item, "id");
        let text = self.whole(id.as_deref(), true, text);
        self.out.said(true, id.as_deref(), parent.as_deref(), text);
    }

    fn tool_call(&mut self, call: tools::ToolCall, item: &Value, parent: Option<String>) {
        self.state.called(Call { id: call.id.clone(), changes: tools::changes(item), parent: parent.clone() });
        self.out.emit(
            call.summary,
            Body::ToolCall {
                tool_call_id: call.id.into(),
                name: call.name.into(),
                input: call.input,
                kind: call.kind,
                locations: call.locations,
                parent_tool_call_id: parent.map(Text::from),
            },
        );
    }

    fn tool_result(&mut self, kind: &str, call: tools::ToolCall, mut item: Value, parent: Option<String>) {
        let reported = self.state.calls.iter().position(|old| old.id == call.id);
        if let Some(at) = reported {
            self.state.calls.remove(at);
        }
        for agent in item.get("receiverThreadIds").and_then(Value::as_array).into_iter().flatten() {
            if kind == "collabAgentToolCall" && call.name == "spawnAgent" {
                let thread = agent.as_str().unwrap_or_default().to_owned();
                self.state.agent(Agent { thread, call: call.id.clone() });
            }
        }
        let id = call.id.clone();
        // A search says what it looks for only when it has found it.
        if reported.is_none() || kind == "webSearch" {
            self.tool_call(call, &Value::Null, parent.clone());
            self.state.calls.retain(|old| old.id != id);
        }
        let result = tools::result(kind, &mut item);
        self.out.emit(
            result.text,
            Body::ToolResult {
                tool_call_id: id.into(),
                is_error: result.is_error,
                output: result.output,
                diff: result.diff,
                images: result.images,
                parent_tool_call_id: parent.map(Text::from),
            },
        );
    }
}
