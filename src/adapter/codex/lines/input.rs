//! `in` records: what was written to the CLI. They come back through the journal, and only then change the state.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use super::CodexFold;
use crate::adapter::codex::modes;
use crate::adapter::codex::state::{Handshake, PendingRequest, SentMessage};

/// The part of a line that matters; a message's content is skipped without a copy.
#[derive(Deserialize)]
struct InputLine<'a> {
    #[serde(default)]
    id: Value,
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    #[serde(default)]
    params: Option<Params>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Params {
    client_user_message_id: Option<String>,
    model: Option<String>,
    approval_policy: Value,
    sandbox: Option<String>,
    sandbox_policy: Value,
}

impl CodexFold<'_, '_> {
    pub(in crate::adapter::codex) fn input(&mut self) {
        let Ok(line) = serde_json::from_slice::<InputLine<'_>>(self.record.payload) else { return };
        if line.id.is_null() {
            return;
        }
        match line.method {
            Some(method) => self.note_request(&line.id, &method, line.params.unwrap_or_default()),
            None => {
                self.state.prompts.retain(|prompt| prompt.request != line.id);
                self.state.declines.retain(|declined| declined.get("id") != Some(&line.id));
            }
        }
    }

    fn note_request(&mut self, id: &Value, method: &str, params: Params) {
        let id = id.to_string();
        self.state.requests_written = self.state.requests_written.saturating_add(1);
        let is_turn = matches!(method, "turn/start" | "turn/steer");
        let (model, mode_of_turn) = if is_turn { (params.model.clone(), mode(&params)) } else { (None, None) };
        self.state.requested(PendingRequest { id: id.clone(), method: method.to_owned(), model, mode: mode_of_turn });
        match method {
            "initialize" => self.state.handshake = Handshake::Greeting,
            "thread/start" | "thread/resume" | "thread/fork" => {
                self.state.handshake = Handshake::Opening;
                self.state.facts.permission_mode = mode(&params).unwrap_or_default();
            }
            "turn/start" | "turn/steer" => {
                let message = SentMessage { id: params.client_user_message_id.clone(), request: id, turn: None };
                self.state.note_message(message);
            }
            "turn/interrupt" => self.state.interrupt = false,
            _ => {}
        }
    }
}

/// The mode that was put into the parameters.
fn mode(params: &Params) -> Option<String> {
    let sandbox = params.sandbox.as_deref().or_else(|| params.sandbox_policy.get("type").and_then(Value::as_str));
    Some(modes::name_of(params.approval_policy.as_str()?, sandbox))
}
