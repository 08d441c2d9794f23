//! The lines of the protocol, one file for each group of methods that change together.

mod input;
mod items;
mod notices;
mod partial;
mod prompts;
mod responses;
mod turns;

use serde_json::{Value, json};

use crate::adapter::codex::state::{CodexState, Turn};
use crate::adapter::kit::{Emitter, LineFold, field, lines};
use crate::event::{Body, SessionFacts, Text};
use crate::journal::{Control, Record};
use crate::json::MalformedJson;

/// One step of the fold: a record meets the state, and its events are added to `out`.
pub(super) struct CodexFold<'f, 'r> {
    pub(super) state: &'f mut CodexState,
    pub(super) record: &'f Record<'r>,
    pub(super) out: Emitter<'f, 'r>,
}

impl LineFold for CodexFold<'_, '_> {
    fn broken(&mut self, mut broken: MalformedJson) {
        self.out.broken_line(&broken.text);
        if let Some(id) = lines::id_of_broken_request(&mut broken) {
            self.state.decline(prompts::error(&id, "rs-worker could not read this request"));
        }
    }

    fn value(&mut self, mut line: Value) {
        if let Some(text) = lines::damaged_request(&line) {
            self.unknown(line, None);
            return self.out.unread_request(&text);
        }
        let method = field::take_text(&mut line, "method");
        match (method, line.get("id").is_some_and(|id| !id.is_null())) {
            (Some(method), true) => self.request(&method, line),
            (Some(method), false) => self.notification(&method, line),
            (None, true) => self.response(line),
            (None, false) => self.unknown(line, None),
        }
    }
}

impl CodexFold<'_, '_> {
    /// Takes a control record: what the worker asks for, and what happened to its process.
    pub(super) fn control(&mut self, control: &Control) {
        self.state.wanted.control(control);
        let (wanted, opening) = (&mut self.state.wanted, &mut self.state.opening);
        match control {
            Control::Created { options, .. } => {
                opening.system_prompt.clone_from(&options.system_prompt);
                opening.fork_from = options.resume_session.clone().filter(|_| options.fork);
            }
            Control::Configured { model, permission_mode } => wanted.configure(model, permission_mode),
            Control::Launching { session_id, resume, .. } => opening.resume = session_id.clone().filter(|_| *resume),
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
        let mut params = field::take(&mut line, "params");
        match method {
            "turn/started" => self.turn_started(&params),
            "turn/completed" => self.turn_completed(params),
            "turn/plan/updated" => self.plan(&params),
            "thread/tokenUsage/updated" => self.tokens(&params),
            "item/started" => self.item(params, false),
            "item/completed" => self.item(params, true),
            "serverRequest/resolved" => self.resolved(&params),
            _ if self.piece(method, &mut params) || self.notices(method, &params) => {}
            _ => {
                line["params"] = params;
                self.unknown(line, Some(method));
            }
        }
    }

    /// Ends the turn with its process.
    fn process_ended(&mut self) {
        self.cut_short(true);
        if let Some(turn) = self.state.turn.take() {
            self.unanswered("The process ended before this had a result");
            self.out.turn_lost(turn.id(), None);
        }
    }

    /// Passes on what this build does not know. `method` is the line's method where that was taken out of it.
    fn unknown(&mut self, mut raw: Value, method: Option<&str>) {
        if let (Some(method), Some(fields)) = (method, raw.as_object_mut()) {
            fields.insert("method".to_owned(), method.into());
        }
        self.out.unknown(format!("unknown line of Codex: {}", method.unwrap_or("without a method")), raw);
    }

    /// Emits the facts of the session.
    fn report_session(&mut self, cwd: Option<String>) {
        let facts = &self.state.facts;
        let (session_id, model, mode) = (facts.session_id.clone(), facts.model.clone(), facts.permission_mode.clone());
        self.out.emit(
            format!("Session {session_id} with {model}, permission mode {mode}"),
            Body::Session(SessionFacts {
                session_id: Some(session_id.into()),
                model: Some(model.into()),
                cwd: cwd.map(Text::from),
                permission_mode: Some(mode.into()),
                ..SessionFacts::default()
            }),
        );
    }

    /// Begins a turn unless one runs. The record that begins it names it.
    fn start_turn(&mut self, id: &str) {
        match &mut self.state.turn {
            Some(turn) => id.clone_into(&mut turn.cli_id),
            None => {
                let turn = Turn { seq: self.record.seq, cli_id: id.to_owned(), ..Turn::default() };
                self.out.turn_started(turn.id());
                self.state.turn = Some(turn);
            }
        }
    }

    /// Gives tool calls that will have no result one that says so.
    fn unanswered(&mut self, why: &'static str) {
        for call in std::mem::take(&mut self.state.calls) {
            let body = Body::ToolResult {
                tool_call_id: call.id.into(),
                is_error: true,
                output: json!({"status": "ended"}),
                diff: None,
                images: Vec::new(),
                parent_tool_call_id: call.parent.map(Text::from),
            };
            self.out.emit(why, body);
        }
    }

    /// Returns true for parameters about the session itself, not about one of its sub-agents.
    fn is_own(&self, params: &Value) -> bool {
        self.state.parent(field::text_or_empty(params, "threadId")).is_none()
    }
}
