//! Answers to our requests.

use serde_json::Value;

use super::Fold;
use crate::adapter::codex::state::Handshake;
use crate::adapter::{common, field};

/// Longest part of a refusal that is kept for those who ask later, in bytes.
const REASON_MAX: usize = 1_000;

impl Fold<'_> {
    pub(super) fn response(&mut self, mut line: Value) {
        let id = line.get("id").map(ToString::to_string).unwrap_or_default();
        let Some(at) = self.state.requests.iter().position(|request| request.id == id) else {
            return self.unknown(line, None);
        };
        let method = self.state.requests.remove(at).method;
        let error = field::take(&mut line, "error");
        if !error.is_null() {
            let reason = field::text(&error, "message").unwrap_or("no reason given").to_owned();
            return self.refused(&id, &method, reason);
        }
        let mut result = field::take(&mut line, "result");
        match method.as_str() {
            "initialize" => self.state.handshake = Handshake::Greeted,
            "thread/start" | "thread/resume" | "thread/fork" => self.opened(&mut result),
            "turn/start" => self.joined(&id, result.get("turn").and_then(|turn| field::text(turn, "id"))),
            "turn/steer" => self.joined(&id, field::text(&result, "turnId")),
            _ => {}
        }
    }

    /// The session is there.
    fn opened(&mut self, result: &mut Value) {
        self.state.handshake = Handshake::Done;
        let thread = result.get("thread").unwrap_or(&Value::Null);
        let session_id = field::text_or_empty(thread, "id").to_owned();
        if session_id.is_empty() {
            return self.refused("", "thread/start", "Codex named no session".to_owned());
        }
        self.state.facts.session_id = session_id;
        self.state.facts.model = field::take_text(result, "model").unwrap_or_default();
        if self.state.facts.permission_mode.is_empty() {
            let policy = field::take_text(result, "approvalPolicy");
            self.state.facts.permission_mode = policy.unwrap_or_else(|| "granular".to_owned());
        }
        let cwd = field::take_text(result, "cwd");
        self.tell_session(cwd);
    }

    /// A message went into a turn.
    fn joined(&mut self, request: &str, turn: Option<&str>) {
        let Some(at) = self.state.waiting.iter().position(|message| message.request == request) else { return };
        if turn.is_none_or(|turn| turn == self.state.last_turn) {
            // Its turn has ended without it.
            return self.lost(at);
        }
        if let Some(message) = self.state.waiting.get_mut(at) {
            message.turn = turn.map(str::to_owned);
        }
    }

    /// A message that no turn has taken, or will.
    pub(super) fn lost(&mut self, at: usize) {
        self.state.waiting.remove(at);
        self.error("message_refused", "The turn ended before Codex took the message; send it again");
    }

    fn refused(&mut self, request: &str, method: &str, reason: String) {
        let code = match method {
            "initialize" | "thread/start" => "session_failed",
            "thread/resume" => "resume_failed",
            "thread/fork" => "fork_failed",
            "turn/start" | "turn/steer" => {
                self.state.waiting.retain(|message| message.request != request);
                return self.error("message_refused", format!("Codex did not take the message: {reason}"));
            }
            // The turn has ended by itself.
            "turn/interrupt" => return,
            _ => return self.error("request_refused", format!("Codex refused {method}: {reason}")),
        };
        self.error(code, format!("Codex has no session: {reason}"));
        self.state.handshake = Handshake::Done;
        self.state.failed = Some(common::cut(reason, REASON_MAX));
    }
}
