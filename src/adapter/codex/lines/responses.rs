//! Answers to our requests.

use serde_json::Value;

use super::CodexFold;
use crate::adapter::codex::state::{Handshake, PendingRequest};
use crate::adapter::codex::{MODEL_LIST, options};
use crate::adapter::kit::{field, session, text};
use crate::event::CliSetting;

/// Longest part of a refusal that is kept for later questions, in bytes.
const REASON_MAX: usize = 1_000;

impl CodexFold<'_, '_> {
    pub(super) fn response(&mut self, mut line: Value) {
        let id = line.get("id").map(ToString::to_string).unwrap_or_default();
        let Some(at) = self.state.requests.iter().position(|request| request.id == id) else {
            return self.unknown(line, None);
        };
        let request = self.state.requests.remove(at);
        let error = field::take(&mut line, "error");
        self.settings_answered(&request, error.is_null());
        let method = request.method;
        if !error.is_null() {
            let reason = field::text(&error, "message").unwrap_or("no reason given").to_owned();
            return self.refused(&id, &method, reason);
        }
        let mut result = field::take(&mut line, "result");
        match method.as_str() {
            "initialize" => self.state.handshake = Handshake::Greeted,
            "thread/start" | "thread/resume" | "thread/fork" => self.opened(&mut result),
            MODEL_LIST => self.models_listed(),
            "turn/start" => self.joined(&id, result.get("turn").and_then(|turn| field::text(turn, "id"))),
            "turn/steer" => self.joined(&id, field::text(&result, "turnId")),
            _ => {}
        }
    }

    /// A turn's own model and mode hold from now on, unless it was refused: then nobody asks for them again. The CLI does
    /// not repeat them.
    fn settings_answered(&mut self, request: &PendingRequest, accepted: bool) {
        let before = self.state.facts.clone();
        let (facts, wanted) = (&mut self.state.facts, &mut self.state.wanted);
        let both = [
            (CliSetting::Model, &request.model, &mut facts.model, &mut wanted.model),
            (CliSetting::PermissionMode, &request.mode, &mut facts.permission_mode, &mut wanted.permission_mode),
        ];
        let mut answers = Vec::new();
        for (setting, value, fact, wanted) in both {
            let Some(value) = value else { continue };
            if accepted {
                fact.clone_from(value);
            } else if wanted.as_ref() == Some(value) {
                *wanted = Some(fact.clone()).filter(|fact| !fact.is_empty());
            }
            answers.push((setting, value.clone()));
        }
        if self.state.facts != before {
            self.report_session(None);
        }
        for (setting, value) in answers {
            self.out.push(setting.answered(value, accepted));
        }
    }

    /// The session is there.
    fn opened(&mut self, result: &mut Value) {
        self.state.handshake = Handshake::Done;
        let thread = result.get("thread").unwrap_or(&Value::Null);
        let session_id = field::text_or_empty(thread, "id").to_owned();
        if !session::is_session_id(&session_id) {
            return self.refused("", "thread/start", "Codex named no session".to_owned());
        }
        self.state.facts.session_id = session_id;
        self.state.facts.model = field::take_text(result, "model").unwrap_or_default();
        if self.state.facts.permission_mode.is_empty() {
            let policy = field::take_text(result, "approvalPolicy");
            self.state.facts.permission_mode = policy.unwrap_or_else(|| "granular".to_owned());
        }
        let cwd = field::take_text(result, "cwd");
        self.report_session(cwd);
    }

    /// The CLI has listed its models.
    fn models_listed(&mut self) {
        self.state.options_seq = Some(self.record.seq);
        let options = options::of(self.record.payload, self.state);
        self.out.options(&options, &mut self.state.options_hash);
    }

    /// A message went into a turn.
    fn joined(&mut self, request: &str, turn: Option<&str>) {
        let Some(at) = self.state.sent.iter().position(|message| message.request == request) else { return };
        if turn.is_none_or(|turn| turn == self.state.last_turn) {
            // Its turn has ended without it.
            return self.lost(at);
        }
        if let Some(message) = self.state.sent.get_mut(at) {
            message.turn = turn.map(str::to_owned);
        }
    }

    /// A message that no turn has taken, or will.
    pub(super) fn lost(&mut self, at: usize) {
        self.state.sent.remove(at);
        self.out.error("message_refused", "The turn ended before Codex took the message; send it again");
    }

    fn refused(&mut self, request: &str, method: &str, reason: String) {
        let code = match method {
            "initialize" | "thread/start" => "session_failed",
            // A damaged session is refused in many words, and each time again.
            "thread/resume" | "thread/fork" if !session::may_pass(&reason) => {
                return self.replace_session(&reason);
            }
            "thread/resume" => "resume_failed",
            "thread/fork" => "fork_failed",
            "turn/start" | "turn/steer" => {
                self.state.sent.retain(|message| message.request != request);
                return self.out.error("message_refused", format!("Codex did not take the message: {reason}"));
            }
            // The turn has ended by itself.
            "turn/interrupt" => return,
            // An older version, which has no list.
            MODEL_LIST => return,
            _ => return self.out.error("request_refused", format!("Codex refused {method}: {reason}")),
        };
        let what = match self.state.opening.session() {
            Some(session) if method != "initialize" => format!("session {session} can't be resumed now"),
            _ => "it has begun no session".to_owned(),
        };
        self.out.error(code, format!("Codex: {what}: {reason}; a message tries again"));
        self.state.failed = Some(text::cut(reason, REASON_MAX));
    }

    /// The session that the process was to resume does not exist: it gets a new one.
    fn replace_session(&mut self, why: &str) {
        let session = self.state.opening.session().unwrap_or_default().to_owned();
        self.out.error("session_not_found", session::session_gone("Codex", &session, why));
        (self.state.opening.resume, self.state.opening.fork_from) = (None, None);
        self.state.handshake = Handshake::Reopen;
    }
}
