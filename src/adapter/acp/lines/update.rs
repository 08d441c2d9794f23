//! `session/update` notifications.

use serde_json::{Value, json};

use super::Fold;
use crate::adapter::acp::state::{MODES_MAX, Speaker};
use crate::adapter::{common, field};
use crate::event::{Body, Text, Usage};
use crate::fnv;

/// Billionths in a dollar.
pub(super) const NANO: f64 = 1e9;

impl Fold<'_> {
    pub(super) fn update(&mut self, mut update: Value) {
        let kind = field::take_text(&mut update, "sessionUpdate").unwrap_or_default();
        match kind.as_str() {
            "available_commands_update" => return self.commands(field::take(&mut update, "availableCommands")),
            "current_mode_update" => return self.mode_changed(&update),
            "config_option_update" => return self.options_changed(&update),
            "usage_update" => return self.used(&update),
            "session_info_update" => return self.info(&update),
            _ => {}
        }
        // History that the journal has already.
        if self.state.repeating() == Some(false) {
            return;
        }
        match kind.as_str() {
            "agent_message_chunk" => {
                self.took();
                self.piece(Speaker::Agent, update);
            }
            "agent_thought_chunk" => {
                self.took();
                self.piece(Speaker::Thought, update);
            }
            "user_message_chunk" => self.piece(Speaker::User, update),
            "tool_call" | "tool_call_update" => {
                self.took();
                self.tool(update);
            }
            "plan" => {
                self.took();
                self.plan(update.get("entries").unwrap_or(&Value::Null));
            }
            _ => {
                if let Some(fields) = update.as_object_mut() {
                    fields.insert("sessionUpdate".to_owned(), kind.clone().into());
                }
                let what = format!("an update of the kind {kind:?}");
                self.unknown(update, &what);
            }
        }
    }

    /// Tells the agent's to-do list: `[{"content","status"}]`.
    pub(super) fn plan(&mut self, entries: &Value) {
        self.flush();
        let list = entries.as_array().map(Vec::as_slice).unwrap_or_default();
        let entry = |entry: &Value| {
            let text = common::cut(field::text_or_empty(entry, "content").to_owned(), common::STRING_MAX);
            json!({"text": text, "status": field::text(entry, "status").unwrap_or("pending")})
        };
        let entries: Vec<Value> = list.iter().take(common::LIST_MAX).map(entry).collect();
        let texts: Vec<&str> = entries.iter().filter_map(|entry| field::text(entry, "text")).collect();
        self.tell(texts.join("\n"), Body::Plan { entries });
    }

    fn commands(&mut self, commands: Value) {
        let Value::Array(mut list) = commands else { return };
        list.truncate(common::LIST_MAX);
        let short = |command: &Value| {
            let text = |key| common::cut(field::text_or_empty(command, key).to_owned(), common::STRING_MAX);
            json!({"name": text("name"), "description": text("description")})
        };
        let commands: Value = list.iter().map(short).collect();
        let now = fnv::hash_json(&commands);
        if now != self.state.facts.commands {
            self.state.facts.commands = now;
            let body = session(SessionFacts { commands: Some(commands), ..SessionFacts::default() });
            self.tell(format!("{} slash commands", list.len()), body);
        }
        if self.state.awaits_history {
            self.history_ended();
        }
    }

    fn mode_changed(&mut self, update: &Value) {
        if let Some(mode) = field::text(update, "currentModeId") {
            self.permission_mode(mode.to_owned());
        }
    }

    fn options_changed(&mut self, update: &Value) {
        self.learn(update);
        let (model, mode) = (self.current_model(update), self.current_mode(update));
        if let Some(model) = model {
            self.model(model);
        }
        if let Some(mode) = mode {
            self.permission_mode(mode);
        }
    }

    /// Remembers which modes there are and how the model is chosen, from what a session's facts say.
    pub(super) fn learn(&mut self, facts: &Value) {
        let modes = facts.get("modes").and_then(|modes| modes.get("availableModes"));
        let mode_option = option_of(facts, "mode");
        let values = modes.map(|list| ids(list, "id")).or_else(|| Some(ids(mode_option?.get("options")?, "value")));
        let agent = &mut self.state.agent;
        if let Some(values) = values {
            agent.modes = values;
        }
        let id = |option: Option<&Value>| option.and_then(|option| field::text(option, "id")).map(str::to_owned);
        agent.mode_option = id(mode_option).or(agent.mode_option.take());
        agent.model_option = id(option_of(facts, "model")).or(agent.model_option.take());
    }

    pub(super) fn current_model(&self, facts: &Value) -> Option<String> {
        let own = facts.get("models").and_then(|models| field::text(models, "currentModelId"));
        own.or_else(|| field::text(option_of(facts, "model")?, "currentValue")).map(str::to_owned)
    }

    pub(super) fn current_mode(&self, facts: &Value) -> Option<String> {
        let own = facts.get("modes").and_then(|modes| field::text(modes, "currentModeId"));
        own.or_else(|| field::text(option_of(facts, "mode")?, "currentValue")).map(str::to_owned)
    }

    /// Tells the model when it is a new one.
    pub(super) fn model(&mut self, model: String) {
        if self.state.facts.model != model {
            self.state.facts.model.clone_from(&model);
            let text = format!("Model {model}");
            self.tell(text, session(SessionFacts { model: Some(model), ..SessionFacts::default() }));
        }
    }

    /// Tells the permission mode when it is a new one.
    pub(super) fn permission_mode(&mut self, mode: String) {
        if self.state.facts.permission_mode != mode {
            self.state.facts.permission_mode.clone_from(&mode);
            let text = format!("Mode {mode}");
            self.tell(text, session(SessionFacts { permission_mode: Some(mode), ..SessionFacts::default() }));
        }
    }

    fn used(&mut self, update: &Value) {
        let cost = update.get("cost").filter(|cost| field::text(cost, "currency").is_none_or(|it| it == "USD"));
        if let Some(amount) = cost.and_then(|cost| cost.get("amount")).and_then(Value::as_f64) {
            self.state.cost_now_nano_usd = Some((amount * NANO).round() as u64);
        }
        let number = |key| field::number(update, key);
        let (Some(used), size) = (number("used"), number("size")) else { return };
        let now = (used, size.unwrap_or(0));
        if self.state.facts.context != now && self.state.repeating() != Some(false) {
            self.state.facts.context = now;
            // The agent counts the context, not what the turn took: that comes at its end.
            let body = Body::Usage { usage: Usage::default(), context_tokens: Some(used), context_window: size };
            self.tell(format!("{used} tokens in the context"), body);
        }
    }

    fn info(&mut self, update: &Value) {
        if let Some(title) = field::text(update, "title").filter(|title| !title.is_empty()) {
            let title = title.to_owned();
            self.notice("session_title", title);
        }
    }
}

/// The configuration option of a category, as `configOptions` lists them.
fn option_of<'v>(facts: &'v Value, category: &str) -> Option<&'v Value> {
    let options = facts.get("configOptions")?.as_array()?;
    let is_it = |key| options.iter().find(|option| field::text(option, key) == Some(category));
    is_it("category").or_else(|| is_it("id"))
}

fn ids(list: &Value, key: &str) -> Vec<String> {
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(|item| field::text(item, key)).take(MODES_MAX).map(str::to_owned).collect()
}

/// What a `session` event says; what is absent has not changed.
#[derive(Default)]
pub(super) struct SessionFacts {
    pub(super) session_id: Option<String>,
    pub(super) model: Option<String>,
    pub(super) cwd: Option<String>,
    pub(super) permission_mode: Option<String>,
    pub(super) commands: Option<Value>,
}

pub(super) fn session(facts: SessionFacts) -> Body<'static> {
    Body::Session {
        session_id: facts.session_id.map(Text::from),
        model: facts.model.map(Text::from),
        cwd: facts.cwd.map(Text::from),
        permission_mode: facts.permission_mode.map(Text::from),
        tools: None,
        commands: facts.commands,
        mcp_servers: None,
    }
}
