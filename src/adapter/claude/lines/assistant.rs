//! `assistant` lines: one finished block of a message each.

use serde_json::Value;

use super::ClaudeFold;
use crate::adapter::claude::{LOGIN, tools};
use crate::adapter::kit::{field, session};
use crate::event::{Body, Usage};

impl ClaudeFold<'_, '_> {
    pub(in crate::adapter::claude) fn assistant(&mut self, mut line: Value) {
        let parent = super::parent(&mut line);
        let error = field::take_text(&mut line, "error");
        let mut message = field::take(&mut line, "message");
        let Value::Array(blocks) = field::take(&mut message, "content") else {
            return self.unknown(line, Some("assistant"));
        };
        // Messages that the CLI makes itself: its own errors, and the output of slash commands.
        let synthetic = field::text(&message, "model") == Some("<synthetic>");
        let id = field::take_text(&mut message, "id");
        if parent.is_none() {
            self.state.partial.clear();
        }
        for mut block in blocks {
            let kind = field::take_text(&mut block, "type").unwrap_or_default();
            match (kind.as_str(), &error) {
                ("text", Some(code)) => {
                    let text = field::take_text(&mut block, "text").unwrap_or_default();
                    let needs_login = code == "authentication_failed";
                    self.out.error(
                        code.clone(),
                        if needs_login { session::not_logged_in("Claude Code", &text, &[LOGIN]) } else { text },
                    );
                }
                ("text", None) => {
                    let text = field::take_text(&mut block, "text").unwrap_or_default();
                    if synthetic && text == "(no content)" {
                        continue;
                    }
                    self.out.said(false, id.as_deref(), parent.as_deref(), text);
                }
                ("thinking", _) => {
                    let text = field::take_text(&mut block, "thinking").unwrap_or_default();
                    self.out.said(true, id.as_deref(), parent.as_deref(), text);
                }
                // Reasoning that only the provider can read.
                ("redacted_thinking", _) => {}
                (kind, _) if kind.ends_with("tool_use") => self.tool_call(block, parent.as_deref()),
                // Tools that the provider runs answer within the message.
                (kind, _) if kind.ends_with("tool_result") => self.tool_result(block, Value::Null, parent.as_deref()),
                (kind, _) => {
                    let kind = kind.to_owned();
                    self.unknown(block, Some(&kind));
                }
            }
        }
        if parent.is_none() && !synthetic {
            self.count(id.unwrap_or_default(), &message);
        }
    }

    fn tool_call(&mut self, mut block: Value, parent: Option<&str>) {
        let id = field::take_text(&mut block, "id").unwrap_or_default();
        let name = field::take_text(&mut block, "name").unwrap_or_default();
        let input = field::take(&mut block, "input");
        self.state.timers |= matches!(name.as_str(), "CronCreate" | "ScheduleWakeup");
        if parent.is_none() {
            self.plan_called(&id, &name, &input);
        }
        self.out.emit(
            tools::summary(&name, &input),
            Body::ToolCall {
                tool_call_id: id.into(),
                kind: tools::kind(&name),
                locations: tools::locations(&input),
                name: name.into(),
                input,
                parent_tool_call_id: parent.map(|parent| parent.to_owned().into()),
            },
        );
    }

    /// Emits the tokens so far, once a message of the API. The counts of an `assistant` line are those of the message's
    /// beginning, so its output is counted in full only at the end of the turn.
    fn count(&mut self, id: String, message: &Value) {
        let usage = usage(message.get("usage").unwrap_or(&Value::Null));
        let context =
            usage.input_tokens.saturating_add(usage.cache_read_tokens).saturating_add(usage.cache_write_tokens);
        let Some(turn) = self.state.turn.as_mut().filter(|turn| turn.message_id != id && context > 0) else {
            return;
        };
        turn.message_id = id;
        turn.usage.add(&usage);
        turn.context_tokens = context;
        let (usage, context_window) = (turn.usage, self.state.context_window);
        self.out.emit(self::context(context), Body::Usage { usage, context_tokens: Some(context), context_window });
    }
}

/// The fill of the model's context, for people.
pub(super) fn context(tokens: u64) -> String {
    format!("{tokens} tokens in the context")
}

/// The API's token counts.
pub(super) fn usage(counts: &Value) -> Usage {
    let keys = ["input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"];
    field::usage(counts, keys, false)
}
