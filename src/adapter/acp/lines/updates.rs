//! `session/update` notifications.

use serde_json::{Value, json};

use super::AcpFold;
use crate::adapter::acp::options::{self, OPTIONS_MAX};
use crate::adapter::acp::state::{MODES_MAX, Speaker};
use crate::adapter::kit::{field, text};
use crate::event::{Body, SessionFacts, Usage};
use crate::fnv;

/// The beginning of a change of mode that is repeated as text.
const MODE_IN_TEXT: &str = "[MODE_UPDATE]";
/// Longest id and value of an option that are remembered, in bytes.
const OPTION_BYTES_MAX: usize = 512;
/// Billionths in a dollar.
pub(super) const NANO: f64 = 1e9;

impl AcpFold<'_, '_> {
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
        if kind.starts_with('_') {
            return;
        }
        // History that the journal has already.
        if self.state.repeating() == Some(false) {
            return;
        }
        match kind.as_str() {
            "agent_message_chunk" => {
                self.mark_consumed();
                self.count(&update);
                self.answering(true);
                if !self.is_mode_in_text(&update) {
                    self.piece(Speaker::Agent, update);
                }
            }
            "agent_thought_chunk" => {
                self.mark_consumed();
                self.answering(false);
                self.piece(Speaker::Thought, update);
            }
            "user_message_chunk" => self.piece(Speaker::User, update),
            "tool_call" | "tool_call_update" => {
                self.mark_consumed();
                self.answering(false);
                self.tool(update);
            }
            "plan" => {
                self.mark_consumed();
                self.plan(update.get("entries").unwrap_or(&Value::Null));
            }
            _ if self.notified_of(&kind, &mut update) => {}
            _ => {
                if let Some(fields) = update.as_object_mut() {
                    fields.insert("sessionUpdate".to_owned(), kind.clone().into());
                }
                let what = format!("an update of the kind {kind:?}");
                self.unknown(update, &what);
            }
        }
    }

    /// Records whether the agent's last output was text.
    fn answering(&mut self, text: bool) {
        if let Some(turn) = &mut self.state.turn {
            turn.answered = text;
        }
    }

    /// Emits the agent's to-do list: `[{"content","status"}]`.
    pub(super) fn plan(&mut self, entries: &Value) {
        self.flush();
        let list = field::elements(entries);
        let entry = |entry: &Value| {
            let text = text::cut(field::text_or_empty(entry, "content").to_owned(), text::STRING_MAX);
            json!({"text": text, "status": field::text(entry, "status").unwrap_or("pending")})
        };
        let entries: Vec<Value> = list.iter().take(text::LIST_MAX).map(entry).collect();
        let texts: Vec<&str> = entries.iter().filter_map(|entry| field::text(entry, "text")).collect();
        self.out.emit(texts.join("\n"), Body::Plan { entries });
    }

    fn commands(&mut self, commands: Value) {
        let Value::Array(mut list) = commands else { return };
        list.truncate(text::LIST_MAX);
        let short = |command: &Value| {
            let text = |key| text::cut(field::text_or_empty(command, key).to_owned(), text::STRING_MAX);
            json!({"name": text("name"), "description": text("description")})
        };
        let commands: Value = list.iter().map(short).collect();
        let now = fnv::hash_json(&commands);
        if now != self.state.facts.commands {
            self.state.facts.commands = now;
            let body = Body::Session(SessionFacts { commands: Some(commands), ..SessionFacts::default() });
            self.out.emit(format!("{} slash commands", list.len()), body);
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
        self.report_options(update);
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
        self.learn_options(facts);
    }

    fn learn_options(&mut self, facts: &Value) {
        if !options::lists(facts) {
            return;
        }
        self.state.options_seq = Some(self.record.seq);
        let listed = field::list(facts, "configOptions");
        let value = |option: &Value| {
            let value = option.get("currentValue").filter(|value| value.is_boolean() || value.is_string())?;
            Some((field::text(option, "id")?.to_owned(), value.clone()))
        };
        let is_short =
            |(id, value): &(String, Value)| id.len() + value.as_str().map_or(0, str::len) <= OPTION_BYTES_MAX;
        self.state.values = listed.iter().filter_map(value).filter(is_short).take(OPTIONS_MAX).collect();
        // Which of them is the effort is known by its category.
        let id = option_of(facts, options::EFFORT).and_then(|option| field::text(option, "id"));
        if let Some(id) = id.filter(|id| self.state.values.contains_key(*id))
            && let Some(effort) = self.state.effort.take()
        {
            self.choose(id.to_owned(), effort.into());
        }
    }

    /// Emits the options when they have changed, with the values in force.
    pub(super) fn report_options(&mut self, facts: &Value) {
        if !options::lists(facts) {
            return;
        }
        let options = options::of(facts, self.state);
        self.out.options(&options, &mut self.state.facts.options);
    }

    pub(super) fn current_model(&self, facts: &Value) -> Option<String> {
        let own = facts.get("models").and_then(|models| field::text(models, "currentModelId"));
        own.or_else(|| field::text(option_of(facts, "model")?, "currentValue")).map(str::to_owned)
    }

    pub(super) fn current_mode(&self, facts: &Value) -> Option<String> {
        let own = facts.get("modes").and_then(|modes| field::text(modes, "currentModeId"));
        own.or_else(|| field::text(option_of(facts, "mode")?, "currentValue")).map(str::to_owned)
    }

    /// Emits the model when it has changed.
    pub(super) fn model(&mut self, model: String) {
        if self.state.facts.model != model {
            self.state.facts.model.clone_from(&model);
            let text = format!("Model {model}");
            self.out.emit(text, Body::Session(SessionFacts { model: Some(model.into()), ..SessionFacts::default() }));
        }
    }

    /// Emits the permission mode when it has changed.
    pub(super) fn permission_mode(&mut self, mode: String) {
        if self.state.facts.permission_mode != mode {
            self.state.facts.permission_mode.clone_from(&mode);
            let text = format!("Mode {mode}");
            self.out.emit(
                text,
                Body::Session(SessionFacts { permission_mode: Some(mode.into()), ..SessionFacts::default() }),
            );
        }
    }

    /// Takes a change of mode that the agent repeats as its text.
    fn is_mode_in_text(&mut self, update: &Value) -> bool {
        let text = update.get("content").and_then(|content| field::text(content, "text")).unwrap_or_default();
        let Some(mode) = text.trim().strip_prefix(MODE_IN_TEXT).map(str::trim) else { return false };
        let known = self.state.agent.modes.iter().any(|it| it == mode);
        let is_one = self.dialect.mode_in_text && known;
        if is_one {
            self.permission_mode(mode.to_owned());
        }
        is_one
    }

    /// Adds the tokens of one call of the model, which some agents report beside its text.
    fn count(&mut self, update: &Value) {
        let Some(counts) = update.get("_meta").and_then(|meta| meta.get("usage")) else { return };
        let Some(turn) = &mut self.state.turn else { return };
        let count = |keys: [&str; 2]| keys.iter().find_map(|key| field::number(counts, key)).unwrap_or(0);
        let cached = count(["cachedReadTokens", "cachedTokens"]);
        let usage = Usage {
            // Models of this kind count cached tokens among those of the input.
            input_tokens: count(["inputTokens", "promptTokens"]).saturating_sub(cached),
            output_tokens: count(["outputTokens", "completionTokens"]),
            cache_read_tokens: cached,
            cache_write_tokens: count(["cachedWriteTokens", "cacheWriteTokens"]),
        };
        turn.usage.get_or_insert_default().add(&usage);
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
            self.out.emit(format!("{used} tokens in the context"), body);
        }
    }

    fn info(&mut self, update: &Value) {
        if let Some(title) = field::text(update, "title").filter(|title| !title.is_empty()) {
            let title = title.to_owned();
            self.out.notice("session_title", title);
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
    let list = field::elements(list);
    list.iter().filter_map(|item| field::text(item, key)).take(MODES_MAX).map(str::to_owned).collect()
}
