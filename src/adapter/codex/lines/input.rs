//! `in` records: what was written to the CLI. They come back through the journal, and only then change the state.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use super::Fold;
use crate::adapter::codex::modes;
use crate::adapter::codex::state::{Handshake, Request, Waiting};

/// What matters of a line; a message's content is passed over without a copy.
#[derive(Deserialize)]
struct Line<'a> {
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

impl Fold<'_> {
    pub(in crate::adapter::codex) fn input(&mut self) {
        let Ok(line) = serde_json::from_slice::<Line<'_>>(self.record.payload) else { return };
        if line.id.is_null() {
            return;
        }
        match line.method {
            Some(method) => self.wrote(&line.id, &method, line.params.unwrap_or_default()),
            None => {
                self.state.prompts.retain(|prompt| prompt.request != line.id);
                self.state.declines.retain(|declined| declined.get("id") != Some(&line.id));
            }
        }
    }

    fn wrote(&mut self, id: &Value, method: &str, params: Params) {
        let id = id.to_string();
        self.state.requests_written = self.state.requests_written.saturating_add(1);
        self.state.requested(Request { id: id.clone(), method: method.to_owned() });
        match method {
            "initialize" => self.state.handshake = Handshake::Greeting,
            "thread/start" | "thread/resume" | "thread/fork" => {
                self.state.handshake = Handshake::Opening;
                self.state.facts.permission_mode = mode(&params).unwrap_or_default();
            }
            "turn/start" | "turn/steer" => {
                let message = Waiting { id: params.client_user_message_id.clone(), request: id, turn: None };
                self.state.wait_for(message);
                self.changed(params);
            }
            "turn/interrupt" => self.state.interrupt = false,
            _ => {}
        }
    }

    /// A turn's own model and mode hold from now on. The CLI does not repeat them.
    fn changed(&mut self, params: Params) {
        let before = self.state.facts.clone();
        if let Some(mode) = mode(&params) {
            self.state.facts.permission_mode = mode;
        }
        if let Some(model) = params.model {
            self.state.facts.model = model;
        }
        if self.state.facts != before {
            self.tell_session(None);
        }
    }
}

/// The mode that was put into the parameters.
fn mode(params: &Params) -> Option<String> {
    let sandbox = params.sandbox.as_deref().or_else(|| params.sandbox_policy.get("type").and_then(Value::as_str));
    Some(modes::name_of(params.approval_policy.as_str()?, sandbox))
}
