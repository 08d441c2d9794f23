//! `in` records: what was written to the agent. They come back through the journal, and only then change the state.

use serde_json::Value;

use super::AcpFold;
use crate::adapter::acp::options::OPTIONS_MAX;
use crate::adapter::acp::rpc;
use crate::adapter::acp::state::{Handshake, PendingRequest, SentMessage, Turn};
use crate::adapter::kit::{field, push_bounded};
use crate::event::{Body, CliSetting};
use crate::journal::{By, Control};

impl AcpFold<'_, '_> {
    pub(in crate::adapter::acp) fn input(&mut self) {
        let Ok(line) = serde_json::from_slice::<Value>(self.record.payload) else { return };
        let id = line.get("id").cloned().unwrap_or_default();
        match field::text(&line, "method") {
            Some("session/prompt") => self.prompted(id, &line),
            Some("session/cancel") => {
                if let Some(turn) = &mut self.state.turn {
                    turn.cancelled = true;
                }
            }
            Some(method) if !id.is_null() => self.requested(id, method, &line),
            Some(_) => {}
            None => self.answered(&id, &line),
        }
    }

    /// A message went to the agent: its turn begins, or it joins the one that runs.
    fn prompted(&mut self, id: Value, line: &Value) {
        self.state.requests_written = self.state.requests_written.saturating_add(1);
        let message_id = rpc::message_id(line).map(str::to_owned);
        if self.state.turn.is_none() {
            self.flush();
            self.state.calls.clear();
            let turn = Turn { seq: self.record.seq, time: self.record.time.0, ..Turn::default() };
            self.out.turn_started(turn.id());
            self.state.turn = Some(turn);
        }
        if let Some(turn) = &mut self.state.turn {
            turn.sent.push(SentMessage { id, message_id });
        }
    }

    fn requested(&mut self, id: Value, method: &str, line: &Value) {
        self.state.requests_written = self.state.requests_written.saturating_add(1);
        let params = line.get("params").unwrap_or(&Value::Null);
        let value = ["modeId", "modelId", "value", "sessionId"].iter().find_map(|key| field::text(params, key));
        let value = value.unwrap_or_default().to_owned();
        match method {
            "initialize" => self.state.handshake = Handshake::Initializing,
            "session/new" | "session/resume" => self.state.handshake = Handshake::Opening { show: false },
            "session/fork" => self.state.handshake = Handshake::Opening { show: true },
            "session/load" => self.state.handshake = Handshake::Opening { show: value != self.state.facts.session_id },
            _ => {}
        }
        let wish = self.state.wish_of(method);
        let option = field::text(params, "configId").map(|id| (id.to_owned(), params["value"].clone()));
        let value =
            option.as_ref().filter(|(_, value)| value.is_boolean()).map_or(value, |(_, value)| value.to_string());
        if let (Handshake::SetOptions, Some((id, _))) = (self.state.handshake, &option) {
            push_bounded(&mut self.state.tried, id.clone(), OPTIONS_MAX);
        }
        self.state.requested(PendingRequest { id, method: method.to_owned(), value, wish, option });
    }

    /// The agent's request was answered.
    fn answered(&mut self, id: &Value, line: &Value) {
        self.state.declines.retain(|declined| declined.id != *id);
        self.state.files.retain(|asked| asked.id != *id);
        let Some(at) = self.state.prompts.iter().position(|prompt| prompt.id == *id) else { return };
        let prompt = self.state.prompts.remove(at);
        if prompt.form.is_some() {
            // An interrupt closes a question without anybody's answer.
            if !prompt.answered {
                let body = Body::QuestionResolved { request_id: prompt.request_id.into(), answers: None, by: By::User };
                self.out.emit("cancelled", body);
            }
            return;
        }
        let outcome = line.get("result").and_then(|result| result.get("outcome")).unwrap_or(&Value::Null);
        let chosen = field::text(outcome, "optionId").unwrap_or_default();
        let option = prompt.options.iter().find(|option| option.id == chosen);
        let denied = option.is_some_and(|option| option.kind.starts_with("reject"));
        // An interrupt closes a prompt without anybody's answer.
        if !prompt.answered {
            let decision = if chosen.is_empty() { "cancelled" } else { chosen };
            let body = Body::PermissionResolved {
                request_id: prompt.request_id.into(),
                decision: decision.to_owned().into(),
                by: By::User,
                rule: None,
                updated_input: None,
            };
            self.out.emit(decision.to_owned(), body);
        }
        if denied {
            self.denied(&prompt.tool_call_id);
        }
    }

    /// Remembers a value for the next start.
    pub(super) fn choose(&mut self, option: String, value: Value) {
        if self.state.chosen.len() < OPTIONS_MAX || self.state.chosen.contains_key(&option) {
            self.state.chosen.insert(option, value);
        }
    }

    /// Takes a control record of the worker.
    pub(in crate::adapter::acp) fn control(&mut self, control: &Control) {
        use crate::adapter::acp::state::SessionOpening;
        self.state.wanted.control(control);
        match control {
            Control::Created { options, .. } => {
                self.state.mcp_servers.clone_from(&options.mcp_servers);
                self.state.effort.clone_from(&options.effort);
                if options.fork
                    && let Some(from) = &options.resume_session
                {
                    self.state.opening = SessionOpening::Fork(from.clone());
                }
            }
            Control::Configured { model, permission_mode } => {
                self.state.wishes(CliSetting::Model, model.as_ref());
                self.state.wishes(CliSetting::PermissionMode, permission_mode.as_ref());
            }
            Control::Launching { session_id, resume, .. } => {
                self.state.own_server = None;
                match session_id {
                    Some(id) if *resume => self.state.opening = SessionOpening::Resume(id.clone()),
                    _ if matches!(self.state.opening, SessionOpening::Resume(_)) => {
                        self.state.opening = SessionOpening::New
                    }
                    _ => {}
                }
            }
            Control::AgentTokenMade { server, .. } => self.state.own_server = server.as_deref().cloned(),
            // While the agent runs, a choice counts when it is accepted.
            Control::OptionChosen { option, value } if !self.state.running => {
                self.choose(option.clone(), value.clone())
            }
            // Text that came after the end of its turn belongs before the next message.
            Control::Quiet {} | Control::MessageDelivered { .. } if self.state.turn.is_none() => self.flush(),
            Control::PermissionAnswered { request_id, .. } => {
                if let Some(prompt) = self.state.prompts.iter_mut().find(|prompt| prompt.request_id == *request_id) {
                    prompt.answered = true;
                }
            }
            Control::Started { .. } => {
                self.process_ended();
                self.state.start_process();
            }
            Control::Exited { .. } | Control::ShimLost { .. } | Control::SpawnFailed { .. } => {
                self.process_ended();
                self.state.end_process();
            }
            _ => {}
        }
    }
}
