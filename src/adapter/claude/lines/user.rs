//! `user` lines: tool results, our messages shown again, and what the CLI says in the user's name.

use serde_json::{Value, json};

use super::ClaudeFold;
use crate::adapter::claude::tools;
use crate::adapter::kit::field;
use crate::event::{Body, Text};

/// The origin of what a person wrote.
const HUMAN: &str = "human";

impl ClaudeFold<'_, '_> {
    pub(in crate::adapter::claude) fn user(&mut self, mut line: Value) {
        let parent = super::parent(&mut line);
        let replay = field::is_true(&line, "isReplay");
        let synthetic = field::is_true(&line, "isSynthetic");
        let mut message = field::take(&mut line, "message");
        let blocks = match field::take(&mut message, "content") {
            Value::String(text) => vec![json!({"type": "text", "text": text})],
            Value::Array(blocks) => blocks,
            _ => return self.unknown(line, Some("user")),
        };
        let origin = line.get("origin").and_then(|origin| field::text(origin, "kind")).filter(|kind| *kind != HUMAN);
        if let Some(origin) = origin.map(str::to_owned) {
            return self.foreign_text(&origin, &blocks);
        }
        if replay && self.replayed(field::text(&line, "uuid"), &blocks) {
            return;
        }
        let mut output = field::take(&mut line, "tool_use_result");
        let mut attachments: Vec<Value> = blocks.iter().filter_map(attachment).collect();
        for mut block in blocks {
            match field::take_text(&mut block, "type").as_deref() {
                Some(kind) if kind.ends_with("tool_result") => {
                    // The structured result has no id; the CLI prints one result a line.
                    self.tool_result(block, output.take(), parent.as_deref());
                }
                // A sub-agent's prompt is in the call that started it.
                Some("text") if parent.is_none() => {
                    let text = field::take_text(&mut block, "text").unwrap_or_default();
                    self.own_text(text, synthetic, &mut attachments);
                }
                Some("text" | "image" | "document") => {}
                kind => {
                    let kind = kind.unwrap_or("user block").to_owned();
                    self.unknown(block, Some(&kind));
                }
            }
        }
    }

    /// Returns true if the line shows a message of ours, which is then consumed. A message that was written without an
    /// id is known by its place in the queue.
    fn replayed(&mut self, uuid: Option<&str>, blocks: &[Value]) -> bool {
        let own = uuid.and_then(|uuid| self.state.sent.iter().position(|message| message.id.as_deref() == Some(uuid)));
        let local = || blocks.iter().any(|block| field::text_or_empty(block, "text").starts_with("<local-command-"));
        let at = own.or_else(|| {
            let anonymous = self.state.sent.iter().position(|message| message.id.is_none());
            anonymous.filter(|_| !local())
        });
        let Some(at) = at else { return false };
        if let Some(turn) = &mut self.state.turn {
            turn.replayed = true;
        }
        self.consumed(at);
        true
    }

    /// Text in the user's name that neither the user nor a client of ours wrote: of a background task, another session.
    fn foreign_text(&mut self, origin: &str, blocks: &[Value]) {
        let texts = blocks.iter().map(|block| field::text_or_empty(block, "text")).collect::<Vec<_>>();
        let text = texts.join("\n");
        let summary = text.split_once("<summary>").and_then(|(_, rest)| rest.split_once("</summary>"));
        let text = summary.map_or(text.as_str(), |(summary, _)| summary).to_owned();
        self.notice(&origin.replace('-', "_"), Some(text));
    }

    /// Text that the CLI says in the user's name, with what was attached to it.
    fn own_text(&mut self, text: String, synthetic: bool, attachments: &mut Vec<Value>) {
        if let Some(inner) = between(&text, "[Request interrupted by user", "]") {
            return self.notice("interrupted", Some(format!("Request interrupted by the user{inner}")));
        }
        for (tag, code) in [("local-command-stdout", "command_output"), ("local-command-stderr", "command_error")] {
            if let Some(inner) = between(&text, &format!("<{tag}>"), &format!("</{tag}>")) {
                return self.notice(code, Some(inner.trim().to_owned()));
            }
        }
        if synthetic {
            return self.notice("synthetic_message", Some(text));
        }
        if !text.trim().is_empty() {
            self.out.foreign_message_with(text, std::mem::take(attachments));
        }
    }

    pub(super) fn tool_result(&mut self, mut block: Value, output: Value, parent: Option<&str>) {
        let id = field::take_text(&mut block, "tool_use_id").unwrap_or_default();
        let is_error = field::is_true(&block, "is_error");
        let plan_changed = parent.is_none() && self.plan_answered(&id, &output, is_error);
        let result = tools::result(field::take(&mut block, "content"), output);
        self.out.emit(
            result.text,
            Body::ToolResult {
                tool_call_id: id.into(),
                is_error,
                output: result.output,
                diff: result.diff,
                images: result.images,
                parent_tool_call_id: parent.map(|parent| Text::from(parent.to_owned())),
            },
        );
        if plan_changed {
            self.report_plan();
        }
    }
}

/// An image of a message as events list it, without its data.
fn attachment(block: &Value) -> Option<Value> {
    let source = block.get("source").filter(|_| field::text(block, "type") == Some("image"))?;
    Some(json!({"media_type": field::text(source, "media_type")?}))
}

/// Returns the text between `before` and `after`, if there is nothing else.
fn between<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    text.trim().strip_prefix(before)?.strip_suffix(after)
}
