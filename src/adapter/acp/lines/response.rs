//! Answers to our requests: the steps of the handshake, and the end of a turn.

use serde_json::Value;

use super::Fold;
use super::update::{NANO, SessionFacts, session};
use crate::adapter::acp::rpc::PROTOCOL_VERSION;
use crate::adapter::acp::state::{Agent, Opening, Request, Step};
use crate::adapter::acp::text::{error_text, is_authentication};
use crate::adapter::{common, field};
use crate::event::{Body, Usage};

/// Most ways to log in that are named.
const LOGINS_MAX: usize = 8;

/// How a turn ended.
pub(in crate::adapter::acp) struct End {
    stop_reason: String,
    is_error: bool,
    usage: Option<Usage>,
    /// For people, where it failed.
    reason: String,
}

impl End {
    /// The process ended first.
    pub(in crate::adapter::acp) fn of_the_process() -> Self {
        let reason = "the process ended".to_owned();
        Self { stop_reason: "process_ended".to_owned(), is_error: true, usage: None, reason }
    }
}

impl Fold<'_> {
    pub(super) fn responded(&mut self, id: &Value, mut line: Value) {
        let error = Some(field::take(&mut line, "error")).filter(|error| !error.is_null());
        let result = field::take(&mut line, "result");
        let prompt = self.state.turn.as_mut().and_then(|turn| {
            let at = turn.prompts.iter().position(|prompt| prompt.id == *id)?;
            Some(turn.prompts.remove(at))
        });
        if let Some(prompt) = prompt {
            if let Some(message_id) = prompt.message_id {
                self.consumed(message_id);
            }
            return self.prompt_answered(&result, error.as_ref());
        }
        let Some(at) = self.state.requests.iter().position(|request| request.id == *id) else {
            let raw = serde_json::json!({"id": id, "result": result, "error": error});
            return self.unknown(raw, "an answer to nothing");
        };
        let request = self.state.requests.remove(at);
        match (request.method.as_str(), error) {
            ("initialize", None) => self.initialized(&result),
            ("session/new" | "session/load" | "session/resume" | "session/fork", None) => {
                self.opened(&request, result);
            }
            ("session/load" | "session/resume" | "session/fork", Some(error)) if !is_authentication(&error) => {
                self.not_resumed(&request, &error);
            }
            ("initialize" | "session/new" | "session/load" | "session/resume" | "session/fork", Some(error)) => {
                self.cannot_start(&error);
            }
            ("session/set_mode" | "session/set_model" | "session/set_config_option", outcome) => {
                self.configured(&request, &result, outcome.as_ref());
            }
            (_, Some(error)) => self.refused(&request, &error),
            (_, None) => {}
        }
    }

    fn initialized(&mut self, result: &Value) {
        let version = field::number(result, "protocolVersion").unwrap_or(PROTOCOL_VERSION);
        if version != PROTOCOL_VERSION {
            self.state.step = Step::Failed;
            let name = &self.dialect.name;
            let text = format!(
                "{name} speaks version {version} of the Agent Client Protocol, and rs-worker version \
                 {PROTOCOL_VERSION}: install a version of {name} that speaks it"
            );
            return self.error("protocol_version", text);
        }
        let none = Value::Null;
        let able = result.get("agentCapabilities").unwrap_or(&none);
        let prompt = able.get("promptCapabilities").unwrap_or(&none);
        let sessions = able.get("sessionCapabilities").unwrap_or(&none);
        self.state.agent = Agent {
            load: field::is_true(able, "loadSession"),
            resume: sessions.get("resume").is_some_and(|it| !it.is_null()),
            fork: sessions.get("fork").is_some_and(|it| !it.is_null()),
            image: field::is_true(prompt, "image"),
            audio: field::is_true(prompt, "audio"),
            embedded: field::is_true(prompt, "embeddedContext"),
            logins: logins(result.get("authMethods").unwrap_or(&none)),
            ..Agent::default()
        };
        self.state.step = Step::Open;
        if self.state.opening != Opening::New && !self.can_reopen() {
            let name = &self.dialect.name;
            let text = format!(
                "{name} cannot take up an earlier session: a new one was begun, which does not know the conversation so far"
            );
            self.state.opening = Opening::New;
            self.error("session_not_found", text);
        }
    }

    fn can_reopen(&self) -> bool {
        let agent = &self.state.agent;
        match &self.state.opening {
            Opening::New => true,
            Opening::Resume(_) => agent.load || agent.resume,
            Opening::Fork(_) => agent.fork,
        }
    }

    fn opened(&mut self, request: &Request, mut result: Value) {
        let id = field::take_text(&mut result, "sessionId").unwrap_or_else(|| request.value.clone());
        let known = request.method != "session/new" && id == self.state.facts.session_id;
        if request.method == "session/new" {
            (self.state.cost_nano_usd, self.state.cost_now_nano_usd) = (Some(0), None);
        } else if !known {
            self.state.cost_nano_usd = self.state.cost_now_nano_usd.take();
        }
        self.learn(&result);
        let facts = &mut self.state.facts;
        if !known {
            facts.commands = 0;
            facts.context = (0, 0);
        }
        facts.session_id.clone_from(&id);
        let model = self.current_model(&result).unwrap_or_default();
        let mode = self.current_mode(&result).unwrap_or_default();
        self.state.facts.model.clone_from(&model);
        self.state.facts.permission_mode.clone_from(&mode);
        self.state.opening = Opening::Resume(id.clone());
        let given = |text: String| Some(text).filter(|text| !text.is_empty());
        let with = given(model.clone()).map(|model| format!(" with {model}")).unwrap_or_default();
        let in_mode = given(mode.clone()).map(|mode| format!(", mode {mode}")).unwrap_or_default();
        let body = session(SessionFacts {
            session_id: Some(id.clone()),
            model: given(model),
            cwd: given(self.state.cwd.clone()),
            permission_mode: given(mode),
            commands: None,
        });
        self.tell(format!("Session {id}{with}{in_mode}"), body);
        self.state.awaits_history = request.method == "session/load" && self.dialect.history_after_load;
        if !self.state.awaits_history {
            self.history_ended();
        }
    }

    /// What was repeated of the session's history ends here.
    pub(super) fn history_ended(&mut self) {
        self.flush();
        self.state.tools.clear();
        self.state.awaits_history = false;
        self.state.step = Step::SetMode;
        self.next_step();
    }

    /// Passes the steps that have nothing to do.
    fn next_step(&mut self) {
        if self.state.step == Step::SetMode && self.state.wanted_mode().is_none() {
            self.state.step = Step::SetModel;
        }
        if self.state.step == Step::SetModel && (self.dialect.model_at_launch || self.state.wanted_model().is_none()) {
            self.state.step = Step::Ready;
        }
    }

    fn not_resumed(&mut self, request: &Request, error: &Value) {
        let why = error_text(error);
        let text = format!(
            "{} could not take up the session {} ({why}): a new one was begun, which does not know the conversation \
             so far",
            self.dialect.name, request.value
        );
        self.state.message = None;
        self.state.tools.clear();
        self.state.opening = Opening::New;
        self.state.step = Step::Open;
        self.error("session_not_found", text);
    }

    fn cannot_start(&mut self, error: &Value) {
        self.state.step = Step::Failed;
        let name = self.dialect.name.clone();
        let why = error_text(error);
        if is_authentication(error) {
            return self.not_logged_in(&why);
        }
        self.error("start_failed", format!("{name} could not begin a session: {why}"));
    }

    fn not_logged_in(&mut self, why: &str) {
        let name = &self.dialect.name;
        let logins = &self.state.agent.logins;
        let offers = if logins.is_empty() { String::new() } else { format!(" It offers: {logins}.") };
        let text = format!("{name} is not logged in: {why}. {}{offers}", self.dialect.login);
        self.error("authentication_failed", text);
    }

    /// A mode or a model was set, or refused.
    fn configured(&mut self, request: &Request, result: &Value, error: Option<&Value>) {
        match error {
            Some(error) => self.refused(request, error),
            None if result.get("configOptions").is_some() => {
                let facts = result.clone();
                self.learn(&facts);
                if let Some(model) = self.current_model(&facts) {
                    self.model(model);
                }
                if let Some(mode) = self.current_mode(&facts) {
                    self.permission_mode(mode);
                }
            }
            None if request.method == "session/set_model" => self.model(request.value.clone()),
            None if request.method == "session/set_mode" => self.permission_mode(request.value.clone()),
            None => {}
        }
        // Refused or not, the handshake goes on: the agent works with what it has.
        match self.state.step {
            Step::SetMode => {
                self.state.step = Step::SetModel;
                self.next_step();
            }
            Step::SetModel => self.state.step = Step::Ready,
            _ => {}
        }
    }

    fn refused(&mut self, request: &Request, error: &Value) {
        let Request { method, value, .. } = request;
        let text = format!("{} refused {method} {value}: {}", self.dialect.name, error_text(error));
        self.error("request_refused", text);
    }

    fn prompt_answered(&mut self, result: &Value, error: Option<&Value>) {
        self.flush();
        if let Some(error) = error {
            let why = error_text(error);
            if is_authentication(error) {
                self.not_logged_in(&why);
            } else {
                let limited = error.get("code").and_then(Value::as_i64) == Some(429);
                self.error(if limited { "rate_limit" } else { "api_error" }, why.clone());
            }
            return self.end_turn(End { stop_reason: "error".to_owned(), is_error: true, usage: None, reason: why });
        }
        let stop_reason = match field::text(result, "stopReason") {
            Some("cancelled") => "interrupted",
            Some("max_turn_requests") => "max_turns",
            Some(other) => other,
            None => "end_turn",
        };
        let end =
            End { stop_reason: stop_reason.to_owned(), is_error: false, usage: usage(result), reason: String::new() };
        self.end_turn(end);
    }

    /// Ends the turn, unless it has more prompts to answer.
    pub(super) fn end_turn(&mut self, end: End) {
        let ended = end.stop_reason == "process_ended";
        if !ended && self.state.turn.as_ref().is_none_or(|turn| !turn.prompts.is_empty()) {
            return;
        }
        let Some(turn) = self.state.turn.take() else { return };
        self.flush();
        let interrupted = end.stop_reason == "interrupted";
        self.end_tools(if interrupted { "The turn was interrupted." } else { "The turn ended without its result." });
        if !ended {
            self.end_asks();
        }
        let duration_ms = self.record.time.0.saturating_sub(turn.time) / 1_000;
        let (seconds, tenths) = (duration_ms / 1_000, duration_ms % 1_000 / 100);
        let content = match (interrupted, end.is_error) {
            (true, _) => "Turn interrupted".to_owned(),
            (_, true) => format!("Turn failed: {}", end.reason),
            _ => format!("Turn completed in {seconds}.{tenths} s"),
        };
        let cost_usd = self.turn_cost();
        self.tell(
            content,
            Body::TurnCompleted {
                turn_id: turn.id().into(),
                stop_reason: end.stop_reason.into(),
                duration_ms: Some(duration_ms),
                usage: end.usage,
                cost_usd,
                is_error: end.is_error,
                result: None,
            },
        );
    }

    /// This turn's share of what the session has cost so far, in US dollars; `None` where the agent says nothing.
    fn turn_cost(&mut self) -> Option<f64> {
        let now = self.state.cost_now_nano_usd?;
        let before = self.state.cost_nano_usd.replace(now)?;
        Some(now.saturating_sub(before) as f64 / NANO)
    }
}

