//! The lines of the protocol, one file for each group of methods that change together.

mod input;
mod items;
mod notices;
mod requests;
mod responses;
mod turns;

use serde_json::{Value, json};

use crate::adapter::codex::state::{State, Turn};
use crate::adapter::{common, field};
use crate::event::{Body, Event, Sink, Text};
use crate::journal::{Control, Record};

/// One step of the fold: a record meets the state, and its events go to the sink.
pub(super) struct Fold<'f> {
    pub(super) state: &'f mut State,
    pub(super) record: &'f Record<'f>,
    pub(super) sink: &'f mut dyn Sink,
}

impl Fold<'_> {
    /// Takes a whole line of stdout.
    pub(super) fn output(&mut self) {
        let Ok(mut line) = serde_json::from_slice::<Value>(self.record.payload) else {
            return common::plain_line(self.record, self.sink);
        };
        let method = field::take_text(&mut line, "method");
        match (method, line.get("id").is_some_and(|id| !id.is_null())) {
            (Some(method), true) => self.request(&method, line),
            (Some(method), false) => self.notification(&method, line),
            (None, true) => self.response(line),
            (None, false) => self.unknown(line, None),
        }
    }

    /// Takes a control record: what the worker asks for, and what happened to its process.
    pub(super) fn control(&mut self, control: &Control) {
        let wanted = &mut self.state.wanted;
        match control {
            Control::Created { project_path, options, .. } => {
                wanted.cwd.clone_from(project_path);
                wanted.model.clone_from(&options.model);
                wanted.permission_mode.clone_from(&options.permission_mode);
                wanted.system_prompt.clone_from(&options.system_prompt);
                wanted.fork_from = options.resume_session.clone().filter(|_| options.fork);
            }
            Control::Configured { model, permission_mode } => {
                if model.is_some() {
                    wanted.model.clone_from(model);
                }
                if permission_mode.is_some() {
                    wanted.permission_mode.clone_from(permission_mode);
                }
            }
            Control::Launching { session_id, resume } => {
                wanted.resume = session_id.clone().filter(|_| *resume);
            }
            Control::InterruptRequested { .. } => self.state.interrupt = self.state.is_busy(),
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

    fn notification(&mut self, method: &str, mut line: Value) {
        let params = field::take(&mut line, "params");
        match method {
            "turn/started" => self.turn_started(&params),
            "turn/completed" => self.turn_completed(params),
            "turn/plan/updated" => self.plan(&params),
            "thread/tokenUsage/updated" => self.tokens(&params),
            "item/started" => self.item(params, false),
            "item/completed" => self.item(params, true),
            "serverRequest/resolved" => self.resolved(&params),
            _ if self.piece(method, &params) || self.notices(method, &params) => {}
            _ => {
                line["params"] = params;
                self.unknown(line, Some(method));
            }
        }
    }

    /// The process has ended: so has its turn.
    fn process_ended(&mut self) {
        self.cut_short(true);
        if let Some(turn) = self.state.turn.take() {
            self.unanswered("The process ended before this had a result");
            self.tell(
                "Turn ended: the process ended",
                Body::TurnCompleted {
                    turn_id: turn.name().into(),
                    stop_reason: "process_ended".into(),
                    duration_ms: None,
                    usage: None,
                    cost_usd: None,
                    is_error: true,
                    result: None,
                },
            );
        }
    }

    /// Tells an event.
    fn tell<'e>(&mut self, content: impl Into<Text<'e>>, body: Body<'e>) {
        self.sink.event(Event::new(content, body));
    }

    /// Tells something that is no message of the agent. Nothing to say tells nothing.
    fn notice(&mut self, code: &str, text: impl Into<String>) {
        let text = text.into();
        if !text.trim().is_empty() {
            self.tell(common::cut(text, common::STRING_MAX), Body::Notice { code: code.into() });
        }
    }

    /// Tells an error.
    fn error(&mut self, code: &str, text: impl Into<String>) {
        self.tell(common::cut(text.into(), common::STRING_MAX), Body::Error { code: code.into() });
    }

    /// Passes on what this build does not know. `method` is the line's method where that was taken out of it.
    fn unknown(&mut self, mut raw: Value, method: Option<&str>) {
        if let (Some(method), Some(fields)) = (method, raw.as_object_mut()) {
            fields.insert("method".to_owned(), method.into());
        }
        common::bound(&mut raw);
        let content = format!("unknown line of Codex: {}", method.unwrap_or("without a method"));
        self.tell(content, Body::Unknown { raw });
    }

    /// Tells the facts of the session.
    fn tell_session(&mut self, cwd: Option<String>) {
        let facts = &self.state.facts;
        let (session_id, model, mode) = (facts.session_id.clone(), facts.model.clone(), facts.permission_mode.clone());
        self.tell(
            format!("Session {session_id} with {model}, permission mode {mode}"),
            Body::Session {
                session_id: Some(session_id.into()),
                model: Some(model.into()),
                cwd: cwd.map(Text::from),
                permission_mode: Some(mode.into()),
                tools: None,
                commands: None,
                mcp_servers: None,
            },
        );
    }

    /// Begins a turn unless one runs. The record that begins it names it.
    fn start_turn(&mut self, id: &str) {
        match &mut self.state.turn {
            Some(turn) => id.clone_into(&mut turn.id),
            None => {
                let turn = Turn { seq: self.record.seq, id: id.to_owned(), ..Turn::default() };
                self.tell("Turn started", Body::TurnStarted { turn_id: turn.name().into() });
                self.state.turn = Some(turn);
            }
        }
    }

    /// Gives tool calls that will have no result one that says so.
    fn unanswered(&mut self, why: &str) {
        for call in std::mem::take(&mut self.state.calls) {
            let body = Body::ToolResult {
                tool_call_id: call.id.into(),
                is_error: true,
                output: json!({"status": "ended"}),
                diff: None,
                parent_tool_call_id: call.parent.map(Text::from),
            };
            self.tell(why, body);
        }
    }

    /// Whether parameters are about the session itself and not about one of its sub-agents.
    fn is_own(&self, params: &Value) -> bool {
        self.state.parent(field::text_or_empty(params, "threadId")).is_none()
    }
}
