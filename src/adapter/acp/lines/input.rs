//! `in` records: what was written to the agent. They come back through the journal, and only then change the state.

use serde_json::Value;

use super::Fold;
use crate::adapter::acp::rpc;
use crate::adapter::acp::state::{Prompt, Request, Step, Turn};
use crate::adapter::field;
use crate::event::Body;
use crate::journal::Control;

impl Fold<'_> {
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
            self.state.tools.clear();
            let turn = Turn { seq: self.record.seq, time: self.record.time.0, ..Turn::default() };
            self.tell("Turn started", Body::TurnStarted { turn_id: turn.id().into() });
            self.state.turn = Some(turn);
        }
        if let Some(turn) = &mut self.state.turn {
            turn.prompts.push(Prompt { id, message_id });
        }
    }

    fn requested(&mut self, id: Value, method: &str, line: &Value) {
        self.state.requests_written = self.state.requests_written.saturating_add(1);
        let params = line.get("params").unwrap_or(&Value::Null);
        let value = ["modeId", "modelId", "value", "sessionId"].iter().find_map(|key| field::text(params, key));
        let value = value.unwrap_or_default().to_owned();
        match method {
            "initialize" => self.state.step = Step::Initializing,
            "session/new" | "session/resume" => self.state.step = Step::Opening { show: false },
            "session/fork" => self.state.step = Step::Opening { show: true },
            "session/load" => self.state.step = Step::Opening { show: value != self.state.facts.session_id },
            _ => {}
        }
        self.state.requested(Request { id, method: method.to_owned(), value });
    }

    /// The agent's request was answered.
    fn answered(&mut self, id: &Value, line: &Value) {
        self.state.declines.retain(|declined| declined.id != *id);
        self.state.files.retain(|asked| asked.id != *id);
        let Some(at) = self.state.asks.iter().position(|ask| ask.id == *id) else { return };
        let ask = self.state.asks.remove(at);
        let outcome = line.get("result").and_then(|result| result.get("outcome")).unwrap_or(&Value::Null);
        let chosen = field::text(outcome, "optionId").unwrap_or_default();
        let option = ask.options.iter().find(|option| option.id == chosen);
        let denied = option.is_some_and(|option| option.kind.starts_with("reject"));
        // An interrupt closes a prompt without anybody's answer.
        if !ask.answered {
            let decision = if chosen.is_empty() { "cancelled" } else { chosen };
            let body = Body::PermissionResolved {
                request_id: ask.request_id.into(),
                decision: decision.to_owned().into(),
                by: "user".into(),
            };
            self.tell(decision.to_owned(), body);
        }
        if denied {
            self.denied(&ask.tool_call_id);
        }
    }

    /// What the server recorded of the worker.
    pub(in crate::adapter::acp) fn control(&mut self, control: &Control) {
        use crate::adapter::acp::state::Opening;
        match control {
            Control::Created { project_path, options, .. } => {
                self.state.cwd.clone_from(project_path);
                self.state.model.clone_from(&options.model);
                self.state.permission_mode.clone_from(&options.permission_mode);
                if options.fork
                    && let Some(from) = &options.resume_session
                {
                    self.state.opening = Opening::Fork(from.clone());
                }
            }
            Control::Configured { model, permission_mode } => {
                if model.is_some() {
                    self.state.model.clone_from(model);
                }
                if permission_mode.is_some() {
                    self.state.permission_mode.clone_from(permission_mode);
                }
            }
            Control::Launching { session_id: Some(id), resume: true } => {
                self.state.opening = Opening::Resume(id.clone());
            }
            Control::Launching { .. } => {
                if matches!(self.state.opening, Opening::Resume(_)) {
                    self.state.opening = Opening::New;
                }
            }
            Control::PermissionAnswered { request_id, .. } => {
                if let Some(ask) = self.state.asks.iter_mut().find(|ask| ask.request_id == *request_id) {
                    ask.answered = true;
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