/// The tokens of a turn: as the protocol has them, or as Gemini CLI adds them.
fn usage(result: &Value) -> Option<Usage> {
    if let Some(counts) = result.get("usage").filter(|counts| counts.is_object()) {
        let count = |key| field::number(counts, key).unwrap_or(0);
        return Some(Usage {
            input_tokens: count("inputTokens"),
            output_tokens: count("outputTokens"),
            cache_read_tokens: count("cachedReadTokens"),
            cache_write_tokens: count("cachedWriteTokens"),
        });
    }
    let counts = result.get("_meta")?.get("quota")?.get("token_count")?;
    let count = |key| field::number(counts, key).unwrap_or(0);
    Some(Usage { input_tokens: count("input_tokens"), output_tokens: count("output_tokens"), ..Usage::default() })
}

/// The ways to log in, in words.
fn logins(methods: &Value) -> String {
    let list = methods.as_array().map(Vec::as_slice).unwrap_or_default();
    let of = |method: &Value| {
        let name = field::text(method, "name").or_else(|| field::text(method, "id"))?;
        Some(match field::text(method, "description") {
            Some(description) => format!("{name} ({description})"),
            None => name.to_owned(),
        })
    };
    let texts: Vec<String> = list.iter().filter_map(of).take(LOGINS_MAX).collect();
    common::cut(texts.join("; "), super::REASON_MAX)
}
