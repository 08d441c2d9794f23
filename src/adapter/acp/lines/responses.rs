//! Answers to our requests: the steps of the handshake, and the end of a turn.

use serde_json::Value;

use super::AcpFold;
use crate::adapter::acp::errors::{REASON_MAX, error_text, is_authentication};
use crate::adapter::acp::rpc::PROTOCOL_VERSION;
use crate::adapter::acp::state::{Agent, Handshake, PendingRequest, SessionOpening, Wish};
use crate::adapter::kit::{field, session, text};
use crate::event::{Body, SessionFacts, Text, Usage};

/// Most ways to log in that are named.
const LOGINS_MAX: usize = 8;

impl AcpFold<'_, '_> {
    pub(super) fn responded(&mut self, id: &Value, mut line: Value) {
        let error = Some(field::take(&mut line, "error")).filter(|error| !error.is_null());
        let result = field::take(&mut line, "result");
        let prompt = self.state.turn.as_mut().and_then(|turn| {
            let at = turn.sent.iter().position(|prompt| prompt.id == *id)?;
            Some(turn.sent.remove(at))
        });
        if let Some(prompt) = prompt {
            if let Some(message_id) = prompt.message_id {
                self.out.consumed(message_id);
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
            self.state.handshake = Handshake::Failed;
            let name = &self.dialect.name;
            let text = format!(
                "{name} speaks version {version} of the Agent Client Protocol, and rs-worker version \
                 {PROTOCOL_VERSION}: install a version of {name} that speaks it"
            );
            return self.out.error("protocol_version", text);
        }
        let none = Value::Null;
        let able = result.get("agentCapabilities").unwrap_or(&none);
        let prompt = able.get("promptCapabilities").unwrap_or(&none);
        let sessions = able.get("sessionCapabilities").unwrap_or(&none);
        let mcp = able.get("mcpCapabilities").unwrap_or(&none);
        self.state.agent = Agent {
            load: field::is_true(able, "loadSession"),
            resume: sessions.get("resume").is_some_and(|it| !it.is_null()),
            fork: sessions.get("fork").is_some_and(|it| !it.is_null()),
            image: field::is_true(prompt, "image"),
            audio: field::is_true(prompt, "audio"),
            embedded: field::is_true(prompt, "embeddedContext"),
            mcp_http: field::is_true(mcp, "http"),
            mcp_sse: field::is_true(mcp, "sse"),
            logins: logins(result.get("authMethods").unwrap_or(&none)),
            ..Agent::default()
        };
        self.state.can_fork = Some(self.state.agent.fork);
        self.drop_mcp_servers();
        self.state.handshake = Handshake::Open;
        if self.state.opening != SessionOpening::New && !self.can_reopen() {
            let session = match &self.state.opening {
                SessionOpening::Resume(id) | SessionOpening::Fork(id) => id.clone(),
                SessionOpening::New => String::new(),
            };
            let text = session::session_gone(&self.dialect.name, &session, "it cannot resume sessions");
            self.state.opening = SessionOpening::New;
            self.out.error("session_not_found", text);
        }
    }

    /// Names the MCP servers that the agent cannot use.
    fn drop_mcp_servers(&mut self) {
        let unusable = self.state.mcp_servers.iter().filter(|server| !self.state.can_use(server));
        let names: Vec<String> =
            unusable.map(|server| format!("{} ({})", server.name, server.transport.kind())).collect();
        if !names.is_empty() {
            let name = &self.dialect.name;
            let text =
                format!("{name} cannot use MCP servers of these kinds, and begins without: {}", names.join(", "));
            self.out.error("mcp_server_left_out", text);
        }
    }

    fn can_reopen(&self) -> bool {
        let agent = &self.state.agent;
        match &self.state.opening {
            SessionOpening::New => true,
            SessionOpening::Resume(_) => agent.load || agent.resume,
            SessionOpening::Fork(_) => agent.fork,
        }
    }

    fn opened(&mut self, request: &PendingRequest, mut result: Value) {
        let id = field::take_text(&mut result, "sessionId").filter(|id| session::is_session_id(id));
        let id = id.unwrap_or_else(|| request.value.clone());
        let known = request.method != "session/new" && id == self.state.facts.session_id;
        if request.method == "session/new" {
            (self.state.cost_nano_usd, self.state.cost_now_nano_usd) = (Some(0), None);
            self.state.usage_before = Some(Usage::default());
        } else if !known {
            self.state.usage_before = None;
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
        self.state.opening = SessionOpening::Resume(id.clone());
        let given = |text: String| Some(Text::from(text)).filter(|text| !text.is_empty());
        let with = given(model.clone()).map(|model| format!(" with {model}")).unwrap_or_default();
        let in_mode = given(mode.clone()).map(|mode| format!(", mode {mode}")).unwrap_or_default();
        let body = Body::Session(SessionFacts {
            session_id: Some(id.clone().into()),
            model: given(model),
            cwd: given(self.state.wanted.cwd.clone()),
            permission_mode: given(mode),
            ..SessionFacts::default()
        });
        self.out.emit(format!("Session {id}{with}{in_mode}"), body);
        self.report_options(&result);
        self.state.awaits_history = request.method == "session/load" && self.dialect.history_after_load;
        if !self.state.awaits_history {
            self.history_ended();
        }
    }

    /// Ends the repeated history of the session.
    pub(super) fn history_ended(&mut self) {
        self.flush();
        self.state.calls.clear();
        self.state.awaits_history = false;
        self.state.handshake = Handshake::SetMode;
        self.next_step();
    }

    /// Passes the steps that have nothing to do.
    fn next_step(&mut self) {
        if self.state.handshake == Handshake::SetMode && self.state.wanted_mode(self.dialect).is_none() {
            self.state.handshake = Handshake::SetModel;
        }
        if self.state.handshake == Handshake::SetModel
            && (self.dialect.model_at_launch || self.state.wanted_model().is_none())
        {
            self.state.handshake = Handshake::SetOptions;
        }
        if self.state.handshake == Handshake::SetOptions && self.state.wanted_option().is_none() {
            self.state.handshake = Handshake::Ready;
            // A model may bring the option with it, so its absence is known only now.
            if let Some(effort) = self.state.effort.take() {
                let text = format!("{} offers no effort that can be set: {effort} has no effect", self.dialect.name);
                self.out.error("request_refused", text);
            }
        }
    }

    fn not_resumed(&mut self, request: &PendingRequest, error: &Value) {
        let why = error_text(error);
        if session::is_temporary(&why) {
            self.state.handshake = Handshake::Failed;
            let name = &self.dialect.name;
            let text = format!("{name}: session {} can't be resumed now: {why}; a message tries again", request.value);
            return self.out.error("resume_failed", text);
        }
        let text = session::session_gone(&self.dialect.name, &request.value, &why);
        self.state.partial = None;
        self.state.calls.clear();
        self.state.opening = SessionOpening::New;
        self.state.handshake = Handshake::Open;
        self.out.error("session_not_found", text);
    }

    fn cannot_start(&mut self, error: &Value) {
        self.state.handshake = Handshake::Failed;
        let name = self.dialect.name.clone();
        let why = error_text(error);
        if is_authentication(error) {
            return self.not_logged_in(&why);
        }
        self.out.error("start_failed", format!("{name} could not begin a session: {why}"));
    }

    pub(super) fn not_logged_in(&mut self, why: &str) {
        let logins = &self.state.agent.logins;
        let offers = if logins.is_empty() { String::new() } else { format!("It offers: {logins}") };
        let text = session::not_logged_in(&self.dialect.name, why, &[&self.dialect.login, &offers]);
        self.out.error("authentication_failed", text);
    }

    /// A mode or a model was set, or refused.
    fn configured(&mut self, request: &PendingRequest, result: &Value, error: Option<&Value>) {
        match error {
            Some(error) => {
                // A refused option is not requested again.
                if let Some((id, _)) = request.option.as_ref().filter(|_| self.state.handshake == Handshake::SetOptions)
                {
                    self.state.chosen.remove(id);
                }
                self.refused(request, error);
            }
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
            None if request.option.is_some() => {}
            None if request.method == "session/set_model" => self.model(request.value.clone()),
            None if request.method == "session/set_mode" => self.permission_mode(request.value.clone()),
            None => {}
        }
        if let Some(Wish { setting, value }) = request.wish.clone() {
            let accepted = error.is_none();
            let wanted = self.state.wanted_setting(setting);
            if accepted {
                *wanted = Some(value.clone());
            } else if wanted.as_ref() == Some(&value) {
                *wanted = None;
            }
            self.out.push(setting.answered(value, accepted));
        }
        if let (Some((id, value)), None) = (&request.option, error) {
            self.accepted(id, value, result);
        }
        // Refused or not, the handshake continues: the agent works with what it has.
        match self.state.handshake {
            Handshake::SetMode => self.state.handshake = Handshake::SetModel,
            Handshake::SetModel => self.state.handshake = Handshake::SetOptions,
            _ => {}
        }
        self.next_step();
    }

    /// The agent has set an option.
    fn accepted(&mut self, id: &str, value: &Value, result: &Value) {
        let agent = &self.state.agent;
        let is_apart = [&agent.mode_option, &agent.model_option].into_iter().any(|it| it.as_deref() == Some(id));
        if !is_apart {
            if let Some(now) = self.state.values.get_mut(id).filter(|_| result.get("configOptions").is_none()) {
                now.clone_from(value);
            }
            self.choose(id.to_owned(), value.clone());
        }
        self.report_options(result);
    }

    fn refused(&mut self, request: &PendingRequest, error: &Value) {
        let PendingRequest { method, value, .. } = request;
        let text = format!("{} refused {method} {value}: {}", self.dialect.name, error_text(error));
        self.out.error("request_refused", text);
    }
}

/// The ways to log in, in words.
fn logins(methods: &Value) -> String {
    let list = field::elements(methods);
    let of = |method: &Value| {
        let name = field::text(method, "name").or_else(|| field::text(method, "id"))?;
        Some(match field::text(method, "description") {
            Some(description) => format!("{name} ({description})"),
            None => name.to_owned(),
        })
    };
    let texts: Vec<String> = list.iter().filter_map(of).take(LOGINS_MAX).collect();
    text::cut(texts.join("; "), REASON_MAX)
}
