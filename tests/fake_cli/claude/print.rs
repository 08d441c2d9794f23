//! The lines that the CLI prints.

use std::io::{self, Write};

use serde_json::{Value, json};
use uuid::Uuid;

use super::Claude;

/// Tokens that every turn claims, in and out.
const TOKENS: u64 = 5;
/// The cost that every turn claims, in dollars.
const COST: f64 = 0.000_15;

impl Claude {
    /// Says a text: word by word where deltas were asked for, then whole.
    pub(crate) fn say(&mut self, text: &str) -> io::Result<()> {
        self.begin_message()?;
        if self.deltas {
            for word in text.split_inclusive(' ') {
                self.delta(word)?;
            }
        }
        self.assistant(&json!([{"type": "text", "text": text}]))?;
        if self.deltas {
            self.stream_event(json!({"type": "content_block_stop", "index": 0}))?;
            self.stream_event(json!({"type": "message_stop"}))?;
        }
        Ok(())
    }

    /// The beginning of a text that follows in pieces, when deltas were asked for.
    pub(crate) fn begin_message(&mut self) -> io::Result<()> {
        if !self.deltas {
            return Ok(());
        }
        self.stream_event(json!({"type": "message_start", "message": {"id": self.message_id(), "role": "assistant"}}))?;
        self.stream_event(json!({"type": "content_block_start", "index": 0,
                                 "content_block": {"type": "text", "text": ""}}))
    }

    /// One piece of a text, when deltas were asked for.
    pub(crate) fn delta(&mut self, text: &str) -> io::Result<()> {
        if !self.deltas {
            return Ok(());
        }
        self.stream_event(json!({"type": "content_block_delta", "index": 0,
                                 "delta": {"type": "text_delta", "text": text}}))
    }

    fn stream_event(&mut self, event: Value) -> io::Result<()> {
        self.line(json!({"type": "stream_event", "event": event, "parent_tool_use_id": null}))
    }

    fn message_id(&self) -> String {
        format!("msg_fake_{}", self.turns)
    }

    /// An `assistant` line.
    pub(crate) fn assistant(&mut self, content: &Value) -> io::Result<()> {
        self.line(json!({
            "type": "assistant", "parent_tool_use_id": null,
            "message": {"id": self.message_id(), "type": "message", "role": "assistant", "model": self.model,
                        "content": content, "stop_reason": null, "stop_sequence": null,
                        "usage": {"input_tokens": TOKENS, "output_tokens": 1,
                                  "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}},
        }))
    }

    /// A `user` line of the CLI's own: a tool's result, or a note.
    pub(crate) fn user(&mut self, content: &Value) -> io::Result<()> {
        self.line(json!({"type": "user", "message": {"role": "user", "content": content}, "parent_tool_use_id": null}))
    }

    /// The line that ends a turn.
    pub(super) fn result(&mut self, subtype: &str, is_error: bool, text: &str) -> io::Result<()> {
        let mut result = json!({
            "type": "result", "subtype": subtype, "is_error": is_error, "duration_ms": 1, "duration_api_ms": 1,
            "num_turns": 1, "stop_reason": "end_turn", "total_cost_usd": COST * self.turns as f64,
            "usage": {"input_tokens": TOKENS, "output_tokens": TOKENS,
                      "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0},
            "modelUsage": {(self.model.as_str()): {"contextWindow": 200_000}}, "permission_denials": [],
        });
        if subtype == "success" {
            result["result"] = text.into();
            result["terminal_reason"] = "completed".into();
        } else {
            result["terminal_reason"] = "aborted_streaming".into();
        }
        self.line(result)
    }

    /// A line with the session's id, and a uuid unless it has one. Its type comes first, as in the real CLI: lines are
    /// distinguished by their beginnings.
    pub(crate) fn line(&mut self, mut line: Value) -> io::Result<()> {
        line["session_id"] = self.session_id.as_str().into();
        if line["uuid"].is_null() {
            line["uuid"] = Uuid::new_v4().to_string().into();
        }
        let kind = line.as_object_mut().and_then(|fields| fields.remove("type")).unwrap_or_default();
        let rest = line.to_string();
        self.raw(&format!("{{\"type\":{kind},{}", &rest[1..]))
    }

    /// A line as it is.
    pub(crate) fn raw(&mut self, line: &str) -> io::Result<()> {
        self.bytes(line.as_bytes())?;
        self.bytes(b"\n")
    }

    /// Bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)
    }

    /// Lets out what was gathered.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
